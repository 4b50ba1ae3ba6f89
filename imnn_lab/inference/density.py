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

    def smoothed(self, pixels: float | None) -> Density:
        """Return the density under a Gaussian filter, renormalised.

        Parameters
        ----------
        pixels : float or None
            Width of the filter, in points of the grid; None and 0 leave the density as it is.
        """
        if not pixels:
            return self
        return Density(self.axes, ndimage.gaussian_filter(self.values, pixels)).normalised()

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
        values = np.sort(self.values, axis=None)[::-1]
        mass = np.cumsum(values) / values.sum()
        return values[np.searchsorted(mass, masses, side="left").clip(max=values.size - 1)]

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
        (axis,) = self.axes
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
    given = [None] * len(automatic) if ranges is None else ranges
    pairs = zip(given, automatic, strict=True)
    return [(float(low), float(high)) for low, high in (b if a is None else a for a, b in pairs)]


def common_ranges(posteriors: Sequence[Marginals], ranges: Any = None) -> list[tuple[float, float]]:
    """Return, for each parameter, the range that holds those of all posteriors."""
    each = np.array([posterior.ranges(ranges) for posterior in posteriors])
    return [
        (float(a), float(b)) for a, b in zip(each[..., 0].min(0), each[..., 1].max(0), strict=True)
    ]
