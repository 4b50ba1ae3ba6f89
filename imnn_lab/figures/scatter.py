"""What scatter plots of draws show: parameters and estimates against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.corner import marked
from imnn_lab.figures.data import Panel, Panels, Points

AXES = ("parameter_estimate", "parameter_parameter", "estimate_estimate")
MOST_POINTS = 20_000  # of one cloud in one panel; more are thinned evenly


@dataclass(frozen=True)
class Cloud:
    """Draws to be scattered.

    Attributes
    ----------
    parameters, estimates : ndarray, shape (n, n_params)
    distances : ndarray, shape (n,)
    weights : ndarray, shape (n,), or None for equal ones
    rejected : bool
    series : int
    """

    parameters: np.ndarray
    estimates: np.ndarray
    distances: np.ndarray
    weights: np.ndarray | None = None
    rejected: bool = False
    series: int = 0

    def thinned(self, fraction: float) -> Cloud:
        """Return an evenly spaced fraction of the draws, from 0 to 1."""
        n = len(self.parameters)
        kept = np.linspace(0, n - 1, round(fraction * n)).astype(int) if n else np.arange(0)
        weights = None if self.weights is None else self.weights[kept]
        columns = (self.parameters[kept], self.estimates[kept], self.distances[kept])
        return Cloud(*columns, weights, self.rejected, self.series)


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
        What is drawn against what. A single parameter has nothing of its own kind to be drawn
        against: its distance takes that place.
    truths : sequence of parameter vectors
        Lines on the parameters' axes.
    targets : sequence of parameter vectors
        Lines on the estimates' axes.

    Raises
    ------
    ValueError
        If `axes` is none of the three.
    """
    if axes not in AXES:
        expected = f"be one of {', '.join(AXES)}"
        raise ValueError(checks.wording("`axes`", expected, checks.describe(axes)))
    horizontal, vertical = axes.split("_")
    marks = {"parameter": truths, "estimate": targets}
    columns = {
        "parameter": list(labels),
        "estimate": [f"estimate of {label}" for label in labels],
        "distance": ["distance ρ"],
    }
    size = len(labels)
    if horizontal != vertical:
        places = [(i, j) for i in range(size) for j in range(size)]
    elif size == 1:
        places, vertical = [(0, 0)], "distance"
    else:
        places = [(i, j) for i in range(1, size) for j in range(i)]
    first = min(i for i, _ in places)
    panels = tuple(
        Panel(
            i - first,
            j,
            columns[horizontal][j],
            columns[vertical][i],
            None,
            None,
            tuple(_points(cloud, horizontal, j, vertical, i) for cloud in clouds),
            marked(marks[horizontal], j),
            marked(marks.get(vertical, ()), i),
        )
        for i, j in places
    )
    across = max(j for _, j in places) + 1
    return Panels(size - first, across, panels, tuple(series))


def _points(cloud: Cloud, horizontal: str, j: int, vertical: str, i: int) -> Points:
    shown = cloud.thinned(min(1.0, MOST_POINTS / max(1, len(cloud.parameters))))
    values: Mapping[str, np.ndarray] = {
        "parameter": shown.parameters,
        "estimate": shown.estimates,
        "distance": shown.distances[:, None],
    }
    weights = np.ones(len(shown.parameters)) if shown.weights is None else shown.weights
    relative = weights / weights.max(initial=1e-300)
    return Points(
        cloud.series, values[horizontal][:, j], values[vertical][:, i], relative, cloud.rejected
    )
