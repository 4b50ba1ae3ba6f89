"""How far results of a training can be trusted: answers of a report, and figures beside them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from imnn_lab.dashboards.common.layout import View, side_by_side
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.common.trust import TrustView
from imnn_lab.dashboards.training.looks import Look, LookView
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.figures import diagnostics as figures


class Trusting(View[Any]):
    """The card that checks the results, and beside it what can be looked at.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    """

    def __init__(
        self, state: TrainingState, labels: Sequence[str], known_fisher: np.ndarray | None
    ) -> None:
        super().__init__()

        def subject() -> int:
            return len(state.imnn.history)

        def started() -> None:
            state.param.update(acts=state.acts + 1)

        make = partial(state.imnn.report, labels=labels, known_fisher=known_fisher)  # type: ignore[attr-defined]
        self.answers = TrustView(make, subject, started)
        looks = _looks(state.imnn, labels, known_fisher)
        self.looks = {look.name: LookView(look, subject, started) for look in looks}
        shown: list[tuple[Any, int, int]] = [(self.answers, 380, 2)]
        self._tabs: Tabs[Any] | None = None
        if self.looks:
            self._tabs = Tabs([Tab(name, partial(self.looks.get, name)) for name in self.looks])
            shown.append((self._tabs, 420, 3))
        self.body = side_by_side(*shown)

    @property
    def word(self) -> str:
        """The worst light of the last report, or why there is none."""
        return self.answers.word

    @property
    def is_working(self) -> bool:
        """Whether something that the reader asked for is on its way."""
        views = [self.answers, *self.looks.values()]
        return any(view.work.is_running for view in views)

    def refresh(self, moment: Any) -> None:
        """Bring the answers, and the look that is shown, up to date."""
        self.answers.refresh(moment)
        if self._tabs is not None:
            self._tabs.refresh(moment)


def trusting(
    state: TrainingState, labels: Sequence[str], known_fisher: np.ndarray | None
) -> Trusting | None:
    """Return the view of a network that can report on its results, None of others.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    """
    return Trusting(state, labels, known_fisher) if hasattr(state.imnn, "report") else None


def _looks(imnn: Any, labels: Sequence[str], known_fisher: np.ndarray | None) -> Iterator[Look]:
    """Yield what this network can show."""
    if hasattr(imnn, "fisher_flow"):
        yield Look(
            "Layers",
            "Look into each layer",
            "How much information a linear readout finds in each layer, untrained and now: where "
            "it is made, and where it is lost.",
            lambda tell: imnn.fisher_flow(tell),
            figures.flow_by_layer,
            lambda flow: f"<pre>{html.escape(str(flow))}</pre>",
        )
