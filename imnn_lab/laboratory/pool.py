"""Limits concurrent heavy jobs; the rest queue in order."""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from imnn_lab import checks
from imnn_lab.dashboards.common.questions import Found, Questions
from imnn_lab.dashboards.training.ghosts import Ghosts, Past
from imnn_lab.dashboards.training.protocols import TrainingRun
from imnn_lab.diagnostics.fisher import TEST
from imnn_lab.diagnostics.gap import OTHER_NETWORKS
from imnn_lab.history import History
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics

if TYPE_CHECKING:
    from imnn_lab.training.run import Run

PLAIN = (bool, int, float, str, type(None))  # that JSON can hold
CHOSEN = ("objective", "reset", "warm_start", "whiten", "seed")  # arguments of a fit
KEPT = ("λ", "ε", "patience", "objective")  # of the arguments of a fit
REMEDIES = {  # that only Python has, and what a visitor of the page can do instead
    TEST: "Here, build on more simulations, with a validation set (Problem); in Python, what "
    "Results downloads can be tested on others: `imnn.report(test=...)`.",
    OTHER_NETWORKS: "or try another network (Problem).",
}
MOST_ITERATIONS, MOST_SECONDS = 1_000_000, 1800.0  # of a fit, unless a server says otherwise


class Worker(Protocol):
    """Something whose work can be stopped and waited for."""

    def stop(self) -> None:
        """End all work."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the work is over; return whether it is."""


class Keeper(Protocol):
    """What keeps fits, and answers about a network, on disk."""

    def wait(self, fit: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Note a fit that waits in the queue: arguments of `start`, and what was asked for."""

    def begin(
        self, fit: Mapping[str, Any], chosen: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> None:
        """Note a fit that goes on, objective and start of all since the beginning, and the like."""

    def checkpoint(self, run: Any) -> None:
        """Save where it stands, if it is time."""

    def end(self) -> None:
        """Note that it has ended."""

    def keep_answer(self, name: str, found: Found) -> None:
        """Keep the last answer to the question of this name."""

    def keep_ghosts(self, past: Past) -> None:
        """Keep what is known of the earlier runs."""


class Pool:
    """A bounded number of slots, given in the order of requests.

    Parameters
    ----------
    slots : int
    most_iterations : int
        Iterations after which a fit ends, whatever it was asked for.
    most_seconds : float
        Seconds after which a fit that holds a slot ends, pauses included.

    Attributes
    ----------
    workers : set of Worker
        All that uses this pool; kept alive by others.
    """

    def __init__(
        self,
        slots: int,
        most_iterations: int = MOST_ITERATIONS,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self.slots = slots
        self.most_iterations, self.most_seconds = most_iterations, most_seconds
        self.workers: weakref.WeakSet[Worker] = weakref.WeakSet()
        self._used = 0
        self._queue: deque[object] = deque()
        self._closed = False
        self._changed = threading.Condition()

    @property
    def is_closed(self) -> bool:
        """Whether the server ends."""
        return self._closed

    def position(self, ticket: object) -> int:
        """Return a ticket's position in the queue, from 1; 0 when it does not wait."""
        with self._changed:
            return self._queue.index(ticket) + 1 if ticket in self._queue else 0

    def enter(self, ticket: object, gives_up: Callable[[], bool]) -> bool:
        """Wait for a slot; return whether there is one. A closed pool has none.

        Parameters
        ----------
        ticket : object
            Identifies the request.
        gives_up : callable
            Called while waiting: whether to leave the queue.
        """
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or self._used >= self.slots:
                    if gives_up() or self._closed:
                        return False
                    self._changed.wait(0.1)
                if self._closed:
                    return False
                self._used += 1
                return True
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def leave(self) -> None:
        """Give a slot back."""
        with self._changed:
            self._used -= 1
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Give no more slots, stop all workers and wait for them; return whether all have ended.

        Parameters
        ----------
        seconds : float
            How long to wait for all of them together.
        """
        with self._changed:
            self._closed = True
        workers, end = list(self.workers), time.monotonic() + seconds
        for worker in workers:
            worker.stop()
        return all(worker.wait(max(0.0, end - time.monotonic())) for worker in workers)


@functools.cache
def shared_pool() -> Pool:
    """Return the one pool of this process, which all sessions share.

    It has a slot for each processor but one, which is left to the pages, and at most four, unless
    `slots` is set.
    """
    return Pool(min(4, max(1, (os.cpu_count() or 1) - 1)))


class PooledNetwork:
    """An IMNN as a dashboard trains it, whose fits wait for a slot in a pool.

    Parameters
    ----------
    imnn : IMNN
    pool : Pool
    kept : Keeper, optional
        Keeps fits, and what was found, on disk.

    Attributes
    ----------
    chosen : dict
        Arguments of the fits since the last start from the beginning: objective and start.
    asked : dict
        Iterations and patience that a visitor asked for last.
    questions : Questions
        What was asked about it, on any page.
    ghosts : Ghosts
        Its earlier runs, on all pages.
    remedies : dict
        What a visitor can do instead of what reports say.
    """

    remedies = REMEDIES

    def __init__(self, imnn: Any, pool: Pool, kept: Keeper | None = None) -> None:
        self.imnn, self.pool, self.kept = imnn, pool, kept
        self.pooled: PooledRun | None = None
        self.chosen: dict[str, Any] = {}
        self.asked: dict[str, int | None] = {}
        self.questions = Questions(None if kept is None else kept.keep_answer)
        self.ghosts = Ghosts(None if kept is None else kept.keep_ghosts)

    @property
    def run(self) -> TrainingRun | None:
        """The last run, which may still wait in the queue."""
        return self.pooled or self.imnn.run

    @property
    def history(self) -> History:
        """All iterations so far."""
        return self.imnn.history

    @property
    def validation(self) -> FisherStatistics | None:
        """Statistics of the validation set, None without one."""
        return self.imnn.validation

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the parameters, None without."""
        return self.imnn.names

    @property
    def θ_fid(self) -> np.ndarray:
        """Fiducial parameters, shape (n_params,)."""
        return self.imnn.θ_fid

    @property
    def optimiser(self) -> Any:
        """The optimiser, for its learning rate."""
        return self.imnn.optimiser

    @property
    def level(self) -> float | None:
        """Level of the `map_fn`, None if it has none."""
        return self.imnn.level

    def report(self, **options: Any) -> Any:
        """Return how far the results can be trusted; arguments are those of `IMNN.report`."""
        return self.imnn.report(**options)

    @property
    def is_recorded(self) -> bool:
        """Whether the history is a record, and not that of this network."""
        return getattr(self.imnn, "is_recorded", False)

    @property
    def candidates(self) -> tuple[Any, ...]:
        """All networks that this one was chosen from."""
        return tuple(self.imnn.candidates)

    def fisher_flow(self, progress: Callable[[float], Any]) -> Any:
        """Return what `IMNN.fisher_flow` does, once the pool has room."""
        return self._in_turn(lambda: self.imnn.fisher_flow(progress), progress)

    def learning_curve(self, progress: Callable[[float], Any]) -> Any:
        """Return what `IMNN.learning_curve` does, once the pool has room."""
        return self._in_turn(lambda: self.imnn.learning_curve(progress), progress)

    def honest_fisher(self, **options: Any) -> Any:
        """Return F with a bracket; arguments are those of `IMNN.honest_fisher`."""
        return self.imnn.honest_fisher(**options)

    def _in_turn(self, make: Callable[[], Any], progress: Callable[[float], Any]) -> Any:
        """Return what a function makes once the pool has room; `progress` may raise before."""
        ticket = object()
        if not self.pool.enter(ticket, lambda: bool(progress(0.0))):
            raise RuntimeError("This server ends.")
        try:
            return make()
        finally:
            self.pool.leave()

    def start(
        self,
        n_iterations: int | None = None,
        asked: Mapping[str, int | None] | None = None,
        **settings: Any,
    ) -> PooledRun:
        """Train when the pool has room; arguments are those of `IMNN.start`.

        What was `asked` for is another number of iterations if this is the rest of a fit.
        """
        if self.pooled is not None and not self.pooled.has_ended:
            raise RuntimeError("A fit is running or queued. Stop it first.")
        before = {} if settings.get("reset") else self.chosen
        given = {name: settings[name] for name in CHOSEN if name in settings}
        self.chosen = before | {n: x for n, x in given.items() if (n, x) != ("reset", False)}
        if asked is not None:
            self.asked = dict(asked)
        elif n_iterations != 0:  # a reset trains nothing
            self.asked = {"n_iterations": n_iterations, "patience": settings.get("patience")}
        self.pooled = PooledRun(
            self.imnn, self.pool, n_iterations, settings, self.kept, self.chosen, self.asked
        )
        return self.pooled


class PooledRun:
    """A run that waits for a slot in a pool: its state is "queued" until then.

    It ends at the pool's limits, if not before: the next in the queue is to have its turn.
    """

    def __init__(
        self,
        imnn: Any,
        pool: Pool,
        n_iterations: int | None,
        settings: dict[str, Any],
        kept: Keeper | None = None,
        chosen: Mapping[str, Any] | None = None,
        asked: Mapping[str, Any] | None = None,
    ) -> None:
        self._imnn, self._pool, self._kept, self._chosen = imnn, pool, kept, chosen or {}
        self._asked = asked or {}
        self._regularisation = Regularisation(settings.get("λ", 10.0), settings.get("ε", 0.1))
        self._patience: int | None = settings.get("patience")
        self.objective: str = settings.get("objective", "imnn")
        self._real: Run | None = None
        self._rate: float | None = None  # asked for before it runs
        self._stopped = threading.Event()
        self._limit, self._is_cut = "", False
        self._outcome = "queued"
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._train, args=(n_iterations, settings), name="imnn_lab fit", daemon=True
        )
        self._thread.start()

    @property
    def state(self) -> str:
        """State of the run; "queued" while it waits."""
        return self._outcome if self._real is None else self._real.state

    @property
    def reason(self) -> str:
        """Why it ended."""
        if self._real is None:
            return str(self._error or "")
        return self._limit or self._real.reason + self._cut_words()

    @property
    def error(self) -> BaseException | None:
        """The exception that made it fail."""
        return self._error if self._real is None else self._real.error

    @property
    def regularisation(self) -> Regularisation:
        """λ and ε in use."""
        return self._regularisation if self._real is None else self._real.regularisation

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self._outcome != "queued" if self._real is None else self._real.has_ended

    @property
    def last(self) -> int | None:
        """Number of the iteration at which it ends; None without a limit, and before it starts."""
        return None if self._real is None else self._real.last

    @property
    def patience(self) -> int | None:
        """Iterations without improvement after which it ends, None without a limit."""
        return self._patience if self._real is None else self._real.patience

    @property
    def stale(self) -> int:
        """Iterations since the last improvement."""
        return 0 if self._real is None else self._real.stale

    @property
    def position(self) -> int:
        """Position in the queue, 0 when it does not wait."""
        return self._pool.position(self)

    def stop(self) -> None:
        """End it, or leave the queue; where a kept one stood when the pool was closed is saved."""
        self._stopped.set()
        if self._real is not None:
            self._real.stop(checkpoint=self._goes_on_later)

    def pause(self) -> None:
        """Pause it, once it runs."""
        if self._real is not None:
            self._real.pause()

    def resume(self) -> None:
        """Resume it."""
        if self._real is not None:
            self._real.resume()

    def steer(
        self,
        *,
        λ: float | None = None,
        ε: float | None = None,
        learning_rate: float | None = None,
        level: float | None = None,
    ) -> None:
        """Change its settings, once it runs; a learning rate may be asked for before."""
        if self._real is None:
            if learning_rate is None or {λ, ε, level} != {None}:
                raise RuntimeError("The fit is queued: steer it once it runs.")
            self._rate = checks.number("learning_rate", learning_rate, above=0)
            if self._real is None:
                return
        self._real.steer(λ=λ, ε=ε, learning_rate=learning_rate, level=level)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over; return whether it is."""
        self._thread.join(timeout)
        return self.has_ended

    def _train(self, n_iterations: int | None, settings: dict[str, Any]) -> None:
        if self._kept is not None:
            self._kept.wait({"n_iterations": n_iterations} | _plain(settings), self._asked)
        if not self._pool.enter(self, self._stopped.is_set):
            self._outcome = "stopped"
            if self._kept is not None and not self._goes_on_later:
                self._kept.end()
            return
        try:
            bounded = self._bounded(n_iterations)
            self._is_cut = bounded != n_iterations
            callback = {} if self._kept is None else {"callback": self._kept.checkpoint}
            self._real = run = self._imnn.start(bounded, **settings, **callback)
            if self._rate is not None:
                run.steer(learning_rate=self._rate)
            if self._kept is not None:
                kept = {name: settings[name] for name in KEPT if name in settings}
                chosen = _plain(self._chosen)
                self._kept.begin(kept | {"last": run.last}, chosen, self._asked)
            if self._stopped.is_set():
                run.stop(checkpoint=self._goes_on_later)
            self._end_in_time(run)
            if self._kept is not None and not self._goes_on_later:
                self._kept.end()
        except Exception as error:
            self._error, self._outcome = error, "failed"
        finally:
            self._pool.leave()

    @property
    def _goes_on_later(self) -> bool:
        """Whether a server that is started again goes on with it."""
        return self._kept is not None and self._pool.is_closed

    def _bounded(self, n_iterations: int | None) -> int | None:
        """Return for how many iterations to train; the network refuses what never ends."""
        if n_iterations is None and self._patience is None:
            return None
        most = self._pool.most_iterations
        return most if n_iterations is None else min(n_iterations, most)

    def _end_in_time(self, run: Any) -> None:
        """Wait until a run is over, and stop it when its time is."""
        seconds = self._pool.most_seconds
        if not run.wait(seconds):
            self._limit = f"stopped after {seconds:,g} s, the most for a fit on this server"
            run.stop()
            run.wait()

    def _cut_words(self) -> str:
        """Return that it ended at the server's limit, if it did."""
        last = None if self._real is None else self._real.last
        if not self._is_cut or last is None or len(self._imnn.history) <= last:
            return ""
        return f", the most for a fit on this server ({self._pool.most_iterations:,})"


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that JSON can hold."""
    return {name: x for name, x in settings.items() if isinstance(x, PLAIN)}
