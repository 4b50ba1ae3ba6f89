"""Work that a page starts and may stop, in a thread that only appends to records."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from imnn_lab import at_exit, checks

Entry = TypeVar("Entry")


class Record(Generic[Entry]):
    """An append-only list, safe to read while it grows."""

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._entries = list(entries)

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Append an entry."""
        with self._lock:
            self._entries.append(entry)

    def read(self) -> tuple[Entry, ...]:
        """Return the entries so far."""
        with self._lock:
            return tuple(self._entries)


class Work:
    """A task in a thread of its own, one at a time.

    Attributes
    ----------
    message : str
        Why the last task ended.
    """

    def __init__(self, name: str) -> None:
        self.name, self.message = name, ""
        self._outcome = "idle"
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a task has started and not ended."""
        return self._outcome == "running"

    @property
    def state(self) -> str:
        """One of idle, running, stopping, finished, stopped and failed."""
        return "stopping" if self.is_running and self._stop.is_set() else self._outcome

    def start(self, task: Callable[[threading.Event], str]) -> None:
        """Run a task, unless one is running.

        Parameters
        ----------
        task : callable
            ``task(stop)`` works until it is done or ``stop.is_set()``, and returns why it ended.
            It is stopped when Python exits.
        """
        with self._lock:
            if self.is_running:
                return
            at_exit.started(self)
            self._outcome, self.message = "running", ""
            self._stop.clear()
        self._thread = threading.Thread(
            target=self._run, args=(task,), name=f"imnn_lab {self.name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Request the task to end."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the task has ended; return whether it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_running

    def _run(self, task: Callable[[threading.Event], str]) -> None:
        try:
            self.message = task(self._stop)
        except Exception as error:
            self.message, self._outcome = checks.words_of(error), "failed"
        else:
            self._outcome = "stopped" if self._stop.is_set() else "finished"
        finally:
            at_exit.ended(self)
