"""What the training dashboard knows and decides, without a page."""

from types import SimpleNamespace

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork

from imnn_lab.dashboards.training import pump
from imnn_lab.dashboards.training.protocols import learning_rate_of, objective_of
from imnn_lab.dashboards.training.pump import Pump
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.words import applied_words, sentence
from imnn_lab.history import SteeringMark
from imnn_lab.regularisation import largest_closeness


@pytest.fixture
def network():
    return ScriptedNetwork()


@pytest.fixture
def state(network):
    return TrainingState(network)


def test_start_passes_what_is_chosen(state, network):
    state.param.update(log_lambda=np.log10(5), log_epsilon=np.log10(0.2), n_iterations=30)
    state.start()
    assert network.started == [{"n_iterations": 30, "λ": 5.0, "ε": 0.2, "reset": False}]
    assert state.is_running
    assert state.word == "running"


def test_the_objective_is_chosen_and_followed(state, network):
    state.start()
    assert (network.run.objective, state.has_pair) == ("imnn", True)
    assert "λ=10" in state.python_call()
    network.run.finish("all is done")
    state.objective = "projected"
    assert state.python_call() == "run = imnn.start(n_iterations=1000, objective='projected')"
    state.start()
    assert (network.run.objective, state.has_pair) == ("projected", False)
    network.run.finish("all is done")
    network.start(5)
    state.follow_run(())
    assert (state.objective, state.has_pair) == ("imnn", True)
    network.run = object.__new__(type(network.run))
    assert objective_of(network.run) == "imnn", "a run of another package has none"


def test_buttons_reach_the_run(state):
    state.start()
    for act, word in [(state.pause, "paused"), (state.resume, "running"), (state.stop, "stopped")]:
        act()
        assert state.word == word
    assert not state.is_running
    state.pause()
    assert state.word == "stopped", "a run that is over is left alone"


def test_reset_starts_a_new_history_and_trains_nothing(state, network):
    network.train(5)
    state.reset()
    assert network.started[-1]["n_iterations"] == 0
    assert len(network.history) == 0


def test_a_release_steers_the_run(state, network):
    state.start()
    state.log_lambda = np.log10(4)
    assert state.apply_pair()
    assert network.run.asked == [{"λ": 4.0, "ε": 0.1, "learning_rate": None}]
    assert state.is_pending
    network.train(10)
    network.run.apply()
    assert not state.is_pending
    (words,) = applied_words(network.history.marks)
    assert words == "λ = 4 requested after iteration 7, applied at iteration 10"


def test_a_mark_of_ones_own_leaves_what_was_chosen_since(state, network):
    state.start()
    shown = Pump(state, [])
    shown.tick()
    state.log_lambda, state.log_learning_rate = 0.9, -2.5
    assert state.apply_pair()
    assert state.apply_learning_rate()
    network.run.apply_all()
    state.log_lambda, state.log_learning_rate = 0.7, -2.0
    network.train(10)
    shown.tick()
    assert (state.log_lambda, state.log_learning_rate) == (0.7, -2.0)

    network.run.steer(λ=4.0, ε=0.1)
    network.run.apply_all()
    shown.tick()
    assert state.λ == 4.0, "what somebody else asked for is shown"


def test_what_is_slow_to_draw_is_drawn_soon_after_an_act(state, network, monkeypatch):
    clock, drawn = [100.0], []

    def refresh(moment):
        drawn.append(clock[0])
        clock[0] += 0.05

    monkeypatch.setattr(pump, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    slow = Pump(state, [SimpleNamespace(refresh=refresh)])

    def drawn_in(seconds):
        drawn.clear()
        started = clock[0]
        while clock[0] < started + seconds:
            slow.tick_if_due()
            clock[0] += 0.25
        return len(drawn)

    state.start()
    drawn_in(3)
    assert drawn_in(10) in (8, 9, 10), "at most one a second"
    state.apply_pair()
    assert drawn_in(1) >= 3, "every time there is a chance"
    assert drawn_in(10) in (8, 9, 10)


def test_an_invalid_pair_is_refused_with_the_reason(state, network):
    state.start()
    state.log_lambda = 2.0
    assert not state.apply_pair()
    assert network.run.asked == []
    assert "smaller ϵ" in state.message
    assert state.regularisation is None
    assert state.applied == (10.0, 0.1)
    assert "λ=10, ϵ=0.1" in state.python_call()


def test_an_invalid_pair_does_not_start_a_fit_with_it(state, network):
    state.log_lambda = 2.0
    state.start()
    assert (network.started[0]["λ"], network.started[0]["ε"]) == (10.0, 0.1)
    assert "are used instead" in state.message


@pytest.mark.parametrize("exponent", [1e9, np.inf, np.nan, "1"])
def test_values_that_no_slider_sends_are_refused(state, exponent):
    with pytest.raises(ValueError, match="log_lambda"):
        state.log_lambda = exponent


def test_the_learning_rate_waits_for_the_start(state, network):
    state.log_learning_rate = -2
    assert not state.apply_learning_rate()
    assert "learning_rate=0.01" in state.python_call()
    state.start()
    assert network.run.asked == [{"λ": None, "ε": None, "learning_rate": 0.01}]


def test_settings_are_taken_over_from_a_run_and_its_marks(network):
    network.start(100, λ=3.0, ε=0.3)
    network.train(3, learning_rate=2e-3)
    state = TrainingState(network)
    assert (state.λ, state.ε, state.learning_rate) == (3.0, 0.3, 2e-3)
    network.run.steer(λ=2.0, ε=0.2)
    network.run.apply()
    state.follow([*network.history.marks, SteeringMark(9, "learning_rate", 1e-5, 1e-3, 8)])
    assert (state.λ, state.ε, state.learning_rate) == (2.0, 0.2, 1e-5)


def test_a_start_that_fails_says_why(state, network):
    def refuse(*_, **__):
        raise RuntimeError("Another fit of this IMNN is running.")

    network.start = refuse
    state.start()
    assert state.message == "Another fit of this IMNN is running."


def test_a_second_click_on_start_is_not_taken_for_another_fit(state, network):
    def refuse(*_, **__):
        raise RuntimeError("A fit is running or queued. Stop it first.")

    state.start()
    network.start = refuse
    state.start()
    assert (state.message, state.word) == ("", "running")


def test_a_scheduled_learning_rate_is_unknown():
    class Scheduled(ScriptedNetwork):
        optimiser = type("Optimiser", (), {"learning_rate": object()})()

    assert learning_rate_of(Scheduled()) is None


def test_a_refused_pair_becomes_the_nearest_allowed_one(state):
    state.log_lambda, state.log_epsilon = 3.0, -1.0
    assert not state.apply_pair()
    assert state.refusal in state.message
    assert state.refusal not in sentence(state), "it stands below the sliders"
    state.apply_allowed()
    assert state.refusal == state.message == ""
    assert state.λ == 1000
    assert state.ε == pytest.approx(largest_closeness(1000) / 1.1, rel=0.01)  # three digits
