"""Stock Keras layers, put together into the parts that the networks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import keras
import numpy as np

from imnn_lab import checks
from imnn_lab.networks import fitted_layers
from imnn_lab.networks.masked_layers import Channels, Filled, SumOfPresent, fit_filled

ACTIVATION = "gelu"
LINEAR = 10.0  # deviations up to which values are not compressed much
UNITS = 8
CELLS, BANDS, MOST_MODES = 64, 24, 256
MOST_POSITIONS = 200
# By the number of axes beside the channels.
CONVOLUTION = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
CELL_MEAN = {1: keras.layers.AveragePooling1D, 2: keras.layers.AveragePooling2D}
OVERALL_MEAN = {
    1: keras.layers.GlobalAveragePooling1D,
    2: keras.layers.GlobalAveragePooling2D,
    3: keras.layers.GlobalAveragePooling3D,
}

Tensor: TypeAlias = Any  # a symbolic Keras tensor
Groups: TypeAlias = Mapping[str, tuple[float, Sequence[Tensor]]]  # weights and features
LayerClass: TypeAlias = Callable[..., keras.layers.Layer]


class Layers:
    """Makes stock layers of one dtype; those with random weights have a seed each, from `seed`.

    Networks whose layers have another `owner` each can become parts of one network.
    """

    def __init__(self, dtype: str, seed: int | None, owner: str = "") -> None:
        self.dtype, self._owner = dtype, f"{owner}_" if owner else ""
        self._seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed))
        self.where: Tensor | None = None  # (n, L, 1): the entries that layers are fitted to

    def of_part(self, name: str) -> Layers:
        """Return the maker of the layers of a part of the network."""
        (child,) = self._seeds.spawn(1)
        owner = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
        return Layers(self.dtype, int(child.generate_state(1)[0] >> 1), f"{self._owner}{owner}")

    def channels(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Return some of the channels."""
        return self.new(Channels, start, stop)(x)

    def filled(self, x: Tensor, masks: int) -> Tensor:
        """Return values of unit variance, with gaps filled; the last channels are masks."""
        name = f"{fitted_layers.PREFIX}{self._owner}filled"
        layer = self.new(Filled, x.shape[-1] - masks, trainable=False, name=name)
        return fitted_layers.mark(layer, fit_filled)(x)

    def new(self, kind: LayerClass, *arguments: Any, **keywords: Any) -> keras.layers.Layer:
        """Return a layer of this dtype."""
        return kind(*arguments, dtype=self.dtype, **keywords)

    def seeded(self, kind: LayerClass, *arguments: Any, **keywords: Any) -> keras.layers.Layer:
        """Return a layer whose kernel starts with random numbers of the next seed."""
        (child,) = self._seeds.spawn(1)
        kernel = keras.initializers.GlorotUniform(seed=int(child.generate_state(1)[0] >> 1))
        return self.new(kind, *arguments, kernel_initializer=kernel, **keywords)

    def fitted(
        self,
        rule: fitted_layers.Rule,
        kind: LayerClass,
        *arguments: Any,
        name: str,
        **keywords: Any,
    ) -> keras.layers.Layer:
        """Return a linear layer that is fitted to the training simulations and not trained."""
        name = f"{fitted_layers.PREFIX}{self._owner}{name}"
        layer = self.seeded(kind, *arguments, trainable=False, name=name, **keywords)
        return fitted_layers.mark(layer, rule, self.where)

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate along the last axis."""
        return parts[0] if len(parts) == 1 else self.new(keras.layers.Concatenate)(list(parts))

    def flat(self, x: Tensor) -> Tensor:
        """Return all values along one axis."""
        return self.new(keras.layers.Flatten)(x)

    def square(self, x: Tensor) -> Tensor:
        """Return the square of each value."""
        return self.new(keras.layers.Multiply)([x, x])

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Return the values times a factor."""
        return self.new(keras.layers.Rescaling, factor)(x)

    def compressed(self, x: Tensor) -> Tensor:
        """Normalise by median and quartiles to z, and compress: LINEAR arsinh(z / LINEAR)."""
        normalised = self.new(keras.layers.Normalization, axis=-1, name=f"{self._owner}robust")
        x = fitted_layers.mark(normalised, fitted_layers.fit_robust, self.where)(x)
        return self.scaled(keras.ops.arcsinh(self.scaled(x, 1 / LINEAR)), LINEAR)

    def standard(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate, and bring each feature to mean 0 and variance 1."""
        name = f"{self._owner}standard_{name}"
        layer = self.new(keras.layers.Normalization, axis=-1, name=name)
        return fitted_layers.mark(layer, fitted_layers.fit_standard)(self.joined(parts))

    def gaussian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a monotone function of each channel with Gaussian values, and its units."""
        channels, dense = x.shape[-1], keras.layers.Dense
        units = self.fitted(
            fitted_layers.fit_quantiles, dense, UNITS * channels, "tanh", name="quantiles"
        )(x)
        ends = self.fitted(fitted_layers.fit_ends, dense, 2 * channels, name="ends")(x)
        scores = self.fitted(fitted_layers.fit_gaussian, dense, channels, name="gaussian")
        return scores(self.joined([x, units, keras.ops.arcsinh(ends)])), units

    def entries(self, x: Tensor, masks: int) -> tuple[Tensor, Tensor]:
        """Return entries (n, L, k), and a mask (n, L, 1) of those with all their values."""
        channels = x.shape[-1] - masks
        present = self.channels(x, channels, x.shape[-1])
        if masks > 1:
            present = keras.ops.min(present, axis=-1, keepdims=True)
        return self.channels(x, 0, channels), present

    def ones(self, x: Tensor) -> Tensor:
        """Return ones (n, L, 1) for entries (n, L, k)."""
        return self.new(keras.layers.Rescaling, 0.0, 1.0)(self.channels(x, 0, 1))

    def pooled(self, x: Tensor, present: Tensor) -> list[Tensor]:
        """Return the sum and the mean of entries (n, L, k) over those that are present."""
        return [self.new(SumOfPresent, is_mean)(x, present) for is_mean in (False, True)]

    def number(self, present: Tensor) -> Tensor:
        """Return the number of entries that are present, a part of the longest, (n, 1)."""
        return self.new(SumOfPresent, False)(present, present)

    def whitened(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return whitened values (n, width), and their principal components."""
        width, dense = x.shape[-1], keras.layers.Dense
        whitening = self.fitted(fitted_layers.fit_whitening, dense, width, name="whitening")
        rule = partial(fitted_layers.fit_principal, whitening)
        white = whitening(x)
        return white, self.fitted(rule, dense, width, name="principal")(white)

    def hidden(self, x: Tensor, widths: Sequence[int]) -> list[Tensor]:
        """Return the outputs of all hidden layers, each of which takes that of the one before."""
        outputs = []
        for width in widths:
            x = self.seeded(keras.layers.Dense, width, ACTIVATION)(x)
            outputs.append(x)
        return outputs

    def features(self, groups: Groups) -> list[Tensor]:
        """Return the features of each group with unit variance times the weight of the group."""
        return [
            self.scaled(self.standard(f"group_{name}", features), weight)
            for name, (weight, features) in groups.items()
            if features
        ]

    def readout(self, features: Sequence[Tensor], n_summaries: int) -> Tensor:
        """Give features to a last layer."""
        return self.seeded(keras.layers.Dense, n_summaries)(self.joined(features))

    def power(self, x: Tensor) -> dict[str, Tensor]:
        """Return the power in modes along each axis: each, in cells, and in bands of frequency.

        Parameters
        ----------
        x : tensor, shape (n, length, channels), with one axis of length or up to three

        Returns
        -------
        dict of tensors, shape (n, features)
        """
        lengths, channels, permute = x.shape[1:-1], x.shape[-1], keras.layers.Permute
        n_axes = len(lengths)
        bases: list[keras.layers.Layer] = []
        x = self.new(permute, (n_axes + 1, *range(1, n_axes + 1)))(x)  # channels first
        for axis, length in enumerate(reversed(lengths)):  # the last axis is the one transformed
            basis = self.fitted(
                fitted_layers.fit_modes, keras.layers.Dense, length, use_bias=False,
                name=f"modes_{axis}",
            )  # fmt: skip
            x = basis(x)
            bases.insert(0, basis)
            if n_axes > 1:
                x = self.new(permute, (1, *np.roll(range(2, n_axes + 2), 1)))(x)
        n_modes = int(np.prod(lengths))
        each = self.standard("power", [self.flat(self.square(x))])
        by_channel = self.new(keras.layers.Reshape, (channels, n_modes))(each)
        rule = partial(fitted_layers.fit_bands, bases)
        bands = self.fitted(
            rule, keras.layers.Dense, min(BANDS, n_modes), use_bias=False, name="bands"
        )(by_channel)
        groups = {"bands": self.flat(bands)}
        in_order = self.new(keras.layers.Reshape, (channels, *lengths))(each)
        in_order = self.new(permute, (*range(2, n_axes + 2), 1))(in_order)
        side = round(CELLS ** (1 / n_axes))
        cells = [max(1, int(np.ceil(length / side))) for length in lengths]
        if n_modes * channels <= MOST_MODES:
            groups["modes"] = each
        if max(cells) > 1:
            groups["cells"] = self.cells(in_order, cells)
        return groups

    def cells(self, x: Tensor, side: int | Sequence[int]) -> Tensor:
        """Return the means over cells of this side, along one axis."""
        sides = (side,) * (len(x.shape) - 2) if isinstance(side, int) else tuple(side)
        return self.flat(self._means(x, sides, sides))

    def thinned(self, x: Tensor, step: int) -> Tensor:
        """Return the values at every step-th position along each axis."""
        n_axes = len(x.shape) - 2
        return x if step == 1 else self._means(x, (1,) * n_axes, (step,) * n_axes)

    def _means(self, x: Tensor, sides: tuple[int, ...], steps: tuple[int, ...]) -> Tensor:
        """Return the means over cells of these sides that begin every so many positions."""
        n_axes = len(sides)
        if n_axes < 3:
            return self.new(CELL_MEAN[n_axes], sides, strides=steps, padding="same")(x)
        # AveragePooling3D has no float64 on a CPU: two axes, and then the third.
        *outer, last, channels = x.shape[1:]
        x = self.new(keras.layers.Reshape, (*outer, last * channels))(x)
        x = self._means(x, sides[:2], steps[:2])
        outer = x.shape[1:3]
        x = self.new(keras.layers.Reshape, (outer[0] * outer[1], last, channels))(x)
        x = self._means(x, (1, sides[2]), (1, steps[2]))
        return self.new(keras.layers.Reshape, (*outer, *x.shape[2:]))(x)

    def positions(self, inputs: Tensor) -> Iterator[Tensor]:
        """Yield, for each axis, a tensor of positions from −1 to 1 with the shape of the inputs."""
        shape = tuple(inputs.shape[1:])
        zeros = self.scaled(inputs, 0.0)
        for axis in range(len(shape) - 1):
            along = [1] * len(shape)
            along[axis] = shape[axis]
            grid = np.broadcast_to(np.linspace(-1, 1, shape[axis]).reshape(along), shape)
            yield self.new(
                keras.layers.Normalization,
                axis=tuple(range(1, len(shape) + 1)),
                mean=(-grid).tolist(),
                variance=np.ones(shape).tolist(),
            )(zeros)


def cell_side(input_shape: Sequence[int], most: int = MOST_POSITIONS) -> int:
    """Return the side of the cells to average over, so that at most `most` values are left."""
    cell = 1
    while np.prod([-(-n // cell) for n in input_shape[:-1]]) * input_shape[-1] > most:
        cell += 1
    return cell
