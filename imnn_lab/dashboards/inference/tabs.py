"""The tabs of the inference page: figures first, controls beside them, numbers below."""

from __future__ import annotations

from typing import Any

from imnn_lab.dashboards.common.background import Work
from imnn_lab.dashboards.common.layout import View, side_by_side, stack
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.inference.checks import CalibrationView
from imnn_lab.dashboards.inference.controls import (
    NeuralView,
    PopulationView,
    RejectionView,
    TargetView,
)
from imnn_lab.dashboards.inference.data import DataView
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.dashboards.inference.views import (
    CornerView,
    ExportView,
    ScatterView,
    SelectionView,
    SummaryView,
)
from imnn_lab.figures.bokeh import Brush

CONTROLS = 330  # pixels that controls ask for beside figures


class Together(View[Snapshot]):
    """Several views at once.

    Parameters
    ----------
    views : sequence of View
    body : viewable
        Where they stand.
    """

    def __init__(self, views: list[View[Snapshot]], body: Any) -> None:
        super().__init__()
        self.views, self.body = views, body

    def refresh(self, moment: Snapshot) -> None:
        """Refresh all."""
        for view in self.views:
            view.refresh(moment)


def page_tabs(state: InferenceState, brush: Brush, beside: Any = None) -> Tabs[Snapshot]:
    """Return the tabs of a page; without a simulator there are fewer.

    Parameters
    ----------
    state : InferenceState
    brush : Brush
        Joins the draws in all figures.
    beside : viewable, optional
        Stands beside the names of the tabs.
    """
    tabs: list[Tab[Snapshot]] = [Tab("Posterior", lambda: _posterior(state, brush))]
    if state.simulator is not None:
        tabs += [
            Tab("Draws", lambda: _draws(state, brush), _n_draws),
            Tab("Checks", lambda: CalibrationView(state), lambda _: _word(state.check_work)),
        ]
    tabs.append(Tab("Data", lambda: DataView(state), lambda _: _word(state.predict_work)))
    tabs.append(Tab("Export", lambda: ExportView(state, state.snapshot())))
    return Tabs(tabs, beside=beside)


def _posterior(state: InferenceState, brush: Brush) -> Together:
    snapshot = state.snapshot()
    corner, summary, ways = CornerView(state, snapshot, brush), SummaryView(), _ways(state)
    body = side_by_side((stack(corner, summary), 560, 3), (ways, CONTROLS, 1))
    return Together([corner, ways, summary], body)


def _ways(state: InferenceState) -> Tabs[Snapshot]:
    """Return the controls of each way to the posterior, and of the target."""
    ways: list[Tab[Snapshot]] = []
    if state.simulator is not None:
        ways = [
            Tab(
                "ABC",
                lambda: RejectionView(state, state.snapshot()),
                lambda _: _word(state.abc_work),
            ),
            Tab("PMC", lambda: PopulationView(state), lambda _: _word(state.pmc_work)),
            Tab(
                "Neural",
                lambda: NeuralView(state, state.snapshot()),
                lambda _: _word(state.neural_work),
            ),
        ]
    return Tabs([*ways, Tab("Target", lambda: TargetView(state))])


def _draws(state: InferenceState, brush: Brush) -> Together:
    scatter, selection = ScatterView(state, state.snapshot(), brush), SelectionView(brush)
    return Together([scatter, selection], side_by_side((scatter, 560, 3), (selection, CONTROLS, 2)))


def _word(work: Work) -> str:
    return "" if work.state == "idle" else work.state


def _n_draws(snapshot: Snapshot) -> str:
    n = snapshot.draws.num_draws
    return f"{n:,}" if n else ""
