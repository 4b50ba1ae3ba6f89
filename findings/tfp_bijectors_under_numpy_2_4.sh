#!/usr/bin/env bash
# TensorFlow Probability 0.25.0 under NumPy 2.4.6: every prior on a simplex lacks its bijector.
#
# TensorFlow Probability has had no release since 2024. NumPy 2.4 removed `newshape`, the old name of an
# argument of `reshape`, which `SoftmaxCentered` still passes through `Pad`. So
# `Dirichlet(...).experimental_default_event_space_bijector()` raises, while sampling and `log_prob` work.
# With NumPy 2.3.5 the same call gives the simplex.
#
# Seen: TypeError, reshape() got an unexpected keyword argument 'newshape'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 tf_keras==2.21.0 tensorflow-probability==0.25.0 numpy==2.4.6
cat >"$work/simplex.py" <<'PY'
import numpy as np
import tensorflow_probability as tfp

prior = tfp.distributions.Dirichlet([1.0, 2.0, 3.0])
draw = prior.sample(seed=1)
assert np.isfinite(prior.log_prob(draw).numpy())
try:
    bijector = prior.experimental_default_event_space_bijector()
    print("NumPy", np.__version__, bijector.forward(np.zeros(2, "float32")).numpy())
except TypeError as error:
    print("NumPy", np.__version__, "TypeError:", error)
PY
export TF_CPP_MIN_LOG_LEVEL=3
"$work/venv/bin/python" "$work/simplex.py" 2>/dev/null | tee "$work/new"
grep -q "TypeError: reshape() got an unexpected keyword argument 'newshape'" "$work/new"
"$work/venv/bin/pip" install -q numpy==2.3.5
"$work/venv/bin/python" "$work/simplex.py" 2>/dev/null | tee "$work/old"
grep -q "0.3333" "$work/old"
