"""Networks that suit kinds of data: `dense`, `convolutional`, `deep_set`.

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

LEARNED, LOCAL = 0.03, 0.3
FAST_ACTIVATION = "silu"  # at every position; takes half the time of the exact GELU
MOST_VALUES, MOST_SQUARES, MOST_MODES = 1024, 256, 512
MOST_PATCHES = 256  # that the learned channels see of one simulation


def dense(
    input_shape: Sequence[int],
    n_summaries: int,
    hidden: Sequence[int] = (128, 128),
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
    values = layers.bounded(layers.flat(inputs))
    width = values.shape[-1]
    white, simple = values, [values] if width <= MOST_VALUES else []
    if width <= MOST_SQUARES:
        gaussian, _ = layers.gaussian(layers.new(keras.layers.Reshape, (width, 1))(values))
        gaussian = layers.flat(gaussian)
        white, principal = layers.whitened(gaussian)
        simple = [white, values, layers.square(gaussian), layers.square(principal)]
    groups = {"simple": (1.0, simple), "learned": (LEARNED, layers.hidden(white, hidden))}
    return keras.Model(inputs, layers.readout(groups, n_summaries), name="dense")


def deep_set(
    input_shape: Sequence[int],
    n_summaries: int,
    each: Sequence[int] = (64, 64),
    hidden: Sequence[int] = (64,),
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
    values = layers.bounded(layers.new(keras.layers.Reshape, (shape[0], -1))(inputs))
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
        "simple": (1.0, [moments, layers.square(moments)]),
        "local": (LOCAL, [units]),
        "learned": (LEARNED, [learned, *behind]),
    }
    return keras.Model(inputs, layers.readout(groups, n_summaries), name="deep_set")


def convolutional(
    input_shape: Sequence[int],
    n_summaries: int,
    filters: Sequence[int] = (32, 32),
    kernel_size: int | None = None,
    hidden: Sequence[int] = (64,),
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
    n_axes = _spatial_axes(input_shape, pooling)
    inputs, layers = keras.Input(input_shape, dtype=dtype), Layers(dtype, seed)
    size = kernel_size or min({1: 15, 2: 5}[n_axes], *input_shape[:-1])
    convolution = CONVOLUTION[n_axes]
    values = layers.bounded(inputs)
    gaussian, units = layers.gaussian(values)
    n_first = min(size**n_axes * input_shape[-1], 32)
    x = layers.fitted(fit_patches, convolution, n_first, size, padding="same", name="patches")(
        gaussian
    )
    squares = layers.square(x)
    if coordinates:
        x = layers.joined([x, *layers.positions(inputs)])
    x = layers.thinned(x, min(cell_side((*input_shape[:-1], 1), MOST_PATCHES), size))
    learned = []
    for i, channels in enumerate(filters):
        form = {"kernel_size": 3, "strides": 2, "padding": "same"} if i else {"kernel_size": 1}
        x = layers.seeded(convolution, channels, activation=FAST_ACTIVATION, **form)(x)
        learned.append(x)

    def mean(name: str, parts: Sequence[Tensor]) -> Tensor:
        return layers.standard(name, [layers.new(OVERALL_MEAN[n_axes])(part) for part in parts])

    at_positions = []
    if coordinates or pooling == "flatten":
        side = cell_side(input_shape)
        at_positions = [layers.cells(part, side) for part in (values, gaussian)]
    where = [layers.cells(x, 2)] if pooling == "flatten" else []
    pooled = [mean("moments", [values, gaussian]), mean("local", [units, squares])]
    if max(input_shape[:-1]) <= MOST_MODES:
        pooled.append(layers.standard("power", [layers.power(gaussian)]))
    learned = mean("channels", learned)
    behind = layers.hidden(layers.joined([*pooled, learned]), hidden)
    groups = {
        "positions": (1.0, at_positions),
        "pooled": (0.1 if at_positions else 1.0, pooled),
        "learned": (LEARNED, [learned, *behind, *where]),
    }
    return keras.Model(inputs, layers.readout(groups, n_summaries), name="convolutional")


def _spatial_axes(input_shape: Sequence[int], pooling: str) -> int:
    """Return the number of axes that are not channels; refuse other shapes and poolings."""
    n_axes = len(input_shape) - 1
    if n_axes not in (1, 2):
        expected = "be (length, channels) or (height, width, channels)"
        remedy = "Add an axis of length 1 for a single channel."
        message = checks.wording("`input_shape`", expected, tuple(input_shape), remedy)
        raise ValueError(message)
    checks.one_of("pooling", pooling, ("average", "flatten"))
    return n_axes


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
