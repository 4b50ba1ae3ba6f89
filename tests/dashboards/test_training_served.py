"""The training dashboard under ``panel serve``, in Chromium."""

import csv
import re
import time

import numpy as np
import pytest
from dashboards.serving import ROOT, column, served, until
from playwright.sync_api import expect

PAGE = str(ROOT / "tests" / "dashboards" / "page_training.py")


def command(unused_milliseconds):
    return [
        "panel", "serve", PAGE, "--port", "PORT", "--address", "127.0.0.1",
        "--unused-session-lifetime", str(unused_milliseconds), "--check-unused-sessions", "500",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def address():
    with served(command(unused_milliseconds=5000), "/page_training") as found:
        yield f"{found}/page_training"


@pytest.fixture
def page(watched_page, address):
    return opened(watched_page(), address)


def opened(page, address):
    page.goto(address)
    expect(button(page, "Start")).to_be_enabled()
    return page


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def choose(page, number, exponent):
    """Drag a slider by keyboard: λ is number 0, ϵ 1, the learning rate 2."""
    slider = page.get_by_role("slider").nth(number)
    now = float(slider.get_attribute("aria-valuenow"))
    steps = round((exponent - now) / 0.01)
    slider.focus()
    for _ in range(abs(steps)):
        slider.press("ArrowRight" if steps > 0 else "ArrowLeft")


def words(page, text):
    expect(page.get_by_text(text).first).to_be_visible()


def test_train_steer_pause_travel_and_download(page):
    page.get_by_label("iterations").fill("10000000")
    page.get_by_label("iterations").press("Enter")
    button(page, "Start").click()
    until(page, lambda: len(column(page, "det_F")) > 20)

    choose(page, 0, 0.9)
    applied = until(page, lambda: column(page, "label", "steering_marks"))
    assert applied[-1].startswith("λ ")
    words(page, "applied at iteration")

    before = len(column(page, "label", "steering_marks"))
    page.get_by_role("slider").first.press("End")
    words(page, "Not applied.")
    words(page, "smaller ϵ")
    page.wait_for_timeout(600)
    marked = column(page, "label", "steering_marks")
    assert not any(label.endswith("→ 1e+03") for label in marked)
    assert len(marked) >= before
    assert float(page.get_by_role("slider").first.get_attribute("aria-valuenow")) == 3

    button(page, "Pause").click()
    words(page, "Paused. Press Resume to go on.")
    page.wait_for_timeout(600)
    held = column(page, "det_F_iteration")[-1]
    page.wait_for_timeout(600)
    assert column(page, "det_F_iteration")[-1] == held
    button(page, "Resume").click()
    until(page, lambda: column(page, "det_F_iteration")[-1] > held)
    button(page, "Stop").click()
    words(page, "Stopped: it was stopped")

    assert column(page, "xs", "ellipse_then") == []
    travel = page.get_by_role("slider").last
    travel.focus()
    travel.press("Home")
    until(page, lambda: len(column(page, "xs", "ellipse_then")) == 2)
    words(page, "then (iteration 0)")

    rows = downloaded_rows(page)
    assert {"iteration", "det_F", "val_det_F", "λ"} <= set(rows[0])
    iterations = np.array([float(row["iteration"]) for row in rows])
    np.testing.assert_array_equal(iterations, np.arange(len(rows)))
    assert downloaded(page, "PNG").read_bytes().startswith(b"\x89PNG")
    assert downloaded(page, "PDF").read_bytes().startswith(b"%PDF")
    arrays = np.load(downloaded(page, "NPZ"), allow_pickle=False)
    assert len(arrays["column_det_F"]) == len(rows)

    button(page, "Reset").click()
    until(page, lambda: len(column(page, "det_F")) == 1)


def downloaded(page, name):
    with page.expect_download() as waited:
        page.get_by_text(name, exact=True).click()
    return waited.value.path()


def downloaded_rows(page):
    text = downloaded(page, "CSV").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_two_browsers_do_not_see_each_other_and_leaving_ends_the_fit(page, watched_page, address):
    other = opened(watched_page(), address)
    other.get_by_label("iterations").fill("10000000")
    other.get_by_label("iterations").press("Enter")
    button(other, "Start").click()
    until(other, lambda: len(column(other, "det_F")) > 5)
    words(page, "runs: 1")
    assert len(column(page, "det_F")) == 0
    expect(button(page, "Start")).to_be_enabled()
    other.close()
    words(page, "runs: 0")
    assert len(column(page, "det_F")) == 0


NAMELESS = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const controls = inside(document).filter(
    e => e.matches("button, input, select, [role=slider]") && e.checkVisibility())
  const named = e => e.ariaLabel || [...e.labels ?? []].some(l => l.textContent.trim())
    || (e.matches("button") && e.textContent.trim())
  return [controls.length, controls.filter(e => !named(e)).map(e => e.outerHTML)]
}"""


def test_every_control_has_a_name(page):
    for name in ("λ", "ϵ", "learning rate", "smoothing", "iteration"):
        expect(page.get_by_role("slider", name=re.compile(f"^{name}"))).to_have_count(1)
    count, nameless = page.evaluate(NAMELESS)
    assert count > 15
    assert nameless == []


WIDEST = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const figures = inside(document).filter(e => e.tagName === "CANVAS")
  return Math.max(...figures.map(e => e.getBoundingClientRect().right))
}"""


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_is_wider_than_the_page(watched_page, address, width):
    page = opened(watched_page(width=width), address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(WIDEST) <= width


def test_a_browser_too_slow_for_its_session_gets_another_from_this_host(watched_page, serve):
    address = serve(command(unused_milliseconds=1), "/page_training")
    page = watched_page()
    page.route(re.compile(r"\.js"), lambda route: (time.sleep(0.5), route.continue_()))
    opened(page, f"{address}/page_training")
    words(page, "runs: 0")


def test_what_comes_in_a_tick_may_change_in_it(watched_page, serve):
    growing = str(ROOT / "tests" / "dashboards" / "page_growing.py")
    command = ["panel", "serve", growing, "--port", "PORT", "--address", "127.0.0.1"]
    address = serve(command, "/page_growing")
    page = watched_page()
    page.goto(f"{address}/page_growing")
    for n in range(5):
        until(page, lambda n=n: column(page, "x", f"grown {n}") == [1, 2], 30)
