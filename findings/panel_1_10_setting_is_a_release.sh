#!/usr/bin/env bash
# Panel 1.10.0: setting a slider's value in Python counts as its release.
#
# Up to Panel 1.9.4 `value_throttled` follows the reader alone: it changes when the slider is released in
# the browser. From 1.10.0 on it also follows every assignment to `value`. A page that moves its slider
# to show what somebody else has chosen, and acts on `value_throttled`, now acts as if its own reader had
# chosen that value: two pages that mirror each other answer each other. (Panel's pull request 8712.)
#
# Seen: `slider.value = 0.5` calls a watcher of `value_throttled` with 0.5 (1.10.0), or not at all (1.9.4)
# Needs a Python from 3.12 on, as Panel 1.10 does: set PYTHON to one where python3 is older.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
cat >"$work/slider.py" <<'PY'
import panel as pn

releases = []
for slider in (
    pn.widgets.FloatSlider(start=0, end=1, value=0.1),
    pn.widgets.DiscreteSlider(options=[0.1, 0.5, 1.0], value=0.1),
):
    slider.param.watch(lambda event: releases.append(event.new), "value_throttled")
    slider.value = 0.5
print(pn.__version__, releases)
PY
"$work/venv/bin/pip" install -q panel==1.9.4 bokeh==3.9.2
"$work/venv/bin/python" "$work/slider.py" | tee "$work/old"
grep -qF "1.9.4 []" "$work/old"
"$work/venv/bin/pip" install -q panel==1.10.0 bokeh==3.10.2
"$work/venv/bin/python" "$work/slider.py" | tee "$work/new"
grep -qF "1.10.0 [0.5, 0.5]" "$work/new"
