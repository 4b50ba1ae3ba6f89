"""Work in threads is stopped when Python exits, which would otherwise abort in the midst of it.

A thread that is inside TensorFlow while Python ends takes the whole process down (SIGABRT).
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Any, Protocol

MOST_SECONDS = 60.0


class Stoppable(Protocol):
    """Work that can be stopped from another thread."""

    def stop(self) -> Any:
        """Ask it to end."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most `timeout` seconds; return whether it has."""


_working: set[Stoppable] = set()
_lock = threading.Lock()
_exiting = threading.Event()

# Finalizers run after the work that uses their objects has ended: Python calls what was registered
# first last, and `weakref` registers the call of all finalizers with the first one.
weakref.finalize(_exiting, lambda: None)


def is_exiting() -> bool:
    """Whether Python exits, so that work is to end."""
    return _exiting.is_set()


def started(work: Stoppable) -> None:
    """Note work that is to be stopped when Python exits.

    Raises
    ------
    RuntimeError
        If Python exits already.
    """
    with _lock:
        if _exiting.is_set() and work not in _working:
            raise RuntimeError("Python exits: nothing new can start.")
        _working.add(work)


def ended(work: Stoppable) -> None:
    """Forget work that has ended."""
    with _lock:
        _working.discard(work)


@atexit.register
def _stop_all() -> None:
    with _lock:
        _exiting.set()
        working = tuple(_working)
    end = time.monotonic() + MOST_SECONDS
    for work in working:
        work.stop()
    if not all(work.wait(max(0.0, end - time.monotonic())) for work in working):
        print(
            f"imnn_lab: work in a thread did not end within {MOST_SECONDS:.0f} s after it was "
            "stopped because Python exits; it is broken off.",
            file=sys.stderr,
        )


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_working.clear)
