"""The marginal error of each parameter over training."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.layout import (
    WIDE,
    LiveText,
    View,
    announced_html,
    card,
    figure_rows,
    table,
)
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.dashboards.training.state import SCALES, TrainingState
from imnn_lab.figures import marginal_errors
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.history import History
from imnn_lab.parameters import shown
from imnn_lab.results import inverse

PERIOD = 1.0  # seconds from one drawing of a growing history to the next
HEIGHT = 150
NO_ROWS = "The marginal error of each parameter over training: press Start, or fit the network."


class ErrorsView(View[Moment]):
    """√(F⁻¹)_αα of each parameter α by iteration, and the last values in a table.

    Parameters
    ----------
    state : TrainingState
        Its axes are those of the curves.
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
        Its errors are dotted lines.
    """

    def __init__(
        self, state: TrainingState, labels: Sequence[str], known_fisher: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self.state, self._labels, self._known = state, labels, known_fisher
        self._figures = pn.Column(margin=0, **WIDE)
        self.words = LiveText("", margin=(4, 10))
        self._axes: tuple[str, str] | None = None
        self._drawn, self._length = 0.0, 0
        self._draw(History())
        self.body = card("", self._figures, self.words)

    def refresh(self, moment: Moment) -> None:
        """Draw the history if it grew, at most once a second, or if its axes were changed."""
        length, is_running = len(moment.history), self.state.is_running
        has_grown = length != self._length
        is_due = has_grown and time.monotonic() > self._drawn + PERIOD
        choice = (self.state.against, self.state.scale, is_running)
        if self.changed(choice) or moment.is_new or is_due:
            self._drawn, self._length = time.monotonic(), length
            self._draw(moment.history)

    def _draw(self, history: History) -> None:
        against, scale = axes = self.state.against, self.state.scale
        described = marginal_errors(
            history, self._labels, self._known, against, bool(SCALES[scale])
        )
        if axes != self._axes:
            self._axes = axes
            self.drawing = Drawing(described, "errors", height=HEIGHT)
            self._figures[:] = [figure_rows(self.drawing)]
        else:
            self.drawing.update(described)
        self.words.object = self._table(history) if len(history) else announced_html(NO_ROWS)

    def _table(self, history: History) -> str:
        columns = [history.marginal_errors(is_held_out, 2)[1] for is_held_out in (False, True)]
        last = [errors[-1] if len(errors) else np.full(len(self._labels), np.nan)
                for errors in columns]  # fmt: skip
        header = ["error now", "training", "validation"]
        if self._known is not None:
            header.append("known")
            last.append(np.sqrt(np.diag(inverse(self._known))))
        rows = [
            [shown(label), *(f"{x:.4g}" if np.isfinite(x) else "–" for x in values)]
            for label, *values in zip(self._labels, *last, strict=True)
        ]
        return table(header, rows)
