"""Densities on grids: histograms of weighted samples, and marginals of one and two parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from imnn_lab import checks

LARGEST_GRID = 10**7


@dataclass(frozen=True)
class Density:
    """A density on a regular grid of one or more parameters.

    Attributes
    ----------
    axes : tuple of ndarray, each of shape (n,)
        The points (or bin centres) along each parameter.
    values : ndarray, shape (len(axes[0]), ...)
        The density there, so that Σ values · `cell` = 1.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray

    @property
    def cell(self) -> float:
        """Volume of a cell."""
        return float(np.prod([axis[1] - axis[0] for axis in self.axes]))

    def normalised(self) -> Density:
        """Return the density scaled to Σ values · cell = 1 (unchanged where it is zero)."""
        total = self.values.sum() * self.cell
        return Density(self.axes, self.values / total if total > 0 else self.values)

    def smoothed(self, smoothing: float | None) -> Density:
        """Return the density under a Gaussian filter, renormalised.

        Parameters
        ----------
        smoothing : float or None
            Width of the filter, in points of the grid; None and 0 leave the density as it is.

        Raises
        ------
        ValueError
            If `smoothing` is below 0.
        """
        if smoothing is None:
            return self
        smoothing = checks.number("smoothing", smoothing, below=1e4)
        if smoothing < 0:
            remedy = "It is the width of a filter in bins, 1.0 for example."
            raise ValueError(checks.wording("`smoothing`", "be at least 0", smoothing, remedy))
        if smoothing == 0:
            return self
        return Density(self.axes, ndimage.gaussian_filter(self.values, smoothing)).normalised()

    def levels(self, masses: Sequence[float]) -> np.ndarray:
        """Return the heights above which the density holds probability masses, one for each.

        Parameters
        ----------
        masses : sequence of float
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (len(masses),)
        """
        chosen = np.atleast_1d(as_probabilities("masses", masses))
        values = np.sort(self.values, axis=None)[::-1]
        mass = np.cumsum(values) / values.sum()
        return values[np.searchsorted(mass, chosen, side="left").clip(max=values.size - 1)]

    def quantile(self, q: Any) -> np.ndarray:
        """Return quantiles of a one-parameter density, by linear interpolation of its integral.

        Parameters
        ----------
        q : float or array-like
            Probabilities.

        Returns
        -------
        ndarray, shape np.shape(q)
        """
        q, (axis,) = as_probabilities("q", q), self.axes
        edges = np.append(axis - self.cell / 2, axis[-1] + self.cell / 2)
        return np.interp(q, np.append(0.0, np.cumsum(self.values) * self.cell), edges)


class Marginals(Protocol):
    """What a corner plot asks of a posterior."""

    @property
    def n_params(self) -> int:
        """Number of parameters."""

    def ranges(self, ranges: Any = None) -> list[tuple[float, float]]:
        """Return a range for each parameter."""

    def marginal(
        self, i: int, j: int | None = None, *, bins: int | None = None, ranges: Any = None
    ) -> Density:
        """Return the density of one parameter or of two."""


def histogram(samples: np.ndarray, weights: np.ndarray, edges: Sequence[np.ndarray]) -> Density:
    """Return the weighted histogram of samples of shape (n, k) as a density over k parameters."""
    refuse_large_grid([len(edge) - 1 for edge in edges])
    values, _ = np.histogramdd(samples, bins=list(edges), weights=weights)
    return Density(tuple((e[1:] + e[:-1]) / 2 for e in edges), values).normalised()


def bin_edges(bins: Sequence[int], ranges: Sequence[tuple[float, float]]) -> list[np.ndarray]:
    """Return the edges of equal bins, `bins[i]` of them over `ranges[i]`."""
    return [np.linspace(*r, b + 1) for b, r in zip(bins, ranges, strict=True)]


def refuse_large_grid(sizes: Sequence[int]) -> None:
    """Raise a ValueError for a grid of more than 10⁷ points."""
    points = float(np.prod(np.asarray(sizes, dtype=np.float64)))
    if points > LARGEST_GRID:
        received = f"{' × '.join(str(size) for size in sizes)} = {points:.3g} points"
        remedy = "Use the marginals of one or two parameters: `marginal(i)`, `marginal(i, j)`."
        raise ValueError(checks.wording("A grid", "have at most 10⁷ points", received, remedy))


def completed_ranges(ranges: Any, automatic: Sequence[Any]) -> list[tuple[float, float]]:
    """Return the range (low, high) of each parameter, the automatic one where none is given."""
    pairs = zip(as_ranges(ranges, len(automatic)), automatic, strict=True)
    return [(float(low), float(high)) for low, high in (b if a is None else a for a, b in pairs)]


def as_ranges(value: Any, n_params: int) -> list[Any]:
    """Return a (low, high) pair, or None, for each parameter."""
    if value is None:
        return [None] * n_params
    checks.refuse_annotated("`ranges`", value)
    pairs = checks.entries("ranges", value, "pairs (low, high)")
    if n_params == 1 and len(pairs) == 2 and pairs[0] is not None and _is_number(pairs[0]):
        pairs = [pairs]
    if len(pairs) != n_params or not all(pair is None or _is_range(pair) for pair in pairs):
        expected = f"have {n_params} pairs (low, high) with low < high"
        raise ValueError(checks.wording("`ranges`", expected, checks.describe(value)))
    return [None if pair is None else (float(pair[0]), float(pair[1])) for pair in pairs]


def _is_number(value: Any) -> bool:
    return checks.as_array(value).ndim == 0


def _is_range(value: Any) -> bool:
    pair = checks.as_array(value)
    is_pair = pair.shape == (2,) and pair.dtype.kind in "iuf" and not np.ma.is_masked(value)
    return is_pair and bool(np.isfinite(pair).all() and pair[0] < pair[1])


def as_indices(i: Any, j: Any, n_params: int) -> list[int]:
    """Return the index of one parameter, or of two if `j` is not None."""
    chosen = [checks.integer(name, k, 0) for name, k in (("i", i), ("j", j)) if k is not None]
    if not chosen or max(chosen) >= n_params or len(set(chosen)) < len(chosen):
        expected = f"be different indices below n_params = {n_params}"
        raise ValueError(checks.wording("`i` and `j`", expected, chosen))
    return chosen


def as_probabilities(name: str, value: Any) -> np.ndarray:
    """Return probabilities, or a single one, as an array of the same shape."""
    array = checks.real_array(name, value).astype(np.float64)
    if not ((array >= 0) & (array <= 1)).all():
        expected = "hold probabilities from 0 to 1"
        raise ValueError(checks.wording(f"`{name}`", expected, checks.describe(value)))
    return array


def common_ranges(posteriors: Sequence[Marginals], ranges: Any = None) -> list[tuple[float, float]]:
    """Return, for each parameter, the range that holds those of all posteriors."""
    each = np.array([posterior.ranges(ranges) for posterior in posteriors])
    return [
        (float(a), float(b)) for a, b in zip(each[..., 0].min(0), each[..., 1].max(0), strict=True)
    ]
