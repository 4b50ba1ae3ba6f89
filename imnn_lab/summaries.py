"""Simulations through the network: summaries and their moments.

Layers that draw random numbers (Dropout) draw the same for all simulations that a derivative is
taken from, and `BatchNormalization` takes its statistics over the fiducial part of the batch, so
that the summary is one function of the data for all simulations of an iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.fisher import Moments, fisher_statistics, moments
from imnn_lab.keras_private import all_layers, statistics_over_first
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.source import FIRST, ArraySource, Feed, Rows, Source, tangent

COMFORTABLE_VALUES = 2**27
SMALL_VALUES = 2**22  # of what layers give out in a pass
NOT_ONCE = "A simulation was missing or repeated in this pass, though not in the first."


class Compressor:
    """A Keras model seen as a function from simulations to summaries.

    Parameters
    ----------
    model : keras.Model
    network : callable, optional
        What is called with (x, training=...) instead of the model, for a part of it.
    """

    def __init__(self, model: keras.Model, network: Callable[..., tf.Tensor] | None = None) -> None:
        self.model, self.network = model, network or model
        self.seeds = _drawn_seeds(model)
        self.batch_normalisations = [
            layer
            for layer in all_layers(model)
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._width: int | None = None
        # A graph knows the simulations of a source, but not the source.
        self._traced: WeakKeyDictionary[Source, dict[Any, Callable[[], Any]]] = WeakKeyDictionary()

    @property
    def is_plain(self) -> bool:
        """Whether training and inference are the same function of one simulation at a time."""
        return not self.seeds and not self.batch_normalisations

    def moments(self, source: Source, step: tf.Tensor = FIRST) -> Moments:
        """Return the moments of a source, with the network as it is used after training."""
        return moments_of(source, self.summaries(source, source.feed(step), training=False))

    def compress(self, rows: Rows, training: bool) -> tf.Tensor:
        """Return the summaries (k, s) of rows, or their derivatives if rows have tangents."""

        def network(x: tf.Tensor) -> tf.Tensor:
            return self.network(x, training=training)

        if rows.tangents is None:
            return network(rows.simulations)
        # Where their number is known, TensorFlow repeats gradients of means in a slow way.
        shape = (None, *rows.simulations.shape[1:])
        x = tf.compat.v1.placeholder_with_default(rows.simulations, shape)
        found = tangent(network, x, rows.tangents)
        return tf.ensure_shape(found, (rows.simulations.shape[0], *found.shape[1:]))

    def width(self, source: Source) -> int:
        """Return the number of summaries, external ones included."""
        if self._width is None:
            with tf.init_scope():
                one = tf.zeros((1, *source.input_shape), source.dtype)
                self._width = int(self.network(one, training=False).shape[-1])
        return self._width + source.n_external

    def statistics(self, source: Source) -> FisherStatistics:
        """Return the frozen statistics of a source for the weights as they are."""
        fiducial, derivative = self.all_summaries(source)
        return fisher_statistics(
            fiducial, derivative, source.δθ, source.n_external, source.is_present
        )

    def all_summaries(self, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """Return all summaries of a source as `split` does, external ones first."""
        fiducial, derivative = self.computed(Compressor._separated, source)
        return fiducial, derivative

    def computed(
        self, function: Callable[[Compressor, Source], Iterable[tf.Tensor]], source: Source
    ) -> list[np.ndarray]:
        """Return what ``function(self, source)`` returns.

        A small pass takes less than tracing it; others are traced once while there is the source.
        """
        if self._is_small(source):
            return [tensor.numpy() for tensor in function(self, source)]
        traced = self._traced.setdefault(source, {})
        if function not in traced:
            graph = tf.function(lambda: function(self, source), autograph=False)
            traced[function] = graph.get_concrete_function()
        return [tensor.numpy() for tensor in traced[function]()]

    def _is_small(self, source: Source) -> bool:
        is_whole = isinstance(source, ArraySource) and source.is_whole
        if not is_whole or source.augmentation is not None:
            return False
        is_known = bool(getattr(self.model, "inputs", None))
        return is_known and source.size * values_of(self.model) <= SMALL_VALUES

    def _separated(self, source: Source) -> tuple[tf.Tensor, tf.Tensor]:
        summaries = self.summaries(source, source.feed(FIRST), training=False)
        return split(source, with_external(source, summaries))

    def summaries(self, source: Source, feed: Feed, training: bool) -> tf.Tensor:
        """Return the summaries (size, s) of all rows in their order."""
        if not source.is_whole:
            return self._summaries_in_parts(source, feed, training)
        if training and not self.is_plain and not source.is_exact:
            return self._paired_summaries(source, feed)
        return tf.concat([self.compress(rows, training) for rows in feed.pieces], 0)

    def _paired_summaries(self, source: Source, feed: Feed) -> tf.Tensor:
        """Return the summaries of all rows, with the same random numbers for those of one seed.

        Statistics of a batch need the fiducial simulations beside each side.
        """
        (rows,) = feed.pieces
        n_s, chosen = source.n_s, source.differences.sides()
        fiducial, derivative = tf.split(rows.simulations, [n_s, -1])
        sides = [tf.gather(derivative, side) for side in chosen]
        first = [] if self.batch_normalisations else [self.network(fiducial, training=True)]
        states = [tf.identity(seed.value) for seed in self.seeds]
        summaries = []
        with statistics_over_first(n_s, self.batch_normalisations):
            for side in sides:
                for seed, state in zip(self.seeds, states, strict=True):
                    seed.assign(state)
                batch = side if first else tf.concat([fiducial, side], 0)
                summaries.append(self.network(batch, training=True))
        if not first:
            first = [summaries[0][:n_s]]
            summaries = [x[n_s:] for x in summaries]
        places = np.unique(chosen, return_index=True)[1]  # where each row is for the first time
        return tf.concat([*first, tf.gather(tf.concat(summaries, 0), places)], 0)

    def _summaries_in_parts(self, source: Source, feed: Feed, training: bool) -> tf.Tensor:
        parts = []
        for device, share in feed.shares:
            with tf.device(device):
                parts.append(self.placed(source, share, training))
        return source.replicas.sum(parts)

    def placed(self, source: Source, feed: Feed, training: bool) -> tf.Tensor:
        """Return the summaries (size, s) of the rows of a feed in their order, zero for others."""
        width = self.width(source) - source.n_external

        def add(rows: Rows, state: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            at = rows.positions[:, None]
            summaries = tf.tensor_scatter_nd_add(state[0], at, self.compress(rows, training))
            return summaries, tf.tensor_scatter_nd_add(state[1], at, tf.ones_like(rows.positions))

        nothing = tf.zeros((source.size, width), source.dtype), tf.zeros(source.size, tf.int32)
        summaries, times = feed.fold(add, nothing)
        is_once = times == 1 if source.replicas.n == 1 else times <= 1
        once = tf.debugging.Assert(tf.reduce_all(is_once), [NOT_ONCE])
        with tf.control_dependencies([once]):
            return tf.ensure_shape(tf.identity(summaries), (source.size, width))


def changed_by_training(model: keras.Model, simulations: Any) -> list[keras.Variable]:
    """Return the variables that a pass in training changes by itself, without any update.

    They are the states of random numbers that are drawn, and statistics of batches.
    """
    before = [variable.numpy() for variable in model.variables]
    model(tf.cast(simulations, model.compute_dtype), training=True)
    changed = []
    for variable, value in zip(model.variables, before, strict=True):
        if not np.array_equal(variable.numpy(), value, equal_nan=value.dtype.kind == "f"):
            changed.append(variable)
            variable.assign(value)
    return changed


def _drawn_seeds(model: keras.Model) -> list[keras.Variable]:
    """Return the states of random numbers that training draws.

    Recurrent layers have such a state even if they drop nothing. Where the shape of the inputs is
    not known (a subclass of `keras.Model`), all states count.
    """
    weights = {id(weight) for weight in model.weights}
    seeds = [variable for variable in model.variables if id(variable) not in weights]
    shape: tuple[Any, ...] = (
        model.inputs[0].shape[1:] if getattr(model, "inputs", None) else (None,)
    )
    if not seeds or None in shape:
        return seeds
    changed = {id(variable) for variable in changed_by_training(model, tf.zeros((2, *shape)))}
    return [variable for variable in seeds if id(variable) in changed]


def with_external(
    source: Source, summaries: tf.Tensor, positions: tf.Tensor | None = None
) -> tf.Tensor:
    """Put the external summaries before those of the network.

    Parameters
    ----------
    source : Source
    summaries : tensor, shape (k, s)
    positions : tensor of int32, shape (k,), optional
        The rows that they belong to; all rows by default.

    Returns
    -------
    tensor, shape (k, n_external + s)
    """
    if source.external is None:
        return summaries
    external = source.external if positions is None else tf.gather(source.external, positions)
    return tf.concat([external, summaries], axis=1)


def split(source: Source, summaries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Split summaries (size, s) of all rows: (n_s, s) and (n_d, 2, n_params, s).

    For exact derivatives the second is (n_d, n_params, s), and of stencils it is the derivatives
    (n_rows, n_params, s) of each seed in float64, NaN where a parameter has no simulations of it.
    """
    fiducial, derivative = tf.split(summaries, [source.n_s, -1])
    return fiducial, source.differences.derivative(derivative)


def moments_of(source: Source, summaries: tf.Tensor) -> Moments:
    """Return the moments of the external summaries and those of the network (size, s)."""
    sets = split(source, with_external(source, summaries))
    return moments(*sets, source.δθ, source.is_present)


def comfortable_chunk(model: keras.Model) -> int | None:
    """Return how many simulations fill about half a gigabyte with what a model makes of them.

    None if that is not known (a subclass of `keras.Model`), or if the model must see all
    simulations together.
    """
    if not getattr(model, "inputs", None) or not Compressor(model).is_plain:
        return None
    return chunk_of(values_of(model))


def values_of(model: keras.Model) -> int:
    """Return how many numbers the layers of a functional model give out for one simulation."""
    outputs = [output for layer in model.layers for output in keras.tree.flatten(layer.output)]
    return max(1, sum(int(np.prod(output.shape[1:])) for output in outputs))


def chunk_of(values: int) -> int:
    """Return how many simulations fill about half a gigabyte with so many values of each."""
    return max(1, COMFORTABLE_VALUES // max(1, values))
