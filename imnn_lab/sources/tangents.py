"""Directional derivatives: how a function's value changes along a tangent of its argument."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Function = Callable[[tf.Tensor], tf.Tensor]


def tangent(function: Function, x: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
    """Return the derivative of ``function(x)`` along `direction`, by forward-mode differentiation.

    Where the function is differentiated again, as in training, this is as well.
    """
    with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
        value = function(x)
    return accumulator.jvp(value, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def reverse_tangent(function: Function, x: tf.Tensor, direction: tf.Tensor) -> tf.Tensor:
    """Return what `tangent` does from two reverse passes, which loops in a function allow."""
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = function(x)
        weight = tf.ones_like(value)
        outer.watch(weight)
        gradient = inner.gradient(
            value, x, output_gradients=weight, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
    zero = tf.UnconnectedGradients.ZERO
    return outer.gradient(gradient, weight, output_gradients=direction, unconnected_gradients=zero)
