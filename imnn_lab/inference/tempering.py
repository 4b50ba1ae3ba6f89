"""Samples of a posterior from its likelihood: particles that move from the prior to it.

The densities π(θ) L(θ)^β lie between the prior, β = 0, and the posterior, β = 1. From one β to the
next, particles are weighted by L^Δβ and drawn again by weight, and move by Metropolis steps (Neal
2001; Del Moral, Doucet & Jasra 2006). Δβ is such that half of the particles stay effective. The
product of the mean weights is the evidence ∫ π L dθ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.proposal import cholesky_of_spread

KEPT = 0.5  # share of the particles that stay effective
MOVES, LAST_MOVES = 5, 20  # Metropolis steps at each β, and at β = 1
ACCEPTED = 0.3  # the share of steps that their length aims at


@dataclass(frozen=True)
class Particles:
    """Particles on their way from the prior to the posterior.

    Attributes
    ----------
    parameters : ndarray, shape (n, n_params)
    log_likelihood : ndarray, shape (n,)
        ln L there.
    β : float
        How far they are: 1 at the posterior.
    log_evidence : float
        ln of the evidence, at β = 1.
    effective_number : float
        Of the particles, before they were last drawn again by weight.
    acceptance : float
        The share of the last Metropolis steps that were accepted.
    """

    parameters: np.ndarray
    log_likelihood: np.ndarray
    β: float
    log_evidence: float
    effective_number: float
    acceptance: float


def tempered(
    log_likelihood: Callable[[np.ndarray], np.ndarray],
    prior: Prior,
    coordinates: Coordinates,
    n: int,
    rng: np.random.Generator,
) -> Iterator[Particles]:
    """Yield n particles at each β, the last ones at the posterior.

    Parameters
    ----------
    log_likelihood : callable
        Parameters (n, n_params) → ln L (n,).
    prior : Prior
    coordinates : Coordinates
        Those without bounds, in which the particles move.
    n : int
    rng : numpy.random.Generator
    """
    θ, β, log_evidence, scale = prior.sample(n, rng), 0.0, 0.0, 1.0
    log_L = log_likelihood(θ)
    while β < 1:
        Δβ = _step(log_L, 1 - β)
        log_weights = Δβ * log_L
        total = special.logsumexp(log_weights)
        weights = np.exp(log_weights - total)
        β, log_evidence = min(β + Δβ, 1.0), log_evidence + float(total - np.log(n))
        chosen = np.searchsorted(np.cumsum(weights), (rng.random() + np.arange(n)) / n)
        chosen = chosen.clip(max=n - 1)
        θ, log_L = θ[chosen], log_L[chosen]
        acceptance = 0.0
        for _ in range(MOVES if β < 1 else LAST_MOVES):
            move = (log_likelihood, prior, coordinates, β, scale, rng)
            θ, log_L, acceptance = _moved(θ, log_L, *move)
            scale *= np.exp(acceptance - ACCEPTED)
        number = float(1 / (weights**2).sum())
        yield Particles(θ, log_L, β, log_evidence, number, acceptance)


def _step(log_L: np.ndarray, most: float) -> float:
    """Return the Δβ at which the share `KEPT` of the particles stays effective."""
    size = np.log(KEPT * len(log_L))

    def excess(Δβ: float) -> float:
        log_w = Δβ * (log_L - log_L.max())
        return float(2 * special.logsumexp(log_w) - special.logsumexp(2 * log_w) - size)

    return most if excess(most) >= 0 else float(optimize.brentq(excess, 0, most, rtol=1e-6))


def _moved(
    θ: np.ndarray,
    log_L: np.ndarray,
    log_likelihood: Callable[[np.ndarray], np.ndarray],
    prior: Prior,
    coordinates: Coordinates,
    β: float,
    scale: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return particles after a Metropolis step, their ln L, and how many were accepted."""
    u, log_slope = coordinates.from_parameters(θ)
    root = cholesky_of_spread(np.atleast_2d(np.cov(u.T)))
    step = 2.38 / np.sqrt(u.shape[1]) * scale
    proposed = coordinates.parameters(u + step * rng.standard_normal(u.shape) @ root.T)
    # from a point where the density is infinite, as on a bound of some priors, any move leads away
    log_prior, now = (_without_poles(prior.log_prob(at)) for at in (proposed, θ))
    inside = log_prior > -np.inf
    log_ratio = np.full(len(θ), -np.inf)
    new_log_L = log_L.copy()
    if inside.any():
        new_log_L[inside] = log_likelihood(proposed[inside])
        _, new_slope = coordinates.from_parameters(proposed)
        change = log_slope - new_slope + β * (new_log_L - log_L)
        log_ratio[inside] = log_prior[inside] - now[inside] + change[inside]
    accepted = np.log(rng.random(len(θ))) < log_ratio
    θ = np.where(accepted[:, None], proposed, θ)
    return θ, np.where(accepted, new_log_L, log_L), float(accepted.mean())


def _without_poles(log_prior: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(log_prior), log_prior, -np.inf)
