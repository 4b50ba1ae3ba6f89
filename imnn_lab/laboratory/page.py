"""The page that is served: one flow from a problem to results, for one visitor."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.dashboards.common.layout import View, body
from imnn_lab.dashboards.host.notebooks import follow
from imnn_lab.dashboards.host.sessions import end_with_session
from imnn_lab.dashboards.page import page
from imnn_lab.laboratory.pool import shared_pool
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import InferenceStage, ProblemCard, ResultsStage, TrainingStage

GRACE = 20.0  # seconds from a session's end to that of its work
INTRODUCTION = (
    "A network is trained to compress simulations to a few numbers that keep the Fisher "
    "information about the parameters; the posterior of data follows without a likelihood."
)


class Laboratory:
    """The stages of one session.

    Parameters
    ----------
    session : LaboratorySession

    Attributes
    ----------
    body : Viewable
    """

    def __init__(self, session: LaboratorySession) -> None:
        self.session = session
        self.stages: list[View[LaboratorySession]] = [
            ProblemCard(session),
            TrainingStage(),
            InferenceStage(),
            ResultsStage(session),
        ]
        introduction = pn.pane.HTML(
            f"<p>{INTRODUCTION}</p>", sizing_mode="stretch_width", min_width=0
        )
        self.body = body(introduction, *self.stages)
        self.tick()

    def tick(self) -> bool:
        """Bring all stages up to date; a visitor may ask for something at any time."""
        for stage in self.stages:
            stage.refresh(self.session)
        return True


def laboratory_page(grace: float = GRACE) -> Any:
    """Return the page of a new session; nothing runs before the visitor asks for it.

    Parameters
    ----------
    grace : float
        Seconds from the session's end to that of its work.
    """
    session = LaboratorySession(shared_pool())
    end_with_session(session.stop, grace)
    laboratory = Laboratory(session)
    follow(laboratory)
    return page("imnn_lab", laboratory.body)
