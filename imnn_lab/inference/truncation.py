"""The prior near one observation: cut off where the posterior learned so far has no mass.

Truncated sequential neural posterior estimation (Deistler, Gonçalves & Macke 2022): parameters are
drawn from π(θ) 1[θ ∈ R], with R the region {ln q(θ | θ̂) ≥ τ} that holds all but 10⁻⁴ of the mass of
a learned posterior q. Inside of it the prior keeps its shape: what is learned from these draws is
the posterior under π, for that observation, and no weights are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.priors import Prior, as_draw, as_points

OUTSIDE = 1e-4  # mass of a learned posterior beyond the edge of its region
FOR_EDGE = 50_000  # draws that tell where it is
WIDER = 1.1  # the ellipsoid around a region, in units of the farthest draw
TRIAL = 2000  # points that tell which of two ways to draw wastes less
FOR_MASS = 20_000  # points that tell how much of the prior is left
OWN = ("estimate", "edge", "centre", "root")
MOST_AT_ONCE, MOST_TRIES = 100_000, 10_000


@dataclass(frozen=True)
class Region:
    """Where the posterior of one observation has its mass.

    Attributes
    ----------
    learned : AmortisedPosterior
    estimate : ndarray, shape (1, n_params)
        Of the observation.
    edge : float
        The least ln q inside.
    centre : ndarray, shape (n_params,)
    root : ndarray, shape (n_params, n_params)
        The ellipsoid {centre + root x, |x| ≤ 1} has all of the region in it.
    """

    learned: AmortisedPosterior
    estimate: np.ndarray
    edge: float
    centre: np.ndarray
    root: np.ndarray

    @staticmethod
    def of(learned: AmortisedPosterior, estimate: np.ndarray, rng: np.random.Generator) -> Region:
        """Return the region of a learned posterior of an estimate, shape (1, n_params)."""
        (θ,) = learned.sample(estimate, FOR_EDGE, rng)
        edge = np.quantile(learned.without_prior(estimate, θ)[0], OUTSIDE)
        centre, covariance = θ.mean(axis=0), np.atleast_2d(np.cov(θ.T))
        root = np.linalg.cholesky(covariance)
        radius = np.sqrt((np.linalg.solve(root, (θ - centre).T) ** 2).sum(axis=0).max())
        return Region(learned, estimate, float(edge), centre, WIDER * radius * root)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, of which `from_arrays` makes it again."""
        own = {name: np.asarray(getattr(self, name)) for name in OWN}
        return own | self.learned.to_arrays()

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], prior: Prior) -> Region:
        """Return the region of arrays that `to_arrays` gave, and the prior that it is part of."""
        estimate, edge, centre, root = (arrays[name] for name in OWN)
        learned = AmortisedPosterior.from_arrays(arrays, prior)
        return Region(learned, estimate, float(edge), centre, root)

    def contains(self, θ: np.ndarray) -> np.ndarray:
        """Tell which parameters, shape (n, n_params), lie inside, shape (n,)."""
        inside = (np.linalg.solve(self.root, (θ - self.centre).T) ** 2).sum(axis=0) <= 1
        if inside.any():
            inside[inside] = self.learned.without_prior(self.estimate, θ[inside])[0] >= self.edge
        return inside

    def proposed(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw uniformly in the ellipsoid, shape (n, n_params)."""
        x = rng.standard_normal((n, len(self.centre)))
        x *= (rng.random(n) ** (1 / x.shape[1]) / np.linalg.norm(x, axis=1))[:, None]
        return self.centre + x @ self.root.T


class TruncatedPrior(Prior):
    """A prior inside a region of another.

    Parameters
    ----------
    prior : Prior
        The whole prior, or one that is truncated already.
    region : Region
    """

    def __init__(self, prior: Prior, region: Region) -> None:
        self.prior, self.region = prior, region
        self.low, self.high = prior.low, prior.high
        points = region.proposed(TRIAL, np.random.default_rng(0))
        self._peak = float(prior.log_prob(points).max())

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density of the whole prior, shape (n,), −∞ outside the region."""
        θ = as_points(θ, self.n_params)
        values = self.prior.log_prob(θ)
        inside = values > -np.inf
        values[inside] = np.where(self.region.contains(θ[inside]), values[inside], -np.inf)
        return values

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed.

        By rejection, from the prior or from the ellipsoid, whichever wastes less.

        Raises
        ------
        RuntimeError
            If hardly any draw of either lies inside the region.
        """
        n, generator = as_draw(n, rng)
        i, share = self._better_way(TRIAL, generator)
        draw = (self._from_prior, self._from_ellipsoid)[i]
        parts, missing = [np.empty((0, self.n_params))], n
        for _ in range(MOST_TRIES):
            if missing <= 0:
                return np.concatenate(parts)[:n]
            parts.append(
                draw(
                    int(np.clip(1.1 * missing / max(share, 1 / TRIAL), TRIAL, MOST_AT_ONCE)),
                    generator,
                )
            )
            missing -= len(parts[-1])
        raise RuntimeError(
            "Hardly any draw lies where the learned posterior has its mass: take fewer rounds, or "
            "more draws."
        )

    @cached_property
    def mass(self) -> float:
        """Mass of the whole prior in the region, from 20,000 draws."""
        i, share = self._better_way(FOR_MASS, np.random.default_rng(0))
        if i == 0:
            return share * mass_of(self.prior)
        p = self.n_params
        log_ball = 0.5 * p * np.log(np.pi) - special.gammaln(0.5 * p + 1)
        log_volume = log_ball + np.linalg.slogdet(self.region.root)[1]
        return share * float(np.exp(log_volume + self._peak))

    def _better_way(self, n: int, rng: np.random.Generator) -> tuple[int, float]:
        """Return which of the two ways accepts more of n draws, and the share that it accepts."""
        shares = [len(way(n, rng)) / n for way in (self._from_prior, self._from_ellipsoid)]
        return int(np.argmax(shares)), max(shares)

    def _from_prior(self, n: int, rng: np.random.Generator) -> np.ndarray:
        θ = self.prior.sample(n, rng)
        return θ[self.region.contains(θ)]

    def _from_ellipsoid(self, n: int, rng: np.random.Generator) -> np.ndarray:
        # the largest density in the ellipsoid is that of 2,000 points of it
        θ = self.region.proposed(n, rng)
        θ = θ[np.log(rng.random(n)) <= self.prior.log_prob(θ) - self._peak]
        return θ[self.region.contains(θ)]


def regions_of(prior: Prior) -> list[Region]:
    """Return the regions that a prior was truncated to, the first one first."""
    regions: list[Region] = []
    while isinstance(prior, TruncatedPrior):
        regions, prior = [prior.region, *regions], prior.prior
    return regions


def mass_of(prior: Prior) -> float:
    """Return the mass that truncation has left of a prior."""
    return prior.mass if isinstance(prior, TruncatedPrior) else 1.0


def as_from_the_prior(parts: Sequence[Draws], priors: Sequence[Prior]) -> Draws:
    """Return the draws of all rounds, with weights as if they were from the whole prior.

    Of n_t draws from the prior in the region R_t, which has the mass Z_t of it, the weight is
    1/Σ_t (n_t/Z_t) 1[θ ∈ R_t] (deterministic mixture: Cornuet et al. 2012).

    Parameters
    ----------
    parts : sequence of Draws
        Of each round.
    priors : sequence of Prior
        What they were drawn from.
    """
    joined = Draws.joined(parts)
    if len(parts) == 1:
        return joined
    density = np.zeros(len(joined.parameters))
    for part, prior in zip(parts, priors, strict=True):
        inside = prior.log_prob(joined.parameters) > -np.inf
        density += inside * (part.num_draws / mass_of(prior))
    return replace(joined, weights=len(density) / density)
