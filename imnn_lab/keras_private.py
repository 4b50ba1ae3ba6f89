"""What the package uses of Keras beyond its public interface (Keras 3.15).

Each name has a test in ``tests/unit/test_private_names.py`` that says which upgrade breaks it.

`Layer._flatten_layers`
    The only way to layers inside a layer that is not a model: `Model.layers` stops at the first
    level (https://github.com/keras-team/keras/issues/4398).
`Layer.call` replaced on an instance
    `BatchNormalization.call` takes a mask for its statistics, but layers that do not support masks
    (convolutions) drop it on its way through a model, so that none can be handed to the model.
`Function._nodes_by_depth`, `Node.arguments.fill_in`, `Layer._call_context_args`
    The only way to the calls of a model in their order, and to a part of them: a new model of that
    part (`keras.Model(inputs, outputs)` of inner tensors) adds calls to the layers of the user's.
`Optimizer._learning_rate`
    The public `learning_rate` is the number that a schedule or a function gives, not these.
`Optimizer._iterations`
    What schedules count; the public `iterations` is divided by `gradient_accumulation_steps`.
`Optimizer._exclude_from_weight_decay`, `Optimizer._exclude_from_weight_decay_pattern`
    What `exclude_from_weight_decay` sets is not in the configuration of an optimiser.
`Variable._initialize`
    The only way to exchange the variable of TensorFlow that a variable of Keras holds.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers of a model, those of nested models included, but not the models."""
    return [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]


@contextlib.contextmanager
def recorded_outputs(model: keras.Model) -> Iterator[list[tuple[str, tf.Tensor]]]:
    """List what layers and operations of a model give out when it is called, inner ones first.

    Each has a name for readers. What is computed inside a `tf.function` is left out.
    """
    parts: dict[int, Any] = {}
    for layer in model._flatten_layers():
        operations = getattr(layer, "operations", ())
        parts |= {id(part): part for part in (layer, *operations) if part is not model}
    recorded: list[tuple[str, tf.Tensor]] = []

    def recording(part: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **keywords: Any) -> Any:
            outputs = original(*arguments, **keywords)
            name = f"{part.name!r} ({type(part).__name__})"
            recorded.extend(
                (name, x)
                for x in keras.tree.flatten(outputs)
                if tf.is_tensor(x) and x.dtype.is_floating and not tf.is_symbolic_tensor(x)
            )
            return outputs

        return call

    replaced = [part for part in parts.values() if "call" not in vars(part)]
    for part in replaced:
        part.call = recording(part, part.call)
    try:
        yield recorded
    finally:
        for part in replaced:
            del part.call


def calls_of(inputs: list[Any], outputs: list[Any]) -> list[Any]:
    """Return the calls between symbolic tensors, each after those whose outputs it takes.

    Each has an `operation`, `input_tensors`, `outputs` and `arguments`.
    """
    by_depth = keras.Function(inputs, outputs)._nodes_by_depth
    known = {id(x) for x in inputs}
    calls = [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]
    return [call for call in calls if not known & {id(y) for y in call.outputs}]


def outputs_of(
    calls: list[Any], known: dict[int, tf.Tensor], outputs: list[Any], training: bool
) -> list[tf.Tensor]:
    """Return the values of `outputs`, given those of inputs by the id of each, as a model does."""
    known = dict(known)
    for call in calls:
        arguments, keywords = call.arguments.fill_in(known)
        if "training" in getattr(call.operation, "_call_context_args", ()):
            keywords["training"] = training
        results = keras.tree.flatten(call.operation(*arguments, **keywords))
        known |= {id(y): value for y, value in zip(call.outputs, results, strict=True)}
    return [known[id(y)] for y in outputs]


def give_one_copy(model: keras.Model) -> None:
    """Give a model that was made within the scope of a strategy weights with a single copy."""
    for variable in model.variables:
        if isinstance(variable.value, tf.distribute.DistributedValues):
            variable._initialize(tf.Variable(variable.numpy(), trainable=variable.trainable))


def innermost(optimiser: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimiser that others (`LossScaleOptimizer`) wrap."""
    while hasattr(optimiser, "inner_optimizer"):
        optimiser = optimiser.inner_optimizer
    return optimiser


def rate_of(optimiser: keras.optimizers.Optimizer) -> Any:
    """Return the learning rate as an optimiser holds it: a variable, a schedule or a function."""
    return innermost(optimiser)._learning_rate


def n_updates(optimiser: keras.optimizers.Optimizer) -> keras.Variable:
    """Return the number of updates so far, at which a schedule of the learning rate is called."""
    return innermost(optimiser)._iterations


def excludes_from_weight_decay(optimiser: keras.optimizers.Optimizer) -> bool:
    """Whether some variables are excluded from weight decay."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return any(getattr(innermost(optimiser), name, None) for name in names)


@contextlib.contextmanager
def statistics_over_first(n: int, layers: list[keras.layers.BatchNormalization]) -> Iterator[None]:
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
