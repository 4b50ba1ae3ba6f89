"""The rows after the fiducial ones, and the derivatives that are made of them.

Rows are counted from the first of them. Pairs and exact derivatives stand seed by seed, (seed,
lower or upper, parameter) or (seed, parameter); those of stencils point by point, (parameter,
point, seed).
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from imnn_lab import slopes


class Differences(abc.ABC):
    """What the derivative rows of a set are.

    Attributes
    ----------
    n_d, n_params : int
        Number of derivative simulations of each kind, the smallest of all parameters; parameters.
    size : int
        Number of rows.
    n_groups : int
        Number of groups of rows that have one mean: lower and upper, or points, of each parameter.
    δθ : tensor of float64, shape (n_params,), or None
        Full width of the central difference, for pairs.
    is_exact : bool
        Whether the rows are derivatives of simulations, not simulations.
    is_present : ndarray of bool, shape (n_rows, n_params), or None
        Of stencils: which parameters have simulations of each seed.
    """

    n_d: int
    n_params: int
    size: int
    n_groups: int
    δθ: tf.Tensor | None = None
    is_exact = False
    is_present: np.ndarray | None = None

    @abc.abstractmethod
    def seeds(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the number of the seed of each row."""

    @abc.abstractmethod
    def groups(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the group of each row, from 0 to n_groups − 1."""

    @abc.abstractmethod
    def quarters(self, rows: tf.Tensor) -> tf.Tensor:
        """Return in which quarter of the seeds each row is, from 0 to 3."""

    @abc.abstractmethod
    def derivative(self, rows: tf.Tensor) -> tf.Tensor:
        """Return what `fisher.mean_derivative` takes, of the summaries (size, s) of all rows."""

    @abc.abstractmethod
    def of_means(self, means: np.ndarray) -> np.ndarray:
        """Return ∂μ/∂θ (n_params, D) of the means (n_groups, D) of the groups."""

    @abc.abstractmethod
    def sides(self) -> np.ndarray:
        """Return rows (n_sides, m) whose columns have the same seed, so that all are in them."""

    @abc.abstractmethod
    def first(self, n_d: int) -> tuple[np.ndarray, Differences]:
        """Return which rows are those of about n_d seeds of each parameter, and what they are."""


class Columns(Differences):
    """Pairs of simulations, or exact derivatives: n_d of them for every parameter.

    Parameters
    ----------
    n_d, n_params : int
    δθ : array, shape (n_params,), or None
        Full width of the central difference; None if the derivatives are exact.
    """

    def __init__(self, n_d: int, n_params: int, δθ: np.ndarray | tf.Tensor | None) -> None:
        self.n_d, self.n_params = n_d, n_params
        self.δθ = None if δθ is None else tf.constant(δθ, tf.float64)
        self.is_exact = δθ is None
        self.n_groups = n_params if self.is_exact else 2 * n_params
        self.size = n_d * self.n_groups

    def seeds(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the number of the seed of each row."""
        return rows // self.n_groups

    def groups(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the group of each row: side and parameter."""
        return rows % self.n_groups

    def quarters(self, rows: tf.Tensor) -> tf.Tensor:
        """Return in which quarter of the seeds each row is."""
        return quarters(self.seeds(rows), self.n_d)

    def derivative(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the summaries as (n_d, 2, n_params, s), or (n_d, n_params, s) if exact."""
        axes = () if self.is_exact else (2,)
        return tf.reshape(rows, (self.n_d, *axes, self.n_params, rows.shape[-1]))

    def of_means(self, means: np.ndarray) -> np.ndarray:
        """Return ∂μ/∂θ of the means of the groups."""
        if self.δθ is None:
            return means
        lower, upper = np.split(means, 2)
        return (upper - lower) / self.δθ.numpy()[:, None]

    def sides(self) -> np.ndarray:
        """Return the rows below, and those above."""
        n = self.n_groups // self.n_params
        rows = np.arange(self.size).reshape(self.n_d, n, self.n_params)
        return rows.swapaxes(0, 1).reshape(n, -1)

    def first(self, n_d: int) -> tuple[np.ndarray, Differences]:
        """Return the rows of the first n_d seeds."""
        kept = Columns(n_d, self.n_params, self.δθ)
        return np.arange(kept.size), kept


class Points(Differences):
    """Simulations at the points of stencils.

    Parameters
    ----------
    weights : sequence of sequence of float
        Those of the points of each parameter.
    labels : sequence of array of int
        The seeds of each parameter, which all its points have.
    """

    is_present: np.ndarray

    def __init__(
        self, weights: Sequence[Sequence[float] | np.ndarray], labels: Sequence[np.ndarray]
    ) -> None:
        self.weights, self.labels = [np.array(w) for w in weights], [np.array(x) for x in labels]
        every = np.unique(np.concatenate(self.labels))
        self._places = [np.searchsorted(every, each) for each in self.labels]
        self.is_present = np.zeros((len(every), len(self.labels)), bool)
        for α, places in enumerate(self._places):
            self.is_present[places, α] = True
        self.n_d, self.n_params = min(map(len, self.labels)), len(self.labels)
        points = [(α, len(self.labels[α])) for α, w in enumerate(self.weights) for _ in w]
        self.n_groups = len(points)
        lengths = np.array([n for _, n in points])
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self.size = int(self._starts[-1])
        self._group = np.repeat(np.arange(self.n_groups), lengths).astype(np.int32)
        self._seed = np.concatenate([self._places[α] for α, _ in points]).astype(np.int32)
        share = np.empty(len(every), np.int32)
        share[slopes.dealt(self.is_present)] = np.arange(len(every)) % 4
        self._quarter = share[self._seed]

    def seeds(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the number of the seed of each row."""
        return tf.gather(self._seed, rows)

    def groups(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the point of each row."""
        return tf.gather(self._group, rows)

    def quarters(self, rows: tf.Tensor) -> tf.Tensor:
        """Return in which quarter of the seeds each row is, fair shares for every parameter."""
        return tf.gather(self._quarter, rows)

    def derivative(self, rows: tf.Tensor) -> tf.Tensor:
        """Return slopes (n_rows, n_params, s) in float64, NaN without simulations."""
        width = rows.shape[-1]
        parts = [
            tf.cast(rows[start:stop], tf.float64)
            for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True)
        ]
        found = []
        for α, (first, places) in enumerate(zip(self._first_points(), self._places, strict=True)):
            w = self.weights[α]
            slope = tf.add_n([w[k] * parts[first + k] for k in range(len(w))])
            if len(places) < len(self.is_present):
                nothing = tf.fill((len(self.is_present), width), tf.constant(np.nan, tf.float64))
                slope = tf.tensor_scatter_nd_update(nothing, places[:, None], slope)
            found.append(slope)
        return tf.stack(found, axis=1)

    def of_means(self, means: np.ndarray) -> np.ndarray:
        """Return ∂μ/∂θ of the means of the points."""
        return np.stack(
            [
                w @ means[first : first + len(w)]
                for first, w in zip(self._first_points(), self.weights, strict=True)
            ]
        )

    def sides(self) -> np.ndarray:
        """Return a row for each point; parameters with fewer points repeat their last one."""
        columns = []
        for first, w in zip(self._first_points(), self.weights, strict=True):
            most = max(map(len, self.weights))
            chosen = first + np.minimum(np.arange(most), len(w) - 1)
            n = self._starts[first + 1] - self._starts[first]
            columns.append(self._starts[chosen][:, None] + np.arange(n))
        return np.concatenate(columns, axis=1)

    def first(self, n_d: int) -> tuple[np.ndarray, Differences]:
        """Return the rows of some seeds, the same share of those of each parameter."""
        n = len(self.is_present)
        order = slopes.dealt(self.is_present)
        chosen = np.linspace(0, n - 1, max(2, round(n * n_d / self.n_d)) if n_d < self.n_d else n)
        is_chosen = np.zeros(n, bool)
        is_chosen[order[np.unique(chosen.astype(int))]] = True
        labels = [
            label[is_chosen[places]]
            for label, places in zip(self.labels, self._places, strict=True)
        ]
        return np.flatnonzero(is_chosen[self._seed]), Points(self.weights, labels)

    def _first_points(self) -> np.ndarray:
        """Return the number of the first point of each parameter."""
        return np.cumsum([0, *map(len, self.weights)])[:-1]


def quarters(numbers: tf.Tensor, n: int) -> tf.Tensor:
    """Return in which quarter of n the numbers are; the first two are the first half, n // 2."""
    half = n // 2
    edges = half // 2, half, half + (n - half) // 2
    return tf.add_n([tf.cast(numbers >= edge, tf.int32) for edge in edges])
