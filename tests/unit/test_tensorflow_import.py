"""What importing TensorFlow and calling its functions writes, and which Keras is taken."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, gaussian_simulator, plain_imnn

IMPORTS = [
    "from imnn_lab import IMNN",
    "from imnn_lab import networks",
    "from imnn_lab.networks import dense",
    "from imnn_lab import TFRecords",
]
NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
WORKS = "; import tensorflow as tf; tf.function(lambda: tf.ones(3) + 1)()"


def written(code, **environment):
    """Return the status of a script and what it wrote to standard error."""
    kept = {key: x for key, x in os.environ.items() if not key.startswith(("TF_", "KERAS", "GRPC"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("statement", IMPORTS)
def test_the_package_imports_tensorflow_in_silence(statement):
    assert written(statement + WORKS) == (0, "")


def test_a_level_of_messages_that_the_user_set_is_kept():
    check = "; import os; assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '0'"
    status, errors = written(IMPORTS[0] + check, TF_CPP_MIN_LOG_LEVEL="0")
    assert status == 0
    assert "oneDNN" in errors or "TensorFlow" in errors


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("statement", IMPORTS[:2])
def test_another_backend_of_keras_is_refused_by_name(backend, statement):
    status, errors = written(statement, KERAS_BACKEND=backend)
    last = errors.strip().splitlines()[-1]
    assert status == 1
    assert last.startswith("ImportError: imnn_lab needs Keras on TensorFlow. Received ")
    assert f"KERAS_BACKEND={backend}. Set KERAS_BACKEND=tensorflow" in last


def test_what_needs_no_tensorflow_is_imported_with_any_backend():
    assert written("from imnn_lab import LFI, campaign, problems", KERAS_BACKEND="jax") == (0, "")


@pytest.mark.parametrize("simulator", [None, gaussian_simulator])
def test_nothing_retraces_over_several_networks(simulator, caplog):
    tf.get_logger().addHandler(caplog.handler)
    data = dict.fromkeys(NAMES) | {"simulator": simulator}
    if simulator is None:
        data |= dict(zip(NAMES[:2], [x[:20] for x in gaussian_data()[:2]], strict=True))
    try:
        for _ in range(6):
            imnn = plain_imnn(n_s=20, n_d=20, **data)
            imnn.fit(1)
            for n in (1, 3, 5):
                imnn.get_estimate(np.zeros((n, 10)))
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert "retracing" not in caplog.text
