#!/usr/bin/env bash
# TensorFlow 2.21.0, Keras 3.15.1: forward-mode derivatives lose bilinear resizing in silence.
#
# `tf.autodiff.ForwardAccumulator` has no tangent for the op behind bilinear `tf.image.resize` (and so for
# Keras' `Resizing` and bilinear `UpSampling2D`). Where it is one term of a sum, as beside a skip
# connection, `jvp` returns the derivative of the other terms alone: a finite number, no warning, and
# not None. Reverse mode is right. Resizing by nearest neighbours or bicubic raises LookupError instead.
#
# Seen: y = sum(x)/2 + sum(resize(x, twice as large)) of a 4x4 image, along the direction of ones
#   tf.image.resize, Resizing, UpSampling2D: forward 8, reverse 72, finite difference 72
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" - <<'PY'
import keras
import numpy as np
import tensorflow as tf

x = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 4, 1)).astype("float32"))
ones = tf.ones_like(x)


def forward(function):
    with tf.autodiff.ForwardAccumulator(x, ones) as accumulator:
        y = function(x)
    return float(accumulator.jvp(y))


def reverse(function):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return float(tf.reduce_sum(tape.gradient(y, x) * ones))


def difference(function):
    return float(function(x + 0.5 * ones) - function(x - 0.5 * ones))


def beside_a_skip(resize):
    return lambda image: tf.reduce_sum(image) / 2 + tf.reduce_sum(resize(image))


resizes = {
    "bilinear": lambda image: tf.image.resize(image, (8, 8)),
    "Keras Resizing": keras.layers.Resizing(8, 8),
    "Keras UpSampling2D": keras.layers.UpSampling2D(2, interpolation="bilinear"),
}
for name, resize in resizes.items():
    function = beside_a_skip(resize)
    values = forward(function), reverse(function), difference(function)
    print(name, "forward, reverse, finite difference:", values)
    np.testing.assert_allclose(values, (8, 72, 72), rtol=1e-3)

for method in ("nearest", "bicubic"):
    try:
        forward(beside_a_skip(lambda image: tf.image.resize(image, (8, 8), method=method)))
    except LookupError as error:
        print(f"{method}: LookupError, {error}")
    else:
        raise SystemExit(f"resizing by {method} interpolation has a tangent now")
PY
