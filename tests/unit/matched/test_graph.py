"""Paired draws in TensorFlow: those of NumPy at the same uniforms, and their derivatives."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from imnn_lab.matched import draws, graph
from imnn_lab.sources.source import tangent

N = 2000
SEED = tf.constant([3, 4], tf.int32)
U = graph.uniform(SEED, [N]).numpy()
EXACT = {
    "gamma": lambda shape, scale: scale * special.gammaincinv(shape, U),
    "beta": lambda a, b: special.betaincinv(a, b, U),
    "standard_t": lambda df: special.stdtrit(df, U),
}
CASES = [
    ("gamma", (0.05, 2.0)), ("gamma", (1.0, 2.0)), ("gamma", (300.0, 0.1)),
    ("beta", (1.0, 1.0)), ("beta", (2.0, 5.0)), ("beta", (0.3, 0.5)), ("beta", (200.0, 300.0)),
    ("standard_t", (0.5,)), ("standard_t", (3.0,)), ("standard_t", (50.0,)),
]  # fmt: skip
COUNTS = {"poisson": (3.0,), "binomial": (10.0, 0.3), "negative_binomial": (2.5, 0.3)}


def full(parameters, dtype=tf.float64):
    return [tf.fill([N], tf.constant(parameter, dtype)) for parameter in parameters]


def derivatives(name, parameters, i):
    """Return a draw and its derivative by parameter i: forward mode, in a graph, reverse mode."""
    given = full(parameters)

    def drawn(parameter):
        return getattr(graph, name)(SEED, *given[:i], parameter, *given[i + 1 :])

    ones = tf.ones_like(given[i])
    with tf.GradientTape() as tape:
        tape.watch(given[i])
        x = drawn(given[i])
    compiled = tf.function(lambda parameter: tangent(drawn, parameter, ones))
    three = tangent(drawn, given[i], ones), compiled(given[i]), tape.gradient(x, given[i])
    return x.numpy(), [derivative.numpy() for derivative in three]


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_draws_and_derivatives_are_right(name, parameters):
    for i, parameter in enumerate(parameters):
        x, found = derivatives(name, parameters, i)
        np.testing.assert_allclose(x, EXACT[name](*parameters), rtol=1e-8)
        step = 1e-4 * parameter
        sides = [
            EXACT[name](*parameters[:i], parameter + sign * step, *parameters[i + 1 :])
            for sign in (-1, 1)
        ]
        expected = (sides[1] - sides[0]) / (2 * step)
        # differences of 1e-4 are good to 1e-7; near a zero, relative to the typical derivative
        tolerance = {"rtol": 3e-6, "atol": 1e-7 * np.abs(expected).mean()}
        for derivative in found:
            np.testing.assert_allclose(derivative, expected, **tolerance)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_those_of_numpy(name):
    given = full(COUNTS[name], tf.float32)
    drawn = tf.function(getattr(graph, name))(SEED, *given)
    assert drawn.dtype == tf.float32
    parameters = [np.float64(one.numpy()) for one in given]
    np.testing.assert_array_equal(drawn, getattr(draws, f"{name}_quantile")(U, *parameters))


@pytest.mark.parametrize("name", COUNTS)
def test_derivatives_of_counts_are_refused(name):
    *first, last = full(COUNTS[name])
    with tf.GradientTape() as tape:
        tape.watch(last)
        drawn = getattr(graph, name)(SEED, *first, last)
    with pytest.raises(NotImplementedError, match="counts jump"):
        tape.gradient(drawn, last)
    with pytest.raises(NotImplementedError, match="Pass δθ"):
        tangent(lambda p: getattr(graph, name)(SEED, *first, p), last, tf.ones_like(last))


def test_shape_and_dtype_follow_the_parameters_and_size():
    shape = tf.constant([[1.0], [2.0]])
    assert graph.gamma(SEED, shape, tf.constant([1.0, 2.0, 3.0])).shape == (2, 3)
    assert graph.gamma(SEED, 2.0, size=[5]).dtype == tf.float32
    assert graph.beta(SEED, tf.constant(2.0, tf.float64), 3.0, size=(4, 2)).dtype == tf.float64
    assert graph.standard_t(SEED, 3.0, size=(4, 2)).shape == (4, 2)


def test_draws_of_a_tiny_shape_have_finite_derivatives():
    x, found = derivatives("gamma", (0.001, 1.0), 0)
    assert (x == 0).any()
    assert np.isfinite(found).all()
