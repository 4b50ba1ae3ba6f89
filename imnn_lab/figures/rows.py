"""Rows with names: a value in each, with where it may lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab.figures.data import Curve, Panel


def rows(
    x_label: str,
    names: Sequence[str],
    layers: tuple[Curve, ...],
    limits: tuple[float, ...] = (),
    below: float = 0.0,
    y_label: str = "parameter",
) -> Panel:
    """Describe rows with names, the first on top, and dotted lines at limits.

    Parameters
    ----------
    x_label : str
    names : sequence of str
    layers : tuple of Curve
        See `spans`; the row of a name is at minus its number.
    limits : tuple of float
    below : float
        How far the layers of the last row reach below it.
    y_label : str
        What the names are of.
    """
    heights = tuple((-float(i) - below / 2, name) for i, name in enumerate(names))
    ends = (0.5 - len(names) - below, 0.5)
    return Panel(0, 0, x_label, y_label, layers, y_range=ends, x_truth=limits, y_names=heights)


def spans(series: int, heights: np.ndarray, ends: np.ndarray, values: np.ndarray) -> Curve:
    """Describe horizontal lines, each with a tick at its value, as one broken curve.

    Parameters
    ----------
    series : int
    heights : ndarray, shape (n,)
    ends : ndarray, shape (n, 2)
        Where each line begins and ends.
    values : ndarray, shape (n,)
    """
    gap, size = np.full(len(heights), np.nan), 0.12
    x = np.stack([*np.where(np.isfinite(ends), ends, np.nan).T, gap, values, values, gap], axis=1)
    y = np.stack([heights, heights, gap, heights - size, heights + size, gap], axis=1)
    return Curve(series, x.ravel(), y.ravel())
