r"""Autoregressive mixtures of Gaussians, whose parameters are given by small networks.

Values v, of p dimensions, are whitened by their regression on terms t(f) of the features f,
r = L⁻¹(v − a − B t(f)), L L' the covariance of its residuals; t(f) are the features alone, or these
and their products of two and three. Then

    q(v | f) = Π_i q_i(r_i | f, r_1 … r_{i−1}) / det L,   q_i = Σ_k w_k N(r_i; μ_k, σ_k²),

where w, μ and σ are the outputs of a network for each i (Uria, Murray & Larochelle 2013, RNADE;
Papamakarios, Pavlakou & Murray 2017, MADE MoG). It is normalised whatever the networks give, draws
need no inversion, and a linear Gaussian problem is solved by the regression alone. Several
*members*, trained from different starts, are averaged. Every second one takes r in reverse: which
order is the simpler to learn depends on the problem, and errors of different orders are different.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy import linalg

ROWS = 2**13  # evaluated at a time, so that their layers stay in the cache
FINEST = -7.0  # the smallest ln σ of a component, in units of the residuals
WIDEST = 3.0  # standard deviations of a feature beyond which its products grow no more
LOG_2π = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class Standardisation:
    """Features in units of their spread, and values as whitened residuals of a regression.

    Attributes
    ----------
    centre, scale : ndarray, shape (n_features,)
        Mean and standard deviation of the features.
    intercept : ndarray, shape (p,)
    slopes : ndarray, shape (n_terms, p)
        Of the regression of the values on the standardised features, or on their `cubic_terms`.
    root : ndarray, shape (p, p)
        Lower Cholesky factor of the covariance of its residuals.
    """

    centre: np.ndarray
    scale: np.ndarray
    intercept: np.ndarray
    slopes: np.ndarray
    root: np.ndarray

    @staticmethod
    def fitted(
        features: np.ndarray, values: np.ndarray, weights: np.ndarray, cubic: bool = False
    ) -> Standardisation:
        """Fit it to pairs, shapes (n, n_features), (n, p) and, of their weights, (n,)."""
        share = (weights / weights.sum())[:, None]
        centre = (share * features).sum(axis=0)
        scale = np.sqrt((share * (features - centre) ** 2).sum(axis=0))
        scale = np.where(scale > 0, scale, 1.0)
        terms = (features - centre) / scale
        terms = cubic_terms(terms) if cubic else terms
        design = np.column_stack([np.ones(len(features)), terms])
        root_share = np.sqrt(share)
        coefficients, *_ = np.linalg.lstsq(root_share * design, root_share * values, rcond=None)
        residuals = values - design @ coefficients
        covariance = (share * residuals).T @ residuals
        # regular even if the features determine the values
        floor = 1e-12 * np.diag(values.var(axis=0) + np.finfo(float).tiny)
        root = np.linalg.cholesky(covariance + floor)
        return Standardisation(centre, scale, coefficients[0], coefficients[1:], root)

    @property
    def log_det(self) -> float:
        """Return ln det L."""
        return float(np.log(np.diag(self.root)).sum())

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """Return standardised features, shape (m, n_features)."""
        return (features - self.centre) / self.scale

    def residuals(self, inputs: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return r of values (m, n, p) at standardised features (m, n_features)."""
        Δ = values - self._means(inputs)[:, None]
        flat = linalg.solve_triangular(self.root, Δ.reshape(-1, len(self.root)).T, lower=True)
        return flat.T.reshape(Δ.shape)

    def values(self, inputs: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Return the values of residuals (m, n, p) at standardised features (m, n_features)."""
        return self._means(inputs)[:, None] + residuals @ self.root.T

    def log_prob(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return ln of the Gaussian density of values (n, p) at features (n, n_features)."""
        r = self.residuals(self.inputs(features), values[:, None])[:, 0]
        return -0.5 * (r**2 + LOG_2π).sum(axis=1) - self.log_det

    def _means(self, inputs: np.ndarray) -> np.ndarray:
        linear = len(self.slopes) == inputs.shape[1]
        return self.intercept + (inputs if linear else cubic_terms(inputs)) @ self.slopes


def cubic_terms(inputs: np.ndarray) -> np.ndarray:
    """Return standardised features (m, n) and their products of two and three, (m, n_terms)."""
    bounded = np.clip(inputs, -WIDEST, WIDEST).T
    chosen = (itertools.combinations_with_replacement(bounded, k) for k in (2, 3))
    products = [np.prod(factors, axis=0) for factors in itertools.chain(*chosen)]
    return np.column_stack([inputs, *products])


def number_of_cubic_terms(n_features: int) -> int:
    """Return how many terms `cubic_terms` has."""
    return math.comb(n_features + 3, 3) - 1


NAMES = tuple(field.name for field in fields(Standardisation))


@dataclass(frozen=True)
class ConditionalMixture:
    """A trained density of values given features.

    Attributes
    ----------
    standardisation : Standardisation
    weights : tuple of ndarray, shape (n_members, p, ...) each
        Kernel and bias of each layer of the networks. Those of r_i have zeros in the first kernel
        where it would see r_i and those that follow.
    orders : ndarray of int, shape (n_members, p)
        The order in which each member takes the residuals.
    """

    standardisation: Standardisation
    weights: tuple[np.ndarray, ...]
    orders: np.ndarray

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.weights[0])

    @property
    def n_values(self) -> int:
        """Number p of values."""
        return self.weights[0].shape[1]

    def log_prob(self, features: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return ln q of values (m, n, p), n of them at each of the features, shape (m, n).

        Parameters
        ----------
        features : ndarray, shape (m, n_features)
        values : ndarray, shape (m, n, p)
        """
        inputs = self.standardisation.inputs(features)
        residuals = self.standardisation.residuals(inputs, values)
        result = np.empty(values.shape[:2])
        for rows, columns in _blocks(*values.shape[:2]):
            r = residuals[rows, columns].astype(np.float32)
            terms = [self._log_prob(e, inputs[rows], r) for e in range(self.n_members)]
            result[rows, columns] = np.logaddexp.reduce(terms, axis=0)
        return result - np.log(self.n_members) - self.standardisation.log_det

    def sample(self, features: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n values at each of the features, shape (m, n, p); the members take turns.

        Parameters
        ----------
        features : ndarray, shape (m, n_features)
        n : int
        rng : numpy.random.Generator
        """
        inputs = self.standardisation.inputs(features)
        residuals = np.empty((len(features), n, self.n_values), np.float32)
        first = rng.integers(self.n_members)
        for e in range(self.n_members):
            part = residuals[:, (first + e) % self.n_members :: self.n_members]
            for rows, columns in _blocks(*part.shape[:2]):
                part[rows, columns] = self._draws(e, inputs[rows], part[rows, columns].shape, rng)
        return self.standardisation.values(inputs, residuals.astype(np.float64))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, of which `from_arrays` makes it again."""
        layers = {f"layer_{i}": w for i, w in enumerate(self.weights)}
        return vars(self.standardisation) | layers | {"orders": self.orders}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> ConditionalMixture:
        """Return the density of arrays that `to_arrays` gave."""
        weights = tuple(arrays[f"layer_{i}"] for i in range(len(arrays) - len(NAMES) - 1))
        standardisation = Standardisation(*(arrays[name] for name in NAMES))
        return ConditionalMixture(standardisation, weights, arrays["orders"])

    def _log_prob(self, member: int, inputs: np.ndarray, r: np.ndarray) -> np.ndarray:
        """Return ln q of residuals (m, n, p) by one member, shape (m, n)."""
        total = np.zeros(r.shape[:2])
        for i in self.orders[member]:
            logits, mean, log_σ = self._components(member, i, inputs, r)
            z = (r[..., i] - mean) * np.exp(-log_σ)
            total += _log_sum(logits - 0.5 * z**2 - log_σ) - _log_sum(logits) - 0.5 * LOG_2π
        return total

    def _draws(
        self, member: int, inputs: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator
    ) -> np.ndarray:
        """Return residuals (m, n, p) drawn from one member."""
        r = np.empty(shape, np.float32)
        for i in self.orders[member]:
            logits, *others = self._components(member, i, inputs, r)
            ends = np.cumsum(np.exp(logits - logits.max(axis=0)), axis=0)
            at = rng.random(shape[:2], np.float32) * ends[-1]
            k = (at > ends[:-1]).sum(axis=0)[None]
            mean, log_σ = (
                np.take_along_axis(np.broadcast_to(a, (len(a), *shape[:2])), k, 0)[0]
                for a in others
            )
            r[..., i] = mean + np.exp(log_σ) * rng.standard_normal(shape[:2], np.float32)
        return r

    def _components(
        self, member: int, i: int, inputs: np.ndarray, r: np.ndarray
    ) -> list[np.ndarray]:
        """Return logits, means and ln σ of the mixture of r_i, (n_components, m, n or 1).

        Parameters
        ----------
        member, i : int
        inputs : ndarray, shape (m, n_features)
        r : ndarray, shape (m, n, p)
            Only those before r_i matter; the mixture of the first is the same for all n.
        """
        order = self.orders[member]
        before = order[: np.flatnonzero(order == i)[0]]
        m, n = r.shape[:2] if len(before) else (len(inputs), 1)
        kernel, *later = (w[member, i] for w in self.weights)
        from_features = inputs.astype(np.float32) @ kernel[: inputs.shape[1]]
        hidden = np.repeat(from_features, n, axis=0)
        if len(before):
            hidden += r[..., before].reshape(m * n, -1) @ kernel[inputs.shape[1] + before]
        biases, kernels = later[::2], later[1::2]
        for bias, kernel in zip(biases, kernels, strict=False):
            hidden += bias
            hidden = np.tanh(hidden, out=hidden) @ kernel
        outputs = np.ascontiguousarray((hidden + biases[-1]).T).reshape(-1, m, n)
        logits, mean, log_σ = np.split(outputs, 3)
        return [logits, mean, np.maximum(log_σ, FINEST)]


def orders_of(members: int, p: int) -> np.ndarray:
    """Return the order of the residuals of each member, every second one reversed, (members, p)."""
    return np.stack([np.arange(p)[:: (-1) ** e] for e in range(members)])


def _log_sum(terms: np.ndarray) -> np.ndarray:
    """Return ln Σ exp over the first axis."""
    largest = terms.max(axis=0)
    return np.log(np.exp(terms - largest).sum(axis=0)) + largest


def _blocks(m: int, n: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of an array (m, n) that hold at most `ROWS` entries each."""
    width = min(n, ROWS) or 1
    height = max(1, ROWS // width)
    for i in range(0, m, height):
        for j in range(0, n, width):
            yield slice(i, i + height), slice(j, j + width)
