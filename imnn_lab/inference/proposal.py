"""The proposal of population Monte Carlo: a mixture of Gaussians, each as wide as its surroundings.

The kernel around a particle has twice the covariance of its M nearest particles about it (Filippi,
Barnes, Cornebise & Stumpf 2013, section 4.2),

    Σ_a = 2 s Σ_k W_k (θ_k − θ_a)(θ_k − θ_a)ᵀ / Σ_k W_k,

so that kernels follow curved posteriors and stay within separate modes. A part of them, p²/16 and
at most three quarters, has s times the covariance of all particles instead: so no tail is missed.
With more parameters what is near is farther, and its covariance has more entries to estimate. A
kernel weighs W_a², which makes the mixture wider than the particles. The density is that of the
mixture, whatever its kernels: so the weights stay exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

ANCESTORS = 1000  # largest number of components, which bounds the cost of the density
BLOCK = 2**17  # kernel evaluations at a time: a megabyte, which stays in the cache
NEIGHBOURS = 0.1  # fraction of the particles that are a neighbourhood
WIDE, WIDEST = 1 / 16, 3 / 4  # part of the kernels as wide as all: times p², at most
FLATTENING = 2  # power of the particles' weights
FEWEST = 3  # particles of a neighbourhood, for each parameter and one more
MOST = 2000  # particles among which neighbours are sought, which bounds cost and memory


@dataclass(frozen=True)
class Proposal:
    """A mixture of Gaussian kernels.

    Attributes
    ----------
    ancestors : ndarray, shape (n_ancestors, n_params)
        Centres of the kernels.
    weights : ndarray, shape (n_ancestors,)
        Weights of the kernels, which sum to one.
    roots : ndarray, shape (n_ancestors, n_params, n_params)
        Lower Cholesky factors of the kernels' covariances.
    """

    ancestors: np.ndarray
    weights: np.ndarray
    roots: np.ndarray

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params)."""
        chosen = rng.choice(len(self.ancestors), n, p=self.weights)
        steps = rng.standard_normal((n, self.ancestors.shape[1]))
        return self.ancestors[chosen] + np.einsum("nij,nj->ni", self.roots[chosen], steps)

    def density(self, θ: np.ndarray) -> np.ndarray:
        """Return the mixture's density at parameters of shape (n, n_params), shape (n,)."""
        centre, unit, coefficients, weights, scale = self._kernels
        points, size = (θ - centre) / unit, max(1, BLOCK // len(weights))
        blocks = [
            _kernel_sums(points[start : start + size], coefficients, weights)
            for start in range(0, len(points), size)
        ]
        return scale * np.concatenate([np.empty(0), *blocks])

    @cached_property
    def _kernels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        """Centre and unit of points, coefficients, weights and scale of the kernels there."""
        centre, unit = self.ancestors.mean(axis=0), np.abs(self.roots).max(axis=(0, 2))
        inverses = np.linalg.inv(self.roots / unit[:, None])
        coefficients, log_norm = _exponents((self.ancestors - centre) / unit, inverses)
        weights = self.weights * np.exp(log_norm - log_norm.max())
        return centre, unit, coefficients, weights, np.exp(log_norm.max()) / np.prod(unit)


def kernel_mixture(
    parameters: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
    kernel_scale: float,
) -> Proposal:
    """Return the mixture around weighted particles, with kernels of their neighbourhoods' shapes.

    More than 1,000 particles are represented by 1,000 drawn from them by systematic resampling.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        The particles.
    weights : ndarray, shape (n,)
        Their weights, which sum to one.
    rng : numpy.random.Generator
        Source of random numbers.
    kernel_scale : float
        Covariance of the kernels in units of the customary one, s.
    """
    mean = weights @ parameters
    Δ = parameters - mean
    root = cholesky_of_spread((weights[:, None] * Δ).T @ Δ)
    whitened = np.linalg.solve(root, Δ.T).T
    chosen = np.arange(len(parameters))
    kernel_weights = weights**FLATTENING / np.sum(weights**FLATTENING)
    if len(parameters) > ANCESTORS:
        points = (rng.random() + np.arange(ANCESTORS)) / ANCESTORS
        chosen = np.searchsorted(np.cumsum(kernel_weights), points).clip(max=len(weights) - 1)
        kernel_weights = np.full(ANCESTORS, 1 / ANCESTORS)
    covariances = 2 * kernel_scale * neighbourhood_covariances(whitened, weights, chosen)
    wide = min(WIDEST, WIDE * len(root) ** 2)  # of the kernels, evenly spread
    steps = np.floor(wide * np.arange(-1, len(chosen)))
    covariances[np.diff(steps) > 0] = kernel_scale * np.eye(len(root))
    return Proposal(parameters[chosen], kernel_weights, root @ np.linalg.cholesky(covariances))


def neighbourhood_covariances(
    points: np.ndarray, weights: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """Return the covariance of the points near each chosen one about it, (n_chosen, p, p).

    A part p/M of it is spread evenly over all directions: so it is regular.

    Parameters
    ----------
    points : ndarray, shape (n, p)
        Points of unit covariance.
    weights : ndarray, shape (n,)
        Their weights.
    chosen : ndarray of int, shape (n_chosen,)
        Indices of those whose neighbourhoods are asked for.
    """
    centres, every = points[chosen], -(-len(points) // MOST)
    points, weights = points[::every], weights[::every]
    n, p = points.shape
    near = min(n, max(round(NEIGHBOURS * n), FEWEST * (p + 1)))
    _, neighbours = cKDTree(points).query(centres, near)
    neighbours = neighbours.reshape(len(chosen), near)
    Δ = points[neighbours] - centres[:, None]
    parts = weights[neighbours]
    parts = parts / parts.sum(axis=1, keepdims=True)
    covariances = (parts[:, :, None] * Δ).transpose(0, 2, 1) @ Δ
    even = np.trace(covariances, axis1=1, axis2=2) / p
    part = min(0.5, p / near)
    floor = np.maximum(even, 1e-12)[:, None, None] * np.eye(p)
    return (1 - part) * covariances + part * floor


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


def _exponents(ancestors: np.ndarray, inverses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernels' quadratic exponents as coefficients, (n_features, m), and ln norms, (m,).

    −½|L⁻¹(x − a)|² = −½ xᵀPx + aᵀPx − ½ aᵀPa, P = (LLᵀ)⁻¹, is a matrix product of features of x.
    """
    p = ancestors.shape[1]
    precisions = np.einsum("aki,akj->aij", inverses, inverses)
    i, j = np.triu_indices(p)
    quadratic = -np.where(i == j, 0.5, 1.0)[:, None] * precisions[:, i, j].T
    linear = np.einsum("aij,aj->ia", precisions, ancestors)
    constant = -0.5 * np.einsum("ia,ai->a", linear, ancestors)
    coefficients = np.concatenate([quadratic, linear, constant[None]])
    diagonals = np.diagonal(inverses, axis1=1, axis2=2)
    return coefficients, np.log(diagonals).sum(axis=1) - p / 2 * np.log(2 * np.pi)


def _kernel_sums(points: np.ndarray, coefficients: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Σ_a v_a exp(exponent of a) at points (n, p)."""
    i, j = np.triu_indices(points.shape[1])
    features = np.column_stack([points[:, i] * points[:, j], points, np.ones(len(points))])
    exponent = features @ coefficients
    np.clip(exponent, -700, 0, out=exponent)  # exp is several times slower where it underflows
    return np.exp(exponent, out=exponent) @ weights
