"""Simultaneous bands for the ranks of n calibrated posteriors.

Ranks of true parameters among samples of their posteriors, as fractions, are uniform if the
posteriors are calibrated (Cook, Gelman & Rubin 2006). At a point z the number of ranks below is
then binomial, Bin(n, z); a band that holds at all points together has the pointwise probability γ
outside, with γ such that the smallest pointwise p-value of uniform ranks is below it with the
probability asked for (Säilynoja, Bürkner & Vehtari 2022, section 2; γ by simulation, equation 5).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import stats

POINTS, SETS = 100, 20_000


@dataclass(frozen=True, eq=False)
class RankBand:
    """Where the cumulative distribution of uniform ranks lies, at all points together.

    Attributes
    ----------
    n : int
        Number of ranks.
    confidence : float
        Probability that those of calibrated posteriors lie inside.
    points : ndarray, shape (k,)
        Points z between 0 and 1.
    low, high : ndarray, shape (k,)
        Smallest and largest fraction of ranks up to z.
    """

    n: int
    confidence: float
    points: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def contains(self, ranks: np.ndarray) -> np.ndarray:
        """Return whether the distribution of ranks lies inside, shape (...).

        Parameters
        ----------
        ranks : ndarray, shape (..., n)
            Fractions.
        """
        fractions = cumulative(ranks, self.points)
        inside = (fractions >= self.low - 1e-9) & (fractions <= self.high + 1e-9)
        return np.asarray(inside.all(axis=-1))


def cumulative(ranks: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the fraction of ranks (..., n) up to each point, shape (..., k)."""
    ordered = np.sort(ranks, axis=-1)
    *shape, n = ordered.shape
    each = [np.searchsorted(one, points, side="right") for one in ordered.reshape(-1, n)]
    return np.reshape(each, (*shape, len(points))) / n


@functools.lru_cache(maxsize=64)
def rank_band(n: int, confidence: float) -> RankBand:
    """Return the band that the ranks of n calibrated posteriors leave with 1 − confidence.

    Parameters
    ----------
    n : int
        Number of ranks.
    confidence : float
        Probability that all of the distribution lies inside.
    """
    k = min(n, POINTS)
    points = np.arange(1, k) / k
    counts = np.arange(n + 1)[:, None]
    below, above = stats.binom.cdf(counts, n, points), stats.binom.sf(counts - 1, n, points)
    p_values = np.minimum(2 * np.minimum(below, above), 1)  # (n + 1, k − 1)
    uniform = np.random.default_rng(0).multinomial(n, np.full(k, 1 / k), SETS)
    up_to = np.cumsum(uniform[:, :-1], axis=1)
    smallest = p_values[up_to, np.arange(k - 1)].min(axis=1)
    γ = np.quantile(smallest, 1 - confidence, method="lower")
    inside = p_values >= γ
    low = inside.argmax(axis=0) / n
    high = (n - inside[::-1].argmax(axis=0)) / n
    return RankBand(n, confidence, points, low, high)
