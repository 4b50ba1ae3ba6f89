"""What ticks a pump in a notebook: one thread of the kernel.

While a cell blocks in `fit` nothing else of the kernel's main thread runs, so what follows it
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
        """Bring it up to date; say whether something goes on."""


def kernel_shell() -> Any:
    """Return the interactive shell of a notebook's kernel, None elsewhere."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


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
        """Start with each cell of a kernel; `events` are those of its shell."""
        CellStarts(events, self, self._ticked).register()
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


class CellStarts:
    """Starts a ticker before each cell, as long as there is something to tick."""

    def __init__(self, events: Any, ticker: NotebookTicker, ticked: weakref.ref[Any]) -> None:
        self._events, self._ticker, self._ticked = events, ticker, ticked

    def register(self) -> None:
        """Begin."""
        self._events.register("pre_run_cell", self._before_cell)

    def _before_cell(self, *_: Any) -> None:
        if self._ticked() is None:
            self._events.unregister("pre_run_cell", self._before_cell)
        else:
            self._ticker.start()
