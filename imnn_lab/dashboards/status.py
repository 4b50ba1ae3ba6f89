"""Where training stands, in words and in a table."""

from __future__ import annotations

import html
import time

import numpy as np
import panel as pn

from imnn_lab.dashboards.layout import card, table
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState

ROWS = {"det F": "det_F", "ln det F": "log_det_F", "det C": "det_C", "det C⁻¹": "det_Cinv",
        "Λ2": "reg", "r": "r"}  # fmt: skip
WORDS = {
    "ready": "Ready. Press Start to train, or call imnn.fit() elsewhere.",
    "queued": "Waiting to start.",
    "compiling": "Compiling the training step; this takes a few seconds.",
    "running": "Running.",
    "paused": "Paused. Press Resume to go on.",
    "stopping": "Stopping after the current call.",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
}


class Status(pn.viewable.Viewer):
    """A line that is read out when the state changes, one of numbers, and a table.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None = None) -> None:
        super().__init__()
        self.state, self._known = state, known_det_fisher
        self.word = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 5))
        self.progress = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 5))
        self.table = pn.pane.HTML("", sizing_mode="stretch_width", margin=(6, 5))
        self._speed = Speed()

    def refresh(self, moment: Moment) -> None:
        """Write the words and numbers anew."""
        if moment.is_new:
            self._speed = Speed()
        speed = self._speed.of(len(moment.history))
        self.word.object = (
            f'<div role="status" aria-live="polite"><b>{html.escape(self.sentence())}</b></div>'
        )
        self.progress.object = f"<div>{html.escape(self.numbers(moment, speed))}</div>"
        if moment.has_rows or moment.is_new:
            self.table.object = self._table(moment)

    def sentence(self) -> str:
        """Say where training stands, in a sentence."""
        state = self.state
        words = WORDS.get(state.word, state.word)
        if state.run is not None and not state.is_running:
            reason = f"{type(state.run.error).__name__}: {state.run.error}"
            why = state.run.reason if state.run.error is None else reason
            words = f"{words}: {why}".rstrip(": ")
        return f"{words} {state.message}".strip()

    def numbers(self, moment: Moment, speed: float) -> str:
        """Say how far training is, how fast, and how long it will take."""
        if not moment.latest:
            return "No iterations yet."
        at, run = int(moment.latest["iteration"]), self.state.run
        last = getattr(run, "last", None)
        parts = [f"iteration {at}" + (f" of {last}" if last is not None else "")]
        if self.state.is_running and speed > 0:
            parts.append(f"{speed:.3g} iterations/s")
            if last is not None:
                parts.append(f"{_duration((last - at) / speed)} left")
        patience = getattr(getattr(run, "plan", None), "patience", None)
        if patience is not None:
            parts.append(f"no improvement for {stale(moment)} of {patience} iterations")
        parts.append(f"{_duration(moment.latest.get('seconds', 0.0))} of training")
        return " · ".join(parts)

    def _table(self, moment: Moment) -> str:
        if not moment.latest:
            return ""
        rows = []
        for label, name in ROWS.items():
            known = "" if self._known is None else _known(label, self._known)
            numbers = [moment.latest.get(prefix + name, np.nan) for prefix in ("", "val_")]
            rows.append([label, *(_number(value) for value in numbers), known])
        return table(["", "training", "validation", "known"], rows)

    def __panel__(self) -> pn.Column:
        return card("Now", self.word, self.progress, self.table)


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


def stale(moment: Moment) -> int:
    """Return how many iterations ago ln det F was largest, of validation where there is one."""
    validation = moment.history["val_log_det_F"]
    values = validation if np.isfinite(validation).any() else moment.history["log_det_F"]
    known = np.where(np.isfinite(values), values, -np.inf)
    return len(known) - 1 - int(np.argmax(known))


def _known(label: str, known_det_fisher: float) -> str:
    known = {"det F": known_det_fisher, "ln det F": float(np.log(known_det_fisher))}
    known |= {"det C": 1.0, "det C⁻¹": 1.0}
    return _number(known[label]) if label in known else ""


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "–"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
