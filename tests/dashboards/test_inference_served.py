"""The inference dashboard under ``panel serve``, in Chromium."""

import numpy as np
import pytest
from dashboards import visitor
from dashboards.inference_problem import LABELS, F
from dashboards.serving import ROOT, column, served, until
from dashboards.visitor import button, count, fill, tab
from playwright.sync_api import expect

METHODS = {
    "Gaussian approximation": "the Gaussian approximation",
    "ABC": "ABC",
    "PMC": "PMC",
    "neural posterior": "the neural posterior",
}
PAGE = str(ROOT / "tests" / "dashboards" / "page_inference.py")


@pytest.fixture(scope="module")
def address():
    command = ["panel", "serve", PAGE, "--port", "PORT", "--address", "127.0.0.1"]
    with served(command, "/page_inference") as found:
        yield f"{found}/page_inference"


def opened(page, address):
    page.goto(address)
    expect(button(page, "Draw")).to_be_enabled()
    return page


def test_the_summary_is_as_wide_as_its_place(watched_page, address):
    page = opened(watched_page(), address)
    expect(page.get_by_role("rowheader", name="Gaussian approximation").first).to_be_attached()
    widths = page.locator("table").evaluate_all(
        "tables => tables.map(t => t.parentElement.getBoundingClientRect().width)"
    )
    assert min(widths) > 300


def test_draw_slide_move_brush_and_download(watched_page, address, tmp_path):
    page = opened(watched_page(1400, 1000), address)
    visitor.draw(page)

    def simulated():
        return count(page, r"simulated ([\d,]+) in this session")

    until(page, lambda: simulated() == visitor.DRAWS)
    visitor.accept_from_farther(page)
    page.wait_for_timeout(600)
    assert simulated() == visitor.DRAWS, "the slider costs none"
    visitor.run_pmc(page)
    visitor.train_the_neural_posterior(page)
    visitor.brush_and_download(page, LABELS)
    visitor.check_the_calibration(page, METHODS)
    visitor.look_at_the_data(page)
    posterior = visitor.download_the_posterior(page, tmp_path)
    assert posterior.labels == LABELS
    # 500 particles within ε ≈ 0.6 of a Gaussian: their spread is the posterior's to a tenth or two
    np.testing.assert_allclose(posterior.sd, np.sqrt(np.diag(np.linalg.inv(F))), rtol=0.3)


SHOWN = """name => Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m != null)
  .renderers.filter(r => r.glyph.type == "MultiLine").map(r => r.visible)"""


def test_names_keep_their_marks_and_hide_what_they_name(watched_page, address):
    page = opened(watched_page(), address)
    button(page, "Draw").click()
    until(page, lambda: len(column(page, "xs", "corner 0 0 lines ABC")) > 0)
    marks = page.evaluate(visitor.MARKS, "corner legend")
    names = ["Gaussian approximation", "ABC", "exact"]  # what is drawn so far
    assert [label for label, *_ in marks] == names
    assert all(is_marked for _, is_marked, *_ in marks)

    _, _, left, top = marks[1]
    page.mouse.click(left + 40, top + 10)
    for place in ("corner 1 0", "corner 0 0"):
        until(
            page, lambda place=place: page.evaluate(SHOWN, place) == [True, False, True, True, True]
        )
    page.mouse.click(left + 40, top + 10)
    until(page, lambda: page.evaluate(SHOWN, "corner 1 0") == [True, True, True, True, True])


def test_two_browsers_do_not_see_each_other(watched_page, address):
    one, other = (opened(watched_page(), address) for _ in range(2))
    button(one, "Draw").click()
    until(one, lambda: count(one, r"finished: ([\d,]+) simulations") == 10_000)
    other.wait_for_timeout(600)
    assert other.get_by_text("No draws yet").count() == 1
    assert column(other, "row", "draws") == []


def test_another_target_is_simulated_and_refused_outside_the_prior(watched_page, address):
    page = opened(watched_page(), address)
    tab(page, "Target").click()
    fill(page, "a", 2)
    button(page, "Simulate a target").click()
    until(page, lambda: column(page, "at", "corner 0 0 x truth") == [2])
    fill(page, "a", 99)
    button(page, "Simulate a target").click()
    expect(page.get_by_role("alert")).to_contain_text("lie inside the prior")


def test_narrow_pages_do_not_scroll_sideways(watched_page, address):
    page = opened(watched_page(400, 900), address)
    tab(page, "PMC").click()
    button(page, "Run PMC").click()
    until(page, lambda: column(page, "group", "draws").count("PMC") == 500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert visitor.widest(page) <= 400
