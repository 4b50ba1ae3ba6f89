"""Controls and live curves for notebooks, as ipywidgets: JupyterLab, Notebook and VS Code."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import ipywidgets
import numpy as np

from imnn_lab.dashboards.host.ipykernel_private import hear_where_asked
from imnn_lab.dashboards.host.jupyter_bokeh_private import SentFigures
from imnn_lab.dashboards.host.kernel import NotebookTicker, is_batch, kernel_shell
from imnn_lab.dashboards.host.still import Picture, StillPicture
from imnn_lab.dashboards.training.protocols import Trained, as_trained
from imnn_lab.dashboards.training.pump import CurvesPump, Moment, Pump
from imnn_lab.dashboards.training.state import TrainingState, disabled_buttons
from imnn_lab.dashboards.training.still import picture_key, training_picture
from imnn_lab.dashboards.training.words import (
    Speed,
    applied_words,
    no_pair_words,
    numbers,
    parameter_names,
    sentence,
)
from imnn_lab.figures import training_curves
from imnn_lab.figures.curves import AXES
from imnn_lab.figures.live_curves import CurvesFigure
from imnn_lab.history import History
from imnn_lab.regularisation import EPSILON
from imnn_lab.settings import OBJECTIVES

WIDE = {"width": "auto"}
ROW = {"flex_flow": "row wrap"}


class LiveCurves:
    """The curves of a training in a widget.

    What is sent before a browser has drawn the widget is lost; when it has, all is sent again.
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None) -> None:
        self._state, self._known = state, known_det_fisher
        self._draw()
        self.widget = SentFigures(self.figure.layout)

    def _draw(self) -> None:
        """Make figures for the axis that is chosen."""
        empty = training_curves(
            History(), known_det_fisher=self._known, against=self._state.against
        )
        self.figure = CurvesFigure(empty)
        self.pump = CurvesPump(self._state, self.figure)

    def refresh(self, moment: Moment) -> None:
        """Move what is new to the figures."""
        if self._state.against != self.figure.against:
            self._draw()
            self.pump.restart(moment)
            self.widget.show(self.figure.layout)
        elif self.widget.was_drawn:
            self.widget.was_drawn = False
            self.pump.restart(moment)
        else:
            self.pump.move(moment)


class Choice:
    """A list of what one setting of a state may be, which follows the state.

    Parameters
    ----------
    state : TrainingState
    name : str
        Of the setting.
    options : sequence of str
    label : str
    """

    def __init__(self, state: TrainingState, name: str, options: Sequence[str], label: str) -> None:
        self._state, self._name, self._followed = state, name, getattr(state, name)
        self.widget = ipywidgets.Dropdown(
            options=options, value=self._followed, description=label, layout={"width": "190px"}
        )
        self.widget.observe(self._chosen, "value")

    def _chosen(self, change: dict) -> None:
        setattr(self._state, self._name, change["new"])
        self._followed = change["new"]

    def refresh(self) -> None:
        """Follow the state, where somebody else changed it."""
        value = getattr(self._state, self._name)
        if value != self._followed:
            self._followed = value
            self.widget.value = value


class SettingSlider:
    """A slider over one setting of a state; what its reader does is never set back.

    The reader moves it in one thread while another lets it follow the state.

    Parameters
    ----------
    state : TrainingState
    name : str
        Of the state's exponent.
    label : str
    ends : (float, float)
        Smallest and largest exponent.
    act : callable
        Called when the reader let go.
    """

    def __init__(
        self,
        state: TrainingState,
        name: str,
        label: str,
        ends: tuple[float, float],
        act: Callable[[], Any],
    ) -> None:
        self._state, self._name, self._act = state, name, act
        self._lock, self._follows = threading.RLock(), False
        self._exponent = float(getattr(state, name))
        self.widget = ipywidgets.FloatLogSlider(
            value=10.0**self._exponent, base=10, min=ends[0], max=ends[1], step=0.01,
            description=label, continuous_update=False, readout_format=".3g", layout=WIDE,
        )  # fmt: skip
        self.widget.observe(self._moved, "value")

    def _moved(self, change: dict) -> None:
        with self._lock:
            if self._follows:
                return
            self._exponent = float(np.log10(change["new"]))
            setattr(self._state, self._name, self._exponent)
        self._act()

    def refresh(self) -> None:
        """Follow the state, where somebody else changed it."""
        with self._lock:
            exponent = float(getattr(self._state, self._name))
            if exponent == self._exponent:
                return
            self._exponent, self._follows = exponent, True
            try:
                self.widget.value = float(f"{10.0**exponent:.6g}")
            finally:
                self._follows = False


class Controls:
    """Sliders that apply on release, limits and buttons, over a training's state."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        pair, rate = state.apply_pair, state.apply_learning_rate
        self._sliders = {
            "log_lambda": SettingSlider(state, "log_lambda", "λ", (-0.3, 3), pair),
            "log_epsilon": SettingSlider(state, "log_epsilon", EPSILON, (-4, 0), pair),
            "log_learning_rate": SettingSlider(
                state, "log_learning_rate", "learning rate", (-6, 0), rate
            ),
        }
        self.sliders = {name: slider.widget for name, slider in self._sliders.items()}
        self.counts = {
            "n_iterations": _count(state.n_iterations, "iterations"),
            "patience": _count(state.patience, "patience"),
        }
        for name, count in self.counts.items():
            count.observe(self._counter(name), "value")
        self._choices = {
            "objective": Choice(state, "objective", OBJECTIVES, "objective"),
            "against": Choice(state, "against", list(AXES), "axis"),
        }
        self.objective, self.against = (choice.widget for choice in self._choices.values())
        self.buttons = {
            "Start": _button("Start", state.start, "primary"),
            "Pause": _button("Pause", state.pause),
            "Resume": _button("Resume", state.resume),
            "Stop": _button("Stop", state.stop, "danger"),
            "Reset": _button("Reset", state.reset),
        }

    def _counter(self, name: str) -> Callable[[dict], None]:
        def changed(change: dict) -> None:
            text = change["new"].strip()
            try:
                setattr(self.state, name, int(text) if text else None)
            except ValueError:
                self.state.message = f"{name} must be a whole number above 0, or empty."

        return changed

    def refresh(self, moment: Moment) -> None:
        """Let the sliders follow the state, and say which buttons can be pressed."""
        for slider in self._sliders.values():
            slider.refresh()
        for name, disabled in disabled_buttons(self.state).items():
            self.buttons[name].disabled = disabled
        self.objective.disabled = self.state.is_running
        for choice in self._choices.values():
            choice.refresh()
        for name in ("log_lambda", "log_epsilon"):
            self.sliders[name].disabled = not self.state.has_pair

    @property
    def box(self) -> ipywidgets.Widget:
        """All controls."""
        return ipywidgets.VBox(
            [
                ipywidgets.HBox(list(self.buttons.values()), layout=ROW),
                ipywidgets.HBox([*self.counts.values(), self.objective, self.against], layout=ROW),
                *self.sliders.values(),
            ]
        )


class Words:
    """The state, the numbers, the rate α or why there is none, and what was applied."""

    def __init__(self, state: TrainingState) -> None:
        self.state, self._speed = state, Speed()
        self.bar = ipywidgets.FloatProgress(
            value=0, min=0, max=1, description="progress", layout=WIDE
        )
        self.lines = ipywidgets.HTML()

    def refresh(self, moment: Moment) -> None:
        """Write them anew."""
        state, run = self.state, self.state.run
        last = None if run is None else run.last
        at = moment.latest.get("iteration", 0.0)
        self.bar.value = min(1.0, at / last) if last else 0.0
        speed = self._speed.of(len(moment.history))
        lines = [sentence(state), numbers(state, moment, speed), pair_words(state)]
        lines += applied_words(moment.marks, 3)
        self.lines.value = "".join(f"<div>{html.escape(line)}</div>" for line in lines)


class TrainingWidget(ipywidgets.VBox):
    """Train a network from a notebook's cell; it shows any fit of the network, live.

    Parameters
    ----------
    imnn : object
        The network to train, usually an `IMNN`; see `imnn_lab.dashboards.training.protocols`.
    known_det_fisher : float, optional
        Exact det F, drawn as a line.

    Attributes
    ----------
    state : TrainingState
        What is chosen; the dashboard has the same.
    """

    def __init__(self, imnn: Trained, known_det_fisher: float | None = None) -> None:
        self.state = state = TrainingState(as_trained(imnn))
        self.controls, self.words = Controls(state), Words(state)
        self.curves = LiveCurves(state, known_det_fisher)
        browser = self.curves.widget.browser
        self.pump = Pump(state, [self.controls, self.words, self.curves], browser)
        self.pump.tick()
        self.curves.widget.update_from_model(self.curves.figure.layout)
        parts: Sequence[ipywidgets.Widget] = [self.words.bar, self.words.lines]
        self._labels = parameter_names(None, len(imnn.θ_fid), getattr(imnn, "names", None))
        self._known_det_F = known_det_fisher
        self._hiding = ipywidgets.HTML(layout={"display": "none"})
        super().__init__([self.controls.box, *parts, self.curves.widget, self._hiding])
        hear_while_a_cell_runs(self)
        shell = kernel_shell()
        self._still: StillPicture | None = None
        self.ticker = NotebookTicker(self)
        if shell is not None:
            self.ticker.follow(shell.events)
            state.on_change(self.ticker.start)

    def tick(self) -> bool:
        """Bring everything up to date if due.

        Returns
        -------
        bool
            Whether a run is in progress.
        """
        if self._still is not None:
            self._still.renew(has_answered=True)
        return self.pump.tick_if_due()

    def picture_key(self) -> Hashable | None:
        """Return what changes with the picture, None while a run is in progress."""
        return picture_key(self.state)

    def picture(self) -> Picture:
        """Return the curves and the numbers of a run that has ended."""
        return training_picture(self.state, self._labels, self._known_det_F)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any] | None:
        shell = kernel_shell()
        if shell is not None and self._still is None:
            self._still = StillPicture(self, shell, is_batch=is_batch(shell))
            self._hiding.value = self._still.hiding
        return super()._repr_mimebundle_(**options)

    def close(self) -> None:
        """Close the widget and end its thread."""
        self.ticker.stop()
        super().close()


def hear_while_a_cell_runs(widget: ipywidgets.Widget) -> None:
    """Let what a reader does with a widget, and what it consists of, reach a busy kernel."""
    if widget.comm is not None:
        hear_where_asked(widget.comm)
    for child in getattr(widget, "children", ()):
        hear_while_a_cell_runs(child)


def pair_words(state: TrainingState) -> str:
    """Return the rate α of the chosen pair, or why it is refused."""
    if not state.has_pair:
        return no_pair_words(state)
    regularisation = state.regularisation
    if regularisation is None:
        return f"Not applied. {state.refusal}"
    return f"rate α = {regularisation.α:.4g}"


def _count(value: int | None, label: str) -> ipywidgets.Text:
    return ipywidgets.Text(
        value="" if value is None else str(value), description=label, placeholder="no limit",
        continuous_update=False, layout={"width": "190px"},
    )  # fmt: skip


def _button(label: str, act: Callable[[], Any], style: str = "") -> ipywidgets.Button:
    button = ipywidgets.Button(
        description=label, button_style=style, layout={"width": "76px"}, tooltip=label
    )
    button.on_click(lambda _: act())
    return button
