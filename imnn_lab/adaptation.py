"""Layers that are fitted to the training simulations before anything is trained.

`Normalization` layers are adapted: that named "robust" takes the median and the quartiles, those
named "standard_..." the mean and standard deviation of each feature, a user's own what Keras takes.
Linear layers named "adapt_..." take what their name says. Layers are fitted in their order, each to
what those before it make of the simulations.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg
from scipy.special import ndtri
from scipy.stats import rankdata

BATCH = 500
MOST_VALUES, MOST_PATCHES = 200_000, 20_000


def adapt(model: keras.Model, simulations: np.ndarray) -> None:
    """Fit the layers of a model that are meant for it to simulations (n,) + input_shape.

    A model with a `Normalization` layer that is already adapted stays as it is. So does one whose
    layers cannot be reached one by one (a subclass of `keras.Model`).
    """
    layers = getattr(model, "layers", []) if getattr(model, "inputs", None) else []
    mine = [layer for layer in layers if _is_fitted(layer)]
    if any(int(layer.count) for layer in mine if isinstance(layer, keras.layers.Normalization)):
        return
    for layer in mine:
        _fit_of(layer)(layer, _input(layer, model, simulations))


def refresh_normalisation(model: keras.Model) -> None:
    """Let normalisation layers take note of weights that were assigned to them."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _is_fitted(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Normalization):
        return layer.input_mean is None
    return layer.name.startswith("adapt_")


def _fit_of(layer: keras.layers.Layer) -> Callable[[keras.layers.Layer, np.ndarray], None]:
    kind = layer.name.partition("_")[0]
    if isinstance(layer, keras.layers.Normalization):
        return {"robust": _robust, "standard": _standard}.get(kind, _as_keras_does)
    return _modes if layer.name.startswith("adapt_modes") else FITS[layer.name]


def _input(layer: keras.layers.Layer, model: keras.Model, simulations: np.ndarray) -> np.ndarray:
    before = keras.Model(model.inputs[0], layer.input)
    parts = range(0, len(simulations), BATCH)
    return np.concatenate([before(simulations[i : i + BATCH]).numpy() for i in parts])


def _rows(x: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` rows of the last axis, the same ones every time."""
    x = x.reshape(-1, x.shape[-1])
    if len(x) > most:
        x = x[np.random.default_rng(0).integers(0, len(x), most)]
    return x.astype(np.float64)


def _standard(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    x = _rows(x, MOST_VALUES)
    centre, scale = x.mean(0), x.std(0)
    _normalise(layer, centre, np.where(scale > 1e-5 * np.abs(centre), scale, 0), len(x))


def _robust(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    """Take median and quartiles; the mean absolute deviation where most values are the same."""
    x = _rows(x, MOST_VALUES)
    low, centre, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    scale, deviation = (high - low) / 1.349, 1.2533 * np.abs(x - centre).mean(0)
    _normalise(layer, centre, np.where(scale > 0.1 * deviation, scale, deviation), len(x))


def _as_keras_does(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    layer.adapt(x)
    layer.count.assign(len(x))


def _normalise(
    layer: keras.layers.Normalization, centre: np.ndarray, scale: np.ndarray, count: int
) -> None:
    scale = np.where(scale > 0, scale, 1)
    layer.adapt_mean.assign(centre.reshape(layer.adapt_mean.shape))
    layer.adapt_variance.assign((scale**2).reshape(layer.adapt_variance.shape))
    layer.count.assign(count)
    layer.finalize_state()


def _assign(
    layer: keras.layers.Layer, kernel: np.ndarray, centre: np.ndarray | float = 0.0
) -> None:
    """Set the kernel, and the bias so that the input `centre` gives zero."""
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(-(np.zeros(len(kernel)) + centre) @ kernel)


def _quantiles(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Put units at quantiles of each channel, as wide as these are apart."""
    x, channels = _rows(x, MOST_VALUES), x.shape[-1]
    n = layer.units // channels
    kernel, bias = np.zeros((channels, layer.units)), np.zeros(layer.units)
    levels = np.clip((np.arange(-1, n + 1) + 0.5) / n, 0.1 / n, 1 - 0.1 / n)
    for channel in range(channels):
        at = np.quantile(x[:, channel], levels)
        width = np.maximum(0.75 * (at[2:] - at[:-2]), 0.01)
        mine = slice(channel * n, (channel + 1) * n)
        kernel[channel, mine], bias[mine] = 1 / width, -at[1:-1] / width
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)


def _gaussian(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Fit normal scores of each channel by the channel and its units."""
    x, channels = _rows(x, MOST_PATCHES), layer.units
    n = x.shape[1] // channels - 1
    kernel, mean = np.zeros((x.shape[1], channels)), x.mean(0)
    for channel in range(channels):
        mine = np.r_[channel, channels + channel * n : channels + (channel + 1) * n]
        target = ndtri((rankdata(x[:, channel]) - 0.5) / len(x))
        centred = x[:, mine] - mean[mine]
        C = centred.T @ centred / len(x)
        C += np.diag(1e-4 * np.diag(C) + 1e-12)
        kernel[mine, channel] = linalg.solve(C, centred.T @ target / len(x), assume_a="pos")
    _assign(layer, kernel, mean)


def _directions(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Take each axis, and then the diagonal between each pair of axes."""
    axes = np.eye(x.shape[-1])
    pairs = [(a + b) / np.sqrt(2) for i, a in enumerate(axes) for b in axes[:i]]
    _assign(layer, np.array([*axes, *pairs][: layer.units]).T)


def _shrunk(x: np.ndarray) -> np.ndarray:
    """Return the covariance of x, shrunk to a multiple of 1 (Ledoit & Wolf 2004)."""
    C = np.atleast_2d(np.cov(x.T))
    target = np.trace(C) / len(C) * np.eye(len(C))
    distance = np.sum((C - target) ** 2)
    error = (np.mean(np.sum((x - x.mean(0)) ** 2, 1) ** 2) - np.sum(C**2)) / len(x)
    share = np.clip(error / max(distance, 1e-30), 0, 1)
    return (1 - share) * C + share * target


def _whitening(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Whiten with as little change of the values as can be; independent values stay as they are."""
    x = _rows(x, MOST_VALUES)
    values, vectors = linalg.eigh(_shrunk(x))
    values = np.maximum(values, 1e-6 * values[-1])
    _assign(layer, vectors / np.sqrt(values) @ vectors.T, x.mean(0))


def _principal(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Turn whitened values back to the principal components of the values before."""
    before = next(iter(layer._inbound_nodes)).parent_nodes[0].operation
    _, vectors = linalg.eigh(before.kernel.numpy())
    _assign(layer, vectors, 0.0)


def _patches(layer: keras.layers.Layer, x: np.ndarray) -> None:
    """Take the leading principal components of patches, whitened."""
    n_axes = len(layer.kernel_size)
    windows = sliding_window_view(x[:BATCH], layer.kernel_size, axis=tuple(range(1, n_axes + 1)))
    windows = np.moveaxis(windows, n_axes + 1, -1)
    patches = _rows(windows.reshape(-1, int(np.prod(windows.shape[n_axes + 1 :]))), MOST_PATCHES)
    values, vectors = linalg.eigh(np.cov(patches.T))
    values, vectors = values[::-1][: layer.filters], vectors[:, ::-1][:, : layer.filters]
    _assign(layer, vectors / np.sqrt(values + 1e-2 * values.mean()), patches.mean(0))


def _modes(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Take the principal components along an axis of data that are stationary along it."""
    x = _rows(x, MOST_PATCHES)
    C, n = np.cov(x.T), x.shape[1]
    C = linalg.toeplitz([np.mean(np.diagonal(C, lag)) for lag in range(n)])
    _assign(layer, linalg.eigh(C)[1])


FITS: dict[str, Callable[[keras.layers.Layer, np.ndarray], None]] = {
    "adapt_quantiles": _quantiles,
    "adapt_gaussian": _gaussian,
    "adapt_directions": _directions,
    "adapt_whitening": _whitening,
    "adapt_principal": _principal,
    "adapt_patches": _patches,
}
