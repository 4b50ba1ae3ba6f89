#!/usr/bin/env bash
# TensorFlow Probability 0.25.0: derivatives of `betainc` and `betaincinv` by a are wrong above the mean.
#
# `tfp.math.betainc(a, b, x)` and `tfp.math.betaincinv(a, b, y)`, and so the cdf and the quantile of
# `tfp.distributions.Beta`, are right to 1e-12 in float64 at a = b = 1, and so are their derivatives by a
# below x = a/(a+b). From there on these are too far off for the dtype, most at the mean: by 8 % at
# a = b = 1, where ∂I/∂a is x ln x exactly; no NaN, no warning. TensorFlow itself has no derivative of
# `tf.math.betainc` by a or b. Beta draws by quantile have a biased derivative, therefore.
#
# Seen: relative error of ∂/∂a at a = b = 1 in float64: 2e-16 at x = 0.25, 8.2 % at 0.5, 1.4 % at 0.75.
#   Central differences of betainc itself are right to 4e-10 everywhere.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 tf_keras==2.21.0 tensorflow-probability==0.25.0 \
  numpy==2.3.5 scipy==1.17.1
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" - 2>/dev/null <<'PY'
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

x = np.linspace(0.01, 0.99, 99)
a = tf.ones(99, tf.float64)
one = tf.ones(99, tf.float64)
cases = {  # function of a and its exact derivative at a = b = 1, where I = x^a and x = y^(1/a)
    "betainc": (lambda a: tfp.math.betainc(a, one, x), x * np.log(x)),
    "betaincinv": (lambda a: tfp.math.betaincinv(a, one, x), -x * np.log(x)),
    "Beta.quantile": (lambda a: tfp.distributions.Beta(a, one).quantile(x), -x * np.log(x)),
}
for name, (function, exact) in cases.items():
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = function(a)
    error = np.abs(tape.gradient(value, a).numpy() / exact - 1)
    low, middle, high = error[[24, 49, 74]]
    print(f"{name}: relative error {low:.1e} at 0.25, {middle:.2%} at 0.5, {high:.2%} at 0.75")
    np.testing.assert_allclose(value, x, rtol=1e-12)
    assert low < 1e-8 and middle > 0.05 and high > 0.01
step = 1e-5
above, below = (tfp.math.betainc(a + sign * step, one, x).numpy() for sign in (1, -1))
difference = (above - below) / (2 * step)
print(f"central differences of betainc: {np.abs(difference / (x * np.log(x)) - 1).max():.1e}")
np.testing.assert_allclose(difference, x * np.log(x), rtol=1e-6)
PY
