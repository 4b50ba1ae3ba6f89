"""A run: one training, driven in the caller's thread or in its own.

Another thread may call `steer`, `pause`, `resume`, `stop` and `wait` and read `state`, `iteration`
and `error`; everything else is done by the thread that drives the run, between graph calls.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.progress import ProgressBar
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import History, SteeringMark
from imnn_lab.training import (
    NOT_FINITE,
    PATIENCE,
    Chunk,
    Limits,
    TrainingGraph,
    training_iterations,
)

ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class Plan:
    """What a fit was asked to do; see `IMNN.fit`."""

    regularisation: Regularisation
    n_iterations: int | None
    patience: int | None
    min_iterations: int
    checkpoint: int | None
    best: bool
    weight_file: str


class Run:
    """One training of a network; `IMNN.fit` and `IMNN.start` make it.

    Parameters
    ----------
    graph : TrainingGraph
        What is trained.
    history : History
        Where iterations are recorded.
    plan : Plan
        What the fit was asked to do.
    first : int
        Number of the first iteration.
    finish, checkpoint : callable
        Called with the run when it ends, and after every `plan.checkpoint` iterations.
    callback : callable, optional
        Called with the run after every graph call.

    Attributes
    ----------
    state : str
        queued, compiling, running, paused, stopping, finished, stopped or failed.
    error : BaseException or None
        What ended a failed run.
    reason : str
        Why the run ended, in words.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        history: History,
        plan: Plan,
        *,
        first: int,
        finish: Callable[[Run], None],
        checkpoint: Callable[[Run], None],
        callback: Callable[[Run], Any] | None = None,
    ) -> None:
        self.graph, self.history, self.plan = graph, history, plan
        self.state, self.reason = "queued", ""
        self.error: BaseException | None = None
        self.regularisation = plan.regularisation
        self.next = first
        self._last = None if plan.n_iterations is None else self.iteration + plan.n_iterations
        self._min_iterations = self.iteration + plan.min_iterations
        self._finish, self._checkpoint, self._callback = finish, checkpoint, callback
        self._lock = threading.Lock()
        self._requests: dict[str, float] = {}
        self._going, self._ended = threading.Event(), threading.Event()
        self._going.set()
        self._stop, self._interrupted = False, False
        self._seconds = float(history["seconds"][-1]) if len(history) else 0.0
        self._thread: threading.Thread | None = None

    @property
    def _recorded(self) -> int:
        """Number of the last iteration in the history, −1 when it is empty."""
        return len(self.history) - 1

    @property
    def iteration(self) -> int:
        """Number of the last recorded iteration."""
        return max(0, self._recorded)

    @property
    def has_ended(self) -> bool:
        """Whether the run is over and the statistics belong to the final weights."""
        return self._ended.is_set()

    @property
    def stale(self) -> int:
        """Iterations since the last improvement."""
        return int(self.graph.stale)

    @property
    def last(self) -> int | None:
        """Number of the iteration at which the run ends, where it was given one."""
        return self._last

    @checks.greek_keywords
    def steer(
        self, *, λ: float | None = None, ε: float | None = None, learning_rate: float | None = None
    ) -> None:
        """Change λ, ε or the learning rate from the next graph call on; the latest request wins.

        What is applied is marked in ``history.marks``.

        Parameters
        ----------
        λ, ε : float, optional
            The new strength and closeness of the regularisation; None leaves what there is.
        learning_rate : float, optional
            The new learning rate, where a schedule then goes on from.

        Raises
        ------
        ValueError, TypeError
            If the values are not valid; nothing is changed then.
        RuntimeError
            If the run has ended.
        """
        if self.state in ENDED:
            raise RuntimeError("The run has ended; start another one with the new settings.")
        with self._lock:
            given = {"λ": λ, "ε": ε, "learning_rate": learning_rate}
            asked = {name: value for name, value in given.items() if value is not None}
            pending = self._requests | asked
            now = self.regularisation
            checked = Regularisation(pending.get("λ", now.λ), pending.get("ε", now.ε))
            if learning_rate is not None:
                asked["learning_rate"] = checks.number("learning_rate", learning_rate, above=0)
            self._requests |= asked | {
                name: getattr(checked, name) for name in ("λ", "ε") if name in pending
            }
            self._requests["requested_after"] = self._recorded

    def pause(self) -> None:
        """Hold the run after the current graph call."""
        self._going.clear()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._going.set()

    def stop(self) -> None:
        """End the run after the current graph call; the best weights are kept."""
        self._stop = True
        if self.state not in ENDED:
            self.state = "stopping"
        self._going.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which to give up.

        Returns
        -------
        bool
            Whether it has ended.
        """
        return self._ended.wait(timeout)

    def start(self) -> Run:
        """Drive the run in a thread of its own.

        Returns
        -------
        Run
            This one, at once.
        """
        self._thread = threading.Thread(
            target=self._drive_quietly, name="imnn_lab run", daemon=True
        )
        self._thread.start()
        return self

    def drive(self, bar: ProgressBar) -> None:
        """Drive the run in this thread until it ends.

        Parameters
        ----------
        bar : ProgressBar
            Shows how far it is.

        Raises
        ------
        BaseException
            Whatever made it fail, KeyboardInterrupt included.
        """
        with self._interruptible():
            try:
                self._train(bar)
            except BaseException as error:
                self.error = error
            try:
                self._finish(self)
            except BaseException as error:
                self.error = self.error or error
        if self._interrupted:
            self.error = self.error or KeyboardInterrupt()
        interrupted = isinstance(self.error, KeyboardInterrupt)
        self.state = (
            "stopped"
            if interrupted or (self._stop and not self.error)
            else "failed"
            if self.error
            else "finished"
        )
        self._ended.set()
        if self.error is not None:
            raise self.error

    def _drive_quietly(self) -> None:
        with contextlib.suppress(BaseException), ProgressBar(shown=False) as bar:
            self.drive(bar)

    def _train(self, bar: ProgressBar) -> None:
        self.state = "stopping" if self._stop else "compiling"
        limits = Limits(self._last, self.plan.patience, self._min_iterations)
        self._apply(self.regularisation)
        iterations = training_iterations(self.graph, self.next, limits, self.plan.checkpoint)
        while self._may_go_on():
            self._apply_requests()
            started = time.perf_counter()
            chunk = next(iterations, None)
            if chunk is None:
                self.reason = f"all {self.plan.n_iterations} iterations are done"
                return
            self._record(chunk, time.perf_counter() - started)
            bar.show(self)
            if chunk.status == PATIENCE:
                self.reason = f"no improvement in {self.plan.patience} iterations"
                return
            if chunk.status == NOT_FINITE:
                raise FloatingPointError(self._not_finite(chunk))
            if self._callback is not None:
                self._callback(self)
            if self.plan.checkpoint and self.iteration % self.plan.checkpoint == 0:
                self._checkpoint(self)
        self.reason = "it was stopped"
        self._close()

    def _may_go_on(self) -> bool:
        if not self._going.is_set():
            self.state = "paused"
            while not self._going.wait(0.1) and not self._interrupted:
                pass
        if self._stop or self._interrupted:
            self.state = "stopping"
            return False
        if self.state == "paused":
            self.state = "running"
        return True

    def _close(self) -> None:
        """Record the weights as they are, without another update."""
        limits = Limits(self.next, None, 0)
        for chunk in training_iterations(self.graph, self.next, limits):
            self._record(chunk, 0.0)

    def _apply(self, regularisation: Regularisation) -> None:
        self.graph.λ.assign(regularisation.λ)
        self.graph.α.assign(regularisation.α)
        self.regularisation = regularisation

    def _apply_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, {}
        if not requests:
            return
        after = int(requests.pop("requested_after"))
        before = {"λ": self.regularisation.λ, "ε": self.regularisation.ε}
        step = int(self.graph.optimiser.iterations)
        before["learning_rate"] = float(self.graph.learning_rate(step))
        pair = {name: value for name, value in requests.items() if name != "learning_rate"}
        self._apply(replace(self.regularisation, **pair))
        if "learning_rate" in requests:
            self.graph.learning_rate.set(requests["learning_rate"], step)
        for name, value in requests.items():
            if value != before[name]:
                self.history.mark(SteeringMark(self.next, name, value, before[name], after))

    def _record(self, chunk: Chunk, seconds: float) -> None:
        n = len(chunk.columns["iteration"])
        settings = {"λ": self.regularisation.λ, "ε": self.regularisation.ε}
        settings["α"] = self.regularisation.α
        columns = chunk.columns | {name: np.full(n, value) for name, value in settings.items()}
        columns["seconds"] = self._seconds + seconds * np.arange(1, n + 1) / n
        self._seconds += seconds
        known = int(np.sum(columns["iteration"] <= self._recorded))
        self.history.append(
            {name: values[known:] for name, values in columns.items()},
            {name: values[known:] for name, values in chunk.matrices.items()},
        )
        self.next = int(columns["iteration"][-1]) + 1
        if self.state == "compiling":
            self.state = "running"

    def _not_finite(self, chunk: Chunk) -> str:
        bad = [
            name
            for name, values in chunk.columns.items()
            if not np.isfinite(values[-1])
            and not (name.startswith("val_") and self.graph.validation is None)
        ]
        iteration = int(chunk.columns["iteration"][-1])
        return (
            f"Training met a number that is not finite at iteration {iteration} "
            f"({', '.join(bad)}). The best weights before it are restored. "
            "Try a smaller learning rate, a smaller λ, whiten=True, dtype=tf.float64, or a network "
            "whose summaries are not copies of each other."
        )

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C end the run after the current graph call; a second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
