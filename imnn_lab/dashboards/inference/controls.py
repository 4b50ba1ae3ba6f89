"""Controls of the inference page: the target, and the ways to its posterior that simulate."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.background import Work
from imnn_lab.dashboards.common.layout import (
    WIDE,
    Select,
    View,
    action_button,
    announced_html,
    card,
    figure_rows,
    words,
)
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.parameters import shown

NEAREST = 500
PLAYER_BUTTONS = ["first", "previous", "pause", "play", "next", "last"]


class TargetView(View[Snapshot]):
    """Choose the target, or simulate one at known parameters."""

    def __init__(self, state: InferenceState) -> None:
        super().__init__()
        self._state = state
        self._choice = Select(label="target", **WIDE)
        self._choice.param.watch(self._choose, "value")
        self.status = words()
        values, steps = state.suggested_parameters()
        self._parameters = [
            pn.widgets.FloatInput(label=shown(label), value=value, step=step, width=110)
            for label, value, step in zip(state.labels, values, steps, strict=True)
        ]
        self._seed = pn.widgets.IntInput(label="seed", value=1, start=0, end=2**31 - 1, width=110)
        simulate = action_button(
            "Simulate a target", lambda: self.attempt(self._simulate), 160, "outline"
        )
        row = pn.FlexBox(*self._parameters, self._seed, gap="0px", **WIDE)
        simulated = [] if state.simulator is None else [row, simulate]
        self.body = card("Target", self._choice, self.status, *simulated)

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the chosen target and its estimate."""
        if not self.changed((snapshot.key, self.failure)):
            return
        targets = {observation.name: observation for observation in self._state.observations}
        self._choice.param.update(options=targets, value=snapshot.observation)
        self.status.object = announced_html(_estimate(snapshot)) + announced_html(
            self.failure, "alert"
        )

    def _choose(self, event: Any) -> None:
        if event.new is not None and event.new is not self._state.observation:
            self._state.choose_target(event.new)

    def _simulate(self) -> None:
        parameters = [widget.value for widget in self._parameters]
        self._state.simulate_target(parameters, self._seed.value)


class WorkView(View[Snapshot]):
    """Buttons that start and stop simulations, and a sentence about them."""

    def __init__(self, state: InferenceState, label: str) -> None:
        super().__init__()
        self._state, self.status = state, words()
        self._start = action_button(label, lambda: self.attempt(self.start), 90)
        self._stop = action_button("Stop", lambda: self.work.stop(), 90, "outline")
        self._buttons = pn.Row(self._start, self._stop)

    @property
    def work(self) -> Work:
        """The thread that simulates."""
        raise NotImplementedError

    def start(self) -> None:
        """Start to simulate."""
        raise NotImplementedError

    def sentence(self, snapshot: Snapshot) -> str:
        """Return what the work came to so far."""
        raise NotImplementedError

    def show(self, snapshot: Snapshot) -> None:
        """Show what changed in figures and players."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Show results and choices when they change."""
        work = self.work
        failure = self.failure or (work.message if work.state == "failed" else "")
        if not self.changed((snapshot.key, work.state, failure)):
            return
        self._start.disabled, self._stop.disabled = work.is_running, not work.is_running
        self.status.object = announced_html(self.sentence(snapshot)) + announced_html(
            failure, "alert"
        )
        self.show(snapshot)


class RejectionView(WorkView):
    """Draw from the prior, and choose the distance within which draws are accepted."""

    def __init__(self, state: InferenceState, snapshot: Snapshot) -> None:
        super().__init__(state, "Draw")
        choices = state.choices.param
        nearest = action_button(
            f"Accept the nearest {NEAREST}", lambda: state.accept_nearest(NEAREST), 200, "outline"
        )
        self._drawing = Drawing(snapshot.distances, "distances", height=112)
        self.body = card(
            "ABC",
            words("Draws from the prior; those within ε of the target are accepted."),
            pn.widgets.IntInput.from_param(choices.draws, step=1000, **WIDE),
            self._buttons,
            self.status,
            pn.widgets.FloatSlider.from_param(choices.log_distance, **WIDE),
            pn.FlexBox(nearest, pn.widgets.Checkbox.from_param(choices.adjust), gap="0px", **WIDE),
            figure_rows(self._drawing),
        )

    @property
    def work(self) -> Work:
        """The thread that draws."""
        return self._state.abc_work

    def start(self) -> None:
        """Draw as often as chosen."""
        self._state.draw()

    def sentence(self, snapshot: Snapshot) -> str:
        """Return how many draws there are, and how many are accepted."""
        draws, acceptance, state = snapshot.draws, snapshot.acceptance, self.work.state
        if not draws.num_draws:
            return "No draws yet: press Draw." if state == "idle" else f"{state} …"
        failed = f", {draws.num_failed:,} failed" if draws.num_failed else ""
        return (
            f"{state}: {draws.num_draws:,} simulations{failed}. ε = {acceptance.ε:.3g} "
            f"accepts {acceptance.num_accepted:,} ({acceptance.rate:.2%})."
        )

    def show(self, snapshot: Snapshot) -> None:
        """Show the histogram of distances."""
        self._drawing.update(snapshot.distances)


class PopulationView(WorkView):
    """Run population Monte Carlo, and play its iterations."""

    def __init__(self, state: InferenceState) -> None:
        super().__init__(state, "Run PMC")
        choices = state.choices.param
        self._player = pn.widgets.Player(
            label="iteration", start=0, end=1, value=0, interval=300, loop_policy="once",
            show_loop_controls=False, disabled=True, show_value=False,
            visible_buttons=PLAYER_BUTTONS, **WIDE,
        )  # fmt: skip
        self._player.param.watch(self._choose_iteration, "value")
        settings = [
            pn.widgets.IntInput.from_param(choices.particles, step=100, width=140),
            pn.widgets.IntInput.from_param(choices.initial_draws, step=500, width=140),
            pn.widgets.FloatInput.from_param(choices.criterion, step=0.01, width=140),
            pn.widgets.IntInput.from_param(choices.most_simulations, step=10_000, width=140),
        ]
        self.body = card(
            "PMC",
            words("Weighted particles that move towards the target."),
            pn.FlexBox(*settings, gap="0px", **WIDE),
            self._buttons,
            self.status,
            self._player,
        )

    @property
    def work(self) -> Work:
        """The thread that moves particles."""
        return self._state.pmc_work

    def start(self) -> None:
        """Run with the chosen settings."""
        self._state.run_pmc()

    def sentence(self, snapshot: Snapshot) -> str:
        """Return how far the shown population is, and why the run ended."""
        population, state, message = snapshot.population, self.work.state, self.work.message
        if population is None:
            return "No particles yet: press Run PMC." if state == "idle" else f"{state} …"
        head = {"finished": f"finished: {message}", "stopped": message}.get(state, state)
        return (
            f"{head}. Iteration {population.iteration} of {snapshot.populations[-1].iteration}: "
            f"ε = {population.ε:.3g}, acceptance {population.acceptance:.1%}, "
            f"{population.effective_samples:.0f} effective samples from "
            f"{population.simulations:,} simulations."
        )

    def show(self, snapshot: Snapshot) -> None:
        """Extend the player, which follows a run until it is moved back."""
        last = len(snapshot.populations) - 1
        self._player.disabled = last < 1
        if last >= 1 and self._player.end != last:
            follows = self._state.choices.iteration < 0
            self._player.end = last
            if follows:
                self._player.value = last

    def _choose_iteration(self, event: Any) -> None:
        is_last = event.new >= self._player.end
        self._state.choices.iteration = -1 if is_last else max(0, int(event.new))


class NeuralView(WorkView):
    """Learn the posterior of any observation, and see how far its training is."""

    def __init__(self, state: InferenceState, snapshot: Snapshot) -> None:
        super().__init__(state, "Train")
        choices = state.choices.param
        self._drawing = Drawing(snapshot.learning, "learning", height=180)
        boxes = [
            pn.widgets.IntInput.from_param(choices.learning_draws, step=1000, width=140),
            pn.widgets.IntInput.from_param(choices.epochs, step=10, width=140),
        ]
        self.body = card(
            "Neural posterior",
            words("Learns from draws of the prior, once for any target; makes those missing."),
            pn.FlexBox(*boxes, gap="0px", **WIDE),
            self._buttons,
            self.status,
            figure_rows(self._drawing),
        )

    @property
    def work(self) -> Work:
        """The thread that learns."""
        return self._state.neural_work

    def start(self) -> None:
        """Learn with the chosen settings."""
        self._state.learn()

    def sentence(self, snapshot: Snapshot) -> str:
        """Return how far the training is, and why it ended."""
        learned, state, message = snapshot.learned, self.work.state, self.work.message
        if learned is None:
            if state in ("running", "stopping"):
                return f"{state}: {snapshot.draws.num_draws:,} simulations …"
            return message if state == "stopped" else "Nothing learned yet: press Train."
        head = {"finished": f"finished: {message}", "stopped": message, "idle": "given"}
        held_out = learned.held_out.mean(axis=1)
        words = (
            f"{head.get(state, state)}. {len(held_out)} epochs of {learned.draws.num_draws:,} "
            f"simulations; −ln q of those held out {-held_out.max():.3f}."
        )
        if snapshot.neural is None:
            words += " Hardly any of it lies inside the prior for this target."
        return words

    def show(self, snapshot: Snapshot) -> None:
        """Show the curves of the training."""
        self._drawing.update(snapshot.learning)


def _estimate(snapshot: Snapshot) -> str:
    observation = snapshot.observation
    sd = np.sqrt(np.diag(observation.gaussian.likelihood_covariance))
    parts = zip(snapshot.labels, observation.target.estimate, sd, strict=True)
    estimate = ", ".join(f"{shown(label)} = {value:.4g} ± {s:.2g}" for label, value, s in parts)
    return f"Estimate: {estimate}."
