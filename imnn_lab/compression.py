"""Simulations through the network: summaries, their moments, and gradients of a loss of them.

A set that fits goes through the network in one piece. Otherwise two passes share the work: one for
the summaries of all chunks, which give the loss and its derivative with respect to every summary,
and one that carries these derivatives back through the network chunk by chunk. Both give the same
gradient; memory is set by the chunk.

Layers that draw random numbers (Dropout) draw the same for the two simulations of a pair, and
`BatchNormalization` takes its statistics over the fiducial part of the batch, so that the summary
is one function of the data for all simulations of an iteration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.fisher import Moments, moments
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.feeds import Feed, Rows
from imnn_lab.sources.source import FIRST, Source
from imnn_lab.sources.tangents import tangent

COMFORTABLE_VALUES = 2**27
NOT_ONCE = "The data did not give every simulation exactly once, as they did when first read."


class Gradient(NamedTuple):
    """Moments of the summaries, the loss of them, and its gradient by the trainable weights."""

    moments: Moments
    loss: tf.Tensor
    gradient: list[tf.Tensor]


Loss = Callable[[Moments], tf.Tensor]


class Compressor:
    """A Keras model seen as a function from simulations to summaries."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        weights = {id(weight) for weight in model.weights}
        self.seeds = [variable for variable in model.variables if id(variable) not in weights]
        self.batch_normalisations = [
            layer
            for layer in all_layers(model)
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._width: int | None = None
        self._traced: dict[Source, Callable[[], Moments]] = {}

    @property
    def is_plain(self) -> bool:
        """Whether training and inference are the same function of one simulation at a time."""
        return not self.seeds and not self.batch_normalisations

    def moments(self, source: Source, step: tf.Tensor = FIRST) -> Moments:
        """Return the moments of a source, with the network as it is used after training."""
        return self._moments(source, self._summaries(source, source.feed(step), training=False))

    def _moments(self, source: Source, summaries: tf.Tensor) -> Moments:
        stacked = source.stack(summaries, tf.range(source.size))
        return moments(*source.split(stacked), source.δθ)

    def compress(self, rows: Rows, training: bool) -> tf.Tensor:
        """Return the summaries (k, s) of rows, or their derivatives where rows have tangents."""

        def network(x: tf.Tensor) -> tf.Tensor:
            return self.model(x, training=training)

        if rows.tangents is None:
            return network(rows.simulations)
        return tangent(network, rows.simulations, rows.tangents)

    def width(self, source: Source) -> int:
        """Return the number of summaries, known ones included."""
        if self._width is None:
            one = tf.zeros((1, *source.input_shape), source.dtype)
            self._width = int(self.model(one, training=False).shape[-1])
        return self._width + source.n_external

    def statistics(self, source: Source) -> FisherStatistics:
        """Return the frozen statistics of a source for the weights as they are."""
        if source not in self._traced:
            traced = tf.function(lambda: self.moments(source), autograph=False)
            self._traced[source] = traced.get_concrete_function()
        μ, C, dμ_dθ = (tensor.numpy() for tensor in self._traced[source]())
        return FisherStatistics(
            μ, C, dμ_dθ, n_s=source.n_s, n_d=source.n_d, n_external=source.n_external
        )

    def gradient(self, source: Source, loss: Loss, step: tf.Tensor = FIRST) -> Gradient:
        """Return a loss of the moments and its gradient, regularisers of the layers included."""
        feed = source.feed(step)
        if source.in_chunks:
            return self._gradient_in_chunks(source, feed, loss)
        with tf.GradientTape() as tape:
            found = self._training_moments(source, feed)
            value = loss(found)
            total = value + self._penalty()
        return Gradient(found, value, self._filled(tape.gradient(total, self._variables)))

    @property
    def _variables(self) -> list[tf.Variable]:
        return [variable.value for variable in self.model.trainable_variables]

    def _training_moments(self, source: Source, feed: Feed) -> Moments:
        if self.is_plain or source.is_exact:
            return self._moments(source, self._summaries(source, feed, training=True))
        (rows,) = feed.pieces
        n_s, one = source.n_s, source.input_shape
        fiducial, derivative = tf.split(rows.simulations, [n_s, -1])
        pairs = tf.unstack(tf.reshape(derivative, (source.n_d, 2, source.n_params, *one)), axis=1)
        states = [tf.identity(seed.value) for seed in self.seeds]
        found = []
        with _statistics_over_first(n_s, self.batch_normalisations):
            for side in pairs:
                for seed, state in zip(self.seeds, states, strict=True):
                    seed.assign(state)
                rows = tf.concat([fiducial, tf.reshape(side, (-1, *one))], 0)
                found.append(self.model(rows, training=True))
        sides = [tf.reshape(x[n_s:], (source.n_d, source.n_params, x.shape[-1])) for x in found]
        flat = tf.reshape(tf.stack(sides, axis=1), (-1, found[0].shape[-1]))
        return self._moments(source, tf.concat([found[0][:n_s], flat], 0))

    def _summaries(self, source: Source, feed: Feed, training: bool) -> tf.Tensor:
        """Return the summaries (size, s) of all rows in their order."""
        if not source.in_chunks:
            return tf.concat([self.compress(rows, training) for rows in feed.pieces], 0)
        width = self.width(source) - source.n_external

        def add(rows: Rows, state: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            at = rows.positions[:, None]
            found = tf.tensor_scatter_nd_add(state[0], at, self.compress(rows, training))
            return found, tf.tensor_scatter_nd_add(state[1], at, tf.ones_like(rows.positions))

        nothing = tf.zeros((source.size, width), source.dtype), tf.zeros(source.size, tf.int32)
        found, times = feed.fold(add, nothing)
        once = tf.debugging.Assert(tf.reduce_all(times == 1), [NOT_ONCE])
        with tf.control_dependencies([once]):
            return tf.ensure_shape(tf.identity(found), (source.size, width))

    def _gradient_in_chunks(self, source: Source, feed: Feed, loss: Loss) -> Gradient:
        summaries = self._summaries(source, feed, training=True)
        with tf.GradientTape() as tape:
            tape.watch(summaries)
            found = self._moments(source, summaries)
            value = loss(found)
        sensitivity = tape.gradient(value, summaries)
        with tf.GradientTape() as tape:
            penalty = tf.identity(self._penalty())
        total = tuple(self._filled(tape.gradient(penalty, self._variables)))

        def add(rows: Rows, total: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            with tf.GradientTape() as tape:
                part = self.compress(rows, training=True)
            weight = tf.gather(sensitivity, rows.positions)
            gradient = self._filled(tape.gradient(part, self._variables, output_gradients=weight))
            return tuple(a + b for a, b in zip(total, gradient, strict=True))

        return Gradient(found, value, list(feed.fold(add, total)))

    def _penalty(self) -> tf.Tensor:
        return tf.add_n(
            [tf.cast(x, tf.float64) for x in self.model.losses] or [tf.zeros((), tf.float64)]
        )

    def _filled(self, gradient: list[tf.Tensor | None]) -> list[tf.Tensor]:
        """Write zeros for weights that the loss does not depend on (None in TensorFlow)."""
        return [
            tf.zeros_like(variable) if part is None else tf.convert_to_tensor(part)
            for part, variable in zip(gradient, self._variables, strict=True)
        ]


def comfortable_chunk(model: keras.Model) -> int | None:
    """Return how many simulations fill about half a gigabyte with what a model makes of them.

    None where that cannot be told (a subclass of `keras.Model`), or where the model must see all
    simulations together.
    """
    if not getattr(model, "inputs", None) or not Compressor(model).is_plain:
        return None
    outputs = [output for layer in model.layers for output in keras.tree.flatten(layer.output)]
    values = sum(int(np.prod(output.shape[1:])) for output in outputs)
    return max(1, COMFORTABLE_VALUES // max(1, values))


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, those of nested models included, but not the models."""
    return [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]


@contextlib.contextmanager
def _statistics_over_first(n: int, layers: list[keras.layers.BatchNormalization]) -> Iterator[None]:
    """While tracing, let batch normalisations take their statistics over the first `n` rows."""
    originals = [layer.call for layer in layers]

    def masked(original: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        def call(inputs: tf.Tensor, training: bool | None = None, mask: object = None) -> tf.Tensor:
            first = tf.range(tf.shape(inputs)[0]) < n
            shape = tf.concat([tf.shape(inputs)[:1], tf.ones(len(inputs.shape) - 2, tf.int32)], 0)
            return original(inputs, training=training, mask=tf.reshape(first, shape))

        return call

    for layer, original in zip(layers, originals, strict=True):
        layer.call = masked(original)
    try:
        yield
    finally:
        for layer in layers:
            del layer.call
