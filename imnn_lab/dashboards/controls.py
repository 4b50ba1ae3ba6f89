"""The controls of a training: settings that apply when released, and the buttons of the run."""

from __future__ import annotations

import html
import math
from typing import Any

import panel as pn
from bokeh.models import CustomJSTickFormatter

from imnn_lab.dashboards.layout import LiveText, card
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState, disabled_buttons
from imnn_lab.dashboards.training_words import applied_words
from imnn_lab.regularisation import EPSILON

POWER = "return Number((10 ** tick).toPrecision(3)).toString()"
# A release counts for Bokeh only where the value is another than at the last one. It may have been
# changed from elsewhere since; so the last release is forgotten when the value moves.
FORGET = "if (source.value_throttled !== source.value) source.value_throttled = NaN"
REFUSED = "border-left: 4px solid #D55E00; padding: 4px 8px"


class Controls(pn.viewable.Viewer):
    """Sliders for λ, ε and the learning rate, limits, and start, pause, resume, stop, reset."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state
        self.sliders = {
            "λ": self._slider("log_lambda", -0.3, 3, state.apply_pair),
            EPSILON: self._slider("log_epsilon", -4, 0, state.apply_pair),
            "learning rate": self._slider("log_learning_rate", -6, 0, state.apply_learning_rate),
        }
        self.n_iterations = _count(state, "n_iterations", "iterations")
        self.patience = _count(state, "patience", "patience")
        acts = {
            "Start": state.start, "Pause": state.pause, "Resume": state.resume,
            "Stop": state.stop, "Reset": state.reset,
        }  # fmt: skip
        self.buttons = {name: _button(name, act) for name, act in acts.items()}
        self.rate = LiveText("", margin=(0, 5))
        self.applied = LiveText("", margin=(4, 5))

    def _slider(self, name: str, start: float, end: float, act: Any) -> pn.widgets.FloatSlider:
        slider = pn.widgets.FloatSlider.from_param(
            self.state.param[name], start=start, end=end, step=0.01,
            format=CustomJSTickFormatter(code=POWER), sizing_mode="stretch_width", margin=(4, 10),
        )  # fmt: skip
        slider.jscallback(value=FORGET)
        slider.param.watch(lambda event: math.isnan(event.new) or act(), "value_throttled")
        return slider

    def refresh(self, moment: Moment) -> None:
        """Show α or why there is none, what was applied, and which buttons can be pressed."""
        state = self.state
        self.rate.object = rate_words(state)
        lines = "".join(f"<li>{html.escape(words)}</li>" for words in applied_words(moment.marks))
        self.applied.object = (
            f'<ul style="margin: 0; padding-left: 1.2em; font-size: 0.9em">{lines}</ul>'
            if lines
            else ""
        )
        for name, disabled in disabled_buttons(state).items():
            self.buttons[name].disabled = disabled

    def __panel__(self) -> pn.Column:
        row = pn.FlexBox(*self.buttons.values(), sizing_mode="stretch_width", gap="0px")
        limits = pn.FlexBox(self.n_iterations, self.patience, sizing_mode="stretch_width")
        return card("Train", row, limits, *self.sliders.values(), self.rate, self.applied)


def rate_words(state: TrainingState) -> str:
    """Return the rate α of the chosen pair, or why it is refused, as HTML."""
    regularisation = state.regularisation
    if regularisation is None:
        reason = html.escape(state.refusal)
        λ, ε = state.applied
        kept = f"λ = {λ:.4g}, {EPSILON} = {ε:.4g} stay."
        return f'<div role="alert" style="{REFUSED}"><b>Not applied.</b> {reason} {kept}</div>'
    waits = " (requested, not applied yet)" if state.is_pending else ""
    return f"<div>rate α = {regularisation.α:.4g}{waits}</div>"


def _count(state: TrainingState, name: str, label: str) -> pn.widgets.IntInput:
    return pn.widgets.IntInput.from_param(
        state.param[name], label=label, width=130, margin=(4, 10), start=1, placeholder="no limit"
    )


def _button(name: str, act: Any) -> pn.widgets.Button:
    kind = {"Start": "primary", "Stop": "danger"}.get(name, "default")
    button = pn.widgets.Button(label=name, color=kind, margin=(4, 4), min_width=64)
    button.on_click(lambda event: act())
    return button
