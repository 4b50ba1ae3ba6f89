"""Networks that suit kinds of data: `linear`, `dense`, `deep_set`, `convolutional`.

The last layer of each is a linear `Dense` layer, which an `IMNN` starts in closed form. Its inputs
are features of several kinds, concatenated: simple ones, in which the score of many problems is
linear (the values, their squares, their power), and learned ones, the outputs of hidden layers.
Before that, the values are brought to a common scale and to a Gaussian distribution by one monotone
function per channel, so that skewed and heavy-tailed data need no preparation.
`imnn_lab.networks.fitted_layers` fits these layers to a training set.

Groups of features have unit variance times a `weight`. The ridge of the last layer shrinks those of
small weight most: they are many, and each carries little information.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from imnn_lab import checks
from imnn_lab.networks.fitted_layers import fit_directions, fit_patches
from imnn_lab.networks.layers import (
    CONVOLUTION,
    OVERALL_MEAN,
    UNITS,
    Layers,
    Tensor,
    cell_side,
)
from imnn_lab.settings import as_dtype, as_shape

DENSE, EACH, FILTERS, HIDDEN = (128, 128), (64, 64), (32, 32), (64,)  # widths of learned layers
LEARNED, LOCAL = 0.03, 0.3
FAST_ACTIVATION = "silu"  # at every position; takes half the time of the exact GELU
MOST_VALUES, MOST_SQUARES, MOST_LENGTH = 1024, 256, 512
MOST_PATCHES = 256  # that the learned channels see of one simulation


def dense(
    input_shape: Sequence[int],
    n_summaries: int,
    hidden: Sequence[int] = DENSE,
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Fully connected network, for data in which every value has its own meaning.

    Beside the hidden layers, the last layer sees the whitened values and their squares (up to 256
    values), or the values alone (up to 1024).

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one simulation; it is flattened.
    n_summaries : int
        Number of summaries.
    hidden : sequence of int
        Widths of the hidden layers (GELU).
    dtype : str
        "float32" or "float64".
    seed : int, optional
        Makes the initial weights reproducible.

    Returns
    -------
    keras.Model
        From (n,) + input_shape to (n, n_summaries), to be passed to `IMNN` as `model`.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.dense((10,), 2, hidden=(32, 32)).output_shape
    (None, 2)
    """
    shape, n_summaries, dtype, seed = _checked(input_shape, n_summaries, dtype, seed)
    hidden = checks.integers("hidden", hidden, 1)
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    features = dense_features(inputs, layers, hidden)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="dense")


def linear(
    input_shape: Sequence[int],
    n_summaries: int,
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Linear compression, for data whose mean alone depends on the parameters.

    In closed form it is the score compression (MOPED; Heavens, Jimenez & Lahav 2000) with
    shrinkage. It takes up to 1024 values.

    Parameters
    ----------
    input_shape, n_summaries, dtype, seed
        As for `dense`.

    Returns
    -------
    keras.Model
        From (n,) + input_shape to (n, n_summaries), to be passed to `IMNN` as `model`.

    Raises
    ------
    ValueError
        If simulations have more values.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.linear((10,), 2).output_shape
    (None, 2)
    """
    shape, n_summaries, dtype, seed = _checked(input_shape, n_summaries, dtype, seed)
    if math.prod(shape) > MOST_VALUES:
        remedy = "Average neighbouring values, or use another network."
        expected = f"have at most {MOST_VALUES} values"
        raise ValueError(checks.wording("`input_shape`", expected, shape, remedy))
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    features = linear_features(inputs, layers)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="linear")


def linear_features(inputs: Tensor, layers: Layers) -> list[Tensor]:
    """Return the values as they are, and whitened if they are few."""
    values = layers.bounded(layers.flat(inputs))
    groups = {"values": (1.0, [values])}
    if values.shape[-1] <= MOST_SQUARES:
        groups["white"] = 1.0, [layers.whitened(values)[0]]
    return layers.features(groups)


def dense_features(inputs: Tensor, layers: Layers, hidden: Sequence[int] = DENSE) -> list[Tensor]:
    """Return groups of features of values that have each a meaning of its own."""
    values = layers.bounded(layers.flat(inputs))
    width = values.shape[-1]
    white, groups = values, {"values": (1.0, [values] if width <= MOST_VALUES else [])}
    if width <= MOST_SQUARES:
        gaussian, _ = layers.gaussian(layers.new(keras.layers.Reshape, (width, 1))(values))
        gaussian = layers.flat(gaussian)
        white, principal = layers.whitened(gaussian)
        groups["white"] = 1.0, [white]
        groups["squares"] = 1.0, [layers.square(gaussian)]
        groups["principal"] = 1.0, [layers.square(principal)]
    return layers.features(groups | _learned("learned", layers.hidden(white, hidden)))


def _learned(name: str, outputs: Sequence[Tensor]) -> dict[str, tuple[float, list[Tensor]]]:
    """Return a group for each hidden layer."""
    return {f"{name}_{i}": (LEARNED, [output]) for i, output in enumerate(outputs)}


def deep_set(
    input_shape: Sequence[int],
    n_summaries: int,
    each: Sequence[int] = EACH,
    hidden: Sequence[int] = HIDDEN,
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Deep set (Zaheer et al. 2017), for exchangeable data: their order does not matter.

    One network is applied to each entry along the first axis, and a second one to the mean of its
    outputs over the entries.

    Parameters
    ----------
    input_shape : sequence of int
        (entries,) or (entries, values of each).
    n_summaries, dtype, seed
        As for `dense`.
    each : sequence of int
        Widths of the hidden layers applied to each entry (GELU).
    hidden : sequence of int
        Widths of the hidden layers applied to the mean (GELU).

    Returns
    -------
    keras.Model
        From (n,) + input_shape to (n, n_summaries), to be passed to `IMNN` as `model`.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.deep_set((10,), 2, each=(16,), hidden=(16,)).output_shape
    (None, 2)
    """
    shape, n_summaries, dtype, seed = _checked(input_shape, n_summaries, dtype, seed)
    each, hidden = checks.integers("each", each, 1), checks.integers("hidden", hidden, 1)
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    features = deep_set_features(inputs, layers, each, hidden)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="deep_set")


def deep_set_features(
    inputs: Tensor, layers: Layers, each: Sequence[int] = EACH, hidden: Sequence[int] = HIDDEN
) -> list[Tensor]:
    """Return groups of features of exchangeable entries (n, entries, …)."""
    values = layers.bounded(layers.new(keras.layers.Reshape, (inputs.shape[1], -1))(inputs))
    gaussian, units = layers.gaussian(values)
    pairs = min(values.shape[-1] * (values.shape[-1] + 1) // 2, 2 * UNITS)
    directions = layers.fitted(fit_directions, keras.layers.Dense, pairs, name="directions")
    squares = layers.square(directions(gaussian))
    learned = layers.hidden(layers.joined([gaussian, squares, units]), each)

    def mean(name: str, parts: Sequence[Tensor]) -> Tensor:
        average = layers.new(keras.layers.GlobalAveragePooling1D)
        return layers.standard(name, [average(layers.joined(parts))])

    moments = mean("moments", [values, gaussian, squares])
    units, learned = mean("units", [units]), mean("each", learned)
    behind = layers.hidden(layers.joined([moments, units, learned]), hidden)
    groups = {
        "mean": (1.0, [moments]),
        "squares": (1.0, [layers.square(moments)]),
        "local": (LOCAL, [units]),
    }
    return layers.features(groups | _learned("learned", [learned, *behind]))


def convolutional(
    input_shape: Sequence[int],
    n_summaries: int,
    filters: Sequence[int] = FILTERS,
    kernel_size: int | None = None,
    hidden: Sequence[int] = HIDDEN,
    pooling: str = "average",
    coordinates: bool = False,
    dtype: str = "float32",
    seed: int | None = None,
) -> keras.Model:
    """Convolutional network, for series (length, channels) and images (height, width, channels).

    The first convolution is linear, with the principal components of patches as filters; the later
    ones have kernels of size 1 and then 3, with stride 2. If there are more than 256 patches, they
    see every second, third, … along each axis, up to the size of a patch. Beside them, the last
    layer sees the power spectrum in the principal modes of the data along each axis.

    Parameters
    ----------
    input_shape : sequence of int
        (length, channels) or (height, width, channels).
    n_summaries, dtype, seed
        As for `dense`.
    filters : sequence of int
        Channels of the convolutions after the first (SiLU).
    kernel_size : int, optional
        Length of the sides of the first kernels; 15 for series and 5 for images by default,
        or the shortest side.
    hidden : sequence of int
        Widths of the dense layers after the pooling (GELU).
    pooling : str
        "average" takes the mean over all positions, which suits stationary data. "flatten" keeps
        the positions as well.
    coordinates : bool
        Whether positions matter: adds the position along each axis as channels, and shows the
        values at every position (averaged over cells if there are many) to the last layer.

    Returns
    -------
    keras.Model
        From (n,) + input_shape to (n, n_summaries), to be passed to `IMNN` as `model`.

    Raises
    ------
    ValueError
        If `input_shape` has another number of axes, or `pooling` is neither of these.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.convolutional((16, 16, 1), 2, filters=(8,), hidden=(16,)).output_shape
    (None, 2)
    """
    input_shape, n_summaries, dtype, seed = _checked(input_shape, n_summaries, dtype, seed)
    filters, hidden = checks.integers("filters", filters, 1), checks.integers("hidden", hidden, 1)
    kernel_size = checks.optional_integer("kernel_size", kernel_size, 1, maximum=1024)
    coordinates = checks.boolean("coordinates", coordinates)
    _check_spatial(input_shape, pooling)
    inputs, layers = keras.Input(input_shape, dtype=dtype), Layers(dtype, seed)
    features = convolutional_features(
        inputs, layers, filters, kernel_size, hidden, pooling, coordinates
    )
    return keras.Model(inputs, layers.readout(features, n_summaries), name="convolutional")


def convolutional_features(
    inputs: Tensor,
    layers: Layers,
    filters: Sequence[int] = FILTERS,
    kernel_size: int | None = None,
    hidden: Sequence[int] = HIDDEN,
    pooling: str = "average",
    coordinates: bool = False,
) -> list[Tensor]:
    """Return groups of features of series, images or cubes with channels."""
    shape = inputs.shape[1:]
    n_axes = len(shape) - 1
    size = kernel_size or min({1: 15, 2: 5, 3: 3}[n_axes], *shape[:-1])
    convolution = CONVOLUTION[n_axes]
    values = layers.bounded(inputs)
    gaussian, units = layers.gaussian(values)
    n_first = min(size**n_axes * shape[-1], 32)
    x = layers.fitted(fit_patches, convolution, n_first, size, padding="same", name="patches")(
        gaussian
    )
    squares = layers.square(x)
    if coordinates:
        x = layers.joined([x, *layers.positions(inputs)])
    x = layers.thinned(x, min(cell_side((*shape[:-1], 1), MOST_PATCHES), size))
    learned = []
    for i, channels in enumerate(filters):
        form = {"kernel_size": 3, "strides": 2, "padding": "same"} if i else {"kernel_size": 1}
        x = layers.seeded(convolution, channels, activation=FAST_ACTIVATION, **form)(x)
        learned.append(x)

    def mean(name: str, parts: Sequence[Tensor]) -> Tensor:
        return layers.standard(name, [layers.new(OVERALL_MEAN[n_axes])(part) for part in parts])

    at_positions = []
    if coordinates or pooling == "flatten":
        side = cell_side(shape)
        at_positions = [layers.cells(part, side) for part in (values, gaussian)]
    where = [layers.cells(x, 2)] if pooling == "flatten" else []
    pooled = {"moments": mean("moments", [values, gaussian])}
    pooled["local"] = mean("local", [units, squares])
    if max(shape[:-1]) <= MOST_LENGTH:
        pooled |= layers.power(gaussian)
    learned = mean("channels", learned)
    behind = layers.hidden(layers.joined([*pooled.values(), learned]), hidden)
    weight = 0.1 if at_positions else 1.0
    groups = {"values": (1.0, at_positions[:1]), "gaussian": (1.0, at_positions[1:])}
    groups |= {name: (weight, [part]) for name, part in pooled.items()}
    return layers.features(groups | _learned("learned", [learned, *behind, *where]))


def _check_spatial(input_shape: Sequence[int], pooling: str) -> None:
    if len(input_shape) - 1 not in CONVOLUTION:
        expected = (
            "be (length, channels), (height, width, channels) or (depth, height, width, channels)"
        )
        remedy = "Add an axis of length 1 for a single channel."
        message = checks.wording("`input_shape`", expected, tuple(input_shape), remedy)
        raise ValueError(message)
    checks.one_of("pooling", pooling, ("average", "flatten"))


def _checked(
    input_shape: Any, n_summaries: Any, dtype: Any, seed: Any
) -> tuple[tuple[int, ...], int, str, int | None]:
    """Return the arguments that all networks have, checked."""
    return (
        as_shape(input_shape),
        checks.integer("n_summaries", n_summaries, 1, maximum=checks.MOST),
        as_dtype("dtype", dtype),
        checks.seed_or_none("seed", seed),
    )
