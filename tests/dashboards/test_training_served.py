"""The training dashboard under ``panel serve``, in Chromium."""

import re
import time

import pytest
from dashboards import visitor
from dashboards.serving import ROOT, column, served, until
from dashboards.visitor import button, slider, words
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


def test_train_steer_pause_travel_and_download(page):
    visitor.start(page)
    visitor.steer(page)
    visitor.pause_resume_and_stop(page)
    visitor.travel_to_the_beginning(page)
    visitor.look_at_the_errors(page)
    visitor.download_the_curves(page)
    visitor.check_the_results(page, "How much information is there?")
    visitor.look_at_the_information(page)
    button(page, "Reset").click()
    until(page, lambda: len(column(page, "det_F")) == 1)


def test_a_value_is_chosen_again_after_it_was_changed_elsewhere(page):
    visitor.start(page)
    changes = ["λ 10 → 9.77", "λ 9.77 → 10", "λ 10 → 9.77"]
    visitor.press(page, "λ", "ArrowLeft")
    until(page, lambda: column(page, "label", "steering_marks") == changes[:1])
    button(page, "λ = 10 from elsewhere").click()
    until(page, lambda: column(page, "label", "steering_marks") == changes[:2])
    expect(slider(page, "λ")).to_have_text("10")
    visitor.press(page, "λ", "ArrowLeft")
    until(page, lambda: column(page, "label", "steering_marks") == changes)
    button(page, "Stop").click()
    words(page, "Stopped by the user")


def test_two_browsers_do_not_see_each_other_and_leaving_ends_the_fit(page, watched_page, address):
    other = opened(watched_page(), address)
    visitor.start(other)
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
    e => e.matches("button, input, select, [role=slider], .bk-events") && e.checkVisibility())
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
    expect(page.get_by_role("img", name="det F against iteration")).to_have_count(1)


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_is_wider_than_the_page(watched_page, address, width):
    page = opened(watched_page(width=width), address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.widest(page) <= width


def test_a_browser_too_slow_for_its_session_gets_another_from_this_host(watched_page, serve):
    address = serve(command(unused_milliseconds=1), "/page_training")
    page = watched_page()
    page.route(re.compile(r"\.js"), lambda route: (time.sleep(0.2), route.continue_()))
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
