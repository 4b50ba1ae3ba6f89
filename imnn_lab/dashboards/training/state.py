"""What the training dashboards know and decide, without Panel, widgets or TensorFlow.

A view writes the reader's choices into these parameters and calls the methods; the pump's tick
reads back what there is to show. Nothing here draws, and any thread may call the methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import param

from imnn_lab.dashboards.training.protocols import (
    Trained,
    TrainingRun,
    asked_of,
    ghosts_of,
    learning_rate_of,
    level_of,
    objective_of,
    questions_of,
    start_of,
)
from imnn_lab.figures.curves import AXES
from imnn_lab.history import SteeringMark
from imnn_lab.regularisation import EPSILON, Regularisation, largest_closeness
from imnn_lab.settings import OBJECTIVES

STARTS = ("closed form", "from scratch")
NO_END = "Give a number of iterations, or a patience."
ENDED = ("finished", "stopped", "failed")
SCALES = {"automatic": None, "linear": False, "logarithmic": True}
WINDOWS = {"whole run": 0, "the last 1000": 1000, "the last 200": 200, "off": -1}


class TrainingState(param.Parameterized):
    """The settings of a training as chosen by the reader, and the acts of its buttons.

    Parameters
    ----------
    imnn : object
        What is trained; see `imnn_lab.dashboards.training.protocols.Trained`.

    Attributes
    ----------
    questions : Questions
        What was asked about the network that takes a while.
    """

    log_lambda = param.Number(1.0, bounds=(-100, 100), label="λ (strength)")
    log_epsilon = param.Number(-1.0, bounds=(-100, 100), label=f"{EPSILON} (closeness)")
    log_learning_rate = param.Number(-3.5, bounds=(-100, 100), label="learning rate")
    level = param.Number(1.0, bounds=(0, None), label="level of the augmentation")
    objective = param.Selector(objects=list(OBJECTIVES), label="objective")
    n_iterations = param.Integer(1000, bounds=(1, None), allow_None=True, label="iterations")
    patience = param.Integer(None, bounds=(1, None), allow_None=True, label="patience")
    smoothing = param.Number(0.0, bounds=(0, 0.999), label="smoothing")
    scale = param.Selector(objects=list(SCALES), label="vertical axes")
    against = param.Selector(objects=list(AXES), label="horizontal axis")
    window = param.Selector(objects=list(WINDOWS), label="follow")
    fit_all = param.Boolean(False, label="outliers")
    start_from = param.Selector(objects=list(STARTS), label="last layer starts")
    whitened = param.Boolean(True, label="whitened")
    start_seed = param.Integer(1, bounds=(0, 2**31 - 1), label="seed")
    acts = param.Integer(0, doc="How often a button was pressed or a setting released.")
    shown_iteration = param.Integer(None, allow_None=True, label="iteration")

    def __init__(self, imnn: Trained, **settings: Any) -> None:
        super().__init__(**settings)
        self.imnn = imnn
        self.ghosts = ghosts_of(imnn)
        self.questions = questions_of(imnn)
        self.message = ""
        self._lock = threading.Lock()
        self._asks_for_rate, self._asks_for_level = False, False
        self.has_level = level_of(imnn) is not None
        self.applied: tuple[float, float] = (10.0, 0.1)
        self._requested: tuple[float, float] | None = None
        self._own = OwnRequests()
        self._followed: TrainingRun | None = None
        self._n_marks = 0
        self._seen_start: dict[str, Any] | None = None
        self.take_over()

    # What is chosen -------------------------------------------------------------------------

    @property
    def λ(self) -> float:
        """The chosen strength of the regularisation."""
        return _rounded(self.log_lambda)

    @property
    def ε(self) -> float:
        """The chosen closeness of the regularisation."""
        return _rounded(self.log_epsilon)

    @property
    def learning_rate(self) -> float:
        """The chosen learning rate."""
        return _rounded(self.log_learning_rate)

    @property
    def regularisation(self) -> Regularisation | None:
        """The chosen pair, None if it is not allowed; `refusal` says why then."""
        try:
            return Regularisation(self.λ, self.ε)
        except ValueError:
            return None

    @property
    def refusal(self) -> str:
        """Why the chosen pair is not allowed, empty if it is."""
        try:
            Regularisation(self.λ, self.ε)
        except ValueError as error:
            return str(error)
        return ""

    @property
    def has_pair(self) -> bool:
        """Whether λ and ε have an effect on the objective."""
        return self.objective == "imnn"

    @property
    def run(self) -> TrainingRun | None:
        """The last run of the network, None before the first."""
        return self.imnn.run

    @property
    def is_running(self) -> bool:
        """Whether a run is queued, in progress or paused."""
        return self.run is not None and self.run.state not in ENDED

    @property
    def word(self) -> str:
        """State of the training in a word."""
        return "ready" if self.run is None else self.run.state

    def take_over(self) -> None:
        """Choose what the present run or the history uses."""
        run, history = self.run, self.imnn.history
        if run is not None:
            self.choose(run.regularisation.λ, run.regularisation.ε)
            self.objective = objective_of(run)
        elif len(history):
            self.choose(float(history["λ"][-1]), float(history["ε"][-1]))
        self.param.update(**asked_of(self.imnn))
        self._follow_start()
        level = level_of(self.imnn)
        if level is not None:
            self.level = level
        rate = learning_rate_of(self.imnn)
        if rate is not None:
            self.log_learning_rate = float(np.log10(rate))

    def _follow_start(self) -> None:
        """Choose the start of the present training, if it was begun elsewhere."""
        start = start_of(self.imnn)
        if start is None or start == self._seen_start:
            return
        self._seen_start = start
        self.param.update(
            start_from=STARTS[start.get("warm_start") is False],
            whitened=start.get("whiten", True),
            start_seed=start.get("seed", self.start_seed),
        )

    @property
    def is_pending(self) -> bool:
        """Whether the run has yet to apply a requested pair."""
        if self._requested is None or not self.is_running:
            return False
        return self._requested != self._used

    @property
    def _used(self) -> tuple[float, float]:
        if self.run is None:
            return self.applied
        return self.run.regularisation.λ, self.run.regularisation.ε

    def follow_run(self, marks: Sequence[SteeringMark]) -> None:
        """Follow a run that was started or steered elsewhere; each tick calls this.

        Parameters
        ----------
        marks : sequence of SteeringMark
            All of the present history.
        """
        run, start = self.run, start_of(self.imnn)
        begun = self.ghosts.begun or STARTS[0] if start is None else words_of_start(start)
        self.ghosts.see(self.imnn.history, begun)
        self._follow_start()
        if run is None:
            return
        if run is not self._followed:
            self._followed = run
            self.objective = objective_of(run)
            pair = (run.regularisation.λ, run.regularisation.ε)
            if pair != self.applied and not self.is_pending:
                self.choose(*pair)
        elif len(marks) > self._n_marks:
            self.follow(marks[self._n_marks :])
        self._n_marks = len(marks)

    def follow(self, marks: Sequence[SteeringMark]) -> None:
        """Choose what these new marks say, if it was requested elsewhere.

        What was requested here is chosen already, and may have been changed since.
        """
        others = [mark for mark in marks if not self._own.take(mark)]
        if {mark.name for mark in marks if mark not in others} & {"λ", "ε"}:
            self._requested = None
        if not self.is_pending and {mark.name for mark in others} & {"λ", "ε"}:
            self.choose(*self._used)
        for mark in others:
            if mark.name == "learning_rate":
                self.log_learning_rate = float(np.log10(mark.value))
            elif mark.name == "level":
                self.level = mark.value

    def choose(self, λ: float, ε: float) -> None:
        """Choose a pair that is in use."""
        self.param.update(log_lambda=float(np.log10(λ)), log_epsilon=float(np.log10(ε)))
        self.applied = (λ, ε)

    # What is done ---------------------------------------------------------------------------

    def apply_pair(self) -> bool:
        """Ask the run for the chosen pair; an invalid one is refused with the reason."""
        if self.refusal:
            self.message = f"Not applied. {self.refusal}"
            return False
        self.applied = pair = (self.λ, self.ε)
        self.message = ""
        asked = self._steer(λ=self.λ, ε=self.ε)
        self._requested = pair if asked and pair != self._used else None
        return asked

    @property
    def allowed(self) -> float:
        """A closeness ε that is allowed with the chosen λ, near the largest."""
        return float(f"{largest_closeness(self.λ) / 1.1:.3g}")

    def apply_allowed(self) -> bool:
        """Choose that closeness, and ask the run for the pair."""
        self.log_epsilon = float(np.log10(self.allowed))
        return self.apply_pair()

    def apply_learning_rate(self) -> bool:
        """Ask the run for the chosen learning rate, now or when it starts."""
        self._asks_for_rate = True
        return self._steer(learning_rate=self.learning_rate)

    def apply_level(self) -> bool:
        """Ask the run for the chosen level of the augmentation, now or when it starts."""
        self._asks_for_level = True
        return self._steer(level=self.level)

    def start(self) -> None:
        """Start a fit with what is chosen."""
        self._begin(self.n_iterations, reset=False)

    def reset(self) -> None:
        """Restore the chosen start; its statistics are iteration 0 of a new history."""
        self._begin(0, reset=True)

    def begin_anew(self) -> None:
        """Start a fit from the chosen start, with an empty history; the one before is kept."""
        self._begin(self.n_iterations, reset=True)

    def pause(self) -> None:
        """Pause the run."""
        self._with_run(lambda run: run.pause())

    def resume(self) -> None:
        """Resume the run."""
        self._with_run(lambda run: run.resume())

    def stop(self) -> None:
        """End the run."""
        self._with_run(lambda run: run.stop())

    def on_change(self, act: Callable[[], Any]) -> None:
        """Call a function whenever a setting changes or a button is pressed."""
        self.param.watch(lambda *_: act(), list(self.param))

    def _begin(self, n_iterations: int | None, reset: bool) -> None:
        self.acts += 1
        with self._lock:
            if n_iterations is None and self.patience is None and not self.is_running:
                self.message = NO_END
                return
            try:
                λ, ε = (self.λ, self.ε) if not self.refusal else self.applied
                another = self._another | (self.start_options if reset else {})
                self.imnn.start(
                    n_iterations, λ=λ, ε=ε, patience=self.patience, reset=reset, **another
                )
            except Exception as error:
                # A second click may come before Start is disabled, which the first did.
                self.message = "" if self.is_running else str(error)
                return
            self.applied = (λ, ε)
            if reset:
                self.ghosts.begun = words_of_start(self.start_options)
                self._seen_start = start_of(self.imnn)
            kept = f"λ = {λ:.4g} and {EPSILON} = {ε:.4g} are used instead."
            self.message = f"Not applied. {self.refusal} {kept}" if self.refusal else ""
        if self._asks_for_rate and not reset:
            self._steer(learning_rate=self.learning_rate)

    @property
    def start_options(self) -> dict[str, Any]:
        """The chosen start as arguments, where it is not that by default."""
        whiten: dict[str, Any] = {} if self.whitened else {"whiten": False}
        if self.start_from == STARTS[0]:
            return whiten
        return {"warm_start": False, "whiten": self.whitened, "seed": self.start_seed}

    @property
    def _another(self) -> dict[str, str | float]:
        """The objective and the level as arguments, where they are not those by default."""
        objective: dict[str, str | float] = {} if self.has_pair else {"objective": self.objective}
        return objective | ({"level": self.level} if self._asks_for_level else {})

    def _steer(self, **settings: float) -> bool:
        self.acts += 1
        run = self.run
        if run is None or not self.is_running:
            return False
        self._own.add(settings)
        try:
            run.steer(**settings)
        except (ValueError, RuntimeError) as error:
            self.message = str(error)
            return False
        return True

    def _with_run(self, act: Any) -> None:
        self.acts += 1
        if self.is_running:
            act(self.run)

    # The same in Python ---------------------------------------------------------------------

    def python_call(self) -> str:
        """Return the Python that trains as chosen here."""
        λ, ε = (self.λ, self.ε) if not self.refusal else self.applied
        arguments = [] if self.n_iterations is None else [f"n_iterations={self.n_iterations}"]
        if self.has_pair:
            arguments += [f"λ={λ:.6g}", f"{EPSILON}={ε:.6g}"]
        arguments += [] if self.patience is None else [f"patience={self.patience}"]
        arguments += [f"{name}={value!r}" for name, value in self._another.items()]
        call = f"run = imnn.start({', '.join(arguments)})"
        rate = f"\nrun.steer(learning_rate={self.learning_rate:.6g})" if self._asks_for_rate else ""
        return call + rate


class OwnRequests:
    """The values that this page requested and has not seen in use."""

    def __init__(self) -> None:
        self._requested: dict[str, list[float]] = {}

    def add(self, settings: Mapping[str, float]) -> None:
        """Remember a request."""
        for name, value in settings.items():
            self._requested.setdefault(name, []).append(value)

    def take(self, mark: SteeringMark) -> bool:
        """Return True if this page requested the mark; drop it and older requests."""
        requested = self._requested.get(mark.name, [])
        is_own = mark.value in requested
        del requested[: requested.index(mark.value) + 1 if is_own else len(requested)]
        return is_own


def words_of_start(start: Mapping[str, Any]) -> str:
    """Return a start in words.

    Parameters
    ----------
    start : mapping
        `warm_start`, `whiten` and `seed` as `IMNN.start` takes them, as far as they are given.
    """
    white = "" if start.get("whiten", True) else ", not whitened"
    seed = f", seed {start['seed']}" if "seed" in start else ""
    return STARTS[start.get("warm_start") is False] + white + seed


def disabled_buttons(state: TrainingState) -> dict[str, bool]:
    """Return which buttons are disabled in the present state."""
    running, word = state.is_running, state.word
    return {
        "Start": running,
        "Pause": not running or word in ("paused", "stopping"),
        "Resume": word != "paused",
        "Stop": not running or word == "stopping",
        "Reset": running,
    }


def _rounded(exponent: float) -> float:
    """Return 10 to a power, with the six digits that people can see."""
    return float(f"{10.0**exponent:.6g}")
