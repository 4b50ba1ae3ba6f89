"""The controls of a training, which apply when released, and its status in words and numbers."""

from __future__ import annotations

import html
import math
from collections.abc import Callable

import numpy as np
import panel as pn
import param
from bokeh.models import CustomJSTickFormatter

from imnn_lab.dashboards.common.layout import (
    HINT,
    SOLID,
    WIDE,
    LiveText,
    Select,
    View,
    announced_html,
    scrolling,
    stack,
    table,
)
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.dashboards.training.state import TrainingState, disabled_buttons
from imnn_lab.dashboards.training.words import (
    Speed,
    applied_words,
    kept_words,
    no_pair_words,
    numbers,
    sentence,
)
from imnn_lab.regularisation import EPSILON

ROWS = {"det F": "det_F", "ln det F": "log_det_F", "det C": "det_C", "det C⁻¹": "det_Cinv",
        "Λ2": "reg", "r": "r"}  # fmt: skip
LINEAR = "return Number(tick.toPrecision(3)).toString()"
POWER = "return Number((10 ** tick).toPrecision(3)).toString()"
# Bokeh 3.9 reports a release only if its value differs from that of the last one, though the value
# may have been changed elsewhere since: so the last release is forgotten when the value moves.
# test_training_served.py (a value chosen again after a change elsewhere) tells if it is needed.
# Forgetting and the release that follows may reach Python in one message, as no change: so a
# release counts whatever it changes.
FORGET = "if (source.value_throttled !== source.value) source.value_throttled = NaN"
BUTTON = """
.bk-btn { padding: 6px 2px !important; min-width: 0 !important; font-size: 0.95em }
"""
APPLIED = 58  # pixels of the list of changes, which scrolls
LIMIT = 86  # pixels of a box: three of them stand beside each other
NO_NUMBERS = "The latest det F, det C and regulariser come here, of training and validation."
REFUSED = "border-left: 4px solid #D55E00; padding: 2px 8px; font-size: 0.85em"


class Controls(View[Moment]):
    """Sliders for λ, ε, the learning rate and any level; limits, the objective, and buttons.

    Attributes
    ----------
    body : Viewable
    applied : LiveText
        When the last changes were applied, for a place of its own.
    """

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state
        self.sliders = {
            "λ": self._slider("log_lambda", -0.3, 3, state.apply_pair),
            EPSILON: self._slider("log_epsilon", -4, 0, state.apply_pair),
            "learning rate": self._slider("log_learning_rate", -6, 0, state.apply_learning_rate),
        }
        if state.has_level:
            self.sliders["level"] = self._slider("level", 0, 2, state.apply_level, LINEAR)
        self.n_iterations = _count(state, "n_iterations", "iterations")
        self.patience = _count(state, "patience", "patience")
        self.objective = Select.from_param(state.param.objective, width=LIMIT, margin=(4, 3))
        acts = {
            "Start": state.start, "Pause": state.pause, "Resume": state.resume,
            "Stop": state.stop, "Reset": state.reset,
        }  # fmt: skip
        self.buttons = {name: _button(name, act) for name, act in acts.items()}
        self.rate = LiveText("", margin=(0, 5))
        self.allowed = pn.widgets.Button(label="", visible=False, margin=(4, 5))
        self.allowed.on_click(lambda event: state.apply_allowed())
        self.applied = LiveText("", margin=(4, 5))
        row = pn.Row(*self.buttons.values(), margin=0, **WIDE)
        limits = pn.FlexBox(self.n_iterations, self.patience, self.objective, gap="0px", **WIDE)
        self.body = stack(row, limits, *self.sliders.values(), self.rate, self.allowed)

    def _slider(
        self, name: str, start: float, end: float, act: Callable[[], object], code: str = POWER
    ) -> pn.widgets.FloatSlider:
        slider = pn.widgets.FloatSlider.from_param(
            self.state.param[name], start=start, end=end, step=0.01,
            format=CustomJSTickFormatter(code=code), sizing_mode="stretch_width", margin=(4, 10),
        )  # fmt: skip
        slider.jscallback(value=FORGET)

        def release(event: param.parameterized.Event) -> None:
            if not math.isnan(event.new):
                # Where forgetting waits to be handled, the release comes before its value.
                self.state.param.update({name: event.new})
                act()

        slider.param.watch(release, "value_throttled", onlychanged=False)
        return slider

    def refresh(self, moment: Moment) -> None:
        """Show α or why the pair is refused, what was applied, and which buttons are enabled."""
        state = self.state
        self.rate.object = rate_words(state)
        is_refused = state.has_pair and bool(state.refusal)
        if is_refused:
            self.allowed.label = f"Use {EPSILON} = {state.allowed:.3g}"
        if self.allowed.visible != is_refused:
            self.allowed.visible = is_refused
        lines = "".join(f"<li>{html.escape(words)}</li>" for words in applied_words(moment.marks))
        listed = f'<ul style="margin: 0; padding-left: 1.2em; font-size: 0.85em">{lines}</ul>'
        self.applied.object = scrolling(listed, APPLIED) if lines else ""
        disabled, is_paused = disabled_buttons(state), state.word == "paused"
        if not self.changed((*disabled.values(), is_paused, state.is_running, state.has_pair)):
            return
        for name, is_disabled in disabled.items():
            self.buttons[name].disabled = is_disabled
        self.buttons["Pause"].visible, self.buttons["Resume"].visible = not is_paused, is_paused
        self.objective.disabled = state.is_running
        for name in ("λ", EPSILON):
            self.sliders[name].disabled = not state.has_pair


class Status(View[Moment]):
    """A sentence that screen readers announce, a line of numbers, and a table.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional

    Attributes
    ----------
    body : Viewable
        The sentence and the line of numbers.
    table : LiveText
        For a place of its own.
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None = None) -> None:
        super().__init__()
        self.state, self._known = state, known_det_fisher
        self.word = LiveText("", margin=(0, 5))
        self.progress = LiveText("", margin=(0, 5))
        self.table = LiveText("", margin=(6, 5))
        self._speed = Speed()
        self.body = stack(self.word, self.progress)

    def refresh(self, moment: Moment) -> None:
        """Write the words and numbers."""
        if moment.is_new:
            self._speed = Speed()
        speed = self._speed.of(len(moment.history))
        words = html.escape(sentence(self.state))
        self.word.object = f'<div role="status" aria-live="polite"><b>{words}</b></div>'
        self.progress.object = f"<div>{html.escape(numbers(self.state, moment, speed))}</div>"
        key = id(moment.history), moment.length, self.state.word, id(self.state.imnn.validation)
        if self.changed(key):
            kept = html.escape(kept_words(self.state, moment))
            self.table.object = self._table(moment) + (f"<div>{kept}</div>" if kept else "")

    def _table(self, moment: Moment) -> str:
        if not moment.latest:
            return announced_html(NO_NUMBERS)
        rows = []
        for label, name in ROWS.items():
            known = "" if self._known is None else _known_value(label, self._known)
            numbers = [moment.latest.get(prefix + name, np.nan) for prefix in ("", "val_")]
            rows.append([label, *(_number(value) for value in numbers), known])
        return table(["", "training", "validation", "known"], rows, is_dense=True)


def rate_words(state: TrainingState) -> str:
    """Return the rate α of the chosen pair, or why it is refused, as HTML."""
    if not state.has_pair:
        return f"<div>{html.escape(no_pair_words(state))}</div>"
    regularisation = state.regularisation
    if regularisation is None:
        reason = html.escape(state.refusal)
        λ, ε = state.applied
        kept = f"Keeping λ = {λ:.4g}, {EPSILON} = {ε:.4g}."
        return f'<div role="alert" style="{REFUSED}"><b>Not applied.</b> {reason} {kept}</div>'
    waits = " (requested, not applied yet)" if state.is_pending else ""
    return f"<div>rate α = {regularisation.α:.4g}{waits}</div>"


def _count(state: TrainingState, name: str, label: str) -> pn.widgets.IntInput:
    return pn.widgets.IntInput.from_param(
        state.param[name], label=label, width=LIMIT, margin=(4, 3), start=1,
        placeholder="no limit", stylesheets=[HINT],
    )  # fmt: skip


def _button(name: str, act: Callable[[], object]) -> pn.widgets.Button:
    kind = {"Start": "primary", "Stop": "danger"}.get(name, "default")
    button = pn.widgets.Button(
        label=name, color=kind, margin=(4, 3), min_width=50, sizing_mode="stretch_width",
        stylesheets=[SOLID, BUTTON],
    )  # fmt: skip
    button.on_click(lambda event: act())
    return button


def _known_value(label: str, known_det_fisher: float) -> str:
    known = {"det F": known_det_fisher, "ln det F": float(np.log(known_det_fisher))}
    known |= {"det C": 1.0, "det C⁻¹": 1.0}
    return _number(known[label]) if label in known else ""


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "–"
