"""The target: choose one, or simulate one at known parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.inference_state import InferenceState
from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import told, words


class TargetView(pn.viewable.Viewer):
    """Which data are inferred from."""

    def __init__(self, state: InferenceState, **params: Any) -> None:
        super().__init__(**params)
        self._state, self._problem = state, ""
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
        self._choice = pn.widgets.Select(label="target", **wide)
        self._choice.param.watch(self._chosen, "value")
        self._estimate = words()
        middle = np.round(state.observation.target.estimate, 3)
        inside = np.clip(middle, state.prior.low, state.prior.high)
        self._parameters = [
            pn.widgets.FloatInput(label=label, value=float(value), step=0.1, width=110)
            for label, value in zip(state.labels, inside, strict=True)
        ]
        self._seed = pn.widgets.IntInput(label="seed", value=1, start=0, end=2**31 - 1, width=110)
        self._simulate = pn.widgets.Button(
            label="Simulate a target", color="primary", variant="outline", width=160
        )
        self._simulate.on_click(self._simulated)
        simulated = [
            pn.FlexBox(*self._parameters, self._seed, gap="0px", **wide),
            self._simulate,
        ]
        self._body = card(
            "Target",
            self._choice,
            self._estimate,
            *(simulated if state.simulator is not None else []),
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        names = {o.name: o for o in self._state.observations}
        if list(self._choice.options) != list(names):
            self._choice.param.update(options=names, value=snapshot.observation)
        elif self._choice.value is not snapshot.observation:
            self._choice.value = snapshot.observation
        about = told(_sentence(snapshot)) + told(self._problem, "alert")
        if self._estimate.object != about:
            self._estimate.object = about

    def _chosen(self, event: Any) -> None:
        if event.new is not None and event.new is not self._state.observation:
            self._state.look_at(event.new)

    def _simulated(self, _: Any) -> None:
        self._problem = ""
        try:
            parameters = [widget.value for widget in self._parameters]
            self._state.simulate_target(parameters, self._seed.value)
        except (RuntimeError, ValueError, TypeError) as error:
            self._problem = str(error)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def _sentence(snapshot: Snapshot) -> str:
    found = snapshot.observation
    sd = np.sqrt(np.diag(found.gaussian.likelihood_covariance))
    parts = zip(snapshot.labels, found.target.estimate, sd, strict=True)
    estimate = ", ".join(f"{label} = {value:.4g} ± {s:.2g}" for label, value, s in parts)
    return f"Estimate: {estimate}."
