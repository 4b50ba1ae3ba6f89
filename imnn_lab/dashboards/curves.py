"""The live curves, with smoothing, scales, and a view that follows the run."""

from __future__ import annotations

import panel as pn

from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.pump import CurvesPump, Moment, is_log
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.figures.curves import AxesPlan, axes_plans
from imnn_lab.figures.interactive_curves import CurvesFigure


class Curves(pn.viewable.Viewer):
    """det F, det C and det C⁻¹, Λ2 and r by iteration.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional
        Exact det F, drawn as a line.
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None = None) -> None:
        super().__init__()
        self.state, self._known = state, known_det_fisher
        self.pane = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._scale, self._is_empty = "", False
        self._draw()

    def refresh(self, moment: Moment) -> None:
        """Move what is new to the figures."""
        if self._scale != self.state.scale:
            self._draw()
        if self._is_empty:
            self._is_empty = False
            self.pump.restart(moment)
        else:
            self.pump.move(moment)
        self.figure.show_then(self.state.shown_iteration)

    def _draw(self) -> None:
        """Make new figures; Bokeh cannot change the kind of an axis."""
        self._scale, self._is_empty = self.state.scale, True
        self.figure = CurvesFigure(self._plans())
        self.pump = CurvesPump(self.state, self.figure)
        self.pane.object = self.figure.layout

    def _plans(self) -> list[AxesPlan]:
        plans = axes_plans(known_det_fisher=self._known)
        return [
            AxesPlan(plan.label, plan.columns, plan.reference, is_log(plan, self.state.scale))
            for plan in plans
        ]

    def __panel__(self) -> pn.Column:
        param, narrow = self.state.param, {"width": 150, "margin": (0, 10)}
        choices = pn.FlexBox(
            pn.widgets.Select.from_param(param.window, **narrow),
            pn.widgets.Select.from_param(param.scale, **narrow),
            pn.widgets.FloatSlider.from_param(param.smoothing, step=0.001, **narrow),
            pn.widgets.Checkbox.from_param(param.fit_all, width=150, margin=(22, 10, 0, 10)),
            sizing_mode="stretch_width",
        )
        return card("Training", choices, self.pane)
