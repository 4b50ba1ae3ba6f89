"""Looks that take a while: their progress, their end, and what they show."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork, statistics
from waiting import until

from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.common.questions import Question
from imnn_lab.dashboards.common.trust import TrustView
from imnn_lab.dashboards.training.looks import OUTDATED, Look, LookView
from imnn_lab.dashboards.training.protocols import state_of
from imnn_lab.dashboards.training.trusting import RECORDED
from imnn_lab.diagnostics import FisherFlow, Light, Verdict
from imnn_lab.diagnostics.fisher import TEST
from imnn_lab.diagnostics.gap import OTHER_NETWORKS
from imnn_lab.figures import diagnostics as figures
from imnn_lab.history import History
from imnn_lab.laboratory.build import Sizes, build_problem
from imnn_lab.laboratory.example import example
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import TrainingStage
from imnn_lab.networks.choice import Candidate
from imnn_lab.report import Answer
from imnn_lab.results import FisherStatistics

FLOW = FisherFlow(("a", "b"), (3, 2), np.array([0, 9]), np.log([[2.0, 1.0], [4.0, 3.0]]))


class Watched:
    """A look whose work waits for the test, with what the page is asked for."""

    def __init__(self, result=FLOW):
        self.goes_on, self.subject, self.refreshed, self.result = threading.Event(), 1, 0, result
        look = Look("Layers", "Look", "What will be there.", self.make, figures.flow_by_layer, str)
        self.question = Question("Layers")
        self.view = self.page(look)
        self.view.refresh(None)

    def page(self, look=None):
        """Return what another page shows of it."""
        look = look or self.view.look
        return LookView(look, lambda: self.subject, self.started, self.question)

    def started(self):
        self.refreshed += 1

    def make(self, tell):
        tell(0.5)
        self.goes_on.wait(10)
        tell(0.75)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def press(self):
        self.view.button.clicks += 1

    def end(self):
        self.goes_on.set()
        self.view.work.wait(10)
        self.view.refresh(None)


def test_what_will_be_there_is_said_then_how_far_it_is_then_what_was_found():
    watched = Watched()
    view = watched.view
    assert "What will be there." in view.words.object
    watched.press()
    while "50 %" not in view._status.object:
        view.refresh(None)
    assert view.button.disabled
    assert watched.refreshed == 1
    watched.end()
    assert not view.button.disabled
    assert "ln det F before" in view.words.object
    assert len(view.drawing.figures) == 1
    watched.subject = 2
    view.refresh(None)
    assert OUTDATED in view._status.object


def test_a_look_is_cancelled_or_fails_and_what_was_found_before_stays():
    watched = Watched()
    watched.press()
    watched.end()
    watched.goes_on.clear()
    watched.press()
    watched.view.work.stop()
    watched.end()
    assert watched.view.work.message == "cancelled"
    watched.result = ValueError("too few simulations")
    watched.press()
    watched.end()
    assert "too few simulations" in watched.view._status.object
    assert "ln det F before" in watched.view.words.object


def test_what_was_found_and_what_is_on_its_way_is_shown_on_pages_opened_later():
    watched = Watched()
    watched.press()
    other = watched.page()
    until(lambda: other.refresh(None) or "50 %" in other._status.object)
    assert other.button.disabled
    watched.end()
    later = watched.page()
    for view in (other, later):
        view.refresh(None)
        assert not view.button.disabled
        assert "ln det F before" in view.words.object
        assert len(view.drawing.figures) == 1
    watched.goes_on.clear()
    later.button.clicks += 1
    other._stop.clicks += 1
    watched.end()
    assert watched.view.work.message == "cancelled"


def test_what_was_asked_belongs_to_the_network_of_a_session_and_ends_with_it():
    session = LaboratorySession(Pool(1))
    session.build(lambda: build_problem("gaussian", "linear", Sizes(100, 100, 1)))
    assert session.building.wait(120)

    def opened():
        stage = TrainingStage()
        assert stage.follow(session)
        return stage, stage._page.trust

    stage, trust = opened()
    for view in (trust.answers, trust.looks["Layers"]):
        view._start()
        assert view.work.wait(60)
        assert view.work.message == "done"
    stage, again = opened()
    assert stage.trust_word(session) == trust.word != "not checked"
    stage.refresh_trust()
    assert "How much information is there?" in again.answers._answers.object
    again.looks["Layers"].refresh(None)
    assert again.looks["Layers"].drawing.figures
    assert session.pool.enter("somebody else", lambda: False)
    again.looks["Layers"]._start()
    assert again.is_working
    session.stop()
    assert session.wait(20)
    assert again.looks["Layers"].work.message == "cancelled"
    session.pool.leave()
    session.build(lambda: build_problem("gaussian", "linear", Sizes(100, 100, 2)))
    assert session.building.wait(120)
    assert opened()[0].trust_word(session) == "not checked"


def test_a_served_page_says_what_its_visitor_can_do():
    given = "Here, build on more simulations, with a validation set (Problem);"
    remedy = f"First this. {TEST} Train longer, {OTHER_NETWORKS}"
    answers = (Answer("How much?", Verdict(Light.AMBER, "So much.", remedy)),)
    found = SimpleNamespace(answers=answers, light=Light.AMBER)
    for remedies, is_served in ((PooledNetwork.remedies, True), ({}, False)):
        question = Question("report", found=((None, found),))
        view = TrustView(lambda tell: found, lambda: None, question, remedies=remedies)
        view.refresh(None)
        said = view._answers.object
        assert ("test=(" not in said, "model=None" not in said) == (is_served, is_served)
        assert (given in said, "or try another network (Problem)." in said) == (is_served,) * 2
        assert "So much. First this." in said


def test_states_of_networks_are_told_apart_and_are_the_same_after_a_restart():
    network, again = ScriptedNetwork(), ScriptedNetwork()
    assert state_of(network) == ""
    network.train(3)
    states = [state_of(network)]
    network.train(2)
    again.history = History.from_arrays(network.history.arrays())
    assert state_of(again) == state_of(network)
    again.history = History()
    again.train(5, log_det_F=np.arange(5) + 1e-9)
    states += [state_of(each) for each in (network, again)]
    network.validation = FisherStatistics(*statistics(2.0))  # its fit has ended
    states.append(state_of(network))
    assert len(set(states)) == 4
    again.is_recorded = True
    assert state_of(again) == "", "the network that would be asked was not trained"


class Endless(ScriptedNetwork):
    """A network whose bracket is never found, and whose report never ends."""

    names, optimiser, level = None, None, None

    def report(self, *, labels, known_fisher, progress):
        self.honest_fisher(labels=labels, progress=progress)

    def honest_fisher(self, *, labels, progress):
        while True:
            progress(0.25)
            time.sleep(0.01)


def test_the_search_for_the_bracket_and_the_report_are_cancelled():
    trust = TrainingDashboard(PooledNetwork(Endless(), Pool(1))).page_beside_trust().trust
    for view, button in (
        (trust.looks["det F"], trust.looks["det F"].button),
        (trust.answers, trust.answers._button),
    ):
        assert not view._stop.visible
        button.clicks += 1
        until(lambda view=view: view.refresh(None) or "25 %" in view._status.object)
        assert view._stop.visible
        view._stop.clicks += 1
        assert view.work.wait(10)
        assert view.work.message == "cancelled"
        view.refresh(None)
        assert not view._stop.visible
        assert not button.disabled


class Chosen(ScriptedNetwork):
    candidates = (Candidate("dense", 1.0, 0.1, 5, 0.1, is_chosen=True),)


def test_candidates_have_a_tab_where_the_network_was_chosen():
    page = TrainingDashboard(Chosen()).page()
    page.tabs.show("Candidates")
    assert "→ dense" in page.tabs.made("Candidates").words.object
    with pytest.raises(KeyError, match="Candidates"):
        TrainingDashboard(ScriptedNetwork()).page().tabs.show("Candidates")


def test_a_look_on_a_server_waits_for_its_turn_and_can_be_cancelled_there():
    class Network:
        def fisher_flow(self, progress):
            return FLOW

    class Cancelled(Exception):
        pass

    def cancel(share):
        raise Cancelled

    pool = Pool(1)
    network = PooledNetwork(Network(), pool)
    assert network.fisher_flow(lambda share: None) is FLOW
    assert pool.enter("another", lambda: False)
    with pytest.raises(Cancelled):
        network.fisher_flow(cancel)
    pool.leave()
    assert network.fisher_flow(lambda share: None) is FLOW


def test_what_is_asked_of_a_record_is_about_the_network_before_it_trains():
    network = PooledNetwork(example().imnn, Pool(1))
    page = TrainingDashboard(network).page_beside_trust()
    page.tick()
    assert RECORDED in page.trust._note.object
    assert list(page.trust.looks) == ["det F", "Simulations", "Layers"]
    assert not network.imnn.is_ready, "opening the page has not made the network"
