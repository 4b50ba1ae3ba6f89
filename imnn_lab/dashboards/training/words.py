"""The progress of a training in words."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from imnn_lab import checks
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.figures.curves import setting_name
from imnn_lab.history import SteeringMark
from imnn_lab.regularisation import EPSILON

WORDS = {
    "ready": "Ready. Press Start to train.",
    "queued": "Waiting to start.",
    "compiling": "Compiling the training step; this takes a few seconds.",
    "running": "Running.",
    "paused": "Paused. Press Resume to continue.",
    "stopping": "Stopping after the current call.",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
}
SAME = 1e-3  # of ln det F: one network's differs less, by the rounding of its summaries


def sentence(state: TrainingState) -> str:
    """Return the state of the training, and why it ended, as a sentence."""
    words, run = WORDS.get(state.word, state.word), state.run
    if run is not None and not state.is_running:
        if run.error is not None:
            words += f": {checks.words_of(run.error)}"
        elif state.word == "stopped":
            words = run.reason.capitalize() or words
        elif run.reason:
            words += f": {run.reason}"
    is_below = bool(state.refusal) and state.refusal in state.message  # the sliders
    message = "" if is_below else state.message
    return f"{words} {message}".strip()


def no_pair_words(state: TrainingState) -> str:
    """Return that λ and ε have no effect."""
    return f"Objective {state.objective!r}: λ and {EPSILON} have no effect."


def numbers(state: TrainingState, moment: Moment, speed: float) -> str:
    """Return how far training is, how fast, and how long it will take."""
    if not moment.latest:
        return "No iterations yet."
    at, run = int(moment.latest["iteration"]), state.run
    last = None if run is None else run.last
    parts = [f"iteration {at}" + (f" of {last}" if last is not None else "")]
    if state.is_running and speed > 0:
        parts.append(f"{speed:.3g} iterations/s")
        if last is not None:
            parts.append(f"{_duration((last - at) / speed)} left")
    if run is not None and run.patience is not None:
        parts.append(f"no improvement for {run.stale} of {run.patience} iterations")
    if moment.latest.get("gaussianity", 0.0) > 0:
        parts.append(f"gaussianity = {moment.latest['gaussianity']:.4g}")
    parts.append(f"{_duration(moment.latest.get('seconds', 0.0))} of training")
    return " · ".join(parts)


def kept_words(state: TrainingState, moment: Moment) -> str:
    """Return what was kept when a fit ended, empty if it is what the last iteration shows."""
    kept, is_recorded = state.imnn.validation, getattr(state.imnn, "is_recorded", False)
    if state.is_running or is_recorded or kept is None or not moment.latest:
        return ""
    value, last = kept.log_det_F, moment.latest.get("val_log_det_F", np.nan)
    if not np.isfinite(value) or abs(last - value) <= SAME:
        return ""
    seen = moment.history["val_log_det_F"]
    best = int(np.argmax(np.where(np.isfinite(seen), seen, -np.inf)))
    which = "other weights than the last"  # as where the last layer was solved again
    if abs(seen[best] - value) <= SAME:
        which = f"the weights of iteration {int(moment.history['iteration'][best])}"
    return f"Kept: {which}, det F {kept.det_F:.3g} on validation."


class Speed:
    """Iterations per second, over the last few seconds."""

    def __init__(self, span: float = 5.0) -> None:
        self._span = span
        self._seen: list[tuple[float, int]] = []

    def of(self, iterations: int) -> float:
        """Return the speed, given how many iterations there are now."""
        now = time.monotonic()
        self._seen = [seen for seen in self._seen if seen[0] > now - self._span]
        self._seen.append((now, iterations))
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start else 0.0


def applied_words(marks: Sequence[SteeringMark], most: int = 5) -> list[str]:
    """Return when the last changes were requested and applied."""
    return [
        f"{setting_name(mark)} = {mark.value:.4g} requested after iteration "
        f"{max(0, mark.requested_after)}, applied at iteration {mark.iteration}"
        for mark in reversed(list(marks)[-most:])
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def parameter_names(
    labels: Sequence[str] | None, n_params: int, known: Sequence[str] | None = None
) -> list[str]:
    """Return the given names of the parameters, or those known, or `checks.default_labels`."""
    if labels is None:
        return list(known or checks.default_labels(n_params))
    names = checks.entries("labels", labels, "names")
    if len(names) != n_params:
        expected = f"name each of the {n_params} parameters"
        raise ValueError(checks.wording("`labels`", expected, f"{len(names)} names"))
    return [name if isinstance(name, str) else str(name) for name in names]
