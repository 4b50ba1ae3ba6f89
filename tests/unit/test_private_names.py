"""Private names of other libraries: each test fails when an upgrade changes one of them."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from imnn_lab import executors, keras_private

# Keras: imnn_lab/keras_private.py -----------------------------------------------------------


class Composite(keras.layers.Layer):
    """A layer with a layer inside, which `Model.layers` does not show."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.BatchNormalization(name="inner")

    def call(self, x):
        return self.inner(x)


def test_keras_flatten_layers():
    nested = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, name="nested"), Composite()]
    )
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="outer"), nested])
    names = {layer.name for layer in keras_private.all_layers(model)}
    assert {"outer", "nested", "inner"} <= names, (
        "Keras: `Layer._flatten_layers` no longer gives the layers inside layers and models. "
        "`all_layers` needs another way to them."
    )
    assert not {layer.name for layer in keras_private.all_layers(model)} & {model.name, nested.name}
    public = {layer.name for layer in model.layers}
    assert "inner" not in public, "Keras: `Model.layers` is recursive now: use it in `all_layers`."


@pytest.mark.parametrize("shape", [(2,), (4, 2), (3, 4, 2)])
def test_keras_call_of_a_layer_can_be_replaced(shape):
    layer = keras.layers.BatchNormalization(epsilon=0.0, dtype="float64")
    model = keras.Sequential([keras.Input(shape, dtype="float64"), layer])
    x = np.random.default_rng(1).normal(size=(10, *shape))
    axes = tuple(range(len(shape)))

    def normalised(over):
        return (x - over.mean(axes)) / over.std(axes)

    with keras_private.statistics_over_first(6, [layer]):
        inside = model(x, training=True).numpy()
    # The same sums in another order in float64.
    np.testing.assert_allclose(
        inside, normalised(x[:6]), atol=1e-12,
        err_msg="Keras: `BatchNormalization.call` ignores its mask, or `Layer.__call__` ignores a "
        "`call` set on the instance. `statistics_over_first` needs another way.",
    )  # fmt: skip
    assert "call" not in vars(layer)
    np.testing.assert_allclose(model(x, training=True), normalised(x), atol=1e-12)


def test_keras_calls_of_a_model():
    x, twice = keras.Input((4,)), keras.layers.Dense(4, "tanh")
    dropout = keras.layers.Dropout(0.5, seed=1)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    y = twice(x)
    model = keras.Model(x, inner(dropout(twice(y), training=False) + keras.ops.exp(y)))
    calls = keras_private.calls_of(model.inputs, model.outputs)
    message = "Keras: the graph of a model is kept otherwise: `calls_of` needs another way."
    assert len(calls) == len(model.operations), message  # one layer is called twice, inputs not
    values = np.random.default_rng(1).normal(size=(5, 4)).astype("float32")
    (first,) = keras_private.outputs_of(
        keras_private.calls_of(model.inputs, [y]), {id(x): values}, [y], False
    )
    for training in (False, True):  # of a model, it overrides that of a call
        state = dropout.seed_generator.state.numpy()
        (found,) = keras_private.outputs_of(
            keras_private.calls_of([y], model.outputs), {id(y): first}, model.outputs, training
        )
        dropout.seed_generator.state.assign(state)
        expected = model(values, training=training)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=message)
    assert len(twice._inbound_nodes) == 2


def test_keras_names_of_an_optimiser():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    inner = keras.optimizers.SGD(schedule, gradient_accumulation_steps=2)
    optimiser = keras.optimizers.LossScaleOptimizer(inner)
    weight = keras.Variable(np.ones(2, "float32"))
    optimiser.apply([np.ones(2, "float32")], [weight])
    assert keras_private.rate_of(optimiser) is schedule, "Keras: `Optimizer._learning_rate`"
    assert int(keras_private.n_updates(optimiser)) == 1, "Keras: `Optimizer._iterations`"
    assert int(inner.iterations) == 0
    for options in ({"var_names": ["bias"]}, {"var_list": [weight]}):
        other = keras.optimizers.AdamW()
        assert not keras_private.excludes_from_weight_decay(other)
        other.exclude_from_weight_decay(**options)
        assert keras_private.excludes_from_weight_decay(other), (
            "Keras: `Optimizer._exclude_from_weight_decay` or its `…_pattern` has another name."
        )


def test_keras_variables_can_hold_another_variable_of_tensorflow():
    variable = keras.Variable(np.ones(2, "float32"))
    variable._initialize(other := tf.Variable([3.0, 4.0]))
    message = "Keras: `Variable._initialize` has another name or does something else."
    assert variable.value is other, message
    variable.assign([5.0, 6.0])
    assert other.numpy().tolist() == [5.0, 6.0], message


def test_keras_calls_of_layers_and_operations_can_be_recorded():
    x = keras.Input((3,))
    nested = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="nested")])
    outer = Composite()
    model = keras.Model(x, keras.ops.tanh(outer(nested(x))))
    with keras_private.recorded_outputs(model) as recorded:
        model(np.ones((2, 3), "float32"))
    names = [name.split("'")[1] for name, _ in recorded]
    order = [names.index(name) for name in ("nested", nested.name, "inner", outer.name)]
    message = "Keras: a `call` set on a layer or an operation is not used."
    assert order == sorted(order), message
    assert "tanh" in names[-1], message
    assert not any("call" in vars(layer) for layer in keras_private.all_layers(model))


# concurrent.futures: imnn_lab/executors.py --------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_start_method_of_a_process_pool(method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert executors.start_method(pool) == method, (
            "concurrent.futures: `ProcessPoolExecutor._mp_context` is no longer the context of its "
            "workers. `start_method` needs another way, or forks are no longer warned of."
        )
    with ThreadPoolExecutor(1) as pool:
        assert executors.start_method(pool) == ""
