"""Curves that grow: at most so many points each, thinned as they come, extremes kept.

Each curve has its own abscissa, so that every point is an exact one. Points are thinned by taking
four neighbours and keeping the smallest and the largest, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

MOST_POINTS = 2000
GROUP = 4
FARTHEST = 4.0


@dataclass(frozen=True)
class Addition:
    """What changes on a set of growing curves.

    Attributes
    ----------
    replaces : bool
        Whether the points take the place of all earlier ones.
    dropped : int
        How many of the last points go before the new ones come.
    x, y : ndarray, shape (n, n_curves)
        The new points of each curve.
    """

    replaces: bool
    dropped: int
    x: np.ndarray
    y: np.ndarray


class GrowingCurves:
    """Several curves over the same growing record, each with at most `most` points.

    Parameters
    ----------
    n_curves : int
    most : int
        Largest number of points a curve, divisible by four.
    """

    def __init__(self, n_curves: int, most: int = MOST_POINTS) -> None:
        if most % GROUP:
            raise ValueError(f"`most` must be divisible by {GROUP}. Received {most}.")
        self.n_curves, self.most = n_curves, most
        self.clear()

    def clear(self) -> None:
        """Forget all points."""
        self._each = 1
        self._x = np.empty((0, self.n_curves))
        self._y = np.empty((0, self.n_curves))
        self._open_x, self._open_y = self._x, self._y

    @property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """All points to be shown, x and y of shape (n, n_curves)."""
        x, y = _extremes(self._open_x, self._open_y)
        return np.concatenate([self._x, x]), np.concatenate([self._y, y])

    def extend(self, x: np.ndarray, y: np.ndarray) -> Addition:
        """Add records and say what changes.

        Parameters
        ----------
        x : ndarray, shape (n,)
        y : ndarray, shape (n, n_curves)
        """
        dropped = min(2, len(self._open_x))
        before = len(self._x)
        x = np.concatenate([self._open_x, np.repeat(x[:, None], self.n_curves, axis=1)])
        y = np.concatenate([self._open_y, y])
        compacted = False
        while True:
            x, y = self._close(x, y)
            if len(self._x) + min(2, len(x)) <= self.most:
                break
            self._compact()
            compacted = True
        self._open_x, self._open_y = x, y
        shown_x, shown_y = self.points
        start = 0 if compacted else before
        return Addition(compacted, dropped, shown_x[start:], shown_y[start:])

    def _close(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Close whole groups of records while there is room; return what is left open."""
        room = (self.most - len(self._x)) // (1 if self._each == 1 else 2)
        groups = min(len(x) // self._each, room)
        taken = groups * self._each
        if not groups:
            return x, y
        new_x, new_y = x[:taken], y[:taken]
        if self._each > 1:
            new_x, new_y = _grouped_extremes(new_x, new_y, self._each)
        self._x, self._y = np.concatenate([self._x, new_x]), np.concatenate([self._y, new_y])
        return x[taken:], y[taken:]

    def _compact(self) -> None:
        """Halve the closed points; from now on a group holds twice as many records."""
        self._x, self._y = _grouped_extremes(self._x, self._y, GROUP)
        self._each = GROUP if self._each == 1 else 2 * self._each


def _extremes(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at most two points a curve: the extremes of all records."""
    return (x, y) if len(x) <= 2 else _grouped_extremes(x, y, len(x))


def _grouped_extremes(x: np.ndarray, y: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two points for each `size` records: their extremes, in the order they came."""
    n_curves = x.shape[1]
    x, y = (values.reshape(-1, size, n_curves) for values in (x, y))
    lowest = np.argmin(np.where(np.isfinite(y), y, np.inf), axis=1)
    highest = np.argmax(np.where(np.isfinite(y), y, -np.inf), axis=1)
    chosen = np.sort(np.stack([lowest, highest], axis=1), axis=1)
    picked = (np.take_along_axis(values, chosen, axis=1) for values in (x, y))
    first, second = (values.reshape(-1, n_curves) for values in picked)
    return first, second


class Smoothing:
    """Exponential smoothing of records as they come: s ← w s + (1 − w) y, without the start's bias.

    Parameters
    ----------
    weight : float
        w, from 0 (nothing is smoothed) to below 1.
    n_curves : int
    """

    def __init__(self, weight: float, n_curves: int) -> None:
        self.weight = weight
        self._sum, self._norm = np.zeros(n_curves), 0.0
        self._last = np.full(n_curves, np.nan)

    def extend(self, y: np.ndarray) -> np.ndarray:
        """Return the smoothed records, shape (n, n_curves); a gap repeats the value before it."""
        if not len(y):
            return y
        filled = _filled(np.vstack([self._last, y]))[1:]
        self._last = filled[-1]
        known = np.where(np.isfinite(filled), filled, 0.0)
        w = self.weight
        sums, _ = signal.lfilter([1 - w], [1, -w], known, axis=0, zi=w * self._sum[None])
        norms, _ = signal.lfilter([1 - w], [1, -w], np.ones(len(y)), zi=[w * self._norm])
        self._sum, self._norm = sums[-1], float(norms[-1])
        return np.where(np.isfinite(filled), sums / norms[:, None], np.nan)


def _filled(y: np.ndarray) -> np.ndarray:
    """Put the last finite value of each column into its gaps."""
    rows = np.where(np.isfinite(y), np.arange(len(y))[:, None], 0)
    return np.take_along_axis(y, np.maximum.accumulate(rows, axis=0), axis=0)


def robust_range(
    values: Sequence[np.ndarray], log: bool, everything: bool = False, include: Sequence[float] = ()
) -> tuple[float, float] | None:
    """Return a range for an axis that a few outliers do not spoil, None without data.

    Parameters
    ----------
    values : sequence of ndarray
        What the curves show.
    log : bool
        Whether the axis is logarithmic.
    everything : bool
        Whether outliers count as well.
    include : sequence of float
        Values of reference lines, shown where they are no outliers themselves.
    """
    ends = reach(values, log, everything)
    if not len(ends):
        return None
    low, high = np.log10(ends).tolist() if log else ends.tolist()
    width = max(high - low, 0.02 if log else 0.02 * max(abs(low), abs(high)) or 1e-9)
    for value in np.log10(include) if log else include:
        if everything or low - 2 * width < value < high + 2 * width:
            low, high = min(low, float(value)), max(high, float(value))
    margin = 0.08 * max(high - low, width)
    low, high = low - margin, high + margin
    return (10.0**low, 10.0**high) if log else (low, high)


def reach(values: Sequence[np.ndarray], log: bool, everything: bool = False) -> np.ndarray:
    """Return from where to where curves reach, their ends included, without a few outliers.

    Parameters
    ----------
    values, log, everything
        As for `robust_range`.

    Returns
    -------
    ndarray, shape (2,)
        Empty without data.
    """
    curves = [v[np.isfinite(v) & (v > 0 if log else True)] for v in values]
    shares = (0, 1) if everything else (0.02, 0.98)
    ends = [[*_quantiles(v, shares), v[-1]] for v in curves if len(v)]
    return np.array([np.min(ends), np.max(ends)] if ends else [])


def cut_near(values: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return what a linear axis has to show of a curve that runs away from the one held out.

    Parameters
    ----------
    values, held_out : ndarray
        They may leave the reach of the one held out, or half of its value if that is more, by
        `FARTHEST` times as much.
    """
    ends = reach([held_out], False)
    if not len(ends):
        return values
    room = FARTHEST * max(ends[1] - ends[0], 0.5 * np.abs(ends).max())
    return np.clip(values, ends[0] - room, ends[1] + room)


def _quantiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return what `np.quantile` does, in a tenth of its time, for every tick."""
    n = len(values)
    return np.interp(np.multiply(shares, n - 1), np.arange(n), np.sort(values))


def stacked(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Return named columns side by side, shape (n, len(names)), NaN where one is missing."""
    n = len(columns.get("iteration", ()))
    return np.stack([columns.get(name, np.full(n, np.nan)) for name in names], axis=1)
