"""A notebook's kernel, and the thread in it that keeps a page up to date.

While a cell blocks in `fit` nothing else runs in the kernel's main thread, so what follows the fit
needs a thread of its own. The thread ends when there has been nothing to do for a while, and is
started again before each cell and by whatever the reader does.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any, Protocol

PERIOD = 0.25
PATIENCE = 60.0


class Ticked(Protocol):
    """What a thread keeps up to date."""

    def tick(self) -> bool:
        """Bring it up to date; return whether to continue while nobody acts."""


def kernel_shell() -> Any:
    """Return the interactive shell of a notebook's kernel, None elsewhere."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def is_batch(shell: Any) -> bool:
    """Return whether the cell that runs was sent by a program, so that nobody sees its pages.

    nbclient, and with it nbconvert and papermill, say that they cannot answer ``input()``; what
    readers use can. What is asked from elsewhere than a cell is nobody's batch.
    """
    request = shell.kernel.get_parent().get("content", {})
    return not request.get("allow_stdin", True)


class NotebookTicker:
    """Ticks in a thread while there is something to do.

    Parameters
    ----------
    ticked : Ticked
        Held weakly: what nobody shows any more is not kept alive by its ticker.
    period : float
        Seconds from tick to tick.
    patience : float
        Seconds of idleness after which the thread ends.
    """

    def __init__(self, ticked: Ticked, period: float = PERIOD, patience: float = PATIENCE) -> None:
        self._ticked, self._period, self._patience = weakref.ref(ticked), period, patience
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._lock:
            if self.is_alive or self._stopped.is_set():
                return
            self._thread = threading.Thread(target=self._run, name="imnn_lab view", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread for good."""
        self._stopped.set()

    def follow(self, events: Any) -> None:
        """Start now and before each cell of a kernel; `events` are those of its shell."""

        def before_cell(*_: Any) -> None:
            if self._ticked() is None:
                events.unregister("pre_run_cell", before_cell)
            else:
                self.start()

        events.register("pre_run_cell", before_cell)
        self.start()

    def _run(self) -> None:
        busy = time.monotonic()
        while not self._stopped.wait(self._period):
            ticked = self._ticked()
            if ticked is None or time.monotonic() > busy + self._patience:
                return
            if ticked.tick():
                busy = time.monotonic()
            del ticked
