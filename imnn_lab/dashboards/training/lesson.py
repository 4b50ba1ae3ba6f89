"""What is happening in a training now, in one sentence that the numbers decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imnn_lab.regularisation import EPSILON

FEWEST, MOST = 10, 200  # iterations that are averaged over, from a tenth of those so far
CHANGE = 0.02  # of ln det F from one such stretch to the next, below which it has settled
# A network over-fits if ln det F of validation is below its best by more than LOSS, and by more
# than so many standard deviations about its trend, and if that of training rose by as many of its.
# What only fluctuates is below the best of n by √(2 ln n) of them, 5 for a million.
LOSS, DEVIATIONS = 0.01, 8.0

Columns = Mapping[str, np.ndarray]


@dataclass
class Progress:
    """What must be known of all iterations: where validation was best.

    Attributes
    ----------
    n : int
        Number of iterations.
    first, last : float
        det F of validation, or of training without one, untrained and now.
    best : float
        Largest ln det F of validation; −∞ without one.
    best_at : int
        The iteration of it.
    training : float
        ln det F of training there.
    """

    n: int = 0
    first: float = np.nan
    last: float = np.nan
    best: float = -np.inf
    best_at: int = 0
    training: float = np.nan

    def add(self, columns: Columns) -> None:
        """Take new rows of a history in.

        Parameters
        ----------
        columns : mapping from str to ndarray, shape (n,)
        """
        if not len(columns.get("iteration", ())):
            return
        value, own = columns["val_log_det_F"], columns["log_det_F"]
        has_validation = bool(np.isfinite(value).any())
        shown = columns["val_det_F" if has_validation else "det_F"]
        self.first = float(shown[0]) if not self.n else self.first
        self.last, self.n = float(shown[-1]), self.n + len(shown)
        if has_validation and np.nanmax(value) > self.best:
            at = int(np.nanargmax(value))
            self.best, self.training = float(value[at]), float(own[at])
            self.best_at = int(columns["iteration"][at])

    @property
    def stretch(self) -> int:
        """How many iterations are averaged over."""
        return int(np.clip(self.n // 10, FEWEST, MOST))


def lesson(progress: Progress, recent: Columns, word: str, has_pair: bool = True) -> str:
    """Return the sentence.

    Parameters
    ----------
    progress : Progress
    recent : mapping from str to ndarray, shape (2 progress.stretch,) or less
        The last rows of the history: log_det_F, val_log_det_F, reg, ε.
    word : str
        State of the run: "ready", "running", "finished", ...
    has_pair : bool
        Whether λ and ε act.
    """
    if not progress.n:
        return "Nothing is trained yet: choose a start, and begin."
    if word in ("finished", "stopped", "failed"):
        return _end(progress)
    if progress.n < 2 * FEWEST:
        return "Training has just begun: watch where det F goes."
    w = progress.stretch
    log_det_F = np.asarray(recent["log_det_F"])
    before, own = _mean(log_det_F[-2 * w : -w]), _mean(log_det_F[-w:])
    if _over_fits(progress, log_det_F, np.asarray(recent["val_log_det_F"]), w):
        return (
            f"Over-fitting: since iteration {progress.best_at} det F of training rises while that "
            "of validation falls; the weights from there are kept."
        )
    return f"{_information(own - before, progress.last)}{_covariance(recent, w, has_pair)}."


def _over_fits(progress: Progress, training: np.ndarray, validation: np.ndarray, w: int) -> bool:
    """Return whether validation fell since its best while training rose, beyond fluctuations."""
    fall = progress.best - _mean(validation[-w:])
    rise = _mean(training[-w:]) - progress.training
    least = DEVIATIONS * _scatter(validation)
    return bool(fall > max(LOSS, least) and rise > DEVIATIONS * _scatter(training))


def _scatter(values: np.ndarray) -> float:
    """Return the standard deviation about a straight line, NaN if values are missing."""
    if not np.isfinite(values).all():
        return np.nan
    i = np.arange(len(values))
    return float(np.std(values - np.polyval(np.polyfit(i, values, 1), i)))


def _information(change: float, last: float) -> str:
    if change > CHANGE:
        return f"det F rises ({last:.3g} now): the summaries learn to tell the parameters apart"
    if change < -CHANGE:
        return f"det F falls ({last:.3g} now)"
    return f"det F has settled at {last:.3g}"


def _covariance(recent: Columns, w: int, has_pair: bool) -> str:
    """Return what the regulariser does, which Λ2 = ½(‖C − 1‖² + ‖C⁻¹ − 1‖²) and ε decide."""
    if not has_pair:
        return ""
    Λ2, ε = _mean(np.asarray(recent["reg"])[-w:]), float(np.asarray(recent["ε"])[-1])
    if ε < Λ2:
        return f", and the regulariser pulls: C is far from 1 (Λ2 = {Λ2:.2g} > {EPSILON})"
    return f", and the regulariser lets go: C is near 1 (Λ2 = {Λ2:.2g} < {EPSILON})"


def _end(progress: Progress) -> str:
    words = f"The fit is over: det F was {progress.first:.3g} at its start"
    if not np.isfinite(progress.best):
        return f"{words} and is {progress.last:.3g}."
    best = np.exp(progress.best)
    return (
        f"{words} and at most {best:.3g}, at iteration {progress.best_at}, whose weights are kept."
    )


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is finite, NaN of nothing."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan
