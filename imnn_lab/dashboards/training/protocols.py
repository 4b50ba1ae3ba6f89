"""What the training dashboards expect of a network and of a run: an IMNN and its Run have it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from imnn_lab import checks
from imnn_lab.dashboards.common.questions import Questions
from imnn_lab.dashboards.training.ghosts import Ghosts
from imnn_lab.history import History
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics

START = ("warm_start", "whiten", "seed")


class TrainingRun(Protocol):
    """One training: queued, in progress or over."""

    @property
    def state(self) -> str:
        """One of queued, compiling, running, paused, stopping, finished, stopped and failed."""

    @property
    def has_ended(self) -> bool:
        """Whether it is over and the statistics belong to the final weights."""

    @property
    def reason(self) -> str:
        """Why it ended, empty before."""

    @property
    def error(self) -> BaseException | None:
        """The exception that made it fail."""

    @property
    def regularisation(self) -> Regularisation:
        """λ and ε in use."""

    @property
    def last(self) -> int | None:
        """Number of the iteration at which it ends, None without a limit."""

    @property
    def patience(self) -> int | None:
        """Iterations without improvement after which it ends, None without a limit."""

    @property
    def stale(self) -> int:
        """Iterations since the last improvement."""

    def pause(self) -> None:
        """Pause it."""

    def resume(self) -> None:
        """Resume it."""

    def stop(self) -> None:
        """End it."""

    def steer(
        self,
        *,
        λ: float | None = None,
        ε: float | None = None,
        learning_rate: float | None = None,
        level: float | None = None,
    ) -> None:
        """Change its settings."""


class Trained(Protocol):
    """A network that can be trained."""

    @property
    def run(self) -> TrainingRun | None:
        """The last run, None before the first."""

    @property
    def history(self) -> History:
        """All iterations so far."""

    @property
    def validation(self) -> FisherStatistics | None:
        """Statistics of validation, None without one."""

    @property
    def θ_fid(self) -> np.ndarray:
        """Fiducial parameters, shape (n_params,)."""

    @property
    def start(self) -> Callable[..., object]:
        """Train in a thread of its own: n_iterations, λ, ε, patience, reset, objective."""


def as_trained(imnn: Any) -> Trained:
    """Return a network that can be trained; refuse what is none.

    Raises
    ------
    TypeError
        If it has not all that `Trained` lists.
    """
    for name in ("θ_fid", "history", "run", "start"):
        if isinstance(imnn, type) or not hasattr(imnn, name):
            expected = f"be an IMNN, or have its `{name}`"
            raise TypeError(checks.wording("`imnn`", expected, checks.describe(imnn)))
    return imnn


def objective_of(run: TrainingRun) -> str:
    """Return the objective of a run, "imnn" if it has none."""
    return str(getattr(run, "objective", "imnn"))


def level_of(imnn: Any) -> float | None:
    """Return the level of the `map_fn` of a network, None if it has none."""
    return getattr(imnn, "level", None)


def asked_of(imnn: Any) -> dict[str, int | None]:
    """Return iterations and patience that the last fit was asked for, as far as they are known."""
    return dict(getattr(imnn, "asked", {}))


def start_of(imnn: Any) -> dict[str, Any] | None:
    """Return `warm_start`, `whiten` and `seed` of the last reset, those that were given.

    None stands for a network that was not reset, or does not keep how.
    """
    plan = getattr(imnn.run, "plan", None)
    given = getattr(imnn, "chosen", {} if plan is None else vars(plan))
    if not given.get("reset"):
        return None
    return {name: given[name] for name in START if given.get(name) is not None}


def remedies_of(imnn: Any) -> Mapping[str, str]:
    """Return what readers of a page do instead of what reports say, nothing where they can."""
    return getattr(imnn, "remedies", {})


def state_of(imnn: Any) -> str:
    """Return what tells the state of a network from its others, empty if it was never trained.

    It is a digest of the last iteration and of the statistics of validation, which change once more
    when a fit ends; they are the same after a restart. A recorded network was never trained.
    """
    history, validation = imnn.history, getattr(imnn, "validation", None)
    if getattr(imnn, "is_recorded", False) or not len(history):
        return ""
    columns, _ = history.read(len(history) - 1)
    parts = [np.array([columns[name][-1] for name in sorted(columns)])]
    parts += [] if validation is None else [validation.C, validation.dμ_dθ]
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def questions_of(imnn: Any) -> Questions:
    """Return what was asked about a network: what it keeps of that, or nothing so far."""
    kept = getattr(imnn, "questions", None)
    return kept if isinstance(kept, Questions) else Questions()


def ghosts_of(imnn: Any) -> Ghosts:
    """Return the earlier runs of a network: those that it keeps for all its pages, or none yet."""
    kept = getattr(imnn, "ghosts", None)
    return kept if isinstance(kept, Ghosts) else Ghosts()


def learning_rate_of(imnn: Any) -> float | None:
    """Return the learning rate of a network: of its history, else of its optimiser, else None."""
    if len(imnn.history):
        last = float(imnn.history["learning_rate"][-1])
        return last if last > 0 else None
    rate = getattr(getattr(imnn, "optimiser", None), "learning_rate", None)
    try:
        return checks.number("learning_rate", np.asarray(rate, dtype=float), above=0)
    except (TypeError, ValueError):
        return None
