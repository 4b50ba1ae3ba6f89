"""Fisher ellipses: now, at any earlier iteration, and as known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import panel as pn

from imnn_lab.dashboards.layout import LiveText, card
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.figures.interactive_ellipses import EllipseFigure

PERIOD = 1.0
NO_ROWS = "Press Start, or fit the network, to see the forecast of its Fisher information."


class EllipseView(pn.viewable.Viewer):
    """The forecast of the errors by the Fisher matrix, with a slider through the iterations.

    Parameters
    ----------
    state : TrainingState
    centre : ndarray, shape (n_params,)
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    """

    def __init__(
        self,
        state: TrainingState,
        centre: np.ndarray,
        labels: Sequence[str],
        known_fisher: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.state, self._known = state, known_fisher
        self.figure = EllipseFigure(centre, labels)
        self.slider = pn.widgets.IntSlider(
            label="iteration (at the end: the latest)", start=0, end=1, value=1,
            sizing_mode="stretch_width", margin=(4, 10), disabled=True,
        )  # fmt: skip
        self.pairs = {
            f"{labels[i]}, {labels[j]}": (i, j) for i, j in combinations(range(len(labels)), 2)
        }
        self.pair = pn.widgets.Select(
            label="parameters", options=self.pairs or {labels[0]: (0, 0)}, width=150,
            visible=len(self.pairs) > 1,
        )  # fmt: skip
        self.words = LiveText(NO_ROWS, margin=(0, 10))
        self.slider.param.watch(lambda event: self._travel(), "value")
        self._shown: tuple = ()
        self._drawn, self._length = 0.0, 0
        self._is_mine = False

    def refresh(self, moment: Moment) -> None:
        """Draw what is chosen, and let the slider grow with the history."""
        if moment.is_new:
            self.state.shown_iteration = None
        asked = (self.state.shown_iteration, self.pair.value, self.state.is_running)
        is_due = time.monotonic() > self._drawn + PERIOD and len(moment.history) != self._length
        if asked != self._shown or moment.is_new or is_due:
            self._shown, self._length = asked, len(moment.history)
            self._drawn = time.monotonic()
            self._grow(moment)
            if self.pair.value != self.figure.pair:
                self.figure.choose(self.pair.value)
            self._draw(moment)

    def _travel(self) -> None:
        if not self._is_mine:
            latest = self.slider.value >= self.slider.end
            self.state.shown_iteration = None if latest else int(self.slider.value)

    def _grow(self, moment: Moment) -> None:
        last = int(moment.latest.get("iteration", 0))
        at_end = self.state.shown_iteration is None
        self._is_mine = True
        try:
            self.slider.param.update(
                end=max(1, last), value=max(1, last) if at_end else self.slider.value,
                disabled=last < 1,
            )  # fmt: skip
        finally:
            self._is_mine = False

    def _draw(self, moment: Moment) -> None:
        if not moment.latest:
            self.figure.show({"now": None, "then": None, "known": self._known})
            self.words.object = NO_ROWS
            return
        last, then = int(moment.latest["iteration"]), self.state.shown_iteration
        validation = self.state.imnn.validation is not None
        now = moment.history.statistics(last, validation)
        past = None if then is None else moment.history.statistics(then, validation)
        drawn = self.figure.show(
            {"now": now.F, "then": None if past is None else past.F, "known": self._known}
        )
        which = "validation" if validation else "training"
        words = f"now (iteration {last}): det F = {now.det_F:.4g}"
        if past is not None:
            words += f"; then (iteration {then}): det F = {past.det_F:.4g}"
        singular = "" if drawn["now"] else " F is singular now: there is no ellipse."
        self.words.object = f"{words}, from {which}.{singular}"

    def __panel__(self) -> pn.Column:
        pane = pn.pane.Bokeh(self.figure.figure, sizing_mode="stretch_width", margin=0)
        return card("Fisher ellipse", self.pair, self.slider, self.words, pane)
