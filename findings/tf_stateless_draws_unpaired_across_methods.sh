#!/usr/bin/env bash
# TensorFlow 2.21.0: the stateless draws of one seed are unrelated across a change of method.
#
# Central differences need simulations of one seed at two parameters that share their randomness.
# `tf.random.stateless_poisson`, `stateless_gamma` and `stateless_binomial` give each draw its own random
# numbers, so that draws of one seed stay paired when a parameter moves by a few percent. But each changes
# its method: Poisson at a mean of 10, gamma at a shape of 1, binomial at n p = 10. Two sides of such a
# point share a seed and little else, and a derivative over it is noise, in those pixels alone. (NumPy's
# Generator loses pairing anywhere, as each draw takes a number of random numbers that varies.)
#
# Seen: correlation of 20,000 draws of one seed. Poisson: .99 at means 9.5 and 9.7, .19 at 9.9 and 10.1.
#   gamma: 1.00 at shapes 2 and 2.1, .66 at 0.99 and 1.01. binomial(100, p): .98 at .40 and .41, .00 at
#   .099 and .101.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 numpy==2.3.5
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" - 2>/dev/null <<'PY'
import numpy as np
import tensorflow as tf

shape, seed = [20_000], [1, 2]
draws = {
    "poisson": lambda mean: tf.random.stateless_poisson(shape, seed, mean, tf.float32),
    "gamma": lambda a: tf.random.stateless_gamma(shape, seed, a, dtype=tf.float32),
    "binomial": lambda p: tf.random.stateless_binomial(
        shape, seed, 100.0, p, output_dtype=tf.float32
    ),
}
pairs = {
    "poisson": ((9.5, 9.7), (9.9, 10.1)),
    "gamma": ((2.0, 2.1), (0.99, 1.01)),
    "binomial": ((0.40, 0.41), (0.099, 0.101)),
}
for name, draw in draws.items():
    beside, across = (
        np.corrcoef(draw(low).numpy(), draw(high).numpy())[0, 1] for low, high in pairs[name]
    )
    print(f"{name}: {beside:.3f} at {pairs[name][0]}, {across:.3f} at {pairs[name][1]}")
    assert beside > 0.95 and across < 0.7
PY
