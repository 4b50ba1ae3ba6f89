"""Networks that suit kinds of data: `dense`, `convolutional`, `deep_set`.

Each starts with a `keras.layers.Normalization` layer that an `IMNN` adapts to its training set and
ends in a linear `Dense` layer, which an `IMNN` starts in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from imnn_lab import checks

ACTIVATION = "gelu"


class _Initialisers:
    """Seeded initialisers, one a layer: the same `seed` gives the same network."""

    def __init__(self, seed: int | None) -> None:
        checked = checks.seed_or_none("seed", seed)
        self._seeds = np.random.SeedSequence(checked)

    def __call__(self) -> keras.initializers.Initializer:
        (child,) = self._seeds.spawn(1)
        return keras.initializers.GlorotUniform(seed=int(child.generate_state(1)[0] >> 1))


def dense(
    input_shape: Sequence[int],
    n_summaries: int,
    hidden: Sequence[int] = (128, 128),
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Fully connected network, for data in which every value has its own meaning.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one simulation; it is flattened.
    n_summaries : int
        How many summaries the network gives.
    hidden : sequence of int
        Widths of the hidden layers (GELU).
    dtype : str
        "float32" or "float64".
    seed : int, optional
        Makes the initial weights reproducible.
    """
    inputs, initial = keras.Input(tuple(input_shape), dtype=dtype), _Initialisers(seed)
    x = keras.layers.Flatten(dtype=dtype)(inputs)
    x = keras.layers.Normalization(axis=-1, dtype=dtype)(x)
    for width in hidden:
        x = keras.layers.Dense(width, ACTIVATION, kernel_initializer=initial(), dtype=dtype)(x)
    outputs = keras.layers.Dense(n_summaries, kernel_initializer=initial(), dtype=dtype)(x)
    return keras.Model(inputs, outputs, name="dense")


def convolutional(
    input_shape: Sequence[int],
    n_summaries: int,
    filters: Sequence[int] = (32, 32, 32),
    kernel_size: int = 5,
    hidden: Sequence[int] = (64,),
    pooling: str = "average",
    coordinates: bool = False,
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Convolutional network, for series (length, channels) and images (height, width, channels).

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one simulation, channels last.
    n_summaries : int
        How many summaries the network gives.
    filters : sequence of int
        Channels of the convolutions (GELU).
    kernel_size : int
        Length of the sides of the convolution kernels.
    hidden : sequence of int
        Widths of the dense layers behind the pooling (GELU).
    pooling : str
        "average" takes the mean over all positions and so forgets where a feature was: right for
        stationary data. "flatten" keeps every position.
    coordinates : bool
        Whether to add the position along each axis as channels.
    dtype : str
        "float32" or "float64".
    seed : int, optional
        Makes the initial weights reproducible.
    """
    _check_pooling(pooling)
    inputs, initial = keras.Input(tuple(input_shape), dtype=dtype), _Initialisers(seed)
    n_axes = _spatial_axes(input_shape)
    convolution = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D}[n_axes]
    x = keras.layers.Normalization(axis=-1, dtype=dtype)(inputs)
    if coordinates:
        x = keras.layers.Concatenate(dtype=dtype)([x, *_positions(inputs, n_axes, dtype)])
    for channels in filters:
        x = convolution(
            channels,
            kernel_size,
            padding="same",
            activation=ACTIVATION,
            kernel_initializer=initial(),
            dtype=dtype,
        )(x)
    if pooling == "average":
        x = {1: keras.layers.GlobalAveragePooling1D, 2: keras.layers.GlobalAveragePooling2D}[
            n_axes
        ](dtype=dtype)(x)
    else:
        x = keras.layers.Flatten(dtype=dtype)(x)
    for width in hidden:
        x = keras.layers.Dense(width, ACTIVATION, kernel_initializer=initial(), dtype=dtype)(x)
    outputs = keras.layers.Dense(n_summaries, kernel_initializer=initial(), dtype=dtype)(x)
    return keras.Model(inputs, outputs, name="convolutional")


def _check_pooling(pooling):
    pass


def _spatial_axes(s):
    return len(s) - 1


def _positions(inputs, n_axes: int, dtype: str) -> Iterator[object]:
    """Yield, for each axis, a tensor of positions from −1 to 1 with the shape of the inputs."""
    shape = tuple(inputs.shape[1:])
    nothing = keras.layers.Rescaling(0.0, dtype=dtype)(inputs)
    for axis in range(n_axes):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        grid = np.broadcast_to(np.linspace(-1, 1, shape[axis]).reshape(along), shape)
        axes = tuple(range(1, len(shape) + 1))
        yield keras.layers.Normalization(
            axis=axes, mean=(-grid).tolist(), variance=1.0, dtype=dtype
        )(nothing)


def deep_set(
    input_shape: Sequence[int],
    n_summaries: int,
    each: Sequence[int] = (64, 64),
    hidden: Sequence[int] = (64,),
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Deep set (Zaheer et al. 2017), for exchangeable data: the order of the values is no matter.

    One network sees each entry along the first axis, the mean over the entries is taken, and a
    second network sees the mean.
    """
    shape = tuple(input_shape)
    inputs, initial = keras.Input(shape, dtype=dtype), _Initialisers(seed)
    x = keras.layers.Reshape((shape[0], -1), dtype=dtype)(inputs)
    x = keras.layers.Normalization(axis=-1, dtype=dtype)(x)
    for width in each:
        x = keras.layers.Dense(width, ACTIVATION, kernel_initializer=initial(), dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling1D(dtype=dtype)(x)
    for width in hidden:
        x = keras.layers.Dense(width, ACTIVATION, kernel_initializer=initial(), dtype=dtype)(x)
    outputs = keras.layers.Dense(n_summaries, kernel_initializer=initial(), dtype=dtype)(x)
    return keras.Model(inputs, outputs, name="deep_set")
