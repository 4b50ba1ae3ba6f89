"""A run in a thread of its own: states, steering, and one run at a time."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from makers import gaussian_data, plain_imnn
from valid_calls import NAMES
from waiting import until

from imnn_lab import IMNN
from imnn_lab.training import run as module


@pytest.fixture
def imnn():
    made = plain_imnn()
    yield made
    if made.run is not None:
        made.run.stop()
        made.run.wait(30)


def test_start_returns_at_once_and_goes_through_its_states(imnn):
    seen = []
    run = imnn.start(50, callback=lambda run: seen.append(run.state))
    assert run.state in ("queued", "compiling", "running")
    assert run.wait(60)
    assert set(seen) == {"running"}
    assert (run.state, run.error, run.iteration) == ("finished", None, 50)
    assert run.reason == "all 50 iterations are done"


def test_pause_holds_resume_goes_on_and_stop_ends(imnn):
    run = imnn.start(10**7)
    until(lambda: run.iteration > 5)
    run.pause()
    until(lambda: run.state == "paused")
    held = run.iteration
    time.sleep(0.2)
    assert run.iteration == held
    assert len(imnn.history["det_F"]) == held + 1
    run.resume()
    until(lambda: run.iteration > held)
    assert run.state == "running"
    run.stop()
    assert run.wait(30)
    assert run.state == "stopped"
    assert imnn.history["iteration"].tolist() == list(range(len(imnn.history)))
    assert imnn.validation.det_F >= imnn.history["val_det_F"].max() * (1 - 1e-3)


def test_seconds_are_those_of_training_over_pauses_callbacks_and_resumed_fits(
    imnn, monkeypatch, tmp_path
):
    """Each call of the graph takes a second by this clock, and what is between them a hundred."""
    now, calls = [0.0], []

    def clock():
        now[0] += 1.0
        return now[0]

    def between(run):
        calls.append(run.iteration)
        now[0] += 100.0
        if len(calls) == 2:
            run.pause()
            threading.Timer(0.05, run.resume).start()

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))
    imnn.fit(20, callback=between, best=False)
    imnn.fit(20, callback=between, best=False)
    data = dict(zip(NAMES, gaussian_data(), strict=True))
    again = type(imnn).load(imnn.save(tmp_path / "saved"), **data)
    again.fit(20, callback=between, best=False)
    seconds = again.history["seconds"]
    assert (np.diff(seconds) >= 0).all()
    assert seconds[-1] == pytest.approx(len(calls))


def test_a_paused_run_can_be_stopped(imnn):
    run = imnn.start(10**7)
    until(lambda: run.iteration > 1)
    run.pause()
    until(lambda: run.state == "paused")
    run.stop()
    assert run.wait(30)
    assert run.state == "stopped"


def test_without_best_a_stopped_run_keeps_the_recorded_weights(imnn):
    run = imnn.start(10**7, best=False)
    until(lambda: run.iteration > 20)
    run.stop()
    run.wait(30)
    assert imnn.validation.det_F == pytest.approx(imnn.history["val_det_F"][-1], rel=1e-3)


@pytest.mark.parametrize("checkpoint", [True, False])
def test_a_run_that_is_stopped_at_a_checkpoint_goes_on_as_if_it_had_not_been(tmp_path, checkpoint):
    imnn = plain_imnn(directory=str(tmp_path), filename="model", save=True)
    run = imnn.start(10**7)
    until(lambda: run.iteration >= 20)
    run.stop(checkpoint=checkpoint)
    assert run.wait(60)
    loaded = IMNN.load(tmp_path / "model", **dict(zip(NAMES, gaussian_data(), strict=True)))
    at = len(loaded.history) - 1
    loaded.fit(5)
    whole = plain_imnn()
    whole.fit(at + 5)
    differences = loaded.history["loss"] / whole.history["loss"] - 1
    assert (np.abs(differences).max() < 1e-6) == checkpoint, "otherwise from the best weights"


def test_steering_is_applied_and_marked(imnn):
    run = imnn.start(10**7)
    until(lambda: run.iteration > 5)
    run.steer(λ=5.0)
    run.steer(λ=4.0, **{"\u03f5": 0.2}, learning_rate=1e-4)
    until(lambda: len(imnn.history.marks) >= 3)
    at = {mark.name: mark for mark in imnn.history.marks}
    first = at["λ"].iteration
    until(lambda: run.iteration > first + 5)
    run.stop()
    run.wait(30)
    assert at["λ"].requested_after < first
    history = imnn.history
    assert at["λ"].value == history["λ"][first] == 4.0, "the latest request wins"
    assert history["ε"][first] == 0.2
    assert history["ε"][first - 1] == 0.1
    assert history["learning_rate"][first] == pytest.approx(1e-4, rel=1e-5)
    assert history["learning_rate"][first - 1] == pytest.approx(1e-3, rel=1e-5)


def test_invalid_steering_is_refused_and_changes_nothing(imnn):
    run = imnn.start(10**7)
    until(lambda: run.iteration > 2)
    with pytest.raises(ValueError, match="smaller ϵ"):
        run.steer(λ=100.0)
    with pytest.raises(ValueError, match="learning_rate"):
        run.steer(learning_rate=-1.0)
    now = run.iteration
    until(lambda: run.iteration > now + 5)
    assert not imnn.history.marks
    assert set(imnn.history["λ"]) == {10.0}


def test_two_fits_at_once_are_refused(imnn):
    imnn.start(10**7)
    with pytest.raises(RuntimeError, match="Another fit of this IMNN is running"):
        imnn.fit(1)
    with pytest.raises(RuntimeError, match="Another fit of this IMNN is running"):
        imnn.start(1)
    imnn.run.stop()
    imnn.run.wait(30)
    imnn.fit(1)


def test_a_run_that_has_ended_refuses_steering(imnn):
    run = imnn.fit(2)
    with pytest.raises(RuntimeError, match="has ended"):
        run.steer(λ=3.0)


def test_a_failure_in_the_thread_is_kept(imnn):
    def fail(run):
        raise ZeroDivisionError("mine")

    run = imnn.start(100, callback=fail)
    assert run.wait(60)
    assert run.state == "failed"
    assert isinstance(run.error, ZeroDivisionError)


def test_history_and_estimates_are_readable_while_it_runs(imnn):
    before = imnn.get_estimate(np.zeros(10))
    run = imnn.start(10**7)
    lengths = []
    for _ in range(20):
        columns, _ = imnn.history.read()
        lengths.append(len(columns.get("det_F", ())))
        np.testing.assert_array_equal(imnn.get_estimate(np.zeros(10)), before)
        time.sleep(0.02)
    assert run.state in ("compiling", "running")
    assert lengths == sorted(lengths)


def test_nothing_is_left_behind():
    imnn = plain_imnn()
    threads = threading.active_count()
    imnn.start(5).wait(60)
    until(lambda: threading.active_count() <= threads)
