"""Import TensorFlow without its start-up messages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Import TensorFlow without the messages that it writes to standard error during import.

    Some of them are written before its logging can be configured (TensorFlow 2.21).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with _silent_standard_error():
        import tensorflow  # noqa: F401


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
