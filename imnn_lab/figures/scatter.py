"""What scatter plots of draws show: parameters and estimates against one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud, column_names
from imnn_lab.figures.corner import known_entries
from imnn_lab.figures.data import Panel, Panels

AXES = ("parameter_estimate", "parameter_parameter", "estimate_estimate")


def check_axes(axes: str) -> None:
    """Raise a ValueError if `axes` is none of the three."""
    checks.one_of("axes", axes, AXES)


def scatter(
    clouds: Sequence[Cloud],
    series: Sequence[str],
    labels: Sequence[str],
    axes: str = "parameter_estimate",
    *,
    truths: Sequence[Any] = (),
    targets: Sequence[Any] = (),
) -> Panels:
    """Describe scatter plots.

    Parameters
    ----------
    clouds : sequence of Cloud
    series : sequence of str
        Names that the clouds' `series` number.
    labels : sequence of str
        A name for each parameter.
    axes : {"parameter_estimate", "parameter_parameter", "estimate_estimate"}
        What is drawn against what. A single parameter or estimate is drawn against the distance
        instead of another of its kind.
    truths : sequence of parameter vectors
        Lines on the parameters' axes.
    targets : sequence of parameter vectors
        Lines on the estimates' axes.

    Raises
    ------
    ValueError
        If `axes` is none of the three.
    """
    check_axes(axes)
    horizontal, vertical = axes.split("_")
    marks = {"parameter": truths, "estimate": targets}
    columns = column_names(labels)
    size = len(labels)
    if horizontal != vertical:
        pairs = [(i, j) for i in range(size) for j in range(size)]
    elif size == 1:
        pairs, vertical = [(0, 0)], "distance"
    else:
        pairs = [(i, j) for i in range(1, size) for j in range(i)]
    first = min(i for i, _ in pairs)
    panels = tuple(
        Panel(
            i - first,
            j,
            columns[horizontal][j],
            columns[vertical][i],
            tuple(cloud.points(horizontal, j, vertical, i) for cloud in clouds),
            x_truth=known_entries(marks[horizontal], j),
            y_truth=known_entries(marks.get(vertical, ()), i),
        )
        for i, j in pairs
    )
    return Panels(panels, tuple(series))
