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
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.fisher import Moments, fisher_statistics, moments
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.arrays import ArraySource

COMFORTABLE_VALUES = 2**27


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
        self._traced: dict[ArraySource, Callable[[], Moments]] = {}

    @property
    def is_plain(self) -> bool:
        """Whether training and inference are the same function of one simulation at a time."""
        return not self.seeds and not self.batch_normalisations

    def moments(self, source: ArraySource) -> Moments:
        """Return the moments of a source, with the network as it is used after training."""
        return self._moments(source, self._summaries(source, training=False))

    def _moments(self, source: ArraySource, summaries: tf.Tensor) -> Moments:
        return moments(*source.split(summaries), source.δθ)

    def width(self, source: ArraySource) -> int:
        """Return the number of summaries."""
        if self._width is None:
            self._width = int(self.model(source.simulations[:1], training=False).shape[-1])
        return self._width

    def statistics(self, source: ArraySource) -> FisherStatistics:
        """Return the frozen statistics of a source for the weights as they are."""
        if source not in self._traced:
            traced = tf.function(lambda: self.moments(source), autograph=False)
            self._traced[source] = traced.get_concrete_function()
        μ, C, dμ_dθ = (tensor.numpy() for tensor in self._traced[source]())
        return FisherStatistics(μ, C, dμ_dθ, n_s=source.n_s, n_d=source.n_d)

    def pooled_statistics(self, source: ArraySource) -> tuple[FisherStatistics, FisherStatistics]:
        """Return the statistics of a source, and the same with C over all its simulations.

        The simulations above and below enter C about their own means; they share seeds, so that
        they count as n_d more simulations.
        """
        traced = tf.function(lambda: self._summaries(source, training=False), autograph=False)
        x, d = source.split(traced.get_concrete_function()())
        found = fisher_statistics(x.numpy(), d.numpy(), source.δθ)
        around = d.numpy().astype(np.float64).reshape(source.n_d, -1, x.shape[-1])
        around = (around - around.mean(0)).reshape(-1, x.shape[-1])
        C = around.T @ around / (len(around) * (1 - 1 / source.n_d))
        C = (source.n_s * found.C + source.n_d * C) / (source.n_s + source.n_d)
        return found, dataclasses.replace(found, C=C)

    def gradient(self, source: ArraySource, loss: Loss) -> Gradient:
        """Return a loss of the moments and its gradient, regularisers of the layers included."""
        if source.in_chunks:
            return self._gradient_in_chunks(source, loss)
        with tf.GradientTape() as tape:
            found = self._training_moments(source)
            value = loss(found)
            total = value + self._penalty()
        return Gradient(found, value, self._filled(tape.gradient(total, self._variables)))

    @property
    def _variables(self) -> list[tf.Variable]:
        return [variable.value for variable in self.model.trainable_variables]

    def _training_moments(self, source: ArraySource) -> Moments:
        if self.is_plain:
            return self._moments(source, self._summaries(source, training=True))
        lower, upper = source.pairs()
        states = [tf.identity(seed.value) for seed in self.seeds]
        with _statistics_over_first(source.n_s, self.batch_normalisations):
            below = self.model(tf.concat([source.fiducial, lower], 0), training=True)
            for seed, state in zip(self.seeds, states, strict=True):
                seed.assign(state)
            above = self.model(tf.concat([source.fiducial, upper], 0), training=True)
        n_s = source.n_s
        derivative = source.join_pairs(below[n_s:], above[n_s:])
        return moments(below[:n_s], derivative, source.δθ)

    def _summaries(self, source: ArraySource, training: bool) -> tf.Tensor:
        if not source.in_chunks:
            return self.model(source.simulations, training=training)
        dtype = source.simulations.dtype
        found = tf.TensorArray(dtype, size=0, dynamic_size=True, infer_shape=False)

        def add(start: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            part = self.model(source.chunk(start), training=training)
            return start + source.at_once, found.write(start // source.at_once, part)

        _, found = _over_chunks(source, add, found)
        return tf.ensure_shape(found.concat(), (source.size, self.width(source)))

    def _gradient_in_chunks(self, source: ArraySource, loss: Loss) -> Gradient:
        summaries = self._summaries(source, training=True)
        with tf.GradientTape() as tape:
            tape.watch(summaries)
            found = self._moments(source, summaries)
            value = loss(found)
        sensitivity = tape.gradient(value, summaries)
        with tf.GradientTape() as tape:
            penalty = tf.identity(self._penalty())
        total = self._filled(tape.gradient(penalty, self._variables))

        def add(start: tf.Tensor, total: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                part = self.model(source.chunk(start), training=True)
            weight = sensitivity[start : start + source.at_once]
            gradient = self._filled(tape.gradient(part, self._variables, output_gradients=weight))
            return start + source.at_once, [a + b for a, b in zip(total, gradient, strict=True)]

        return Gradient(found, value, _over_chunks(source, add, total)[1])

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


def _over_chunks(source: ArraySource, step: Callable[..., Any], found: Any) -> tuple[Any, ...]:
    """Run ``start, found = step(start, found)`` over the starts of all chunks."""
    return tf.while_loop(lambda start, _: start < source.size, step, (tf.constant(0), found))


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
