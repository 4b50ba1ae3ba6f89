"""What the distances of draws from a target show: which of them lie within ε."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab.figures.data import Histogram, Panel, Panels


def distances(
    values: np.ndarray, ε: float, series: Sequence[str] = ("ABC",), index: int = 0, bins: int = 60
) -> Panels:
    """Describe the histogram of distances, with a line at ε.

    The axis reaches to the median distance, or to 2ε if that is farther.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Distance ρ of each draw.
    ε : float
        Radius within which draws are accepted.
    series : sequence of str
        Names for the legend.
    index : int
        Which of them the draws belong to.
    bins : int
    """
    farthest = max(2 * ε, float(np.median(values)) if len(values) else 0.0)
    edges = np.linspace(0, farthest, bins + 1)
    accepted = np.histogram(values[values < ε], edges)[0]
    rejected = np.histogram(values[values >= ε], edges)[0]
    layers = (
        Histogram(index, edges, accepted, np.zeros(bins)),
        Histogram(index, edges, rejected, accepted.astype(float), rejected=True),
    )
    x_range = (0.0, farthest)
    panel = Panel(0, 0, "distance ρ", "draws", layers, x_range=x_range, x_truth=(ε,))
    return Panels((panel,), tuple(series))
