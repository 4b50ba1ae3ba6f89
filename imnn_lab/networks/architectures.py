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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras

from imnn_lab import checks
from imnn_lab.encoding import as_shape
from imnn_lab.networks.fitted_layers import fit_directions, fit_patches
from imnn_lab.networks.layers import (
    CONVOLUTION,
    OVERALL_MEAN,
    UNITS,
    Layers,
    Tensor,
    cell_side,
)
from imnn_lab.settings import as_dtype

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
    *,
    masks: int = 0,
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
    masks : int
        How many channels, the last ones of the last axis, are a mask: 1 where there is a value.
        Gaps are filled by their mean given the values that are present.

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
    hidden, masks = checks.integers("hidden", hidden, 1), _masks(masks, shape)
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    if masks:
        features = filled_features(inputs, layers, partial(dense_features, hidden=hidden), masks)
    else:
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
    shrinkage. It takes up to 1024 values. Values that are farther from the median of those at the
    fiducial parameters than ten of their standard deviations grow as a logarithm.

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


def linear_features(inputs: Tensor, layers: Layers, present: Tensor | None = None) -> list[Tensor]:
    """Return the values as they are, and whitened if they are few."""
    values = layers.compressed(layers.flat(inputs))
    groups = {"values": (1.0, [values])}
    if values.shape[-1] <= MOST_SQUARES:
        groups["white"] = 1.0, [layers.whitened(values)[0]]
    return layers.features(groups)


def dense_features(
    inputs: Tensor,
    layers: Layers,
    hidden: Sequence[int] = DENSE,
    present: Tensor | None = None,
) -> list[Tensor]:
    """Return groups of features of values that have each a meaning of its own."""
    values = layers.compressed(layers.flat(inputs))
    width = values.shape[-1]
    white, groups = values, {"values": (1.0, [values] if width <= MOST_VALUES else [])}
    if width <= MOST_SQUARES:
        gaussian, _ = layers.gaussian(layers.new(keras.layers.Reshape, (width, 1))(values))
        gaussian = layers.flat(gaussian)
        white, principal = layers.whitened(gaussian)
        groups["white"] = 1.0, [white]
        groups["squares"] = 1.0, [layers.square(gaussian)]
        groups["principal"] = 1.0, [layers.square(principal)]
    seen = white if present is None else layers.joined([white, layers.flat(present)])
    return layers.features(groups | _learned("learned", layers.hidden(seen, hidden)))


def filled_features(
    inputs: Tensor,
    layers: Layers,
    make: Callable[..., list[Tensor]],
    masks: int,
    form: Sequence[int] | None = None,
) -> list[Tensor]:
    """Return groups of features of data whose last channels are masks, and of the masks.

    Parameters
    ----------
    inputs : tensor, shape (n, …, channels + masks)
    layers : Layers
    make : callable
        ``make(filled, layers, present=...)`` returns features of the filled values.
    masks : int
        1, or as many as channels.
    form : sequence of int, optional
        Shape that the filled values are given; (…, channels) by default.
    """
    shape = tuple(inputs.shape[1:])
    channels = shape[-1] - masks
    filled = layers.filled(inputs, masks)
    present = layers.channels(inputs, channels, shape[-1])
    if form is not None and tuple(form) != (*shape[:-1], channels):
        if masks < channels:
            present = layers.joined([present] * channels)
        filled, present = (layers.new(keras.layers.Reshape, form)(x) for x in (filled, present))
    size = math.prod(present.shape[1:])
    entries = layers.new(keras.layers.Reshape, (size, 1))(present)
    groups = {"present": (1.0, [layers.new(keras.layers.GlobalAveragePooling1D)(entries)])}
    if size <= MOST_SQUARES:
        groups["gaps"] = 1.0, [layers.flat(present)]
    return [*make(filled, layers, present=present), *layers.features(groups)]


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
    *,
    masks: int = 0,
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
    masks : int
        How many channels, the last ones, are a mask: 1 where there is a value. Means and sums are
        then over the entries that are present, and their number is a feature.

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
    masks = _masks(masks, shape)
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    features = deep_set_features(inputs, layers, each, hidden, masks)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="deep_set")


def deep_set_features(
    inputs: Tensor,
    layers: Layers,
    each: Sequence[int] = EACH,
    hidden: Sequence[int] = HIDDEN,
    masks: int = 0,
) -> list[Tensor]:
    """Return groups of features of exchangeable entries (n, entries, …)."""
    present = None
    if masks:
        inputs, present = layers.entries(inputs, masks)
    layers.where = present
    values = layers.compressed(layers.new(keras.layers.Reshape, (inputs.shape[1], -1))(inputs))
    gaussian, units = layers.gaussian(values)
    pairs = min(values.shape[-1] * (values.shape[-1] + 1) // 2, 2 * UNITS)
    directions = layers.fitted(fit_directions, keras.layers.Dense, pairs, name="directions")
    squares = layers.square(directions(gaussian))
    learned = layers.hidden(layers.joined([gaussian, squares, units]), each)
    layers.where = None

    def mean(name: str, parts: Sequence[Tensor]) -> Tensor:
        x = layers.joined(parts)
        if present is None:
            return layers.standard(name, [layers.new(keras.layers.GlobalAveragePooling1D)(x)])
        return layers.standard(name, layers.pooled(x, present))

    moments = mean("moments", [values, gaussian, squares])
    units, learned = mean("units", [units]), mean("each", learned)
    behind = layers.hidden(layers.joined([moments, units, learned]), hidden)
    groups = {
        "mean": (1.0, [moments]),
        "squares": (1.0, [layers.square(moments)]),
        "local": (LOCAL, [units]),
    }
    if present is not None:
        number = layers.number(present)
        groups["number"] = 1.0, [number, layers.square(number)]
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
    *,
    masks: int = 0,
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
    masks : int
        How many channels, the last ones, are a mask: 1 where there is a value. Gaps are filled by
        their mean given the values that are present, and the convolutions see the mask as well.

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
    masks = _masks(masks, input_shape)
    inputs, layers = keras.Input(input_shape, dtype=dtype), Layers(dtype, seed)
    make = partial(
        convolutional_features, filters=filters, kernel_size=kernel_size, hidden=hidden,
        pooling=pooling, coordinates=coordinates,
    )  # fmt: skip
    features = filled_features(inputs, layers, make, masks) if masks else make(inputs, layers)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="convolutional")


def convolutional_features(
    inputs: Tensor,
    layers: Layers,
    filters: Sequence[int] = FILTERS,
    kernel_size: int | None = None,
    hidden: Sequence[int] = HIDDEN,
    pooling: str = "average",
    coordinates: bool = False,
    present: Tensor | None = None,
) -> list[Tensor]:
    """Return groups of features of series, images or cubes with channels."""
    shape = inputs.shape[1:]
    n_axes = len(shape) - 1
    size = kernel_size or min({1: 15, 2: 5, 3: 3}[n_axes], *shape[:-1])
    convolution = CONVOLUTION[n_axes]
    values = layers.compressed(inputs)
    gaussian, units = layers.gaussian(values)
    n_first = min(size**n_axes * shape[-1], 32)
    x = layers.fitted(fit_patches, convolution, n_first, size, padding="same", name="patches")(
        gaussian
    )
    squares = layers.square(x)
    if coordinates:
        x = layers.joined([x, *layers.positions(inputs)])
    if present is not None:
        x = layers.joined([x, present])
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


def recurrent(
    input_shape: Sequence[int],
    n_summaries: int,
    units: Sequence[int] = (32,),
    hidden: Sequence[int] = HIDDEN,
    dtype: str = "float32",
    seed: int | None = None,
    *,
    masks: int = 0,
) -> keras.Model:
    """Recurrent network (gated units; Cho et al. 2014), for series with gaps or of any length.

    It goes through the positions in their order and sees the values, 0 where there are none, and
    the mask. Its outputs are averaged and summed over the positions that are present.

    Parameters
    ----------
    input_shape : sequence of int
        (length, channels + masks).
    n_summaries, dtype, seed
        As for `dense`.
    units : sequence of int
        Widths of the recurrent layers.
    hidden : sequence of int
        Widths of the hidden layers applied to the mean (GELU).
    masks : int
        How many channels, the last ones, are a mask: 1 where there is a value.

    Returns
    -------
    keras.Model
        From (n,) + input_shape to (n, n_summaries), to be passed to `IMNN` as `model`.

    Raises
    ------
    ValueError
        If `input_shape` has another number of axes.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.recurrent((50, 2), 2, masks=1).output_shape
    (None, 2)
    """
    shape, n_summaries, dtype, seed = _checked(input_shape, n_summaries, dtype, seed)
    if len(shape) != 2:
        expected = "be (length, channels), or (length, channels + masks)"
        raise ValueError(checks.wording("`input_shape`", expected, shape))
    units, hidden = checks.integers("units", units, 1), checks.integers("hidden", hidden, 1)
    masks = _masks(masks, shape)
    inputs, layers = keras.Input(shape, dtype=dtype), Layers(dtype, seed)
    features = recurrent_features(inputs, layers, units, hidden, masks)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="recurrent")


def recurrent_features(
    inputs: Tensor,
    layers: Layers,
    units: Sequence[int] = (32,),
    hidden: Sequence[int] = HIDDEN,
    masks: int = 0,
) -> list[Tensor]:
    """Return groups of features of series (n, length, channels + masks)."""
    present = layers.ones(inputs)
    if masks:
        inputs, present = layers.entries(inputs, masks)
        layers.where = present
    x = layers.compressed(inputs)
    layers.where = None
    x = layers.joined([layers.new(keras.layers.Multiply)([x, present]), present])
    values, learned = layers.channels(x, 0, x.shape[-1] - 1), []
    for width in units:
        x = layers.seeded(keras.layers.GRU, width, return_sequences=True)(x)
        learned.append(x)

    def mean(name: str, parts: Sequence[Tensor]) -> Tensor:
        x = layers.joined(parts)
        return layers.standard(name, layers.pooled(x, present))

    number = layers.number(present)
    moments, states = mean("moments", [values, layers.square(values)]), mean("states", learned)
    behind = layers.hidden(layers.joined([moments, states]), hidden)
    groups = {"mean": (1.0, [moments, number]), "states": (LOCAL, [states])}
    return layers.features(groups | _learned("learned", behind))


def fusion(
    input_shape: Mapping[str, Sequence[int]],
    n_summaries: int,
    networks: Mapping[str, str] | None = None,
    dtype: str = "float32",
    seed: int | None = None,
    *,
    masks: Mapping[str, int] | None = None,
) -> keras.Model:
    """Several networks side by side, for simulations of several arrays.

    Parameters
    ----------
    input_shape : dict of str to sequence of int
        Shapes of the arrays, by their names, as the network takes them: with the channels of masks
        and of imaginary parts.
    n_summaries, dtype, seed
        As for `dense`.
    networks : dict of str to str, optional
        For each array "linear", "dense", "deep_set", "convolutional" or "recurrent"; by default
        "dense" for vectors and "convolutional" for others.
    masks : dict of str to int, optional
        How many channels of an array, the last ones, are a mask.

    Returns
    -------
    keras.Model
        From (n, size of all arrays) to (n, n_summaries), to be passed to `IMNN` as `model`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.

    Examples
    --------
    >>> from imnn_lab import networks
    >>> networks.fusion({"map": (8, 8, 1), "spectrum": (10,)}, 2).input_shape
    (None, 74)
    """
    shapes = {name: as_shape(shape) for name, shape in _named("input_shape", input_shape).items()}
    if not shapes:
        raise ValueError(checks.wording("`input_shape`", "have at least one array", "none"))
    kinds = {name: "convolutional" if len(s) > 1 else "dense" for name, s in shapes.items()}
    kinds |= _named("networks", {} if networks is None else networks)
    of_masks = dict.fromkeys(shapes, 0) | _named("masks", {} if masks is None else masks)
    parts = []
    for name, shape in shapes.items():
        kind = checks.one_of("networks", kinds.pop(name), tuple(FEATURES))
        count = _masks(of_masks.pop(name), shape)
        if kind == "convolutional":
            _check_spatial(shape, "average")
        parts.append((name, shape, _with_masks(kind, count)))
    if left := [*kinds, *of_masks]:
        expected = f"name arrays of `input_shape`: {', '.join(map(repr, shapes))}"
        raise ValueError(checks.wording("`networks` and `masks`", expected, left))
    size = sum(math.prod(shape) for shape in shapes.values())
    _, n_summaries, dtype, seed = _checked((size,), n_summaries, dtype, seed)
    inputs, layers = keras.Input((size,), dtype=dtype), Layers(dtype, seed)
    features = fusion_features(inputs, layers, parts)
    return keras.Model(inputs, layers.readout(features, n_summaries), name="fusion")


def fusion_features(
    inputs: Tensor,
    layers: Layers,
    parts: Sequence[tuple[str, tuple[int, ...], Callable[..., list[Tensor]]]],
) -> list[Tensor]:
    """Return groups of features of each array, and of all together.

    Parameters
    ----------
    inputs : tensor, shape (n, size of all arrays)
    layers : Layers
    parts : sequence of tuple
        Name, shape and function that makes the features of each array.
    """
    features, start = [], 0
    for name, shape, make in parts:
        stop = start + math.prod(shape)
        x = layers.new(keras.layers.Reshape, shape)(layers.channels(inputs, start, stop))
        features += make(x, layers.of_part(name))
        start = stop
    behind = layers.hidden(layers.joined(features), HIDDEN)
    return [*features, *layers.features(_learned("together", behind))]


FEATURES: dict[str, Callable[..., list[Tensor]]] = {
    "linear": linear_features,
    "dense": dense_features,
    "deep_set": deep_set_features,
    "convolutional": convolutional_features,
    "recurrent": recurrent_features,
}


def _with_masks(kind: str, masks: int) -> Callable[..., list[Tensor]]:
    """Return what makes the features of an array whose last channels are masks."""
    if not masks:
        return FEATURES[kind]
    if kind in ("deep_set", "recurrent"):
        return partial(FEATURES[kind], masks=masks)
    return partial(filled_features, make=FEATURES[kind], masks=masks)


def _named(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        expected = "be a dict with the names of arrays as keys"
        raise TypeError(checks.wording(f"`{name}`", expected, checks.describe(value)))
    return dict(value)


def _masks(masks: Any, shape: tuple[int, ...]) -> int:
    masks = checks.integer("masks", masks, 0)
    if masks and (len(shape) < 2 or masks not in (1, shape[-1] - masks) or masks >= shape[-1]):
        expected = "be 0, 1, or half of the channels of `input_shape`, its last axis"
        raise ValueError(checks.wording("`masks`", expected, f"{masks} and shape {shape}"))
    return masks


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
