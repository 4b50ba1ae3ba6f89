"""The table of selected draws, and its download."""

from __future__ import annotations

import io
from collections.abc import Mapping
from csv import writer
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.layout import FRAMED, card, table
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import scrolling, told, words
from imnn_lab.figures.brush import Brush

EMPTY = "Nothing is selected: drag over draws in a figure, with the box or the lasso."
MOST_ROWS = 200


class SelectionView(pn.viewable.Viewer):
    """What is selected in any figure that shares the brush.

    Parameters
    ----------
    snapshot : Snapshot
    brush : Brush
    """

    def __init__(self, snapshot: Snapshot, brush: Brush, **params: Any) -> None:
        super().__init__(**params)
        self._brush, self._snapshot = brush, snapshot
        self._shown: object = None
        self._count = words(told(EMPTY))
        self._table = words()
        self._download = pn.widgets.FileDownload(
            callback=self._csv, filename="selected-draws.csv", label="Selected draws (CSV)",
            disabled=True, width=200, styles=FRAMED,
        )  # fmt: skip
        self._body = card("Selected draws", self._count, self._table, self._download)

    def refresh(self, snapshot: Snapshot) -> None:
        """List what is selected now."""
        rows = self._brush.rows
        seen = (snapshot.key, rows.tobytes())
        if seen == self._shown:
            return
        self._shown, self._snapshot = seen, snapshot
        columns = snapshot.table(rows)
        n = len(columns["number"])
        more = f" The first {MOST_ROWS} are listed." if n > MOST_ROWS else ""
        self._count.object = told(f"{n:,} selected.{more}" if n else EMPTY)
        self._table.object = _listed(columns) if n else ""
        self._download.disabled = not n

    def _csv(self) -> io.BytesIO:
        return io.BytesIO(csv(self._snapshot.table(self._brush.rows)).encode())

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def csv(columns: Mapping[str, np.ndarray]) -> str:
    """Write columns as comma-separated values with a line of names."""
    place = io.StringIO()
    lines = writer(place, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return place.getvalue()


def _listed(columns: Mapping[str, np.ndarray]) -> str:
    shown = {name: values[:MOST_ROWS].tolist() for name, values in columns.items()}
    rows = [[_cell(value) for value in row] for row in zip(*shown.values(), strict=True)]
    return scrolling(table(list(columns), rows))


def _cell(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
