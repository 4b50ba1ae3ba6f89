"""The training dashboard: one page to train a network by hand and eye."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import panel as pn

from imnn_lab import checks
from imnn_lab.dashboards.common.layout import Body, body, card, side_by_side, stack
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.host.browser_ack import Echo
from imnn_lab.dashboards.host.notebooks import follow, load_mathematics
from imnn_lab.dashboards.host.still import Picture
from imnn_lab.dashboards.training.candidates import CandidatesView
from imnn_lab.dashboards.training.controls import Controls, Status
from imnn_lab.dashboards.training.errors import ErrorsView
from imnn_lab.dashboards.training.protocols import Trained, as_trained
from imnn_lab.dashboards.training.pump import Moment, Pump
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.still import picture_key, training_picture
from imnn_lab.dashboards.training.teaching import TeachingView
from imnn_lab.dashboards.training.trusting import trusting
from imnn_lab.dashboards.training.views import (
    Curves,
    EllipseView,
    Export,
    RegulariserView,
)
from imnn_lab.dashboards.training.words import parameter_names
from imnn_lab.inference.arguments import as_fisher


class TrainingDashboard(pn.viewable.Viewer):
    """Train a network, watch it, and steer it.

    It shows any fit of its network, whoever started it and when. It works in a notebook, and in a
    served page (``panel serve``).

    Parameters
    ----------
    imnn : object
        The network to train, usually an `IMNN`; see `imnn_lab.dashboards.training.protocols`.
    known_fisher : array-like, shape (n_params, n_params), optional
        The exact Fisher information, if known.
    labels : sequence of str, optional
        Names of the parameters.

    Attributes
    ----------
    state : TrainingState
        The reader's choices, which can be set from Python as well. It belongs to this object, the
        figures to each page that shows it.
    """

    def __init__(
        self, imnn: Trained, known_fisher: Any = None, labels: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        n_params = len(as_trained(imnn).θ_fid)
        self._labels = parameter_names(labels, n_params, getattr(imnn, "names", None))
        self._known = _known(known_fisher, n_params)
        load_mathematics(self._labels)
        self.state = TrainingState(imnn)

    def page(self) -> TrainingPage:
        """Return a new page over the same state; `__panel__` keeps one up to date."""
        return TrainingPage(self.state, self._labels, self._known)

    def page_beside_trust(self) -> TrainingPage:
        """Return a new page without the tab of its `trust`, which is shown elsewhere."""
        return TrainingPage(self.state, self._labels, self._known, shows_trust=False)

    def __panel__(self) -> pn.Column:
        page = self.page()
        ticker = follow(page)
        if ticker is not None:
            self.state.on_change(ticker.start)
        return page.body


class TrainingPage:
    """The views of one page: they belong to one document, the state may belong to many.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    shows_trust : bool
        Whether one of the tabs checks the results; otherwise `trust` is for another place.

    Attributes
    ----------
    body : Body
    pump : Pump
    tabs : Tabs
        What stands beside the curves and the controls.
    trust : Trusting or None
    """

    def __init__(
        self,
        state: TrainingState,
        labels: Sequence[str],
        known_fisher: np.ndarray | None = None,
        shows_trust: bool = True,
    ) -> None:
        centre = np.asarray(state.imnn.θ_fid, dtype=float)
        det_F = None if known_fisher is None else float(np.linalg.det(known_fisher))
        self.state, self._labels = state, labels
        self._known, self._det_F = known_fisher, det_F
        self.controls, self.status = Controls(state), Status(state, det_F)
        self.curves = Curves(state, det_F)
        self.ellipse = EllipseView(state, centre, labels, known_fisher)
        self.trust = trusting(state, labels, known_fisher)
        self.echo = Echo()
        self.tabs = Tabs[Moment](self._tabs(shows_trust))
        views = [self.tabs, self.controls, self.status, self.curves]
        self.pump = Pump(state, views, self.echo.browser)
        self.body = self._layout()
        self.pump.tick()

    def tick(self) -> bool:
        """Bring the views up to date if due; return whether a run is in progress."""
        is_checking = self.trust is not None and self.trust.is_working
        if self.trust is not None:
            self.trust.refresh(self.state)
        return self.pump.tick_if_due() or is_checking

    def picture_key(self) -> Hashable | None:
        """Return what changes with the picture, None while a run is in progress."""
        return picture_key(self.state)

    def picture(self) -> Picture:
        """Return the curves and the numbers of a run that has ended."""
        return training_picture(self.state, self._labels, self._det_F)

    @functools.cached_property
    def errors(self) -> ErrorsView:
        """The marginal errors, made when they are first shown, like what follows."""
        return ErrorsView(self.state, self._labels, self._known)

    @functools.cached_property
    def regulariser(self) -> RegulariserView:
        """The regulariser."""
        return RegulariserView(self.state)

    @functools.cached_property
    def teaching(self) -> TeachingView:
        """What is for a class."""
        return TeachingView(self.state)

    @functools.cached_property
    def export(self) -> Export:
        """The downloads."""
        return Export(self.state, self._det_F)

    def _tabs(self, shows_trust: bool) -> list[Tab[Moment]]:
        views: dict[str, Callable[[], Any]] = {
            "Ellipse": lambda: self.ellipse,
            "Errors": lambda: self.errors,
            "Regulariser": lambda: self.regulariser,
            "Teach": lambda: self.teaching,
            "Download": lambda: self.export,
        }
        tried = getattr(self.state.imnn, "candidates", ())
        if tried:
            views["Candidates"] = lambda: CandidatesView(tried)
        if shows_trust and self.trust is not None:
            views["Trust"] = lambda: self.trust
        return [Tab(name, make) for name, make in views.items()]

    def _layout(self) -> Body:
        """Figures first, controls beside them, numbers under them."""
        controls = stack(
            card("", self.status, self.controls), card("", self.status.table, self.controls.applied)
        )
        parts = ((self.curves, 470, 4), (controls, 290, 1), (self.tabs, 350, 2))
        return body(side_by_side(*parts), self.echo)


def _known(known_fisher: Any, n_params: int) -> np.ndarray | None:
    if known_fisher is None:
        return None
    matrix = as_fisher(known_fisher, "known_fisher")
    if matrix.shape != (n_params, n_params):
        expected = f"have shape (n_params, n_params) = {(n_params, n_params)}"
        raise ValueError(checks.wording("`known_fisher`", expected, f"shape {matrix.shape}"))
    return matrix
