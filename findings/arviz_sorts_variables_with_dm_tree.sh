#!/usr/bin/env bash
# ArviZ 0.23.4: the order of variables depends on whether dm-tree 0.1.10 happens to be installed.
#
# `arviz.from_dict` keeps the order of the dictionary. Once the package `tree` can be imported, which
# TensorFlow Probability brings along, it flattens the dictionary with it, and that sorts the keys: tables,
# pair plots and `InferenceData.posterior.data_vars` are in alphabetical order, with the same call and the same
# data. No message says so.
#
# Seen: without dm-tree ['z', 'b', 'a'], with it ['a', 'b', 'z']
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q arviz==0.23.4 numpy==2.4.6
cat >"$work/order.py" <<'PY'
import arviz
import numpy as np

data = arviz.from_dict(posterior={name: np.ones((1, 9)) for name in "zba"})
print(list(data.posterior.data_vars))
PY
"$work/venv/bin/python" -W ignore "$work/order.py" 2>/dev/null | tee "$work/without"
grep -qF "['z', 'b', 'a']" "$work/without"
"$work/venv/bin/pip" install -q dm-tree==0.1.10
"$work/venv/bin/python" -W ignore "$work/order.py" 2>/dev/null | tee "$work/with"
grep -qF "['a', 'b', 'z']" "$work/with"
