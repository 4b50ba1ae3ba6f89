"""Runs that belong to the server, without a browser."""

import time
from types import SimpleNamespace

import pytest
from dashboards.scripted import ScriptedNetwork
from dashboards.short_sessions import served_in_this_process
from waiting import until

from imnn_lab.laboratory import link
from imnn_lab.laboratory.page import laboratory_page
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.laboratory.run_card import RunCard
from imnn_lab.laboratory.runs import NAME, Runs


def training(runs, name=""):
    """Return a run that trains."""
    run = runs.enter(name)
    run.session.network = PooledNetwork(ScriptedNetwork(), runs.pool)
    run.session.built = SimpleNamespace(title="a network")
    run.session.network.start(10)
    until(lambda: run.session.network.run.state == "running")
    return run


def test_a_run_that_was_left_is_found_again_by_its_name():
    runs = Runs(Pool(1), keep=60)
    run = training(runs)
    runs.leave(run)
    assert runs.enter(run.name) is run
    assert run.words() == "a network · running, iteration 0"
    run.session.stop()


def test_a_run_ends_some_time_after_its_last_visitor_left():
    runs = Runs(Pool(1), keep=0.2)
    run = training(runs)
    runs.enter(run.name)
    runs.leave(run)
    time.sleep(0.4)
    assert run.session.network.run.state == "running", "it has another visitor"
    runs.leave(run)
    runs.enter(run.name)
    time.sleep(0.4)
    assert run.session.network.run.state == "running", "a visitor came in time"
    runs.leave(run)
    until(lambda: run.session.network.run.state == "stopped")
    until(lambda: runs.find(run.name) is None)
    assert runs.enter(run.name) is not run, "its name is of no use any more"


def test_a_run_that_was_not_used_ends_with_its_visit():
    runs = Runs(Pool(1))
    runs.leave(runs.enter())
    assert len(runs) == 0


def test_the_run_that_was_left_first_makes_place_and_visited_ones_do_not():
    runs = Runs(Pool(3), most=3)
    first, second = (training(runs) for _ in range(2))
    runs.enter()
    for run in (second, first):
        runs.leave(run)
    runs.enter()
    assert runs.find(second.name) is None
    until(lambda: second.session.network.run.state == "stopped")
    assert runs.find(first.name) is first
    runs.enter(first.name)
    with pytest.raises(RuntimeError, match="This server has 3 runs, all visited"):
        runs.enter()
    first.session.stop()


def test_names_are_not_guessed_and_odd_ones_not_looked_up(monkeypatch):
    runs = Runs(Pool(1))
    names = {runs.enter().name for _ in range(50)}
    assert len(names) == 50
    assert all(NAME.fullmatch(name) for name in names)
    for odd in ("../" * 7 + "a", "", "a" * 23, "a" * 21 + "\n", "ä" * 22, "a" * 21 + "/"):
        assert link.run_name({"run": odd}) == ""
    monkeypatch.setattr(link, "in_session", lambda: True)
    given = {"run": [b"a", b"b" * 22], "x": ["y" * 999], "none": [], "\xff": [b"\xff\xfe"]}
    monkeypatch.setattr(link.pn, "state", SimpleNamespace(session_args=given))
    asked = link.asked()
    assert link.run_name(asked) == "b" * 22
    assert len(asked["x"]) == link.MOST_LETTERS


def test_a_card_lists_the_runs_that_the_browser_names_and_no_others():
    runs = Runs(Pool(3))
    here, own, foreign = (training(runs) for _ in range(3))
    card = RunCard(here, runs)
    card.known.value = f"{own.name} {here.name} ../../etc <script> {'x' * 22}"
    assert list(card.others()) == [own.name]
    assert f'<a href="?run={own.name}">a network · running' in card._html()
    assert foreign.name not in card._html()
    for run in (here, own, foreign):
        run.session.stop()


def test_pages_of_a_run_share_its_work_and_leave_it():
    runs = Runs(Pool(1), keep=60)
    run = training(runs)
    seen = []

    def page():
        seen.append(len(runs))
        return laboratory_page(runs)

    with served_in_this_process(page) as visit:
        sessions = [visit(f"?run={run.name}"), visit(f"?run={run.name}"), visit()]
        assert (run.visitors, len(runs)) == (3, 2)
        for session in sessions:
            session.close()
        until(lambda: (run.visitors, len(runs)) == (1, 1))
    assert run.session.network.run.state == "running"
    run.session.stop()
