r"""Densities with different strengths, mixed as well as possible: stacking.

    q(v | f) = Σ_j s_j q_j(v | f),   s ≥ 0,   Σ_j s_j = 1,

with the shares s under which pairs that none was trained on are the most probable (Yao, Vehtari,
Simpson & Gelman 2018, Bayesian Analysis 13, 917, equation 4). A density that is worse everywhere
gets no share; where each is the better one at times, the mixture is better than any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imnn_lab import storage
from imnn_lab.neural_density.mixture import ConditionalMixture

STEPS = 1000  # of expectation and maximisation, each of which makes the pairs more probable
STILL = 1e-5  # change of a share in a step after which there are no more
GOLDEN = (np.sqrt(5) - 1) / 2  # multiples of it, modulo one, fill an interval evenly


@dataclass(frozen=True)
class Stacked:
    """A mixture of trained densities of values given features.

    Attributes
    ----------
    densities : tuple of ConditionalMixture
    shares : ndarray, shape (n_densities,)
        Not negative, with the sum one.
    """

    densities: tuple[ConditionalMixture, ...]
    shares: np.ndarray

    def log_prob(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return ln q; see `ConditionalMixture.log_prob`."""
        each = [
            np.log(share) + density.log_prob(features, values)
            for share, density in zip(self.shares, self.densities, strict=True)
            if share > 0
        ]
        return np.logaddexp.reduce(each, axis=0)

    def sample(self, features: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n values at each of the features; see `ConditionalMixture.sample`."""
        if len(self.densities) == 1:
            return self.densities[0].sample(features, n, rng)
        ends = np.cumsum(self.shares)
        places = (rng.random() + GOLDEN * np.arange(n)) % 1 * ends[-1]
        whose = np.searchsorted(ends, places, side="right")
        result = np.empty((len(features), n, self.densities[0].n_values))
        for j, density in enumerate(self.densities):
            (at,) = np.nonzero(whose == j)
            result[:, at] = density.sample(features, len(at), rng)
        return result

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, of which `from_arrays` makes it again."""
        named = {
            f"{j}.{name}": a
            for j, density in enumerate(self.densities)
            for name, a in density.to_arrays().items()
        }
        return named | {"shares": self.shares}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Stacked:
        """Return the density of arrays that `to_arrays` gave."""
        parts = (storage.below(str(j), arrays) for j in range(len(arrays["shares"])))
        return Stacked(tuple(map(ConditionalMixture.from_arrays, parts)), arrays["shares"])


def stacking_shares(log_prob: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of each density in the mixture that makes pairs the most probable.

    Parameters
    ----------
    log_prob : ndarray, shape (n_densities, n)
        ln q of pairs that no density was trained on.
    weights : ndarray, shape (n,)
        Weights of the pairs, up to a factor.

    Returns
    -------
    ndarray, shape (n_densities,)
    """
    weights = weights if weights.any() else np.ones_like(weights)
    shares = np.full(len(log_prob), 1 / len(log_prob))
    probable = np.exp(log_prob - log_prob.max(axis=0))
    for _ in range(STEPS):
        whose = shares[:, None] * probable
        before, shares = shares, (whose / whose.sum(axis=0)) @ weights / weights.sum()
        if np.abs(shares - before).max() < STILL:
            break
    return shares
