"""What a training shows: its curves, its Fisher ellipses, its regulariser, and its downloads."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.downloads import (
    call_html,
    csv_file,
    download,
    figure_file,
    npz_file,
)
from imnn_lab.dashboards.common.layout import (
    WIDE,
    LiveText,
    Select,
    View,
    card,
    figure_pane,
    figure_rows,
)
from imnn_lab.dashboards.training.ghosts import Ghost, ghost_curves, legend_html
from imnn_lab.dashboards.training.pump import CurvesPump, Moment
from imnn_lab.dashboards.training.state import SCALES, TrainingState
from imnn_lab.figures import training_curves
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.data import Panels, coordinates
from imnn_lab.figures.ellipses import forecast
from imnn_lab.figures.live_curves import CurvesFigure
from imnn_lab.figures.regulariser import regulariser
from imnn_lab.history import History
from imnn_lab.regularisation import Regularisation

CURVES_HEIGHT = 178  # three of them stand on a page of 800 pixels, below its head
ELLIPSE_PERIOD = 1.0  # seconds from one drawing of a growing history to the next
NO_ROWS = "Press Start, or fit the network, to see the forecast of its Fisher information."


class Curves(View[Moment]):
    """det F, det C and det C⁻¹, Λ2 and r by iteration, or by the time of training.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional
        Exact det F, drawn as a line.
    height : int
        Of each of the three figures, in pixels.
    """

    def __init__(
        self,
        state: TrainingState,
        known_det_fisher: float | None = None,
        height: int = CURVES_HEIGHT,
    ) -> None:
        super().__init__()
        self.state, self._known, self._height = state, known_det_fisher, height
        self.pane, self._is_empty = figure_pane(None), True
        self.earlier, self._ghosts = LiveText(margin=(0, 10)), tuple[Ghost, ...]()
        self._draw_if_changed()
        param, narrow = state.param, {"width": 102, "margin": (4, 3)}
        choices = pn.FlexBox(
            Select.from_param(param.against, **narrow),
            Select.from_param(param.window, **narrow),
            Select.from_param(param.scale, **narrow),
            pn.widgets.FloatSlider.from_param(param.smoothing, step=0.001, width=96, margin=(4, 5)),
            pn.widgets.Checkbox.from_param(param.fit_all, width=88, margin=(16, 0, 0, 5)),
            sizing_mode="stretch_width", gap="0px",
        )  # fmt: skip
        self.body = card("", self.earlier, self.pane, choices)

    def refresh(self, moment: Moment) -> None:
        """Move what is new to the figures."""
        self._draw_if_changed()
        ghosts = self.state.ghosts.all
        if ghosts is not self._ghosts or self._is_empty:
            self._ghosts = ghosts
            self.figure.show_ghosts(ghost_curves(ghosts))
            self.earlier.object = legend_html(ghosts)
        if self._is_empty:
            self._is_empty = False
            self.pump.restart(moment)
        else:
            self.pump.move(moment)
        self.pump.show_then(moment)

    def _draw_if_changed(self) -> None:
        """Make new figures for other axes: Bokeh cannot change the kind of an axis."""
        state = self.state
        if not self.changed((state.scale, state.against)):
            return
        self._is_empty = True
        empty = training_curves(
            History(), known_det_fisher=self._known, log=SCALES[state.scale], against=state.against
        )
        self.figure = CurvesFigure(empty, self._height)
        self.pump = CurvesPump(self.state, self.figure)
        self.pane.object = self.figure.layout


class EllipseView(View[Moment]):
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
        self._centre, self._labels = centre, labels
        self.slider = pn.widgets.IntSlider(
            label="iteration (at the end: the latest)", start=0, end=1, value=1,
            sizing_mode="stretch_width", margin=(4, 10), disabled=True,
        )  # fmt: skip
        self.pairs = {
            f"{labels[i]}, {labels[j]}": (i, j) for i, j in combinations(range(len(labels)), 2)
        }
        self.pair = Select(
            label="parameters", options=self.pairs or {labels[0]: (0, 0)}, width=150,
            visible=len(self.pairs) > 1,
        )  # fmt: skip
        self.words = LiveText(NO_ROWS, margin=(0, 10))
        self._figures, self._drawn_pair = pn.Column(margin=0, **WIDE), (-1, -1)
        self._show(None, None)
        self.slider.param.watch(lambda event: self._travel(), "value")
        self._drawn, self._length = 0.0, 0
        self._is_mine = False
        self.body = card("", self.pair, self._figures, self.slider, self.words)

    def refresh(self, moment: Moment) -> None:
        """Draw what is chosen, and let the slider grow with the history."""
        choice = (self.state.shown_iteration, self.pair.value, self.state.is_running)
        has_grown = len(moment.history) != self._length
        is_due = has_grown and time.monotonic() > self._drawn + ELLIPSE_PERIOD
        if self.changed(choice) or moment.is_new or is_due:
            self._drawn, self._length = time.monotonic(), len(moment.history)
            self._grow(moment)
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
            self._show(None, None)
            self.words.object = NO_ROWS
            return
        last, then = int(moment.latest["iteration"]), self.state.shown_iteration
        validation = self.state.imnn.validation is not None
        now = moment.history.statistics(last, validation)
        past = None if then is None else moment.history.statistics(then, validation)
        is_drawn = self._show(now.F, None if past is None else past.F)
        which = "validation" if validation else "training"
        words = f"now (iteration {last}): det F = {now.det_F:.4g}"
        if past is not None:
            words += f"; then (iteration {then}): det F = {past.det_F:.4g}"
        singular = "" if is_drawn else " F is singular now: there is no ellipse."
        self.words.object = f"{words}, from {which}.{singular}"

    def _show(self, now: np.ndarray | None, then: np.ndarray | None) -> bool:
        """Draw Fisher matrices, and return whether there is an ellipse of now."""
        matrices = {"now": now, "then": then}
        if self._known is not None:
            matrices["known"] = self._known
        description = forecast(matrices, self._centre, self._labels, self.pair.value)
        if self._drawn_pair != self.pair.value:
            self._drawn_pair = self.pair.value
            self._drawing = Drawing(description, "ellipse", height=300)
            self._figures[:] = [figure_rows(self._drawing)]
        else:
            self._drawing.update(description)
        return len(coordinates(description.panels[0].layers[0], "x")) > 0


class RegulariserView(View[Moment]):
    """Where training stands on r(Λ2), and where the chosen pair stands among the allowed ones."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state
        self.drawing = Drawing(self._description({}), "regulariser", height=180)
        shown = [self.drawing.legend, *self.drawing.figures[0]]
        self.body = card("", *(figure_pane(figure) for figure in shown))

    def refresh(self, moment: Moment) -> None:
        """Move the point, and the curves where a pair changed."""
        self.drawing.update(self._description(moment.latest))

    def _description(self, latest: dict[str, float]) -> Panels:
        state, nothing = self.state, float("nan")
        used = state.run.regularisation if state.run is not None else Regularisation(*state.applied)
        pair = (state.λ, state.ε)
        chosen = state.regularisation if pair != (used.λ, used.ε) else None
        return regulariser(
            used, chosen, pair, (latest.get("reg", nothing), latest.get("r", nothing))
        )


class Export(View[Moment]):
    """Buttons for downloads, made when they are pressed, and the call that does the same.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None = None) -> None:
        super().__init__()
        self.state, self._known = state, known_det_fisher
        self.buttons = {
            "CSV": self._button("history.csv", lambda: csv_file(self._history.read()[0])),
            "NPZ": self._button("history.npz", lambda: npz_file(self._history.arrays())),
            "PNG": self._button("training.png", lambda: self._figure("png")),
            "PDF": self._button("training.pdf", lambda: self._figure("pdf")),
        }
        self.call = LiveText("", margin=(4, 10))
        row = pn.FlexBox(*self.buttons.values(), sizing_mode="stretch_width", gap="0px")
        self.body = card("", row, self.call)

    @property
    def _history(self) -> History:
        return self.state.imnn.history

    def refresh(self, moment: Moment) -> None:
        """Allow downloads once there is something, and write the call as chosen now."""
        for button in self.buttons.values():
            button.disabled = not len(moment.history)
        self.call.object = call_html(self.state.python_call())

    def _figure(self, kind: str) -> io.BytesIO:
        return curves_file(self._history, kind, self._known)

    @staticmethod
    def _button(filename: str, make: Callable[[], io.BytesIO]) -> pn.widgets.FileDownload:
        label = filename.rpartition(".")[2].upper()
        return download(filename, label, make, width=72, disabled=True)


def curves_file(history: History, kind: str, known_det_fisher: float | None = None) -> io.BytesIO:
    """Return the training curves as a "png" or "pdf" file, drawn for print."""
    return figure_file(training_curves(history, known_det_fisher=known_det_fisher), kind)
