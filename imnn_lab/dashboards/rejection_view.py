"""Approximate Bayesian computation: draw, and choose how near is near."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.drawings import placed
from imnn_lab.dashboards.inference_state import InferenceState
from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import told, words
from imnn_lab.figures.interactive_panels import Drawing

NEAREST = 500


class RejectionView(pn.viewable.Viewer):
    """Buttons and sliders of ABC, with the histogram of distances."""

    def __init__(self, state: InferenceState, snapshot: Snapshot, **params: Any) -> None:
        super().__init__(**params)
        self._state, self._problem = state, ""
        self._shown: object = None
        choices = state.choices.param
        self._start = pn.widgets.Button(label="Draw", color="primary", width=90)
        self._stop = pn.widgets.Button(label="Stop", color="primary", variant="outline", width=90)
        self._nearest = pn.widgets.Button(
            label=f"Accept the nearest {NEAREST}", color="primary", variant="outline", width=200
        )
        self._start.on_click(self._draw)
        self._stop.on_click(lambda _: state.drawing.stop())
        self._nearest.on_click(self._accept_nearest)
        self._status = words()
        self._drawing = Drawing(snapshot.distances(), "distances", height=180)
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
        self._body = card(
            "ABC",
            words("Draws from the prior; those within ε of the target are accepted."),
            pn.widgets.IntInput.from_param(choices.draws, step=1000, **wide),
            pn.Row(self._start, self._stop),
            self._status,
            pn.widgets.FloatSlider.from_param(choices.log_distance, **wide),
            self._nearest,
            pn.widgets.Checkbox.from_param(choices.adjust),
            placed(self._drawing),
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        work = self._state.drawing
        self._start.disabled, self._stop.disabled = work.is_running, not work.is_running
        problem = self._problem or (work.message if work.state == "failed" else "")
        self._status.object = told(_sentence(snapshot, work.state)) + told(problem, "alert")
        if snapshot.key != self._shown:
            self._shown = snapshot.key
            self._drawing.update(snapshot.distances())

    def _draw(self, _: Any) -> None:
        self._problem = ""
        try:
            self._state.draw()
        except (RuntimeError, ValueError) as error:
            self._problem = str(error)

    def _accept_nearest(self, _: Any) -> None:
        ρ = np.sort(self._state.snapshot().acceptance.distances)
        if len(ρ):
            # a little more than the distance of the last one, since a draw at ε is not accepted
            ε = np.nextafter(ρ[min(NEAREST, len(ρ)) - 1], np.inf) * (1 + 1e-9)
            self._state.choices.log_distance = float(np.clip(np.log10(ε), -2, 2))

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def _sentence(snapshot: Snapshot, state: str) -> str:
    draws, found = snapshot.draws, snapshot.acceptance
    if not draws.num_draws:
        return "No draws yet: press Draw." if state == "idle" else f"{state} …"
    failed = f", {draws.num_failed:,} failed" if draws.num_failed else ""
    return (
        f"{state}: {draws.num_draws:,} simulations{failed}. "
        f"ε = {snapshot.ε:.3g} accepts {found.num_accepted:,} ({found.rate:.2%})."
    )
