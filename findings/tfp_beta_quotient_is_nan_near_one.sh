#!/usr/bin/env bash
# TensorFlow Probability 0.25.0: the density of BetaQuotient is NaN around a ratio of one.
#
# `BetaQuotient` is the ratio of two beta variables. Its `log_prob` sums a hypergeometric series whose
# argument comes close to 1 as the ratio does, where `tfp.math.hypergeometric.hyp2f1_small_argument`
# gives NaN: for every ratio between 0.9 and 1/0.9 but 1 itself, in float32 and float64, with valid
# parameters and `validate_args=True`. These are an eighth of its own draws, about its median. The density
# is smooth there; direct integration agrees elsewhere. So a log likelihood with such a prior is NaN.
#
# Seen: log_prob of BetaQuotient(2, 3, 3, 4) at 0.5, 0.89, 0.91, 0.99, 1, 1.01, 1.1, 1.12, 2
#   finite, finite, NaN, NaN, finite, NaN, NaN, finite, finite; 14 % of 200 draws have none
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 tf_keras==2.21.0 tensorflow-probability==0.25.0 \
  numpy==2.3.5 scipy==1.17.1
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" - 2>/dev/null <<'PY'
import numpy as np
import tensorflow_probability as tfp
from scipy import integrate, stats


def integrated(ratio):
    """Return the density of X / Y at a ratio, the integral of y f_X(ratio y) f_Y(y) over y."""
    x, y = stats.beta(2, 3), stats.beta(3, 4)
    return integrate.quad(lambda v: v * x.pdf(ratio * v) * y.pdf(v), 0, min(1, 1 / ratio))[0]


ratios = np.array([0.5, 0.89, 0.91, 0.99, 1.0, 1.01, 1.1, 1.12, 2.0])
expected = np.log([integrated(ratio) for ratio in ratios])
missing = np.array([0, 0, 1, 1, 0, 1, 1, 0, 0], bool)
for dtype in ("float32", "float64"):
    numbers = np.array([2, 3, 3, 4], dtype)
    quotient = tfp.distributions.BetaQuotient(*numbers, validate_args=True)
    values = quotient.log_prob(ratios.astype(dtype)).numpy()
    for ratio, value, right in zip(ratios, values, expected):
        print(f"{dtype} {ratio:5}: log_prob {value:8.4f}, integrated {right:8.4f}")
    np.testing.assert_array_equal(np.isnan(values), missing)
    np.testing.assert_allclose(values[~missing], expected[~missing], atol=1e-4)
draws = quotient.sample(200, seed=1)
share = np.isnan(quotient.log_prob(draws)).mean()
print(f"{share:.0%} of its own draws have no density")
assert 0.05 < share < 0.2, share
PY
