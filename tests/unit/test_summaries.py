import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from makers import small_network

from imnn_lab import problems, summaries
from imnn_lab.regularisation import Regularisation
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor, comfortable_chunk
from imnn_lab.training.step import loss_gradient

problem = problems.gaussian()
FIDUCIAL, DERIVATIVE = problem.training_set(50, 40, 1)
PAIR = Regularisation(10, 0.1)
CONSTANTS = [tf.constant(value, tf.float64) for value in (PAIR.λ, PAIR.α)]


def source(at_once=None, dtype="float64"):
    return ArraySource(FIDUCIAL, DERIVATIVE, problem.δθ, dtype, at_once)


def gradient(compressor, source):
    return loss_gradient(compressor, source, *CONSTANTS)


def model_with(*layers, dtype="float64"):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((10,), dtype=dtype),
            keras.layers.Dense(16, "gelu", dtype=dtype),
            *layers,
            keras.layers.Dense(2, dtype=dtype),
        ]
    )


@pytest.mark.parametrize("at_once", [1, 7, 50, 209, 210])
def test_chunks_give_the_same_moments_and_gradient(at_once):
    compressor = Compressor(small_network(dtype="float64"))
    whole = gradient(compressor, source())
    parts = tf.function(lambda: gradient(compressor, source(at_once)))()
    np.testing.assert_allclose(parts.moments.C, whole.moments.C, rtol=1e-12)
    np.testing.assert_allclose(parts.moments.dμ_dθ, whole.moments.dμ_dθ, rtol=1e-11)
    for ours, theirs in zip(parts.gradient, whole.gradient, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def test_regularisers_of_layers_add_to_the_gradient_in_both_paths():
    penalty = keras.regularizers.L2(0.3)
    model = model_with(keras.layers.Dense(4, kernel_regularizer=penalty, dtype="float64"))
    layer = model.layers[1]
    for chunks in (None, 33):
        with_penalty = gradient(Compressor(model), source(chunks)).gradient
        layer.kernel.regularizer = None
        without = gradient(Compressor(model), source(chunks)).gradient
        layer.kernel.regularizer = penalty
        np.testing.assert_allclose(
            with_penalty[2] - without[2], 0.6 * layer.kernel.numpy(), rtol=1e-7, atol=1e-9
        )


def test_a_pair_shares_its_dropout_mask():
    model = model_with(keras.layers.Dropout(0.5, dtype="float64"))
    compressor = Compressor(model)
    assert not compressor.is_plain
    pair = ArraySource(FIDUCIAL, np.repeat(DERIVATIVE[:, :1], 2, axis=1), problem.δθ, "float64")
    # The two simulations of every pair are equal here, so with the same mask the derivative is 0.
    found = gradient(compressor, pair).moments
    np.testing.assert_allclose(found.dμ_dθ, 0, atol=1e-12)
    again = gradient(compressor, pair).moments
    assert not np.allclose(again.μ, found.μ), "masks must be fresh in every iteration"


def test_batch_normalisation_takes_its_statistics_over_the_fiducial_part():
    layer = keras.layers.BatchNormalization(momentum=0.0, dtype="float64")
    model = model_with(layer)
    features = model.layers[0](FIDUCIAL).numpy()
    found = gradient(Compressor(model), source()).moments
    # Keras adds its epsilon of 1e-7 to the number of rows, here 50.
    np.testing.assert_allclose(layer.moving_mean, features.mean(0), rtol=1e-8)
    np.testing.assert_allclose(layer.moving_variance, features.var(0), rtol=1e-8)
    # With these statistics frozen, inference is the same function.
    np.testing.assert_allclose(Compressor(model).moments(source()).C, found.C, rtol=1e-6)
    assert "call" not in vars(layer)


def test_batch_normalisation_that_is_frozen_is_plain():
    layer = keras.layers.BatchNormalization(dtype="float64", trainable=False)
    assert Compressor(model_with(layer)).is_plain


def test_weights_that_do_nothing_have_a_zero_gradient():
    class Idle(keras.layers.Layer):
        def build(self, shape):
            self.idle = self.add_weight(shape=(3,))

        def call(self, x):
            return x

    found = gradient(Compressor(model_with(Idle(dtype="float64"))), source()).gradient
    np.testing.assert_array_equal(found[2], np.zeros(3))


def test_large_sets_are_cut_by_what_the_network_makes_of_them():
    model = model_with(keras.layers.Dense(1000, dtype="float64"))
    assert comfortable_chunk(model) == 2**27 // (16 + 1000 + 2)
    assert comfortable_chunk(model_with(keras.layers.Dropout(0.1, dtype="float64"))) is None
    assert source().limited(40).in_chunks
    assert source(at_once=100).limited(40).at_once == 100


@pytest.mark.parametrize("normalises", [False, True])
def test_fiducial_simulations_pass_twice_only_for_statistics_of_the_batch(normalises):
    last = [keras.layers.BatchNormalization(dtype="float64")] if normalises else []
    model = model_with(keras.layers.Dropout(0.5, dtype="float64"), *last)
    sizes = []

    def network(x, training):
        sizes.append(len(x))
        return model(x, training=training)

    gradient(Compressor(model, network), source())
    assert sizes == ([50 + 80, 50 + 80] if normalises else [50, 80, 80])


def test_a_small_pass_is_not_traced():
    compressor = Compressor(small_network())
    compressor.statistics(source(None, "float32"))
    assert not compressor._traced


@pytest.mark.parametrize("at_once", [None, 70])
def test_a_graph_is_forgotten_with_its_simulations(at_once, monkeypatch):
    monkeypatch.setattr(summaries, "SMALL_VALUES", 0)
    compressor, rows = Compressor(small_network()), source(at_once, "float32")
    compressor.statistics(rows)
    (graphs,) = compressor._traced.values()
    forgotten = weakref.ref(next(iter(graphs.values())))
    del rows, graphs
    gc.collect()
    assert forgotten() is None
