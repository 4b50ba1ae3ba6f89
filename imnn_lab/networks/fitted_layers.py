"""Layers that are fitted to the training simulations before anything is trained.

The networks of this package `mark` such layers with a rule, a function that sets the weights of a
layer by its inputs. `Normalization` layers of users are adapted as Keras adapts them. Layers are
fitted in their order, each to what the layers before it make of the simulations. A mark belongs to
the layer object: copies of a network (cloned, or saved and loaded) keep the weights but not marks,
and are refused unless they were fitted before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg
from scipy.special import ndtri

from imnn_lab.keras_private import all_layers

BATCH = 500
MOST_VALUES, MOST_PATCHES, MOST_NUMBERS = 200_000, 20_000, 2**25
ATTRIBUTE, WHERE = "imnn_lab_rule", "imnn_lab_where"
PREFIX = "adapt_"  # of the names of marked layers that are not trained

Rule: TypeAlias = Callable[[keras.layers.Layer, np.ndarray], None]


def mark(layer: keras.layers.Layer, rule: Rule, where: Any = None) -> keras.layers.Layer:
    """Return the layer, which `fit_layers` will fit by `rule(layer, inputs)`.

    With a symbolic tensor `where`, (n, L, 1), the rule gets the entries (k, channels) of the
    inputs (n, L, channels) where it is not 0.
    """
    setattr(layer, ATTRIBUTE, rule)
    setattr(layer, WHERE, where)
    return layer


def fit_layers(model: keras.Model, simulations: np.ndarray) -> None:
    """Fit the marked layers and the `Normalization` layers of a model to simulations.

    A model with a `Normalization` layer that is already adapted stays as it is. So does one whose
    layers cannot be reached one by one (a subclass of `keras.Model`).

    Parameters
    ----------
    model : keras.Model
    simulations : ndarray, shape (n,) + input_shape

    Raises
    ------
    ValueError
        If the model is a copy of a network of this package that was made before it was fitted.
    """
    layers = getattr(model, "layers", []) if getattr(model, "inputs", None) else []
    rules = [(layer, rule) for layer in layers if (rule := _rule(layer)) is not None]
    if any(int(layer.count) for layer, _ in rules if isinstance(layer, keras.layers.Normalization)):
        return
    lost = [layer.name for layer in layers if _has_lost_its_mark(layer)]
    if rules and lost:
        raise ValueError(
            "`model` is a copy of a network of imnn_lab, made before the IMNN fitted its layers to "
            f"the simulations. The copy would keep random numbers in {', '.join(lost)}. "
            "Make each network anew with imnn_lab.networks, or copy it after an IMNN was made."
        )
    waiting = dict(rules)
    before = {layer: {*keras.Model(model.inputs[0], layer.input).layers} for layer in waiting}
    while waiting:
        ready = [layer for layer in waiting if before[layer].isdisjoint(waiting)]
        where = {layer: x for layer in ready if (x := getattr(layer, WHERE, None)) is not None}
        tensors = [*(layer.input for layer in ready), *where.values()]
        found = list(_values_of(tensors, model, simulations))
        masks = dict(zip(where, found[len(ready) :], strict=True))
        for layer, x in zip(ready, found, strict=False):
            x = x[masks[layer][: len(x), :, 0] > 0] if layer in masks else x
            waiting.pop(layer)(layer, x)


def refresh_normalisation(model: keras.Model) -> None:
    """Let normalisation layers use the weights that were assigned to them.

    They keep the mean and variance that they apply outside their weights, and compute them when
    Keras loads the layer (https://github.com/keras-team/keras/issues/20147).
    """
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _rule(layer: keras.layers.Layer) -> Rule | None:
    is_unfitted = isinstance(layer, keras.layers.Normalization) and layer.input_mean is None
    return getattr(layer, ATTRIBUTE, fit_as_keras if is_unfitted else None)


def _has_lost_its_mark(layer: keras.layers.Layer) -> bool:
    is_frozen = layer.name.startswith(PREFIX) and not layer.trainable
    return is_frozen and not hasattr(layer, ATTRIBUTE)


def _values_of(
    tensors: list[Any], model: keras.Model, simulations: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the values of symbolic tensors for simulations: for as many as fill MOST_NUMBERS."""
    before = keras.Model(model.inputs[0], tensors)
    sizes = [math.prod(tensor.shape[1:]) for tensor in tensors]
    parts: list[list[np.ndarray]] = [[] for _ in tensors]
    for i in range(0, len(simulations), BATCH):
        wanted = [i == 0 or i * size < MOST_NUMBERS for size in sizes]
        if not any(wanted):
            break
        outputs = keras.tree.flatten(before(simulations[i : i + BATCH]))
        for part, output, is_wanted in zip(parts, outputs, wanted, strict=True):
            if is_wanted:
                part.append(output.numpy())
    return (np.concatenate(part) for part in parts)


def _rows(x: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` rows of the last axis, the same ones every time."""
    x = x.reshape(-1, x.shape[-1])
    if len(x) > most:
        x = x[np.random.default_rng(0).integers(0, len(x), most)]
    return x.astype(np.float64)


# Normalisation ------------------------------------------------------------------------------


def fit_standard(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    """Take the mean and standard deviation of each feature; scale 1 for constant features."""
    x = _rows(x, MOST_VALUES)
    centre, scale = x.mean(0), x.std(0)
    _normalise(layer, centre, np.where(scale > 1e-5 * np.abs(centre), scale, 0), len(x))


def fit_robust(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    """Take the median, and the standard deviation of a Gaussian with the same quartiles.

    If most values are equal, the quartiles are too, and the scale is that of a Gaussian with the
    same mean absolute deviation.
    """
    x = _rows(x, MOST_VALUES)
    low, centre, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    scale, deviation = (high - low) / 1.349, 1.2533 * np.abs(x - centre).mean(0)
    _normalise(layer, centre, np.where(scale > 0.1 * deviation, scale, deviation), len(x))


def fit_as_keras(layer: keras.layers.Normalization, x: np.ndarray) -> None:
    """Adapt a user's layer as its own `adapt` does."""
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


# Gaussian values ----------------------------------------------------------------------------


def fit_quantiles(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Put units at quantiles q of each channel: tanh((x − q) / w).

    w is ¾ of the distance between the neighbouring quantiles.
    """
    x, channels = _rows(x, MOST_VALUES), x.shape[-1]
    n = layer.units // channels
    kernel, bias = np.zeros((channels, layer.units)), np.zeros(layer.units)
    levels = np.clip((np.arange(-1, n + 1) + 0.5) / n, 0.1 / n, 1 - 0.1 / n)
    for channel in range(channels):
        quantiles = np.quantile(x[:, channel], levels)
        width = np.maximum(0.75 * (quantiles[2:] - quantiles[:-2]), 0.01)
        units = slice(channel * n, (channel + 1) * n)
        kernel[channel, units], bias[units] = 1 / width, -quantiles[1:-1] / width
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)


def fit_ends(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Put two units at the ends of each channel: (x − q) / w, for what is logarithmic beyond.

    q are the quantiles .002 and .998, and w is their distance from the quantiles .02 and .98.
    """
    x, channels = _rows(x, MOST_VALUES), x.shape[-1]
    kernel, bias = np.zeros((channels, layer.units)), np.zeros(layer.units)
    for channel in range(channels):
        ends = np.quantile(x[:, channel], [0.002, 0.998])
        width = np.maximum(np.abs(np.quantile(x[:, channel], [0.02, 0.98]) - ends), 0.01)
        units = slice(2 * channel, 2 * channel + 2)
        kernel[channel, units], bias[units] = 1 / width, -ends / width
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)


def fit_gaussian(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Fit normal scores of each channel by a linear function of the channel and its units.

    The score of the k-th smallest of n values is Φ⁻¹((k − ½) / n). The inputs are all channels,
    followed by the units of each at its quantiles, and by the two at its ends.
    """
    from scipy.stats import rankdata  # it takes a second, and few networks need it

    x, channels = _rows(x, MOST_PATCHES), layer.units
    n = x.shape[1] // channels - 3
    kernel, mean = np.zeros((x.shape[1], channels)), x.mean(0)
    for channel in range(channels):
        inner = channels + channel * n + np.arange(n)
        columns = np.r_[channel, inner, channels * (n + 1) + 2 * channel + np.arange(2)]
        scores = ndtri((rankdata(x[:, channel]) - 0.5) / len(x))
        centred = x[:, columns] - mean[columns]
        C = centred.T @ centred / len(x)
        C += np.diag(1e-6 * np.diag(C) + 1e-12)
        kernel[columns, channel] = linalg.solve(C, centred.T @ scores / len(x), assume_a="pos")
    _assign(layer, kernel, mean)


# Linear layers ------------------------------------------------------------------------------


def _assign(
    layer: keras.layers.Layer, kernel: np.ndarray, centre: np.ndarray | float = 0.0
) -> None:
    """Set the kernel, and the bias so that the input `centre` gives zero."""
    layer.kernel.assign(kernel.reshape(layer.kernel.shape))
    if layer.use_bias:
        layer.bias.assign(-(np.zeros(len(kernel)) + centre) @ kernel)


def fit_directions(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Take each axis, and then the diagonal between each pair of axes."""
    axes = np.eye(x.shape[-1])
    pairs = [(a + b) / np.sqrt(2) for i, a in enumerate(axes) for b in axes[:i]]
    _assign(layer, np.array([*axes, *pairs][: layer.units]).T)


def fit_whitening(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Whiten by the symmetric root C^(−½), which changes the values least."""
    x = _rows(x, MOST_VALUES)
    values, vectors = linalg.eigh(shrunk_covariance(x))
    values = np.maximum(values, 1e-6 * values[-1])
    _assign(layer, vectors / np.sqrt(values) @ vectors.T, x.mean(0))


def shrunk_covariance(x: np.ndarray) -> np.ndarray:
    """Return the covariance of x, shrunk towards a multiple of 1 (Ledoit & Wolf 2004).

    With S = ⟨x xᵀ⟩ for centred x, m = tr S / p, d² = |S − m 1|² and b² = ⟨|x xᵀ − S|²⟩ / n, it is
    (1 − b²/d²) S + b²/d² m 1, where b² is at most d².

    Parameters
    ----------
    x : ndarray, shape (n, p)

    Returns
    -------
    ndarray, shape (p, p)
    """
    x = x - x.mean(0)
    S = x.T @ x / len(x)
    target = np.trace(S) / len(S) * np.eye(len(S))
    distance = np.sum((S - target) ** 2)
    error = (np.mean(np.sum(x**2, 1) ** 2) - np.sum(S**2)) / len(x)
    share = np.clip(error / max(distance, 1e-30), 0, 1)
    return (1 - share) * S + share * target


def fit_principal(whitening: keras.layers.Dense, layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Rotate whitened values to the principal components of the values before whitening."""
    _, vectors = linalg.eigh(whitening.kernel.numpy())
    _assign(layer, vectors)


def fit_patches(layer: keras.layers.Layer, x: np.ndarray) -> None:
    """Take the leading principal components of patches, whitened."""
    n_axes = len(layer.kernel_size)
    windows = sliding_window_view(x[:BATCH], layer.kernel_size, axis=tuple(range(1, n_axes + 1)))
    windows = np.moveaxis(windows, n_axes + 1, -1)
    places = windows.shape[: n_axes + 1]
    chosen: Sequence[np.ndarray] = np.unravel_index(np.arange(np.prod(places)), places)
    if np.prod(places) > MOST_PATCHES:
        generator = np.random.default_rng(0)
        chosen = [generator.integers(0, n, MOST_PATCHES) for n in places]
    patches = windows[tuple(chosen)].reshape(len(chosen[0]), -1).astype(np.float64)
    values, vectors = linalg.eigh(np.atleast_2d(np.cov(patches.T)))
    values, vectors = values[::-1][: layer.filters], vectors[:, ::-1][:, : layer.filters]
    _assign(layer, vectors / np.sqrt(values + 1e-2 * values.mean()), patches.mean(0))


def fit_modes(layer: keras.layers.Dense, x: np.ndarray) -> None:
    """Take the principal components along an axis of data that are stationary along it.

    Their covariance is the Toeplitz matrix of the means of each diagonal of C. If it is circulant,
    as for periodic data, within the errors of its estimate, they are Fourier modes.
    """
    x = _rows(x, MOST_PATCHES)
    C, n = np.atleast_2d(np.cov(x.T)), x.shape[-1]
    lags = np.array([np.mean(np.diagonal(C, lag)) for lag in range(n)])
    lag = np.arange(1, n)
    errors = lags[0] / np.sqrt(len(x) * np.minimum(lag, n - lag))
    is_periodic = (np.abs(lags[1:] - lags[:0:-1]) < 0.01 * lags[0] + 5 * errors).all()
    _assign(layer, fourier(n) if is_periodic else linalg.eigh(linalg.toeplitz(lags))[1])


def fourier(n: int) -> np.ndarray:
    """Return orthonormal cosines and sines of n positions as columns, lowest frequency first."""
    phase = 2 * np.pi * np.outer(np.arange(n), np.arange(n // 2 + 1)) / n
    columns = np.stack([np.cos(phase), np.sin(phase)], -1).reshape(n, -1)
    norms = np.linalg.norm(columns, axis=0)
    return columns[:, norms > 1e-6] / norms[norms > 1e-6]


def fit_bands(
    bases: Sequence[keras.layers.Dense], layer: keras.layers.Dense, x: np.ndarray
) -> None:
    """Average modes in bands of frequency.

    The modes are products of one column of each of `bases`, the kernels along the axes. The
    frequency of a mode is that of the centroid of its power spectrum. Bands are equally wide in
    frequency, but hold a mode at least.
    """
    squared: np.ndarray | float = 0.0
    for basis in bases:
        kernel = basis.kernel.numpy()
        power = np.abs(np.fft.rfft(kernel, axis=0)) ** 2
        along = np.fft.rfftfreq(len(kernel)) ** 2 @ power / power.sum(0)
        squared = np.add.outer(squared, along)
    frequency = np.sqrt(np.ravel(squared))
    order, n = np.argsort(frequency, kind="stable"), layer.units
    edges = np.searchsorted(frequency[order], np.linspace(0, frequency.max(), n + 1)[1:-1])
    edges = np.maximum.accumulate(np.maximum(edges, np.arange(1, n)) - np.arange(n - 1))
    edges = np.minimum(edges + np.arange(n - 1), len(order) - n + np.arange(1, n))
    kernel = np.zeros((len(order), n))
    for band, modes in enumerate(np.split(order, edges)):
        kernel[modes, band] = 1 / np.sqrt(len(modes))
    _assign(layer, kernel)
