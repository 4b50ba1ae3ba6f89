"""The page that is served: one flow from a problem to results, for one visitor."""

from __future__ import annotations

from typing import Any

from imnn_lab.dashboards.common.layout import body
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.host.notebooks import follow
from imnn_lab.dashboards.host.sessions import end_with_session
from imnn_lab.dashboards.page import page
from imnn_lab.laboratory.pool import shared_pool
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import (
    InferenceStage,
    ProblemCard,
    ResultsStage,
    TrainingStage,
    TrustStage,
)

GRACE = 20.0  # seconds from a session's end to that of its work


class Laboratory:
    """The stages of one session, one at a time.

    Parameters
    ----------
    session : LaboratorySession

    Attributes
    ----------
    steps : Tabs
        The stages, each with its state in a word.
    body : Viewable
    """

    def __init__(self, session: LaboratorySession) -> None:
        self.session = session
        self._problem, self._training = ProblemCard(session), TrainingStage()
        trust, infer = TrustStage(self._training), InferenceStage()
        results = ResultsStage(session)
        self.steps = Tabs[LaboratorySession](
            [
                Tab("Problem", lambda: self._problem, self._problem.word),
                Tab("Train", lambda: self._training, self._training.word),
                Tab("Trust", lambda: trust, self._training.trust_word),
                Tab("Infer", lambda: infer, infer.word),
                Tab("Results", lambda: results, results.word),
            ]
        )
        self.body = body(self.steps)
        self.tick()

    def tick(self) -> bool:
        """Bring the stage that is shown up to date; a visitor may ask for something at any time."""
        if self._training.follow(self.session):
            self.steps.show("Train")
        self.steps.refresh(self.session)
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
