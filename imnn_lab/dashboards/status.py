"""Where training stands, in words and in a table."""

from __future__ import annotations

import html

import numpy as np
import panel as pn

from imnn_lab.dashboards.layout import LiveText, card, table
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.dashboards.training_words import Speed, numbers, sentence

ROWS = {"det F": "det_F", "ln det F": "log_det_F", "det C": "det_C", "det C⁻¹": "det_Cinv",
        "Λ2": "reg", "r": "r"}  # fmt: skip


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
        self.word = LiveText("", margin=(0, 5))
        self.progress = LiveText("", margin=(0, 5))
        self.table = LiveText("", margin=(6, 5))
        self._speed = Speed()

    def refresh(self, moment: Moment) -> None:
        """Write the words and numbers anew."""
        if moment.is_new:
            self._speed = Speed()
        speed = self._speed.of(len(moment.history))
        words = html.escape(sentence(self.state))
        self.word.object = f'<div role="status" aria-live="polite"><b>{words}</b></div>'
        self.progress.object = f"<div>{html.escape(numbers(self.state, moment, speed))}</div>"
        if moment.has_rows or moment.is_new:
            self.table.object = self._table(moment)

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


def _known(label: str, known_det_fisher: float) -> str:
    known = {"det F": known_det_fisher, "ln det F": float(np.log(known_det_fisher))}
    known |= {"det C": 1.0, "det C⁻¹": 1.0}
    return _number(known[label]) if label in known else ""


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "–"
