#!/usr/bin/env bash
# Keras 3.15.1: `keras.optimizers.deserialize` gives back the text "Lamb" for a Lamb optimiser.
#
# `keras.optimizers.Lamb` is public, and `keras.optimizers.serialize` writes it down like any other, but
# it is not in the list of classes that `keras.optimizers.deserialize` looks up; what it does not find
# there it returns as the name of the class, a str, and raises nothing. `keras.optimizers.get("lamb")`
# raises ValueError. `keras.saving.deserialize_keras_object` makes the optimiser from the same
# configuration.
#
# Seen: deserialize(serialize(Adam())) is an Adam; deserialize(serialize(Lamb())) == "Lamb".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$work/venv/bin/python" - <<'PY'
import keras
from keras import optimizers

assert isinstance(optimizers.deserialize(optimizers.serialize(optimizers.Adam())), optimizers.Adam)

found = optimizers.deserialize(optimizers.serialize(optimizers.Lamb()))
print("deserialize(serialize(Lamb())):", repr(found))
if found != "Lamb":
    raise SystemExit("keras.optimizers.deserialize makes a Lamb now")
try:
    optimizers.get("lamb")
except ValueError as error:
    print("get('lamb'): ValueError,", error)
else:
    raise SystemExit("keras.optimizers.get knows Lamb now")

whole = keras.saving.deserialize_keras_object(optimizers.serialize(optimizers.Lamb()))
print("keras.saving.deserialize_keras_object:", type(whole).__name__)
assert isinstance(whole, optimizers.Lamb)
PY
