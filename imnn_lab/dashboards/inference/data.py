"""The data of the inference page: the observation, simulations like it, what the network sees."""

from __future__ import annotations

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.layout import (
    WIDE,
    Select,
    View,
    action_button,
    announced_html,
    card,
    figure_rows,
    scrolling,
    side_by_side,
    table,
    words,
)
from imnn_lab.dashboards.inference.predicting import Predictive
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.data import Panels
from imnn_lab.figures.observed import observation
from imnn_lab.parameters import shown

LISTED = 5  # nearest simulations
SEES = "Below: by how much each value of the data moves each estimate."
SEES_NOT = "What the network looks at will stand below for estimators that have a `gradient`."


class DataView(View[Snapshot]):
    """The observation beside simulations at draws of a posterior, and the estimates' gradient.

    Parameters
    ----------
    state : InferenceState
    """

    def __init__(self, state: InferenceState) -> None:
        super().__init__()
        self._state, choices = state, state.choices.param
        described = self._described(state.snapshot())
        controls: list[object] = []
        self.status, self._list = words(), words()
        if state.simulator is not None:
            self._start = action_button("Simulate", lambda: self.attempt(state.predict), 100)
            self._stop = action_button("Stop", state.predict_work.stop, 80, "outline")
            controls = [
                Select.from_param(choices.predicted_from, **WIDE),
                pn.widgets.IntInput.from_param(choices.predicted, step=50, width=140),
                pn.Row(self._start, self._stop),
            ]
        side = card("Posterior predictive draws", *controls, self.status, self._list)
        self._drawing: Drawing | None = None
        if described is None:
            about = "The observation will be drawn here where it is one array of real numbers."
            self.body = side_by_side((card("Data", words(about)), 560, 3), (side, 330, 1))
            return
        is_image = described.panels[0].title != ""
        self._drawing = drawing = Drawing(described, "observation", height=190)
        figures = figure_rows(drawing, has_legend=not is_image)
        sees = SEES_NOT if state.gradient() is None else SEES
        self.body = side_by_side((card("Data", words(sees), figures), 560, 3), (side, 330, 1))

    def refresh(self, snapshot: Snapshot) -> None:
        """Show what is simulated so far."""
        work, predictive = self._state.predict_work, self._state.predictive
        failure = self.failure or (work.message if work.state == "failed" else "")
        n = 0 if predictive is None else len(predictive.data)
        if not self.changed((snapshot.key, work.state, failure, n)):
            return
        if snapshot.simulates:
            self._start.disabled, self._stop.disabled = work.is_running, not work.is_running
        text = "Simulations at draws of the posterior will be drawn beside the observation."
        if predictive is not None:
            text = f"{work.state}: {n:,} simulations from the posterior of {predictive.method}."
            self._list.object = scrolling(_nearest(predictive, snapshot.labels))
        elif not snapshot.simulates:
            text = "Without a simulator there are none."
        else:
            self._list.object = ""
        self.status.object = announced_html(text) + announced_html(failure, "alert")
        described = self._described(snapshot)
        if self._drawing is not None and described is not None:
            self._drawing.update(described)

    def _described(self, snapshot: Snapshot) -> Panels | None:
        data = snapshot.observation.data
        if isinstance(data, tuple) or np.asarray(data).dtype.kind not in "fiub":
            return None
        predictive = self._state.predictive
        simulations = None if predictive is None else predictive.data
        nearest = 0 if predictive is None else predictive.nearest
        gradient = self._state.gradient()
        return observation(np.asarray(data)[0], simulations, nearest, gradient, snapshot.labels)


def _nearest(predictive: Predictive, labels: tuple[str, ...]) -> str:
    """Return a table of the simulations whose estimates are nearest to the target's."""
    order = np.argsort(predictive.distances)[:LISTED]
    rows = [
        [f"{predictive.distances[i]:.3g}", *(f"{value:.4g}" for value in predictive.parameters[i])]
        for i in order
    ]
    return table(["distance ρ of the nearest", *(shown(label) for label in labels)], rows)
