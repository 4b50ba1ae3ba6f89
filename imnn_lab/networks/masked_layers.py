"""Layers for data with missing values: parts of data, filled gaps, sums over what is present."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops
from scipy import linalg

Tensor: TypeAlias = Any
STEPS = 24  # of conjugate gradients: as many as values are missing, or until they are filled well
MOST_FILLED = 1024  # values whose covariance is known between all pairs
REACH = 2  # of the neighbours that fill a gap in more values, along each axis
FLOOR = 1e-3  # least eigenvalue of the correlation between values


@keras.saving.register_keras_serializable("imnn_lab")
class Channels(keras.layers.Layer):
    """Some channels: x[..., start:stop].

    Parameters
    ----------
    start, stop : int
    """

    def __init__(self, start: int, stop: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.start, self.stop = start, stop

    def call(self, x: Tensor) -> Tensor:
        """Return these channels."""
        return x[..., self.start : self.stop]

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of these channels."""
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "start": self.start, "stop": self.stop}


@keras.saving.register_keras_serializable("imnn_lab")
class SumOfPresent(keras.layers.Layer):
    """Sum over the entries that are present, Σ m x: of their number, or a part of the longest.

    Called with entries (n, L, k) and their mask (n, L, 1); returns (n, k).

    Parameters
    ----------
    is_mean : bool
        Whether to divide by Σ m, at least 1, or by L.
    """

    def __init__(self, is_mean: bool, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.is_mean = is_mean

    def call(self, x: Tensor, present: Tensor) -> Tensor:
        """Return the sum."""
        total = ops.sum(x * present, axis=1)
        if not self.is_mean:
            return total / x.shape[1]
        return total / ops.maximum(ops.sum(present, axis=1), 1.0)

    def compute_output_shape(
        self, x_shape: tuple[Any, ...], present_shape: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Return the shape of the sum."""
        return (x_shape[0], x_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "is_mean": self.is_mean}


@keras.saving.register_keras_serializable("imnn_lab")
class Filled(keras.layers.Layer):
    """Values of mean 0 and variance 1, with gaps filled by their conditional mean.

    With the precision P = C⁻¹ of Gaussian values, those that are missing (m) have the mean
    x_m = −P_mm⁻¹ P_mo x_o given those that are present (o), found by conjugate gradients. Called
    with values and their mask (n, …, channels + masks), of which it returns the values.

    Up to 1024 values, C is the covariance of all pairs. Of more values, P is that of a stationary
    field, in which each value depends on its neighbours alone, the same for all channels.

    Parameters
    ----------
    channels : int
        Channels of the values; the others are those of the mask.
    """

    def __init__(self, channels: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.channels = channels

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Make the weights."""
        shape = (*input_shape[1:-1], self.channels)
        size, n_axes = math.prod(shape), len(shape) - 1
        self.is_dense = size <= MOST_FILLED

        def fixed(name: str, shape: tuple[int, ...], start: str) -> Any:
            return self.add_weight(name=name, shape=shape, initializer=start, trainable=False)

        self.centre = fixed("centre", shape if self.is_dense else shape[-1:], "zeros")
        self.scale = fixed("scale", shape[-1:], "ones")
        side = tuple(min(2 * REACH + 1, 2 * n - 1) for n in shape[:-1])
        sizes = (size, size) if self.is_dense else (*side, 1, 1)
        self.precision = fixed("precision", sizes, "zeros")
        self.n_axes = n_axes

    def call(self, x: Tensor) -> Tensor:
        """Return the filled values."""
        shape = (*x.shape[1:-1], self.channels)
        x, present = x[..., : self.channels], x[..., self.channels :]
        present = ops.broadcast_to(present, ops.shape(x))
        x = (x - self.centre) / self.scale * present
        applied = self._dense(shape) if self.is_dense else self._local(shape)
        gaps = 1 - present
        return x + _solved(lambda y: gaps * applied(y), -gaps * applied(x))

    def _dense(self, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        size, precision = math.prod(shape), 1.0 * self.precision

        def applied(x: Tensor) -> Tensor:
            flat = ops.reshape(x, (-1, size))
            return ops.reshape(ops.matmul(flat, precision), (-1, *shape))

        return applied

    def _local(self, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        *lengths, channels = shape
        first, last = (0, self.n_axes + 1), tuple(range(1, self.n_axes + 1))
        kernel = 1.0 * self.precision

        def applied(x: Tensor) -> Tensor:
            x = ops.transpose(x, (*first, *last))
            x = ops.reshape(x, (-1, *lengths, 1))
            x = ops.conv(x, kernel, padding="same")
            x = ops.reshape(x, (-1, channels, *lengths))
            return ops.transpose(x, (0, *range(2, self.n_axes + 2), 1))

        return applied

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the values."""
        return (*input_shape[:-1], self.channels)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer again."""
        return {**super().get_config(), "channels": self.channels}


def _solved(applied: Callable[[Tensor], Tensor], b: Tensor) -> Tensor:
    """Return y with A y = b by conjugate gradients, for each simulation; 0 where b is 0."""
    axes, tiny = tuple(range(1, len(b.shape))), 1e-30

    def product(x: Tensor, y: Tensor) -> Tensor:
        return ops.sum(x * y, axis=axes, keepdims=True)

    start = product(b, b)

    def step(_: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        y, r, p, rr = state
        Ap = applied(p)
        is_open = rr > 1e-10 * start
        α = ops.where(is_open, rr / (product(p, Ap) + tiny), 0.0)
        y, r = y + α * p, r - α * Ap
        new = product(r, r)
        return y, r, r + ops.where(is_open, new / (rr + tiny), 0.0) * p, new

    return ops.fori_loop(0, STEPS, step, (ops.zeros_like(b), b, b, start))[0]


def fit_filled(layer: Filled, x: np.ndarray) -> None:
    """Find means, scales and covariance of values from those that are present.

    The covariance of pairs is shrunk towards a stationary one as Ledoit & Wolf (2004) do towards a
    multiple of 1.

    Parameters
    ----------
    layer : Filled
    x : ndarray, shape (n, …, channels + masks)
        Values and their mask.
    """
    channels = layer.scale.shape[0]
    values, present = x[..., :channels].astype(np.float64), x[..., channels:] > 0
    present = np.broadcast_to(present, values.shape)
    axes = tuple(range(values.ndim - 1))
    count = np.maximum(present.sum(axes), 1)
    mean = (values * present).sum(axes) / count
    scale = np.sqrt((((values - mean) * present) ** 2).sum(axes) / count)
    scale = np.where(scale > 0, scale, 1)
    centre = mean
    if layer.is_dense:
        seen = present.sum(0)
        centre = np.where(
            seen > 1, ((values - mean) * present).sum(0) / np.maximum(seen, 1) + mean, mean
        )
    layer.centre.assign(centre)
    layer.scale.assign(scale)
    z = (values - centre) / scale * present
    layer.precision.assign(_precision(z, present) if layer.is_dense else _kernel(layer, z, present))


def _precision(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the inverse covariance between all values (d, d)."""
    flat, mask = z.reshape(len(z), -1), present.reshape(len(z), -1).astype(np.float64)
    pairs = np.maximum(mask.T @ mask, 1)
    S, squares = flat.T @ flat / pairs, (flat**2).T @ flat**2 / pairs
    target = _stationary(z, present)
    error = np.sum(np.maximum(squares - S**2, 0) / pairs)
    share = np.clip(error / max(np.sum((S - target) ** 2), 1e-30), 0, 1)
    values, vectors = linalg.eigh((1 - share) * S + share * target)
    values = np.maximum(values, FLOOR * values[-1])
    return vectors / values @ vectors.T


def _correlations(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return means over all positions of z_i z_{i+lag}, (*lags, channels, channels).

    Lags beyond the middle are negative, as for the Fourier transform of 2 n positions.
    """
    axes = tuple(range(1, z.ndim - 1))
    double = [2 * n for n in z.shape[1:-1]]

    def products(x: np.ndarray) -> np.ndarray:
        found = 0.0
        for i in range(0, len(x), 200):
            k = np.fft.rfftn(x[i : i + 200], double, axes)
            found = found + np.einsum("n...c,n...d->...cd", k.conj(), k)
        return np.fft.irfftn(found, double, tuple(range(len(double))))

    return products(z) / np.maximum(np.rint(products(present.astype(np.float64))), 1)


def _stationary(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the covariance (d, d) that depends on distances and channels alone."""
    lags = _correlations(z, present)
    *lengths, channels = z.shape[1:]
    places = np.indices(lengths).reshape(len(lengths), -1)
    difference = places[:, None, :] - places[:, :, None]  # of the second from the first
    blocks = lags[tuple(difference)]
    size = places.shape[1] * channels
    return blocks.transpose(0, 2, 1, 3).reshape(size, size)


def _kernel(layer: Filled, z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the precision of a value and its neighbours, of stationary data."""
    lags = np.mean(np.diagonal(_correlations(z[:200], present[:200]), axis1=-2, axis2=-1), axis=-1)
    side = layer.precision.shape[:-2]
    places = np.indices(side).reshape(len(side), -1)
    C = lags[tuple(places[:, None, :] - places[:, :, None])]
    values, vectors = linalg.eigh(C)
    P = vectors / np.maximum(values, FLOOR * values[-1]) @ vectors.T
    centre = len(P) // 2
    return (P[centre] / P[centre, centre]).reshape(layer.precision.shape)
