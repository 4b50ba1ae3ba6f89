"""Import TensorFlow without its start-up messages, and Keras on it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

SILENT = "3"  # of TF_CPP_MIN_LOG_LEVEL


def import_tensorflow() -> None:
    """Import TensorFlow without the messages that it writes to standard error during import.

    Some of them are written before its logging can be configured (TensorFlow 2.21). All are written
    where TF_CPP_MIN_LOG_LEVEL is set to less than 3.

    Raises
    ------
    ImportError
        If Keras is set to another backend.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", SILENT)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    _check_backend(os.environ.get("KERAS_BACKEND") or "tensorflow", "KERAS_BACKEND={}")
    is_silent = level == SILENT and "tensorflow" not in sys.modules
    with _silent_standard_error() if is_silent else contextlib.nullcontext():
        import tensorflow  # noqa: F401
    import keras

    _check_backend(keras.config.backend(), "Keras with the backend {!r} (~/.keras/keras.json)")


def called(function: Any, *arguments: Any) -> Any:
    """Return a `tf.function` of tensors, without the warning of retracing.

    TensorFlow counts the functions of all networks as one, as they come from one line of code, and
    warns when five of them are new, though each is traced once.
    """
    return function.get_concrete_function(*arguments)(*arguments)


def _check_backend(backend: str, received: str) -> None:
    if backend != "tensorflow":
        raise ImportError(
            "imnn_lab needs Keras on TensorFlow. "
            f"Received {received.format(backend)}. "
            "Set KERAS_BACKEND=tensorflow before Python starts, or before Keras is imported."
        )


@contextlib.contextmanager
def _silent_standard_error() -> Iterator[None]:
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
