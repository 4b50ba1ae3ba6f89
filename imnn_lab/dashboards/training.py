"""The training dashboard: one page to train a network by hand and eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import panel as pn

from imnn_lab import checks
from imnn_lab.dashboards.controls import Controls
from imnn_lab.dashboards.curves import Curves
from imnn_lab.dashboards.echo import Echo
from imnn_lab.dashboards.ellipse import EllipseView
from imnn_lab.dashboards.export import Export
from imnn_lab.dashboards.layout import body, flowing
from imnn_lab.dashboards.notebooks import follow_in_notebook
from imnn_lab.dashboards.protocols import Trained
from imnn_lab.dashboards.pump import Pump
from imnn_lab.dashboards.regulariser import RegulariserView
from imnn_lab.dashboards.sessions import in_session, tick_with_session
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.dashboards.status import Status
from imnn_lab.dashboards.ticking import PERIOD
from imnn_lab.dashboards.training_words import parameter_names


class TrainingDashboard(pn.viewable.Viewer):
    """Train a network, watch it, and steer it.

    It shows any fit of its network, whoever started it and when. It works in a notebook, and in a
    served page (``panel serve``) as one session's view.

    Parameters
    ----------
    imnn : object
        What is trained, usually an `IMNN`; see `imnn_lab.dashboards.protocols.Trained`.
    known_fisher : array-like, shape (n_params, n_params), optional
        The exact Fisher information, where it is known.
    labels : sequence of str, optional
        Names of the parameters.

    Attributes
    ----------
    state : TrainingState
        What is chosen; it can be set from Python as well.
    """

    def __init__(
        self, imnn: Trained, known_fisher: Any = None, labels: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        centre = np.asarray(imnn.θ_fid, dtype=float)
        names = parameter_names(labels, len(centre))
        known = _known(known_fisher, len(centre))
        det_F = None if known is None else float(np.linalg.det(known))
        self.state = state = TrainingState(imnn)
        self.controls, self.status = Controls(state), Status(state, det_F)
        self.curves, self.export = Curves(state, det_F), Export(state, det_F)
        self.regulariser = RegulariserView(state)
        self.ellipse = EllipseView(state, centre, names, known)
        self.echo = Echo()
        self.pump = Pump(
            state,
            [self.ellipse, self.controls, self.status, self.curves, self.regulariser, self.export],
            self.echo,
        )
        self._layout = self._made_layout()

    def _made_layout(self) -> pn.Column:
        left = pn.Column(self.controls, self.status, sizing_mode="stretch_width", margin=0)
        above = flowing((left, 300, 1), (self.curves, 560, 3))
        below = flowing((self.ellipse, 320, 2), (self.regulariser, 560, 4), (self.export, 260, 1))
        return body(above, below, self.echo)

    def __panel__(self) -> pn.Column:
        self.pump.tick()
        if in_session():
            tick_with_session(self.pump.tick_if_due, PERIOD)
        else:
            self._notebook = follow_in_notebook(self, self._layout)
        return self._layout


def _known(known_fisher: Any, n_params: int) -> np.ndarray | None:
    if known_fisher is None:
        return None
    matrix = checks.real_array("known_fisher", known_fisher).astype(float)
    if matrix.shape != (n_params, n_params):
        expected = f"have shape (n_params, n_params) = {(n_params, n_params)}"
        raise ValueError(checks.wording("`known_fisher`", expected, f"shape {matrix.shape}"))
    return checks.finite("known_fisher", matrix)
