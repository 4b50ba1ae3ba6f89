"""The proposal of population Monte Carlo: a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ANCESTORS = 1000  # largest number of components, which bounds the cost of the density
BLOCK = 2**17  # kernel evaluations at a time: a megabyte, which stays in the cache


@dataclass(frozen=True)
class Proposal:
    """A mixture of Gaussian kernels of one covariance.

    Attributes
    ----------
    ancestors : ndarray, shape (n_ancestors, n_params)
        Centres of the kernels.
    weights : ndarray, shape (n_ancestors,)
        Weights of the kernels, which sum to one.
    root : ndarray, shape (n_params, n_params)
        Lower Cholesky factor of the kernels' covariance.
    count : int
        How many particles were drawn from it so far, those outside the prior included.
    """

    ancestors: np.ndarray
    weights: np.ndarray
    root: np.ndarray
    count: int = 0

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params)."""
        chosen = rng.choice(len(self.ancestors), n, p=self.weights)
        steps = rng.standard_normal((n, len(self.root)))
        return self.ancestors[chosen] + steps @ self.root.T

    def density(self, θ: np.ndarray) -> np.ndarray:
        """Return the mixture's density at parameters of shape (n, n_params), shape (n,)."""
        inverse = np.linalg.inv(self.root)
        centre = self.ancestors.mean(axis=0)
        points, ancestors = (θ - centre) @ inverse.T, (self.ancestors - centre) @ inverse.T
        scale = np.prod(np.diag(inverse)) / (2 * np.pi) ** (len(self.root) / 2)
        size = max(1, BLOCK // len(ancestors))
        blocks = [
            _kernel_sums(points[start : start + size], ancestors, self.weights)
            for start in range(0, len(points), size)
        ]
        return scale * np.concatenate([np.empty(0), *blocks])


def kernel_mixture(
    parameters: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
    kernel_scale: float,
) -> Proposal:
    """Return the mixture around weighted particles, `kernel_scale` times their covariance wide.

    More than 1,000 particles are represented by 1,000 drawn from them by systematic resampling.
    """
    mean = weights @ parameters
    Δ = parameters - mean
    root = cholesky_of_spread(kernel_scale * (weights[:, None] * Δ).T @ Δ)
    if len(parameters) <= ANCESTORS:
        return Proposal(parameters, weights, root)
    points = (rng.random() + np.arange(ANCESTORS)) / ANCESTORS
    chosen = np.searchsorted(np.cumsum(weights), points).clip(max=len(weights) - 1)
    return Proposal(parameters[chosen], np.full(ANCESTORS, 1 / ANCESTORS), root)


def cholesky_of_spread(covariance: np.ndarray) -> np.ndarray:
    """Return the Cholesky factor of a covariance, made regular where particles coincide."""
    variance = np.diag(covariance)
    variance = np.where(variance > 0, variance, variance.mean() or 1.0)
    for jitter in (0.0, 1e-12, 1e-9, 1e-6):
        try:
            return np.linalg.cholesky(covariance + jitter * np.diag(variance))
        except np.linalg.LinAlgError:
            continue
    return np.sqrt(np.diag(np.diag(covariance) + 1e-6 * variance))


def _kernel_sums(points: np.ndarray, ancestors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ_a v_a exp(−½ |x − a|²) for whitened points (n, p) and ancestors (m, p)."""
    # −½|x − a|² = (x, −½|x|², 1)·(a, 1, −½|a|²): one matrix product instead of three passes
    x = np.column_stack([points, -0.5 * (points**2).sum(axis=1), np.ones(len(points))])
    a = np.column_stack([ancestors, np.ones(len(ancestors)), -0.5 * (ancestors**2).sum(axis=1)])
    exponent = x @ a.T
    np.maximum(exponent, -700, out=exponent)  # exp is several times slower where it underflows
    return np.exp(exponent, out=exponent) @ weights
