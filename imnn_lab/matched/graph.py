"""Draws that stay paired, in TensorFlow: x = F⁻¹(u; parameters), for simulators in the graph.

One uniform of 53 bits for each draw, whatever the parameters; SciPy inverts F, on the CPU. `gamma`,
`beta` and `standard_t` have derivatives ∂x/∂parameter = −∂F/∂parameter / p(x), for simulators whose
exact derivatives are taken (δθ=None). Counts jump, so that no derivative of one draw tells how
their mean moves: asking for it is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import special

from imnn_lab import checks
from imnn_lab.matched import draws

__all__ = ["beta", "binomial", "gamma", "negative_binomial", "poisson", "standard_t", "uniform"]

SMALLEST = draws.SMALLEST
STEP = 1e-5  # relative, of central differences of I: their error is about 1e-10


def uniform(seed: Any, size: Any) -> tf.Tensor:
    """Return float64 uniforms strictly between 0 and 1, shape `size`.

    Parameters
    ----------
    seed : tensor of int, shape (2,)
        As of ``tf.random.stateless_uniform``.
    size : tensor or sequence of int
        Shape of the result.
    """
    u = tf.random.stateless_uniform(size, seed, dtype=tf.float64)
    return tf.maximum(u, SMALLEST)


def gamma(seed: Any, shape: Any, scale: Any = 1.0, size: Any = None) -> tf.Tensor:
    """Return gamma numbers, of mean shape · scale, in the dtype of `shape`; differentiable.

    Parameters
    ----------
    seed : tensor of int, shape (2,)
        As of ``tf.random.stateless_uniform``.
    shape, scale : tensor
        Both above 0.
    size : tensor or sequence of int, optional
        Shape of the result; None takes that of the parameters.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from imnn_lab.matched import graph
    >>> [graph.gamma([1, 2], tf.constant([shape])).numpy().round(3) for shape in (0.99, 1.01)]
    [array([0.117], dtype=float32), array([0.123], dtype=float32)]
    """
    shape = tf.convert_to_tensor(shape)
    u, a, b = _uniforms(seed, size, shape, scale)
    x = _inverse(special.gammaincinv, a, u)
    by_shape = tf.raw_ops.RandomGammaGrad(alpha=tf.stop_gradient(a), sample=x)
    return tf.cast(b * _with_derivatives(x, (a, by_shape)), shape.dtype)


def beta(seed: Any, a: Any, b: Any, size: Any = None) -> tf.Tensor:
    """Return beta numbers, from 0 to 1, in the dtype of `a`; differentiable.

    Parameters
    ----------
    seed, size : tensor
        As for `gamma`.
    a, b : tensor
        Both above 0.
    """
    a = tf.convert_to_tensor(a)
    u, one, other = _uniforms(seed, size, a, b)
    is_upper = u > 0.5  # the smaller side is solved for, where I is accurate
    first, second = tf.where(is_upper, other, one), tf.where(is_upper, one, other)
    x = _beta_inverse(first, second, tf.where(is_upper, 1 - u, u))
    return tf.cast(tf.where(is_upper, 1 - x, x), a.dtype)


def standard_t(seed: Any, df: Any, size: Any = None) -> tf.Tensor:
    """Return numbers of Student's t distribution, in the dtype of `df`; differentiable.

    Parameters
    ----------
    seed, size : tensor
        As for `gamma`.
    df : tensor
        Degrees of freedom, above 0.
    """
    df = tf.convert_to_tensor(df)
    u, ν = _uniforms(seed, size, df)
    # t² = ν (1 − x)/x with a beta number x, or its complement near the centre
    tail, half = 2 * tf.minimum(u, 1 - u), 0.5 * tf.ones_like(u)
    is_central = tail > 0.5
    first, second = tf.where(is_central, half, ν / 2), tf.where(is_central, ν / 2, half)
    smaller = tf.where(is_central, tf.maximum(1 - tail, SMALLEST), tail)
    x = _beta_inverse(first, second, smaller)
    size_of_t = tf.sqrt(ν * tf.where(is_central, x / (1 - x), (1 - x) / x))
    return tf.cast(tf.where(u > 0.5, size_of_t, -size_of_t), df.dtype)


def poisson(seed: Any, lam: Any, size: Any = None) -> tf.Tensor:
    """Return Poisson numbers in the dtype of `lam`; their derivative is refused.

    Parameters
    ----------
    seed, size : tensor
        As for `gamma`.
    lam : tensor
        Mean, at least 0.
    """
    return _counts(draws.poisson_quantile, seed, size, lam)


def binomial(seed: Any, n: Any, p: Any, size: Any = None) -> tf.Tensor:
    """Return binomial numbers in the dtype of `p`; their derivative is refused.

    Parameters
    ----------
    seed, size : tensor
        As for `gamma`.
    n : tensor
        Number of trials, an integer of at least 0.
    p : tensor
        Probability of a success, from 0 to 1.
    """
    return _counts(draws.binomial_quantile, seed, size, n, p)


def negative_binomial(seed: Any, n: Any, p: Any, size: Any = None) -> tf.Tensor:
    """Return numbers of failures before `n` successes in the dtype of `p`; no derivative.

    Parameters
    ----------
    seed, size : tensor
        As for `gamma`.
    n : tensor
        Number of successes, above 0.
    p : tensor
        Probability of a success, above 0 and at most 1.
    """
    return _counts(draws.negative_binomial_quantile, seed, size, n, p)


def _uniforms(seed: Any, size: Any, *parameters: Any) -> list[tf.Tensor]:
    """Return one uniform for each draw, and the parameters, float64 and all of one shape."""
    parameters = tuple(tf.cast(parameter, tf.float64) for parameter in parameters)
    if size is None:
        size = tf.shape(sum(parameters))
    u = uniform(seed, size)
    return [u, *(parameter + tf.zeros_like(u) for parameter in parameters)]


def _inverse(function: Callable[..., np.ndarray], *given: tf.Tensor) -> tf.Tensor:
    """Return an inverse distribution function of SciPy, without derivatives."""
    given = tuple(map(tf.stop_gradient, given))
    x = tf.numpy_function(function, given, tf.float64, stateful=False)
    return tf.ensure_shape(x, given[0].shape)


def _with_derivatives(x: tf.Tensor, *known: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Return x with derivatives, from pairs of a parameter and ∂x/∂parameter."""
    for parameter, derivative in known:
        is_known = tf.math.is_finite(derivative)  # where x underflows it is not
        slope = tf.stop_gradient(tf.where(is_known, derivative, 0.0))
        x += slope * (parameter - tf.stop_gradient(parameter))
    return x


def _beta_inverse(a: tf.Tensor, b: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Return x with I_x(a, b) = u ≤ ½.

    ∂I/∂a by differences: TensorFlow has none, and that of TensorFlow Probability 0.25 is wrong by
    up to 8 % above the mean.
    """
    x, parameters = _inverse(special.betaincinv, a, b, u), (a, b)
    a, b = tf.stop_gradient(a), tf.stop_gradient(b)
    density = tf.exp(
        tf.math.xlogy(a - 1, x) + tf.math.xlog1py(b - 1, -x) - tf.math.lbeta(tf.stack([a, b], -1))
    )
    by_a = tf.math.betainc(a * (1 - STEP), b, x) - tf.math.betainc(a * (1 + STEP), b, x)
    by_b = tf.math.betainc(a, b * (1 - STEP), x) - tf.math.betainc(a, b * (1 + STEP), x)
    scale = 2 * STEP * density
    derivatives = by_a / (scale * a), by_b / (scale * b)
    return _with_derivatives(x, *zip(parameters, derivatives, strict=True))


def _counts(quantile: Callable[..., np.ndarray], seed: Any, size: Any, *given: Any) -> tf.Tensor:
    """Return counts from the inverse in NumPy, in the dtype of the last parameter."""
    dtype = tf.convert_to_tensor(given[-1]).dtype
    u, *parameters = _uniforms(seed, size, *given)

    @tf.custom_gradient
    def drawn(*parameters: tf.Tensor) -> Any:
        counts = tf.numpy_function(quantile, [u, *parameters], tf.int64, stateful=False)
        return tf.cast(tf.ensure_shape(counts, u.shape), dtype), _refused

    return drawn(*parameters)


def _refused(*upstream: tf.Tensor) -> Any:
    expected = "not be differentiated: counts jump"
    remedy = "Pass δθ for central differences; `matched` keeps their two sides paired."
    received = "a request for their derivative"
    raise NotImplementedError(checks.wording("Matched counts", expected, received, remedy))
