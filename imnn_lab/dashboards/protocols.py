"""What the training dashboards expect of a network and of a run: an IMNN and its Run have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from imnn_lab import checks
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics, History


class TrainingRun(Protocol):
    """A training that goes on, or is over.

    Attributes
    ----------
    state : str
        queued, compiling, running, paused, stopping, finished, stopped or failed.
    reason : str
        Why it ended.
    error : BaseException or None
    regularisation : Regularisation
        The pair in use.
    """

    state: str
    reason: str
    error: BaseException | None
    regularisation: Regularisation

    def pause(self) -> None:
        """Hold it."""

    def resume(self) -> None:
        """Let it go on."""

    def stop(self) -> None:
        """End it."""

    def steer(
        self, *, λ: float | None = None, ε: float | None = None, learning_rate: float | None = None
    ) -> None:
        """Change its settings."""


class Trained(Protocol):
    """A network that can be trained."""

    @property
    def run(self) -> Any:
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
    def start(self) -> Callable[..., Any]:
        """Train in a thread of its own: n_iterations, λ, ε, patience, reset."""


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
