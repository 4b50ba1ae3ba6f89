#!/usr/bin/env bash
# GetDist 1.7.7: names of parameters are cut at a space or a star in silence, though its error forbids both.
#
# `MCSamples(names=["a?"])` raises "Parameter names must not contain spaces, * or ?". Names with spaces or a
# trailing star never get to that check: they are parsed as a line of a .paramnames file first, so that
# "Omega_m h2" becomes "Omega_m" and "a*" a derived parameter "a". Of two names that become equal the last wins:
# the mean of the first is that of the second.
#
# Seen: names ['Omega_m', 'Omega_m'], mean of Omega_m 5.0 instead of 0.0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q getdist==1.7.7 numpy==2.4.6
cat >"$work/names.py" <<'PY'
import getdist
import numpy as np

samples = np.random.default_rng(0).normal([0, 5], 0.1, (1000, 2))
chains = getdist.MCSamples(samples=samples, names=["Omega_m", "Omega_m h2"])
print([each.name for each in chains.paramNames.names], f"{chains.mean('Omega_m'):.1f}")
starred = getdist.MCSamples(samples=samples, names=["a*", "b"]).paramNames.names[0]
print(starred.name, starred.isDerived)
try:
    getdist.MCSamples(samples=samples, names=["a?", "b"])
except ValueError as error:
    print(error)
PY
"$work/venv/bin/python" -W ignore "$work/names.py" | tee "$work/seen"
grep -qF "['Omega_m', 'Omega_m'] 5.0" "$work/seen"
grep -qx "a True" "$work/seen"
grep -qF "Parameter names must not contain spaces, * or ?" "$work/seen"
