"""The Gaussian approximation: a Gaussian likelihood with the Fisher matrix, times the prior.

    ln L = −½ (θ − θ̂)·F (θ − θ̂) − ½ ln((2π)^p det F⁻¹)

The posterior is L π / Z with Z = ∫ L π. Marginals need no grid over the other parameters: the
marginal of L is Gaussian, and what the prior does to it is its mean over the conditional Gaussian
of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special, stats

from imnn_lab import checks
from imnn_lab.inference.density import (
    Density,
    as_indices,
    completed_ranges,
    refuse_large_grid,
)
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior, as_points, is_flat

FEWEST_FOR_EACH = 5  # effective draws for each sample, below which samples are moved
STEPS = (0.5, 0.25, 0.7, 0.12) * 10  # sizes β of the moves
WIDTH = 5.0  # standard deviations that a range reaches to either side of the estimate


@dataclass(frozen=True)
class GaussianPosterior:
    """Gaussian likelihood around an estimate, times a prior.

    Parameters
    ----------
    estimate : ndarray, shape (n_params,)
        The estimate θ̂, in the units of the parameters.
    Fisher : ndarray, shape (n_params, n_params)
        Symmetric and positive definite.
    prior : Prior
        See `imnn_lab.inference.as_prior`.
    labels : tuple of str
        A name for each parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.inference import GaussianPosterior, Uniform
    >>> prior = Uniform([-3, -3], [3, 3])
    >>> posterior = GaussianPosterior(np.zeros(2), np.diag([10.0, 5.0]), prior, ("a", "b"))
    >>> round(float(posterior.log_likelihood(np.zeros((1, 2)))[0]), 6)
    0.118134
    >>> posterior.interval(0.68).round(2)
    array([[-0.31, -0.44],
           [ 0.31,  0.44]])
    """

    estimate: np.ndarray
    Fisher: np.ndarray
    prior: Prior
    labels: tuple[str, ...]

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.estimate)

    @cached_property
    def likelihood_covariance(self) -> np.ndarray:
        """F⁻¹, shape (n_params, n_params)."""
        return np.linalg.inv(self.Fisher)

    def log_likelihood(self, θ: np.ndarray) -> np.ndarray:
        """Return ln L, shape (n,).

        Parameters
        ----------
        θ : ndarray, shape (n, n_params)
            Where to evaluate it.
        """
        return gaussian_log_density(θ - self.estimate, self.Fisher)

    def log_unnormalised(self, θ: np.ndarray) -> np.ndarray:
        """Return ln L + ln prior, shape (n,).

        Parameters
        ----------
        θ : ndarray, shape (n, n_params)
            Where to evaluate it.
        """
        return self.log_likelihood(θ) + self.prior.log_prob(θ.copy())

    def log_prob(self, θ: np.ndarray) -> np.ndarray:
        """Return the log posterior density, shape (n,).

        Parameters
        ----------
        θ : ndarray, shape (n, n_params)
            Where to evaluate it.
        """
        points = as_points(θ, self.n_params)
        values = self.log_unnormalised(points.reshape(-1, self.n_params)) - self.log_evidence
        return values.reshape(points.shape[:-1])

    @cached_property
    def log_evidence(self) -> float:
        """Logarithm of ∫ L π dθ.

        A flat prior has the probability of its box under the Gaussian (Genz 1992); one and two
        parameters are integrated by Gauss–Legendre quadrature over ±8 standard deviations within
        the prior; more by importance sampling.
        """
        if is_flat(self.prior):
            return self._log_box() + float(self.prior.log_prob(self._middle()).max())
        if self.n_params <= 2:
            return self._log_quadrature(nodes=400)
        _, log_weights = self._importance(2**15, np.random.default_rng(0))
        return float(special.logsumexp(log_weights) - np.log(len(log_weights)))

    def ranges(self, ranges: Any = None, width: float = WIDTH) -> list[tuple[float, float]]:
        """Return a range (low, high) for each parameter, for grids.

        Parameters
        ----------
        ranges : sequence of pairs, optional
            Where it has a pair, that one.
        width : float
            Elsewhere θ̂ ± this number of standard deviations, within the prior.
        """
        width = checks.number("width", width, above=0)
        reach = width * np.sqrt(np.diag(self.likelihood_covariance))
        nearest = np.clip(self.estimate, self.prior.low, self.prior.high)
        low = np.maximum(nearest - reach, self.prior.low)
        high = np.minimum(nearest + reach, self.prior.high)
        return completed_ranges(ranges, list(zip(low, high, strict=True)))

    def marginal(
        self, i: int, j: int | None = None, *, bins: int | None = None, ranges: Any = None
    ) -> Density:
        """Return the posterior of one parameter or of two on a regular grid.

        Parameters
        ----------
        i, j : int
            Indices of the parameters.
        bins : int, optional
            Points along each, 200 for one parameter and 50 for two.
        ranges : sequence of pairs, optional
            Range of every parameter.

        Returns
        -------
        Density
        """
        chosen = as_indices(i, j, self.n_params)
        bins = checks.optional_integer("bins", bins, 2)
        bins = bins or (200 if j is None else 50)
        refuse_large_grid([bins] * len(chosen))
        limits = self.ranges(ranges)
        axes = tuple(_centres(*limits[k], bins) for k in chosen)
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(chosen))
        values = self._marginal_density(chosen, grid)
        if values is None:
            return self.samples(100_000, 0).marginal(i, j, bins=bins, ranges=limits)
        return Density(axes, values.reshape([bins] * len(chosen))).normalised()

    def interval(self, mass: float = 0.68) -> np.ndarray:
        """Return the equal-tailed credible interval of each parameter, shape (2, n_params).

        Parameters
        ----------
        mass : float
            Its probability mass, between 0 and 1.
        """
        mass = checks.number("mass", mass, above=0, below=1)
        tails = [(1 - mass) / 2, (1 + mass) / 2]
        marginals = [self.marginal(i, bins=2000) for i in range(self.n_params)]
        return np.stack([marginal.quantile(tails) for marginal in marginals], axis=1)

    def samples(self, n: int = 10_000, rng: Any = None) -> Posterior:
        """Return equally weighted samples, by importance resampling.

        Where few of the draws carry the weight, so that samples would be repeated, they are moved
        by Metropolis steps that leave the posterior as it is (Neal 1998, equation 15),
        θ' = θ̂ + sqrt(1 − β²)(θ − θ̂) + β ξ with ξ ~ N(0, F⁻¹), accepted with π(θ')/π(θ).

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed.
        """
        n = checks.integer("n", n, 1, maximum=checks.MOST)
        generator = checks.generator("rng", rng)
        θ, log_weights = self._importance(max(20 * n, 20_000), generator)
        weights = np.exp(log_weights - log_weights.max())
        chosen = θ[generator.choice(len(θ), n, p=weights / weights.sum())]
        if _effective_fraction(log_weights) * len(θ) < FEWEST_FOR_EACH * n:
            chosen = self._moved(chosen, generator)
        return Posterior(chosen, np.ones(n), self.labels, self.prior.bounds)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw parameter vectors, shape (n, n_params).

        Parameters
        ----------
        n, rng
            As for `samples`.
        """
        return self.samples(n, rng).parameters

    def _moved(self, θ: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return samples of the posterior after Metropolis steps, shape (n, n_params)."""
        root = np.linalg.cholesky(self.likelihood_covariance)
        log_prior = self.prior.log_prob(θ.copy())
        for β in STEPS:
            ξ = rng.standard_normal(θ.shape) @ root.T
            proposed = self.estimate + np.sqrt(1 - β**2) * (θ - self.estimate) + β * ξ
            log_proposed = self.prior.log_prob(proposed.copy())
            accepted = np.log(rng.random(len(θ))) < log_proposed - log_prior
            θ = np.where(accepted[:, None], proposed, θ)
            log_prior = np.where(accepted, log_proposed, log_prior)
        return θ

    def _middle(self) -> np.ndarray:
        return ((self.prior.low + self.prior.high) / 2)[None]

    def _log_box(self) -> float:
        normal = stats.multivariate_normal(self.estimate, self.likelihood_covariance, seed=0)
        mass = float(normal.cdf(self.prior.high, lower_limit=self.prior.low))
        return (
            float(np.log(mass))
            if mass > 1e-4 or self.n_params > 2
            else self._log_quadrature(400, flat=True)
        )

    def _log_quadrature(self, nodes: int, flat: bool = False) -> float:
        x, w = np.polynomial.legendre.leggauss(nodes)
        points, log_weights = [], []
        for low, high in self.ranges(width=8.0):
            points.append(low + (high - low) * (x + 1) / 2)
            log_weights.append(np.log(w * (high - low) / 2))
        θ = np.stack(np.meshgrid(*points, indexing="ij"), axis=-1).reshape(-1, self.n_params)
        total = np.sum(np.meshgrid(*log_weights, indexing="ij"), axis=0).reshape(-1)
        integrand = self.log_likelihood(θ) if flat else self.log_unnormalised(θ)
        return float(special.logsumexp(integrand + total))

    def _importance(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw from the likelihood, or from the prior where that represents the posterior better.

        Returns parameters and log weights whose mean exponential is the evidence.
        """
        root = np.linalg.cholesky(self.likelihood_covariance)
        near = self.estimate + rng.standard_normal((n, self.n_params)) @ root.T
        candidates = [(near, self.prior.log_prob(near.copy()))]
        if _effective_fraction(candidates[0][1]) < 0.2:
            θ = self.prior.sample(n, rng)
            candidates.append((θ, self.log_likelihood(θ)))
        return max(candidates, key=lambda candidate: _effective_fraction(candidate[1]))

    def _marginal_density(self, chosen: Sequence[int], grid: np.ndarray) -> np.ndarray | None:
        """Return the unnormalised posterior of the chosen parameters at grid points (n, k).

        None where the likelihood of the other parameters lies outside the prior almost everywhere.
        """
        Σ, shown = self.likelihood_covariance, np.asarray(chosen)
        rest = np.setdiff1d(np.arange(self.n_params), shown)
        if not len(rest):
            θ = grid[:, np.argsort(chosen)]
            values = self.log_unnormalised(θ)
            return np.exp(values - values.max()) if np.isfinite(values).any() else 0 * values
        gain = Σ[np.ix_(rest, shown)] @ np.linalg.inv(Σ[np.ix_(shown, shown)])
        conditional = Σ[np.ix_(rest, rest)] - gain @ Σ[np.ix_(shown, rest)]
        base = _normal_points(len(rest), 256) @ np.linalg.cholesky(conditional).T
        Δ = grid - self.estimate[shown]
        θ = np.empty((len(grid), len(base), self.n_params))
        θ[:, :, shown] = grid[:, None]
        θ[:, :, rest] = self.estimate[rest] + (Δ @ gain.T)[:, None] + base
        prior = np.exp(self.prior.log_prob(θ.reshape(-1, self.n_params))).reshape(len(grid), -1)
        if (prior > 0).mean(axis=1).max() < 1 / 16:
            return None
        log_gaussian = gaussian_log_density(Δ, np.linalg.inv(Σ[np.ix_(shown, shown)]))
        return np.exp(log_gaussian - log_gaussian.max()) * prior.mean(axis=1)


def gaussian_log_density(Δ: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the log density of a centred Gaussian at Δ of shape (n, p), given its precision."""
    root = np.linalg.cholesky(precision)
    whitened = Δ @ root
    constant = np.log(np.diag(root)).sum() - 0.5 * len(root) * np.log(2 * np.pi)
    return constant - 0.5 * np.einsum("ni,ni->n", whitened, whitened)


def _effective_fraction(log_weights: np.ndarray) -> float:
    if not np.isfinite(log_weights).any():
        return 0.0
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


def _normal_points(dimensions: int, n: int) -> np.ndarray:
    """Return n points that cover a standard normal evenly, shape (n, dimensions)."""
    uniform = stats.qmc.Sobol(dimensions, seed=0).random(n)
    return special.ndtri(np.clip(uniform, 1e-9, 1 - 1e-9))


def _centres(low: float, high: float, n: int) -> np.ndarray:
    edges = np.linspace(low, high, n + 1)
    return (edges[1:] + edges[:-1]) / 2
