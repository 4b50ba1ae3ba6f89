"""A run: one training, in the caller's thread or in its own.

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

from imnn_lab import at_exit, checks
from imnn_lab.history import History, SteeringMark
from imnn_lab.progress import progress_bar
from imnn_lab.regularisation import Regularisation
from imnn_lab.settings import OBJECTIVES
from imnn_lab.training.loop import StoppingRule, training_iterations
from imnn_lab.training.step import NOT_FINITE, PATIENCE, TrainingGraph

START = ("warm_start", "whiten", "seed")
REQUESTS = ("λ", "ε", "learning_rate", "level", "requested_after")
ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class FitPlan:
    """The checked arguments of `IMNN.fit`."""

    regularisation: Regularisation
    objective: str
    gaussianity: float
    n_iterations: int | None
    patience: int | None
    min_iterations: int
    checkpoint: int | None
    best: bool
    reset: bool
    weight_file: str
    callback: Callable[[Run], Any] | None
    level: Any = None
    warm_start: bool | None = None
    whiten: bool | None = None
    seed: int | None = None

    @classmethod
    def checked(
        cls, *, λ: Any, ε: Any, min_iterations: Any, callback: Any, **given: Any
    ) -> FitPlan:
        """Check arguments as the user gave them.

        Raises
        ------
        TypeError, ValueError
            If one has the wrong type, sign or range, or nothing would end the fit.
        """
        if callback is not None and not callable(callback):
            raise TypeError(checks.wording("`callback`", "be callable", checks.describe(callback)))
        plan = cls(
            regularisation=Regularisation(λ, ε),
            objective=(objective := checks.one_of("objective", given["objective"], OBJECTIVES)),
            gaussianity=_gaussianity(given["gaussianity"], objective),
            n_iterations=checks.optional_integer("n_iterations", given["n_iterations"], 0),
            patience=checks.optional_integer("patience", given["patience"], 1),
            min_iterations=checks.optional_integer("min_iterations", min_iterations, 0) or 0,
            checkpoint=checks.optional_integer("checkpoint", given["checkpoint"], 1),
            best=checks.boolean("best", given["best"]),
            reset=checks.boolean("reset", given["reset"]),
            weight_file=checks.file_name("weight_file", given["weight_file"]),
            callback=callback,
            level=_level(given.get("level")),
            **_start(**{name: given.get(name) for name in START}, reset=given["reset"]),
        )
        if plan.n_iterations is None and plan.patience is None:
            raise ValueError(
                "fit needs `n_iterations`, `patience` or both, or it would never end. "
                "Try fit(patience=100)."
            )
        return plan


def _gaussianity(value: Any, objective: str) -> float:
    result = checks.number("gaussianity", value)
    if result < 0:
        raise ValueError(checks.wording("`gaussianity`", "not be negative", result))
    if result and objective != "imnn":
        expected = f"be 0 with objective={objective!r}, which trains no summaries but features"
        raise ValueError(checks.wording("`gaussianity`", expected, result, "Leave one out."))
    return result


def _start(*, warm_start: Any, whiten: Any, seed: Any, reset: Any) -> dict[str, Any]:
    """Return how the last layer starts; None stands for how the IMNN was made."""
    flags = {"warm_start": warm_start, "whiten": whiten}
    found: dict[str, Any] = {
        name: None if value is None else checks.boolean(name, value)
        for name, value in flags.items()
    }
    found["seed"] = checks.seed_or_none("seed", seed)
    given = [name for name, value in found.items() if value is not None]
    if given and reset is not True:
        expected = "be True to start anew"
        raise ValueError(checks.wording("`reset`", expected, f"{reset} and `{given[0]}`"))
    if seed is not None and warm_start is not False:
        expected = "be False for a `seed`: the start in closed form has nothing random"
        raise ValueError(checks.wording("`warm_start`", expected, warm_start))
    return found


def _level(value: Any) -> Any:
    """Return a level, or what gives one of an iteration, checked."""
    return value if value is None or callable(value) else checked_level(value)


def checked_level(value: Any) -> float:
    """Return a level, which is a number that is not negative."""
    level = checks.number("level", value)
    if level < 0:
        raise ValueError(checks.wording("`level`", "not be negative", level))
    return level


class Run:
    """One training of a network; `IMNN.fit` and `IMNN.start` make it.

    Parameters
    ----------
    graph : TrainingGraph
        What is trained.
    history : History
        Where iterations are recorded.
    plan : FitPlan
        What the fit was asked to do.
    first : int
        Number of the first iteration.
    begin, finish, checkpoint : callable
        Called with the run before its first iteration, when it ends, and after every
        `plan.checkpoint` iterations.

    Attributes
    ----------
    state : str
        queued, compiling, running, paused, stopping, finished, stopped or failed.
    error : BaseException or None
        What ended a failed run.
    reason : str
        Why the run ended, in words.
    last : int or None
        Number of the iteration at which the run ends, None if only patience ends it.
    is_left : bool
        Whether it was stopped to go on from its checkpoint, which nothing is saved over.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        history: History,
        plan: FitPlan,
        *,
        first: int,
        begin: Callable[[Run], None],
        finish: Callable[[Run], None],
        checkpoint: Callable[[Run], None],
    ) -> None:
        self.graph, self.history, self.plan = graph, history, plan
        self.state, self.reason = "queued", ""
        self.error: BaseException | None = None
        self.regularisation = plan.regularisation
        self.next = first
        self.last = None if plan.n_iterations is None else self.iteration + plan.n_iterations
        self._level: Any = self._first_level()
        self._min_iterations = self.iteration + plan.min_iterations
        self._begin, self._finish, self._checkpoint = begin, finish, checkpoint
        self._lock = threading.Lock()
        self._requests: dict[str, float] = {}
        self._going, self._ended = threading.Event(), threading.Event()
        self._going.set()
        self._stop, self._interrupted = False, False
        self._leaves, self.is_left = False, False
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

    def _first_level(self) -> Any:
        """Return the level of the plan, by default the last recorded, by default 1."""
        recorded = self.history["level"][-1:]
        recorded = recorded[np.isfinite(recorded)]
        default = float(recorded[0]) if len(recorded) else 1.0
        return default if self.plan.level is None else self.plan.level

    def _level_at(self, iteration: int) -> float:
        """Return the level of an iteration."""
        if not callable(self._level):
            return self._level
        value = self._level(iteration)
        return checked_level(value.numpy() if hasattr(value, "numpy") else value)

    @property
    def level(self) -> float | None:
        """Level of the `map_fn` in the next iteration, None if it has none."""
        return self._level_at(self.next) if self.graph.has_level else None

    @property
    def has_ended(self) -> bool:
        """Whether the run is over and the statistics belong to the final weights."""
        return self._ended.is_set()

    @property
    def objective(self) -> str:
        """What is trained for: "imnn" or "projected"."""
        return self.plan.objective

    @property
    def stale(self) -> int:
        """Iterations since the last improvement."""
        return int(self.graph.stale)

    @property
    def patience(self) -> int | None:
        """Iterations without improvement after which the run ends, None without a limit."""
        return self.plan.patience

    @checks.greek_keywords
    def steer(
        self,
        *,
        λ: float | None = None,
        ε: float | None = None,
        learning_rate: float | None = None,
        level: float | None = None,
    ) -> None:
        """Change λ, ε, the learning rate or the level, from the next graph call on.

        The latest request wins. What is applied is marked in ``history.marks``.

        Parameters
        ----------
        λ, ε : float, optional
            The new strength and closeness of the regularisation; None keeps the present one.
        learning_rate : float, optional
            The new learning rate; a schedule continues from it.
        level : float, optional
            The new level of a ``map_fn(simulation, seed, level)``, which stays there.

        Raises
        ------
        ValueError, TypeError
            If a value is not valid; nothing is changed then.
        RuntimeError
            If the run has ended, or this is not the first of several workers, which all follow it.
        """
        self.graph.replicas.check_chief("`steer`")
        if self.state in ENDED:
            raise RuntimeError("The run has ended; start another one with the new settings.")
        with self._lock:
            given = {"λ": λ, "ε": ε, "learning_rate": learning_rate, "level": level}
            asked = {name: value for name, value in given.items() if value is not None}
            pending = self._requests | asked
            now = self.regularisation
            checked = Regularisation(pending.get("λ", now.λ), pending.get("ε", now.ε))
            if learning_rate is not None:
                asked["learning_rate"] = checks.number("learning_rate", learning_rate, above=0)
            if level is not None:
                self.check_has_level()
                asked["level"] = checked_level(level)
            self._requests |= asked | {
                name: getattr(checked, name) for name in ("λ", "ε") if name in pending
            }
            self._requests["requested_after"] = self._recorded

    def check_has_level(self) -> None:
        """Refuse a level where the `map_fn` has none.

        Raises
        ------
        ValueError
            If it has none.
        """
        if not self.graph.has_level:
            remedy = "Pass map_fn(simulation, seed, level) to IMNN."
            expected = "be left out without a `map_fn` that takes one"
            raise ValueError(checks.wording("`level`", expected, "a level", remedy))

    def pause(self) -> None:
        """Hold the run after the current graph call."""
        self._going.clear()

    def resume(self) -> None:
        """Continue a paused run."""
        self._going.set()

    def stop(self, checkpoint: bool = False) -> None:
        """End the run after the current graph call; the best weights are kept.

        Parameters
        ----------
        checkpoint : bool
            Whether what is saved is where training stands, if there is a directory, so that a
            network that is loaded from there goes on as if the run had not been stopped.
        """
        self._leaves = checks.boolean("checkpoint", checkpoint)
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

    def checkpoint(self) -> None:
        """Save the state of training now, if there is a directory; for a `callback` of a fit."""
        self._checkpoint(self)

    def start(self) -> Run:
        """Drive the run in a thread of its own.

        When Python exits before it has ended, it is stopped as by `stop` and waited for, at most a
        minute; if the plan has checkpoints, one is written.

        Returns
        -------
        Run
            This one, at once.

        Raises
        ------
        RuntimeError
            If Python exits already.
        """
        at_exit.started(self)
        self._thread = threading.Thread(
            target=self._drive_quietly, name="imnn_lab run", daemon=True
        )
        self._thread.start()
        return self

    def drive(self, show: bool = False, notebook: bool | None = None) -> None:
        """Drive the run in this thread until it ends.

        Parameters
        ----------
        show : bool
            Whether to show a progress bar.
        notebook : bool, optional
            Kind of bar; None detects it.

        Raises
        ------
        BaseException
            The error that made it fail, KeyboardInterrupt included.
        """
        at_exit.started(self)
        with self._interruptible():
            try:
                self._train(show, notebook)
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
        at_exit.ended(self)
        if self.error is not None:
            raise self.error

    def _drive_quietly(self) -> None:
        with contextlib.suppress(BaseException):
            self.drive()

    def _train(self, show: bool, notebook: bool | None) -> None:
        self.state = "stopping" if self._stop else "compiling"
        bar = progress_bar(
            show, notebook, desc="IMNN", unit="it", unit_scale=False, leave=True, dynamic_ncols=True
        )
        self._apply(self.regularisation)
        self.graph.level_at = self._level_at
        if self.graph.has_level:
            goes_on = 0 < len(self.history) == self.next  # after an interruption
            self.graph.set_level(self._level_at(self._recorded if goes_on else self.next))
        self._begin(self)
        self.graph.prepare()
        with bar(total=self.last, initial=self.iteration) as progress:
            self._iterate(progress)

    def _iterate(self, progress: Any) -> None:
        rule = StoppingRule(self.last, self.plan.patience, self._min_iterations)
        iterations = training_iterations(self.graph, self.next, rule, self.plan.checkpoint)
        while self._continues():
            self._apply_requests()
            started, before = time.perf_counter(), self.iteration
            step = next(iterations, None)
            if step is None:
                self.reason = f"all {self.plan.n_iterations} iterations are done"
                return
            self._record(step.record, time.perf_counter() - started)
            progress.set_postfix(self._latest_numbers(), refresh=False)
            progress.update(self.iteration - before)
            if step.status == PATIENCE:
                self.reason = f"no improvement in {self.plan.patience} iterations"
                return
            if step.status == NOT_FINITE:
                raise FloatingPointError(self._not_finite(step.record))
            with self.graph.replicas.telling_of_failure():
                if self.plan.callback is not None:
                    self.plan.callback(self)
                if self.plan.checkpoint and self.iteration % self.plan.checkpoint == 0:
                    self._checkpoint(self)
        self.reason = "stopped by the user"
        if self._leaves or (at_exit.is_exiting() and self.plan.checkpoint):
            self._checkpoint(self)
            self.is_left = True
        self._close()

    def _latest_numbers(self) -> dict[str, str]:
        """Return det F, det C, r and validation det F of the last iteration, and the patience."""
        columns, _ = self.history.read(self.iteration)
        named = {"det F": "det_F", "det C": "det_C", "r": "r", "val det F": "val_det_F"}
        numbers = {
            label: f"{columns[name][-1]:.4g}"
            for label, name in named.items()
            if np.isfinite(columns[name][-1])
        }
        if self.plan.patience is not None:
            numbers["patience"] = f"{self.stale}/{self.plan.patience}"
        return numbers

    def _continues(self) -> bool:
        """Wait while the run is paused, and return whether it goes into another graph call."""
        if not self._going.is_set():
            self.state = "paused"
            while not self._going.wait(0.1) and not self._interrupted:
                pass
        if self.graph.replicas.any_stops(self._stop or self._interrupted):
            self._stop, self.state = True, "stopping"
            return False
        if self.state == "paused":
            self.state = "running"
        return True

    def _close(self) -> None:
        """Record the weights as they are, without another update."""
        for iterations in training_iterations(self.graph, self.next, StoppingRule(self.next)):
            self._record(iterations.record, 0.0)

    def _apply(self, regularisation: Regularisation) -> None:
        self.graph.λ.assign(regularisation.λ)
        self.graph.α.assign(regularisation.α)
        self.regularisation = regularisation

    def _apply_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, {}
        requests = self._of_chief(requests)
        if not requests:
            return
        after = int(requests.pop("requested_after"))
        before = {"λ": self.regularisation.λ, "ε": self.regularisation.ε}
        before["learning_rate"] = float(self.graph.rate)
        if "level" in requests:
            before["level"] = self._level_at(self.next)
            self._level = requests["level"]
        pair = {name: value for name, value in requests.items() if name in ("λ", "ε")}
        self._apply(replace(self.regularisation, **pair))
        if "learning_rate" in requests:
            self.graph.steer_rate(requests["learning_rate"])
        for name, value in requests.items():
            if value != before[name]:
                self.history.mark(SteeringMark(self.next, name, value, before[name], after))

    def _of_chief(self, requests: dict[str, float]) -> dict[str, float]:
        """Return what the first worker was asked for, which all follow."""
        if not self.graph.replicas.has_others:
            return requests
        asked = [requests.get(name, np.nan) for name in REQUESTS]
        numbers = zip(REQUESTS, self.graph.replicas.numbers_of_chief(asked), strict=True)
        return {name: float(number) for name, number in numbers if not np.isnan(number)}

    def _record(self, record: dict[str, np.ndarray], seconds: float) -> None:
        iterations = record["iteration"]
        n, pair = len(iterations), self.regularisation
        settings = {"λ": pair.λ, "ε": pair.ε, "α": pair.α, "gaussianity": self.plan.gaussianity}
        record = record | {name: np.full(n, value) for name, value in settings.items()}
        record["seconds"] = self._seconds + seconds * np.arange(1, n + 1) / n
        self._seconds += seconds
        is_new = iterations > self._recorded
        record = {name: values[is_new] for name, values in record.items()}
        matrices = {name: values for name, values in record.items() if values.ndim > 1}
        columns = {name: values for name, values in record.items() if values.ndim == 1}
        self.history.append(columns, matrices)
        self.next = int(iterations[-1]) + 1
        if self.state == "compiling":
            self.state = "running"

    def _not_finite(self, record: dict[str, np.ndarray]) -> str:
        bad = [
            name
            for name, values in record.items()
            if values.ndim == 1
            and not np.isfinite(values[-1])
            and not (name.startswith("val_") and self.graph.validation is None)
        ]
        iteration = int(record["iteration"][-1])
        return (
            f"Training met a number that is not finite at iteration {iteration} "
            f"({', '.join(bad)}). The best weights before it are restored, and the optimiser "
            "starts anew with its own learning rate. "
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
