"""Population Monte Carlo: run it, and play its iterations."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.dashboards.inference_state import InferenceState
from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import told, words


class PopulationView(pn.viewable.Viewer):
    """Buttons of PMC and the player of its iterations."""

    def __init__(self, state: InferenceState, **params: Any) -> None:
        super().__init__(**params)
        self._state, self._problem = state, ""
        choices = state.choices.param
        self._start = pn.widgets.Button(label="Run PMC", color="primary", width=90)
        self._stop = pn.widgets.Button(label="Stop", color="primary", variant="outline", width=90)
        self._start.on_click(self._run)
        self._stop.on_click(lambda _: state.moving.stop())
        self._status = words()
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
        self._player = pn.widgets.Player(
            label="iteration", start=0, end=1, value=0, interval=300, loop_policy="once",
            show_loop_controls=False, disabled=True, show_value=False,
            visible_buttons=["first", "previous", "pause", "play", "next", "last"], **wide,
        )  # fmt: skip
        self._player.param.watch(self._played, "value")
        self._body = card(
            "PMC",
            words("Weighted particles that move towards the target."),
            pn.FlexBox(
                pn.widgets.IntInput.from_param(choices.particles, step=100, width=140),
                pn.widgets.IntInput.from_param(choices.initial_draws, step=500, width=140),
                pn.widgets.FloatInput.from_param(choices.criterion, step=0.01, width=140),
                pn.widgets.IntInput.from_param(choices.most_simulations, step=10_000, width=140),
                gap="0px",
                **wide,
            ),
            pn.Row(self._start, self._stop),
            self._status,
            self._player,
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment; the player follows a run until it is moved back."""
        work, last = self._state.moving, len(snapshot.populations) - 1
        self._start.disabled, self._stop.disabled = work.is_running, not work.is_running
        problem = self._problem or (work.message if work.state == "failed" else "")
        why = work.message if work.state in ("finished", "stopped") else ""
        self._status.object = told(_sentence(snapshot, work.state, why)) + told(problem, "alert")
        self._player.disabled = last < 1
        if last >= 1 and self._player.end != last:
            follows = self._state.choices.iteration < 0
            self._player.end = last
            if follows:
                self._player.value = last

    def _played(self, event: Any) -> None:
        last = event.new >= self._player.end
        self._state.choices.iteration = -1 if last else max(0, int(event.new))

    def _run(self, _: Any) -> None:
        self._problem = ""
        try:
            self._state.move()
        except (RuntimeError, ValueError) as error:
            self._problem = str(error)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def _sentence(snapshot: Snapshot, state: str, why: str) -> str:
    population = snapshot.population
    if population is None:
        return "No particles yet: press Run PMC." if state == "idle" else f"{state} …"
    reason = f": {why}" if why else ""
    return (
        f"{state}{reason}. Iteration {population.iteration} of "
        f"{snapshot.populations[-1].iteration}: ε = {population.ε:.3g}, acceptance "
        f"{population.acceptance:.1%}, {population.effective_samples:.0f} effective samples from "
        f"{population.simulations:,} simulations."
    )
