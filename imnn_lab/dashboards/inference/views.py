"""Figures, tables and downloads of the inference page."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.downloads import (
    call_html,
    csv_file,
    download,
    figure_downloads,
    npz_file,
)
from imnn_lab.dashboards.common.layout import (
    WIDE,
    Select,
    View,
    announced_html,
    card,
    figure_rows,
    flowing,
    scrolling,
    stack,
    table,
    words,
)
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.figures.bokeh import ABOVE, BOTTOM, NO_AXIS, Brush, Drawing
from imnn_lab.figures.corner import FEWEST, is_of_few
from imnn_lab.figures.data import Panels
from imnn_lab.inference.posterior import Posterior
from imnn_lab.parameters import shown

MASS = 0.68
HEIGHT = 330  # of a corner plot, in pixels: as much as a page of 800 pixels has above its table
SQUARE = 2.0  # width of its panels over their height, at most
TABLE = 128  # pixels of the table below it, which scrolls if there are more posteriors
MOST_ROWS = 200
NOTHING_SELECTED = "No draws selected: drag over draws in a figure, with the box or the lasso."


class CornerView(View[Snapshot]):
    """Corner plot of all posteriors, with the accepted draws below the contours."""

    def __init__(self, state: InferenceState, snapshot: Snapshot, brush: Brush) -> None:
        super().__init__()
        self._drawing = corner_drawing(snapshot.corner, "corner", brush)
        self._brush, self._target = brush, words()
        smoothing = pn.widgets.FloatSlider.from_param(
            state.choices.param.smoothing, width=200, margin=(0, 14)
        )
        self.body = card(
            "",
            flowing((self._target, 300, 1), (smoothing, 230, 0)),
            corner_rows(self._drawing),
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the posteriors when they change."""
        if self.changed(snapshot.key):
            self._drawing.update(snapshot.corner)
        n = len(self._brush.rows) if snapshot.simulates else 0
        hint = (
            "drag over draws to select them." if not n else f"{n:,} selected, listed under Draws."
        )
        name = html.escape(snapshot.observation.name)
        if any(is_of_few(posterior) for posterior in snapshot.samples.values()):
            hint += f" Fewer than {FEWEST} effective draws have no contours."
        text = f"Of: <b>{name}</b>. Click a name to hide it; {hint}"
        self._target.object = f'<div style="font-size: 0.85em">{text}</div>'


class ScatterView(View[Snapshot]):
    """Scatter plot of accepted and rejected draws and of particles, in three choices of axes."""

    def __init__(self, state: InferenceState, snapshot: Snapshot, brush: Brush) -> None:
        super().__init__()
        self._brush, self._figures = brush, pn.Column(margin=0, **WIDE)
        self._draw(snapshot)
        axes = Select.from_param(state.choices.param.axes, width=240)
        self.body = card("Draws", axes, self._figures)

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the draws when they change; other axes need another figure."""
        if not self.changed(snapshot.key):
            return
        if snapshot.axes == self._axes:
            self._drawing.update(snapshot.scatter)
        else:
            self._draw(snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        height = 220 if len(snapshot.labels) < 3 else 170
        self._drawing = Drawing(snapshot.scatter, "scatter", brush=self._brush, height=height)
        self._axes = snapshot.axes
        self._figures[:] = [figure_rows(self._drawing)]


class SelectionView(View[Snapshot]):
    """Table of the draws that are selected in any figure that shares the brush."""

    def __init__(self, brush: Brush) -> None:
        super().__init__()
        self._brush, self._columns = brush, dict[str, np.ndarray]()
        self._count, self._table = words(announced_html(NOTHING_SELECTED)), words()
        self._download = download(
            "selected-draws.csv", "Selected draws (CSV)", lambda: csv_file(self._columns),
            disabled=True, width=200,
        )  # fmt: skip
        self.body = card("Selected draws", self._count, self._table, self._download)

    def refresh(self, snapshot: Snapshot) -> None:
        """List the selected draws when they change."""
        rows = self._brush.rows
        if not self.changed((snapshot.key, rows.tobytes())):
            return
        self._columns = snapshot.table(rows)
        n = len(self._columns["number"])
        more = f" The first {MOST_ROWS} are listed." if n > MOST_ROWS else ""
        self._count.object = announced_html(f"{n:,} selected.{more}" if n else NOTHING_SELECTED)
        self._table.object = selection_table(self._columns) if n else ""
        self._download.disabled = not n


class SummaryView(View[Snapshot]):
    """Table of the posteriors."""

    def __init__(self) -> None:
        super().__init__()
        self._table = words()
        self.body = card("", self._table)

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the posteriors when they change."""
        if self.changed(snapshot.key):
            self._table.object = summary_table(snapshot.samples, TABLE)


class ExportView(View[Snapshot]):
    """Downloads of figures and samples, and the Python calls that give the same."""

    def __init__(self, state: InferenceState, snapshot: Snapshot) -> None:
        super().__init__()
        self._state, self.call = state, words()
        buttons = figure_downloads("corner", lambda: state.snapshot().corner)
        if snapshot.simulates:
            buttons += figure_downloads("scatter", lambda: state.snapshot().scatter)
            buttons += figure_downloads("distances", lambda: state.snapshot().distances)
        self._samples = {name: self._samples_download(name) for name in snapshot.series}
        buttons += self._samples.values()
        row = pn.FlexBox(*buttons, gap="0px", sizing_mode="stretch_width")
        self.body = card("Download", row, self.call)

    def refresh(self, snapshot: Snapshot) -> None:
        """Allow the download of samples that there are; show the present call."""
        call = self._state.python_call()
        if self.changed((snapshot.key, call)):
            for name, posterior in snapshot.samples.items():
                self._samples[name].disabled = posterior is None
            self.call.object = scrolling(call_html(call))

    def _samples_download(self, name: str) -> pn.widgets.FileDownload:
        def samples() -> io.BytesIO:
            posterior = self._state.snapshot().samples[name]
            return npz_file({} if posterior is None else posterior.arrays())

        filename = f"posterior-{name.replace(' ', '-')}.npz"
        return download(filename, f"{name} samples (NPZ)", samples, disabled=True)


def corner_drawing(
    description: Panels, name: str, brush: Brush | None = None, legend_columns: int = 2
) -> Drawing:
    """Return the drawing of a corner plot, whose panels are as high as a page has room for.

    Parameters
    ----------
    description : Panels
    name : str
        Of its data sources, see `Drawing`.
    brush : Brush, optional
    legend_columns : int
        Of the legend in the free corner, where that is two panels wide.
    """
    n = description.columns
    height = max(150, (HEIGHT + (n - 1) * (BOTTOM - NO_AXIS)) // n) if n > 1 else 300
    columns = {1: None, 2: 1}.get(n, legend_columns)
    return Drawing(description, name, brush=brush, height=height, legend_columns=columns)


def corner_rows(drawing: Drawing) -> pn.Column:
    """Return the figures of a corner plot, nearly square, with its legend in the free corner."""
    n = len(drawing.lefts)
    width = int(SQUARE * n * (drawing.height - BOTTOM - ABOVE)) + sum(drawing.lefts) + n * NO_AXIS
    limit = f"min(100%, {width}px)" if n > 1 else "100%"
    return stack(figure_rows(drawing, legend_inside=True), max_width=limit)


def summary_table(samples: Mapping[str, Posterior | None], height: int = 280) -> str:
    """Return the table of posteriors as HTML: mean, spread, interval, and what they cost.

    Parameters
    ----------
    samples : mapping from str to Posterior or None
    height : int
        Pixels above which it scrolls.
    """
    posteriors = {name: posterior for name, posterior in samples.items() if posterior is not None}
    header = ["posterior"]
    for label in next(iter(posteriors.values())).labels:
        name = shown(label)
        header += [f"{name}: mean ± sd", f"{name}: median", f"{name}: {MASS:.0%} interval"]
    header += ["effective samples", "acceptance", "simulations"]
    rows = [[name, *_summary_cells(posterior)] for name, posterior in posteriors.items()]
    return scrolling(table(header, rows, is_dense=True), height)


def _summary_cells(posterior: Posterior) -> list[str]:
    summary = posterior.summary(MASS)
    cells = []
    for mean, sd, median, low, high in summary.table:
        cells += [f"{mean:.4g} ± {sd:.2g}", f"{median:.4g}", f"{low:.4g} to {high:.4g}"]
    about = summary.properties
    acceptance = f"{about['acceptance']:.2%}" if "acceptance" in about else "—"
    simulations = f"{about['simulations']:,.0f}" if "simulations" in about else "—"
    return [*cells, f"{posterior.effective_samples:,.0f}", acceptance, simulations]


def selection_table(columns: Mapping[str, np.ndarray]) -> str:
    """Return the first selected draws as an HTML table."""
    listed = (values[:MOST_ROWS].tolist() for values in columns.values())
    rows = [[_number(value) for value in row] for row in zip(*listed, strict=True)]
    return scrolling(table(list(columns), rows))


def _number(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
