"""What does not change in training is computed once.

A network is cut behind the layers that make the same of a simulation in every iteration: those that
see nothing but the data and have no trainable weights, no random numbers and no statistics of
batches. What these layers hand on, the features of a simulation, is computed once, and every
iteration starts from the features. Weights are shared with the network, which stays as it is.

Features are kept in memory. Where they would take more than a share of what is free, the cut is
moved towards the data, layer by layer, from where most values are kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.keras_private import calls_of, outputs_of
from imnn_lab.sources import free_memory
from imnn_lab.sources.source import FIRST, ArraySource, Source
from imnn_lab.summaries import Compressor, changed_by_training, chunk_of

SHARE, UNKNOWN = 0.25, 2**30  # of the free memory, or bytes where that is not known
TOLERANCE = 1e-3
VIEWS = (keras.layers.Reshape, keras.layers.Flatten)  # they compute nothing

Tensor: TypeAlias = Any  # a symbolic Keras tensor


class Cut:
    """A network in two parts.

    Parameters
    ----------
    model : keras.Model
        A functional model with one input and one output.
    kept : sequence of symbolic tensors
        What the second part takes from the first.
    """

    def __init__(self, model: keras.Model, kept: Sequence[Tensor]) -> None:
        self.model = model
        self._kept = list(kept)
        self._shapes = [tuple(x.shape[1:]) for x in kept]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._before = calls_of(model.inputs, self._kept)
        self._behind = calls_of(self._kept, model.outputs)
        operations = {id(call.operation): call.operation for call in self._before}.values()
        self._variables = [v for each in operations for v in getattr(each, "variables", [])]
        self._values = [np.array(variable.numpy()) for variable in self._variables]

    @property
    def computes(self) -> bool:
        """Whether there is anything to compute before the cut."""
        return not all(isinstance(call.operation, VIEWS) for call in self._before)

    @property
    def holds(self) -> bool:
        """Whether the weights before the cut are those that the features were computed with."""
        pairs = zip(self._variables, self._values, strict=True)
        return all(np.array_equal(variable.numpy(), value) for variable, value in pairs)

    def first(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the features (k, width) of simulations (k,) + input_shape."""
        found = outputs_of(self._before, {id(self.model.inputs[0]): x}, self._kept, training)
        flat = [tf.reshape(y, (-1, size)) for y, size in zip(found, self._sizes, strict=True)]
        return flat[0] if len(flat) == 1 else tf.concat(flat, axis=1)

    def second(
        self, features: tf.Tensor, training: bool = False, output: Tensor | None = None
    ) -> tf.Tensor:
        """Return the summaries (k, s) of features (k, width), or what is at another `output`."""
        parts = [features] if len(self._sizes) == 1 else tf.split(features, self._sizes, axis=1)
        known = {
            id(x): tf.reshape(part, (-1, *shape))
            for x, part, shape in zip(self._kept, parts, self._shapes, strict=True)
        }
        outputs = self.model.outputs if output is None else [output]
        return outputs_of(self._behind, known, outputs, training)[0]

    def agrees(self, simulations: tf.Tensor) -> bool:
        """Whether both parts do what the network does, the first also in training and one by one.

        They do not if a layer draws random numbers by itself, depends on which simulations are
        together, or hands on a mask.
        """
        one, other = tf.split(simulations, 2)
        features = tf.concat([self.first(one), self.first(other, training=True)], 0)
        found, expected = (
            x.numpy() for x in (self.second(features), self.model(simulations, training=False))
        )
        return np.allclose(found, expected, TOLERANCE, TOLERANCE * np.abs(expected).max())

    def features(self, source: Source) -> Source:
        """Return a source of the features of the simulations in memory of a source."""
        assert isinstance(source, ArraySource)
        compressor = Compressor(self.model, self.first)
        source = source.limited(chunk_of(_values(self._before)))
        graph = tf.function(
            lambda: compressor.summaries(source, source.feed(FIRST), training=False),
            autograph=False,
        )
        most = chunk_of(_values(self._behind)) if Compressor(self.model).is_plain else None
        return source.mapped(graph.get_concrete_function()(), most)


def cut(model: keras.Model, sources: Sequence[Source]) -> Cut | None:
    """Return a network cut so that what does not change is computed once; None if nothing can be.

    That is so if the sources are not arrays in memory or are augmented, if the model is a subclass
    of `keras.Model` or has regularisers of what its layers give out, if its first layer is trained,
    or if even the smallest features need too much memory.

    Parameters
    ----------
    model : keras.Model
    sources : sequence of Source
        All simulations that training sees.
    """
    if not all(isinstance(x, ArraySource) and x.augmentation is None for x in sources):
        return None
    if not _is_graph(model, sources[0]):
        return None
    simulations = np.resize(sources[0].fiducial(2), (2, *sources[0].input_shape))
    changed = {id(variable) for variable in changed_by_training(model, simulations)}
    penalties = sum(variable.regularizer is not None for variable in model.trainable_variables)
    if len(model.losses) > penalties:
        return None
    free = free_memory()
    rows = sum(x.size + x.is_exact * x.n_d * x.n_params for x in sources)
    most = (UNKNOWN if free is None else SHARE * free) / rows
    kept = _kept(model, changed, most / np.dtype(sources[0].dtype).itemsize)
    if kept is None or any(x.dtype != sources[0].dtype for x in kept):
        return None
    found = Cut(model, kept)
    return found if found.computes and found.agrees(tf.constant(simulations)) else None


def _is_graph(model: keras.Model, source: Source) -> bool:
    """Whether a model is a graph of layers from one input to one output, and nothing more."""
    if not type(model).__module__.startswith("keras.") or not getattr(model, "inputs", None):
        return False
    (x, *others), outputs = model.inputs, model.outputs
    fits = tuple(x.shape[1:]) == source.input_shape and x.dtype == source.dtype
    return fits and not others and len(outputs) == 1


def _kept(model: keras.Model, changed: set[int], most: float) -> list[Tensor] | None:
    """Return what to keep of each simulation, at most `most` values; None if there is nothing."""
    calls = calls_of(model.inputs, model.outputs)
    fixed = [call for call in calls if _is_fixed(call.operation, changed)]
    while fixed:
        kept = _crossing(model, calls, fixed)
        if any(None in x.shape[1:] for x in kept):
            return None
        if _size(kept) <= most:
            return None if any(x is model.outputs[0] for x in kept) else kept
        largest = max(kept, key=lambda x: math.prod(x.shape[1:]))
        fixed = [call for call in fixed if all(y is not largest for y in call.outputs)]
        if largest is model.inputs[0]:
            return None
    return None


def _is_fixed(operation: keras.Operation, changed: set[int]) -> bool:
    """Whether an operation has no trainable weights, and none that change in training."""
    if getattr(operation, "trainable_variables", []):
        return False
    return not any(id(variable) in changed for variable in getattr(operation, "variables", []))


def _crossing(model: keras.Model, calls: Sequence[Any], fixed: Sequence[Any]) -> list[Tensor]:
    """Return the tensors that come from the data by fixed calls alone and are used otherwise."""
    before = {id(model.inputs[0])}
    kept: dict[int, Tensor] = {}
    for call in calls:
        inputs = {id(x): x for x in call.input_tensors}
        if call in fixed and before >= inputs.keys():
            before |= {id(y) for y in call.outputs}
        else:
            kept |= {number: x for number, x in inputs.items() if number in before}
    kept |= {id(y): y for y in model.outputs if id(y) in before}
    return list(kept.values())


def _size(tensors: Sequence[Tensor]) -> int:
    return sum(math.prod(x.shape[1:]) for x in tensors)


def _values(calls: Sequence[Any]) -> int:
    return sum(_size(call.outputs) for call in calls)
