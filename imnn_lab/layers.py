"""Stock Keras layers, put together into the parts that the networks share.

Layers whose names start with "adapt_" and `Normalization` layers are filled from the training
simulations (see `imnn_lab.adaptation`) and are not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np

from imnn_lab import checks

ACTIVATION = "gelu"
BOUND = 10.0
UNITS = 8
MODES = 64
MOST_POSITIONS = 200

Tensor: TypeAlias = Any  # a symbolic Keras tensor


class Layers:
    """Stock layers of one dtype; those with random weights have a seed each, from one `seed`."""

    def __init__(self, dtype: str, seed: int | None) -> None:
        self.dtype = dtype
        self._seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a Keras layer's class with the dtype already given."""
        return partial(getattr(keras.layers, name), dtype=self.dtype)

    def initial(self) -> keras.initializers.Initializer:
        """Return the next seeded initialiser."""
        (child,) = self._seeds.spawn(1)
        return keras.initializers.GlorotUniform(seed=int(child.generate_state(1)[0] >> 1))

    def adapted(
        self, layer: Callable[..., keras.layers.Layer], *arguments: Any, name: str, **keywords: Any
    ) -> keras.layers.Layer:
        """Return a fixed layer that is filled from the training simulations."""
        return layer(
            *arguments,
            name=f"adapt_{name}",
            trainable=False,
            kernel_initializer=self.initial(),
            **keywords,
        )

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate along the last axis."""
        return parts[0] if len(parts) == 1 else self.Concatenate()(list(parts))

    def square(self, x: Tensor) -> Tensor:
        """Return the square of each value."""
        return self.Multiply()([x, x])

    def bounded(self, x: Tensor) -> Tensor:
        """Normalise by median and quartiles, and bound smoothly far out."""
        x = self.Normalization(axis=-1, name="robust")(x)
        x = self.Activation("tanh")(self.Rescaling(1 / BOUND)(x))
        return self.Rescaling(BOUND)(x)

    def gaussian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a monotone function of each channel with Gaussian values, and its units."""
        channels = x.shape[-1]
        units = self.adapted(self.Dense, UNITS * channels, "tanh", name="quantiles")(x)
        return self.adapted(self.Dense, channels, name="gaussian")(self.joined([x, units])), units

    def standard(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate, and bring each feature to mean 0 and variance 1."""
        return self.Normalization(axis=-1, name=f"standard_{name}")(self.joined(parts))

    def hidden(self, x: Tensor, widths: Sequence[int]) -> list[Tensor]:
        """Return the outputs of all hidden layers, one behind the other."""
        found = []
        for width in widths:
            x = self.Dense(width, ACTIVATION, kernel_initializer=self.initial())(x)
            found.append(x)
        return found

    def readout(
        self, groups: Mapping[str, tuple[float, Sequence[Tensor]]], n_summaries: int
    ) -> Tensor:
        """Give groups of features, each of unit variance times a weight, to a last layer."""
        parts = []
        for name, (weight, features) in groups.items():
            if features:
                parts.append(self.Rescaling(weight)(self.standard(name, features)))
        return self.Dense(n_summaries, kernel_initializer=self.initial())(self.joined(parts))


def cell_side(input_shape: Sequence[int]) -> int:
    """Return the side of the cells to average over, so that not too many are left."""
    cell = 1
    while np.prod([-(-n // cell) for n in input_shape[:-1]]) * input_shape[-1] > MOST_POSITIONS:
        cell += 1
    return cell


def power(layers: Layers, x: Tensor, n_axes: int) -> Tensor:
    """Return the power in modes along each axis, averaged over neighbouring modes."""
    lengths = x.shape[1:-1]
    last_first = (n_axes + 1, *range(1, n_axes + 1))
    x = layers.Permute(last_first)(x)
    for axis, length in enumerate(reversed(lengths)):
        x = layers.adapted(layers.Dense, length, use_bias=False, name=f"modes_{axis}")(x)
        x = layers.Permute((1, *np.roll(range(2, n_axes + 2), 1)))(x) if n_axes > 1 else x
    power = layers.Permute((*range(2, n_axes + 2), 1))(layers.square(x))
    side = MODES ** (1 / n_axes)
    cells = [max(2, int(np.ceil(length / side))) for length in lengths]
    average = {1: layers.AveragePooling1D, 2: layers.AveragePooling2D}[n_axes]
    return layers.Flatten()(average(cells[0] if n_axes == 1 else cells, padding="same")(power))


def positions(inputs: Tensor, n_axes: int, dtype: str) -> Iterator[Tensor]:
    """Yield, for each axis, a tensor of positions from −1 to 1 with the shape of the inputs."""
    shape = tuple(inputs.shape[1:])
    nothing = keras.layers.Rescaling(0.0, dtype=dtype)(inputs)
    for axis in range(n_axes):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        grid = np.broadcast_to(np.linspace(-1, 1, shape[axis]).reshape(along), shape)
        yield keras.layers.Normalization(
            axis=tuple(range(1, len(shape) + 1)),
            mean=(-grid).tolist(),
            variance=np.ones(shape).tolist(),
            dtype=dtype,
        )(nothing)
