"""Draws that several figures show: one data source, so that a selection in one shows in all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource

from imnn_lab.figures.clouds import Cloud, column_names


class Brush:
    """A data source of draws with their numbers (`row`), which the selection is kept by.

    Parameters
    ----------
    labels : sequence of str
        A name for each parameter.
    series : sequence of str
        Names that the clouds' `series` number.
    name : str
        Name of the source.
    """

    def __init__(self, labels: Sequence[str], series: Sequence[str], name: str = "draws") -> None:
        self.labels, self.series = tuple(labels), tuple(series)
        self.source = ColumnDataSource(self._columns([]), name=name)

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the selected draws, in increasing order."""
        indices = np.asarray(self.source.selected.indices, int)
        rows = np.asarray(self.source.data["row"], int)
        return np.unique(rows[indices[indices < len(rows)]])

    def update(self, clouds: Sequence[Cloud]) -> None:
        """Show other draws; those that stay and were selected stay selected."""
        columns, chosen = self._columns(clouds), self.rows
        self.source.data = columns
        self.source.selected.indices = np.flatnonzero(np.isin(columns["row"], chosen)).tolist()

    def _columns(self, clouds: Sequence[Cloud]) -> dict[str, np.ndarray]:
        names = [name for kind in column_names(self.labels).values() for name in kind]
        pieces = [self._cloud_columns(cloud) for cloud in clouds]
        return {
            name: np.concatenate([piece[name] for piece in pieces]) if pieces else np.empty(0)
            for name in [*names, "row", "group", "alpha"]
        }

    def _cloud_columns(self, cloud: Cloud) -> dict[str, np.ndarray]:
        names, n = column_names(self.labels), len(cloud)
        points = cloud.points("parameter", 0, "distance", 0)
        group = group_name(self.series[cloud.series], cloud.rejected)
        return {
            **dict(zip(names["parameter"], cloud.parameters.T, strict=True)),
            **dict(zip(names["estimate"], cloud.estimates.T, strict=True)),
            names["distance"][0]: cloud.distances,
            "row": np.arange(n) if cloud.rows is None else cloud.rows,
            "group": np.full(n, group, object),
            "alpha": np.full(n, 0.3) if cloud.rejected else 0.2 + 0.7 * points.weights,
        }


def group_name(series: str, rejected: bool) -> str:
    """Name a cloud of a series."""
    return f"{series}, rejected" if rejected else series
