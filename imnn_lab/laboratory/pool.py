"""Places for heavy work: a server has so many, and who finds none waits in line."""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Pool:
    """A bounded number of places, given in the order of asking.

    Parameters
    ----------
    places : int
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._taken = 0
        self._line: deque[object] = deque()
        self._changed = threading.Condition()

    def position(self, ticket: object) -> int:
        """Return a ticket's position in the line, from 1; 0 when it does not wait."""
        with self._changed:
            return self._line.index(ticket) + 1 if ticket in self._line else 0

    def enter(self, ticket: object, gives_up: Callable[[], bool]) -> bool:
        """Wait for a place; return whether it was given.

        Parameters
        ----------
        ticket : object
            Who waits.
        gives_up : callable
            Asked while waiting: whether to leave the line.
        """
        with self._changed:
            self._line.append(ticket)
            try:
                while self._line[0] is not ticket or self._taken >= self.places:
                    if gives_up():
                        return False
                    self._changed.wait(0.1)
                self._taken += 1
                return True
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()

    def leave(self) -> None:
        """Give a place back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()


@functools.cache
def shared_pool() -> Pool:
    """Return the one pool of this process, which all sessions share.

    It has as many places as this machine has processors, at most four, until told otherwise.
    """
    return Pool(min(4, os.cpu_count() or 1))


class PooledNetwork:
    """An IMNN whose fits wait for a place in a pool; otherwise it is the IMNN.

    Parameters
    ----------
    imnn : IMNN
    pool : Pool
    """

    def __init__(self, imnn: Any, pool: Pool) -> None:
        self.imnn, self.pool = imnn, pool
        self._waiting: PooledRun | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.imnn, name)

    @property
    def run(self) -> Any:
        """The last run, which may still be in line."""
        return self._waiting or self.imnn.run

    def start(self, n_iterations: int | None = None, **settings: Any) -> PooledRun:
        """Train when there is a place; arguments are those of `IMNN.start`."""
        if self._waiting is not None and not self._waiting.has_ended:
            raise RuntimeError("A fit is running or in line. Stop it first.")
        self._waiting = PooledRun(self.imnn, self.pool, n_iterations, settings)
        return self._waiting


class PooledRun:
    """A run that may still be in line: state "queued"."""

    def __init__(
        self, imnn: Any, pool: Pool, n_iterations: int | None, settings: dict[str, Any]
    ) -> None:
        from imnn_lab.regularisation import Regularisation

        self._imnn, self._pool = imnn, pool
        self._regularisation = Regularisation(settings.get("λ", 10.0), settings.get("ε", 0.1))
        self._real: Any = None
        self._stopped = threading.Event()
        self._over = ""
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._train, args=(n_iterations, settings), name="imnn_lab fit", daemon=True
        )
        self._thread.start()

    @property
    def state(self) -> str:
        """State of the run; "queued" while it is in line."""
        if self._real is not None:
            return str(self._real.state)
        return self._over or "queued"

    @property
    def reason(self) -> str:
        """Why it ended."""
        return str(self._real.reason) if self._real is not None else str(self._error or "")

    @property
    def error(self) -> BaseException | None:
        """What made it fail."""
        return self._real.error if self._real is not None else self._error

    @property
    def regularisation(self) -> Any:
        """λ and ε in use."""
        return self._regularisation if self._real is None else self._real.regularisation

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return bool(self._over) if self._real is None else bool(self._real.has_ended)

    @property
    def position(self) -> int:
        """Position in the line, 0 when it does not wait."""
        return self._pool.position(self)

    def stop(self) -> None:
        """End it, or leave the line."""
        self._stopped.set()
        if self._real is not None:
            self._real.stop()

    def pause(self) -> None:
        """Hold it, once it runs."""
        if self._real is not None:
            self._real.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self._real is not None:
            self._real.resume()

    def steer(self, **settings: float) -> None:
        """Change its settings, once it runs."""
        if self._real is None:
            raise RuntimeError("The fit is in line; steer it when it runs.")
        self._real.steer(**settings)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over; return whether it is."""
        self._thread.join(timeout)
        return self.has_ended

    def _train(self, n_iterations: int | None, settings: dict[str, Any]) -> None:
        if not self._pool.enter(self, self._stopped.is_set):
            self._over = "stopped"
            return
        try:
            self._real = self._imnn.start(n_iterations, **settings)
            if self._stopped.is_set():
                self._real.stop()
            self._real.wait()
        except Exception as error:
            self._error, self._over = error, "failed"
        finally:
            self._pool.leave()
