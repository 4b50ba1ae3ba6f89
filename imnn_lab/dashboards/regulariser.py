"""The regulariser: r(Λ2) as applied and as chosen, and the pairs (λ, ε) that are allowed."""

from __future__ import annotations

import panel as pn

from imnn_lab.dashboards.layout import card, flowing
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.figures.interactive_regulariser import RegulariserFigure
from imnn_lab.regularisation import Regularisation


class RegulariserView(pn.viewable.Viewer):
    """Where training stands on r(Λ2), and where the chosen pair stands among the allowed ones."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state, self.figure = state, RegulariserFigure()
        self._shown: tuple = ()

    def refresh(self, moment: Moment) -> None:
        """Move the point, and the curves where a pair changed."""
        state = self.state
        used = state.run.regularisation if state.run is not None else Regularisation(*state.applied)
        chosen = (state.λ, state.ε)
        if self._shown != (used, chosen):
            self._shown = (used, chosen)
            self.figure.show_applied(used)
            differs = chosen != (used.λ, used.ε)
            self.figure.show_chosen(state.regularisation if differs else None)
            self.figure.show_pairs((used.λ, used.ε), chosen)
        if moment.has_rows or moment.is_new:
            nothing = float("nan")
            latest = moment.latest
            self.figure.show_point(latest.get("reg", nothing), latest.get("r", nothing))

    def __panel__(self) -> pn.Column:
        panes = [
            (pn.pane.Bokeh(figure, sizing_mode="stretch_width", margin=0), 260, 1)
            for figure in (self.figure.strength, self.figure.pairs)
        ]
        return card("Regularisation", flowing(*panes))
