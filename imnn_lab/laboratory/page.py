"""The page that is served: one flow from a problem to results, for one visitor."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.dashboards.common.layout import announced_html, body, flowing, words
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.host.kernel import PERIOD
from imnn_lab.dashboards.host.sessions import end_with_session, in_session, tick_with_session
from imnn_lab.dashboards.page import page
from imnn_lab.laboratory import connection, link
from imnn_lab.laboratory.example import PROBLEM, RecordedNetwork, example
from imnn_lab.laboratory.first import first_html
from imnn_lab.laboratory.motion import Motion
from imnn_lab.laboratory.run_card import RunCard
from imnn_lab.laboratory.runs import Runs, ServedRun, shared_runs
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.shortcuts import listen
from imnn_lab.laboratory.stages import (
    InferenceStage,
    ProblemCard,
    ResultsStage,
    TrainingStage,
    TrustStage,
    problem_word,
)

IS_GONE = "The run of this address has ended, or is not of this server: this is a new one."

BESIDE = 760  # pixels that what is said of the run asks for, beside the stages


class Laboratory:
    """The stages of one run, one at a time.

    Parameters
    ----------
    run : ServedRun
    runs : Runs
    notice : str
        Shown first.

    Attributes
    ----------
    steps : Tabs
        The stages, each with its state in a word.
    body : Viewable
    """

    def __init__(self, run: ServedRun, runs: Runs, notice: str = "") -> None:
        self.session, self._run = run.session, RunCard(run, runs, notice)
        self.motion = Motion()
        session, training, infer = self.session, TrainingStage(), InferenceStage()
        trust, results = TrustStage(training), ResultsStage(session)
        self._training = training
        first = "Problem" if session.built is None else "Train"
        keys = pn.widgets.Button(label="Keys (?)", variant="outline", width=90, margin=(8, 5))
        keys.js_on_click(code="window.imnn_lab_keys()")
        self.steps = Tabs[LaboratorySession](
            [
                Tab("Problem", lambda: ProblemCard(session), problem_word),
                Tab("Train", lambda: training, training.word),
                Tab("Trust", lambda: trust, training.trust_word),
                Tab("Infer", lambda: infer, infer.word),
                Tab("Results", lambda: results, results.word),
            ],
            first,
            beside=flowing((self._run, 400, 1), (keys, 100, 0)),
            width=BESIDE,
        )
        self.body = body(self.steps, self.motion.body)
        self.tick()

    def tick(self) -> bool:
        """Bring the stage that is shown up to date; a visitor may ask for something at any time."""
        recorded = _recorded(self.session)
        if self.motion.is_unwanted and recorded is not None:
            recorded.show_whole()
        if self._training.follow(self.session):
            self.steps.show("Train")
        self.steps.refresh(self.session)
        self._run.refresh(self.session)
        return True


def laboratory_page(runs: Runs | None = None) -> Any:
    """Return the page of a run: that of its address (``?run=NAME``), or a new one.

    Parameters
    ----------
    runs : Runs, optional
        By default those of this process.
    """
    runs, query = shared_runs() if runs is None else runs, link.asked()
    title = runs.offer.title
    try:
        run = runs.enter(name := link.run_name(query))
    except RuntimeError as error:
        return page(title, body(words(announced_html(str(error), "alert"))))
    end_with_session(lambda: runs.leave(run))
    notice = IS_GONE if "run" in query and run.name != name else ""
    if run.name != name:
        run.session.wanted, refused = link.settings(query, runs.offer.problems)
        notice = f"{notice} {refused}".strip()
    is_asked_for = bool(run.session.wanted) or runs.offer.problem not in ("", PROBLEM)
    if not run.is_used and run.session.built is None and not is_asked_for:
        run.session.show(example(run.session.kept))
    laboratory = Laboratory(run, runs, notice)
    if pn.state.curdoc is not None:
        listen(pn.state.curdoc)
        connection.watch(pn.state.curdoc)
        laboratory.motion.ask(pn.state.curdoc)
    if in_session():
        tick_with_session(laboratory.tick, PERIOD)
    is_example = not run.is_used and _recorded(run.session) is not None
    first = first_html(title) if is_example else ""
    return page(title, laboratory.body, first=first)


def _recorded(session: LaboratorySession) -> RecordedNetwork | None:
    """Return the recorded example if it is what is shown."""
    shown = None if session.built is None else session.built.imnn
    return shown if isinstance(shown, RecordedNetwork) else None
