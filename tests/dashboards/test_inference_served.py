"""The inference dashboard under ``panel serve``, in Chromium."""

import csv
import re

import numpy as np
import pytest
from dashboards.inference_problem import LABELS, F
from dashboards.serving import ROOT, column, served, until
from playwright.sync_api import expect

from imnn_lab.inference import Posterior

PAGE = str(ROOT / "tests" / "dashboards" / "page_inference.py")


@pytest.fixture(scope="module")
def address():
    command = ["panel", "serve", PAGE, "--port", "PORT", "--address", "127.0.0.1"]
    with served(command, "/page_inference") as found:
        yield f"{found}/page_inference"


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def count(page, pattern):
    """Return the number that a pattern finds in the page's words, None without one."""
    found = page.get_by_text(re.compile(pattern))
    if not found.count():
        return None
    return int(re.search(pattern, found.first.inner_text())[1].replace(",", ""))


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


def brush(page, name):
    """Drag over the middle of a named figure."""
    place = page.evaluate(
        """name => {
          const model = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m != null)
          const view = Bokeh.index.find_one(model)
          view.el.scrollIntoView({block: "center"})
          const box = view.frame_view.el.getBoundingClientRect()
          return [box.left, box.top, box.width, box.height]
        }""",
        name,
    )
    left, top, width, height = place
    page.mouse.move(left + 0.2 * width, top + 0.2 * height)
    page.mouse.down()
    page.mouse.move(left + 0.5 * width, top + 0.5 * height, steps=4)
    page.mouse.move(left + 0.8 * width, top + 0.8 * height, steps=4)
    page.mouse.up()


def test_draw_slide_move_brush_and_download(watched_page, address, tmp_path):
    page = opened(watched_page(1400, 1000), address)
    button(page, "Draw").click()
    until(page, lambda: count(page, r"finished: ([\d,]+) simulations") == 10_000)
    until(page, lambda: count(page, r"simulated ([\d,]+) in this session") == 10_000)
    accepted = until(page, lambda: count(page, r"accepts ([\d,]+)"))

    slider = page.get_by_role("slider").first  # the distance
    slider.focus()
    for _ in range(30):
        slider.press("ArrowRight")

    def has_settled():
        groups = column(page, "group", "draws")
        return groups.count("ABC") == count(page, r"accepts ([\d,]+)") > accepted and groups

    assert until(page, has_settled).count("ABC, rejected") > 0
    page.wait_for_timeout(600)
    assert count(page, r"simulated ([\d,]+) in this session") == 10_000, "the slider costs none"

    button(page, "Run PMC").click()
    until(page, lambda: page.get_by_text(re.compile("finished: .*came nearer")).count())
    assert column(page, "group", "draws").count("PMC") == 500
    until(page, lambda: len(column(page, "xs", "corner 1 0 lines PMC")) > 0)

    brush(page, "corner 1 0")
    selected = until(page, lambda: count(page, r"([\d,]+) selected"))
    assert selected > 0
    with page.expect_download() as caught:
        page.get_by_text("Selected draws (CSV)").click()
    with open(caught.value.path(), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == selected
    assert {"method", "a", "b", "estimate of a", "distance ρ", "weight"} <= set(rows[0])

    with page.expect_download() as caught:
        page.get_by_text("PMC samples (NPZ)").click()
    caught.value.save_as(tmp_path / "posterior-PMC.npz")
    posterior = Posterior.from_npz(tmp_path / "posterior-PMC.npz")
    assert posterior.labels == LABELS
    # 500 particles within ε ≈ 0.6 of a Gaussian: their spread is the posterior's to a tenth or two
    np.testing.assert_allclose(posterior.sd, np.sqrt(np.diag(np.linalg.inv(F))), rtol=0.3)
    with page.expect_download() as caught:
        page.get_by_text("corner (PDF)").click()
    assert caught.value.path().read_bytes()[:5] == b"%PDF-"


MARKS = """name => {
  const model = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m != null)
  return Bokeh.index.find_one(model).entries.map(({el, glyph, label}) => {
    const {width, height} = glyph.canvas
    const pixels = glyph.canvas.getContext("2d").getImageData(0, 0, width, height).data
    const {left, top} = el.getBoundingClientRect()
    return [label, pixels.some(value => value > 0), left, top]
  })
}"""
SHOWN = """name => Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m != null)
  .renderers.filter(r => r.glyph.type == "MultiLine").map(r => r.visible)"""


def test_names_keep_their_marks_and_hide_what_they_name(watched_page, address):
    page = opened(watched_page(), address)
    button(page, "Draw").click()
    until(page, lambda: len(column(page, "xs", "corner 1 0 lines ABC")) > 0)
    marks = page.evaluate(MARKS, "corner legend")
    assert [label for label, *_ in marks] == ["Gaussian approximation", "ABC", "PMC", "exact"]
    assert all(is_marked for _, is_marked, *_ in marks)

    _, _, left, top = marks[1]
    page.mouse.click(left + 40, top + 10)
    for place in ("corner 1 0", "corner 0 0"):
        until(page, lambda place=place: page.evaluate(SHOWN, place) == [True, False, True, True])
    page.mouse.click(left + 40, top + 10)
    until(page, lambda: page.evaluate(SHOWN, "corner 1 0") == [True, True, True, True])


def test_two_browsers_do_not_see_each_other(watched_page, address):
    one, other = (opened(watched_page(), address) for _ in range(2))
    button(one, "Draw").click()
    until(one, lambda: count(one, r"finished: ([\d,]+) simulations") == 10_000)
    other.wait_for_timeout(600)
    assert other.get_by_text("No draws yet").count() == 1
    assert column(other, "row", "draws") == []


def test_another_target_is_simulated_and_refused_outside_the_prior(watched_page, address):
    page = opened(watched_page(), address)
    page.get_by_label("a", exact=True).fill("2")
    page.get_by_label("a", exact=True).press("Enter")
    button(page, "Simulate a target").click()
    until(page, lambda: column(page, "at", "corner 0 0 x truth") == [2])
    page.get_by_label("a", exact=True).fill("99")
    page.get_by_label("a", exact=True).press("Enter")
    button(page, "Simulate a target").click()
    expect(page.get_by_role("alert")).to_contain_text("lie inside the prior")


def test_narrow_pages_do_not_scroll_sideways(watched_page, address):
    page = opened(watched_page(400, 900), address)
    button(page, "Run PMC").click()
    until(page, lambda: column(page, "group", "draws").count("PMC") == 500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
