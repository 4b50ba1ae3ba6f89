"""The recorded example that the page opens with."""

import threading
import time

import numpy as np
from dashboards import visitor
from dashboards.serving import answer, column, until
from dashboards.visitor import button, tab
from playwright.sync_api import expect
from waiting import until as wait_until

from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.laboratory import example
from imnn_lab.laboratory.kept import Kept
from imnn_lab.laboratory.page import Laboratory
from imnn_lab.laboratory.pool import Pool
from imnn_lab.laboratory.runs import Runs
from imnn_lab.laboratory.session import LaboratorySession


def test_the_record_is_what_a_visitor_gets_from_the_same_choices():
    """float32 sums differ from machine to machine, and training makes more of it: 2 % are allowed.

    The seed of the network counts: that of the control differs at once.
    """
    columns, matrices = example.record()
    again = example.recipe(20)
    for name in ("det_F", "val_det_F", "det_C", "λ", "α"):
        np.testing.assert_allclose(columns[name][:21], again[name], rtol=0.02)
    largest = np.abs(matrices["C"][:21]).max()
    np.testing.assert_allclose(matrices["C"][:21], again["C"], atol=0.02 * largest)
    control = example.build_problem(example.PROBLEM, example.NETWORK, example.Sizes(100, 100, 1))
    control.imnn.fit(0)
    assert abs(control.imnn.history["det_F"][0] / columns["det_F"][0] - 1) > 0.1


def test_the_record_plays_until_its_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(example.time, "monotonic", lambda: now[0])
    network = example.example().imnn
    assert len(network.history) == 1
    now[0] += 1.0
    assert len(network.history) == 1 + example.PACE
    assert network.history.statistics(40, validation=True).F.shape == (2, 2)
    now[0] += 1000.0
    assert len(network.history) == example.ITERATIONS + 1
    assert not network.is_ready, "nobody has asked for the network"


def test_the_record_has_each_iteration_once_whoever_asks(monkeypatch):
    """Threads of the server ask for the history as the page does."""
    rows = example._rows

    def slow_rows(*of):
        time.sleep(0.05)
        return rows(*of)

    monkeypatch.setattr(example, "_rows", slow_rows)
    network = example.example().imnn
    network.show_whole()
    threads = [threading.Thread(target=lambda: network.history) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(network.history["iteration"], np.arange(example.ITERATIONS + 1))


def test_the_record_does_not_play_for_who_wants_nothing_to_move(monkeypatch):
    monkeypatch.setattr(example.time, "monotonic", lambda: 100.0)
    runs = Runs(Pool(1))
    run = runs.enter("")
    run.session.show(example.example())
    laboratory = Laboratory(run, runs)
    history = run.session.network.history
    assert len(history) == 1, "the control: no time passes"
    laboratory.motion.body.object.active = True
    laboratory.tick()
    assert len(run.session.network.history) == example.ITERATIONS + 1


def test_start_makes_the_network_and_trains_it(tmp_path):
    session = LaboratorySession(Pool(1), kept=Kept(tmp_path))
    session.show(example.example(session.kept))
    assert not session.is_used
    recorded = session.network.history
    run = session.network.start(2)
    assert session.is_used
    assert run.wait(120)
    assert run.state == "finished"
    assert session.built.is_ready
    assert session.network.history is not recorded
    assert len(session.network.history) == 3
    session.prepare()
    assert session.building.state == "idle", "there is nothing to prepare"
    assert session.kept.read()["asked"] == {"n_iterations": 2, "patience": None}


def test_a_learning_rate_that_was_chosen_before_start_is_used():
    session = LaboratorySession(Pool(1))
    session.show(example.example())
    state = TrainingState(session.network)
    state.n_iterations, state.log_learning_rate = 300, -4.0
    state.apply_learning_rate()
    state.start()
    assert state.message == ""
    assert state.run.wait(120)
    assert example.record()[0]["learning_rate"][-1] == np.float32(1e-3), "the control"
    np.testing.assert_allclose(session.network.history["learning_rate"][-1], 1e-4, rtol=1e-6)


def test_a_network_is_prepared_without_a_fit():
    session = LaboratorySession(Pool(1))
    session.show(example.example())
    session.prepare()
    wait_until(lambda: session.building.state == "finished", 120)
    assert session.built.is_ready
    assert session.network.run is None


def test_the_page_is_alive_at_once_and_one_click_trains(watched_page, serve):
    page = watched_page(1280, 800)
    address = serve(["imnn_lab.cli", "serve", "--port", "PORT", "--title", "1 < 2"])
    at_first = answer(address).text
    assert "<header>1 &lt; 2</header>" in at_first
    assert at_first.count('src="data:image/webp;base64,') == 1
    assert "imnn-first" not in answer(address, "/?problem=slope").text, "it is not the example"
    page.goto(address)
    until(page, lambda: page.locator("#imnn-first").count() == 0)
    until(page, lambda: len(column(page, "det_F") or []) > 20)
    visitor.words(page, "This is a recorded example")
    for name in ("Start", "Pause", "Stop", "Reset"):
        expect(button(page, name)).to_be_in_viewport(ratio=1)
    assert page.evaluate(CUT) == []
    visitor.fill(page, "iterations", 10_000_000)
    button(page, "Start").click()
    visitor.words(page, "Running.")
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("Space")
    visitor.words(page, "Paused. Press Resume to continue.")
    visitor.slider(page, "λ").press("Space")
    visitor.words(page, "Running.")
    tab(page, "Train").press("Space")
    visitor.words(page, "Paused. Press Resume to continue.")
    button(page, "Resume").press("Space")
    visitor.words(page, "Running.")
    page.get_by_label("iterations", exact=True).press("?")
    assert page.get_by_role("dialog").count() == 0, "who writes into a box means the box"
    page.get_by_label("iterations", exact=True).evaluate("box => box.blur()")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("pause or resume")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    button(page, "Close").press("Space")
    expect(page.get_by_role("dialog")).to_have_count(0)
    button(page, "Stop").click()
    visitor.words(page, "Stopped by the user")
    tab(page, "Infer").click()
    until(page, lambda: len(column(page, "xs", "corner 1 0 lines Gaussian approximation") or []))


CUT = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  return inside(document).filter(e => e.matches(".bk-Figure") && e.checkVisibility())
    .map(e => e.getBoundingClientRect()).filter(box => box.bottom > 800 || box.right > 1280)
}"""
