"""The training dashboard and the widget in notebooks: in JupyterLab, and without any browser."""

import contextlib
import re

import nbclient
import nbconvert
import nbformat
import pytest
from dashboards.lab import (
    columns,
    end_kernel,
    is_busy,
    laboratory,
    marks,
    notebook,
    open_notebook,
    run_cell,
    save,
)
from dashboards.serving import ROOT, until
from playwright.sync_api import expect

MAKE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from makers import plain_imnn
imnn = plain_imnn()
"""
# On a slow machine a frontend speaks before the kernel has made it a subshell; so it is here.
LATE_SUBSHELLS = """
import asyncio
handlers = get_ipython().kernel.control_handlers
make = handlers["create_subshell_request"]

async def make_late(*request):
    await asyncio.sleep(2)
    await make(*request)

handlers["create_subshell_request"] = make_late
"""


LONG, SHORT = 15_000, 30
NUMBERS = ("det F", "det C", "λ = 10", "error", "iterations are done")
FIGURES = "img[alt='The figures of the dashboard']"
DASHBOARD = "[data-root-id] > *"
MB = 1_000_000


@pytest.fixture
def lab(tmp_path):
    """Return a function that runs a JupyterLab with comms as said, and gives its address."""
    cells = [MAKE + LATE_SUBSHELLS, "imnn.explore()", "imnn.widget()"]
    for name, then in {
        "training": [f"run = imnn.fit({LONG})", "imnn.explore()", f"run = imnn.fit({SHORT})"],
        "steering": ["run = imnn.fit(10_000_000)", f"run = imnn.fit({SHORT})"],
    }.items():
        nbformat.write(notebook(*cells, *then), tmp_path / f"{name}.ipynb")
    with contextlib.ExitStack() as servers:
        yield lambda comms: servers.enter_context(laboratory(tmp_path, comms))


def latest(page):
    """Return the iteration that each front end shows, -1 before the first."""
    shown = columns(page, "training_curves", "det_F_iteration")
    return [iterations[-1] if iterations else -1 for iterations in shown]


def opened(page, address, name):
    """Open a notebook and show both front ends."""
    open_notebook(page, address, f"{name}.ipynb")
    for cell in range(3):
        run_cell(page, cell)
        until(page, lambda: not is_busy(page))
    until(page, lambda: latest(page) == [-1, -1])
    return page


def assert_both_say(page, words):
    found = page.get_by_text(words)
    until(page, lambda: found.count() >= 2, 60)


def test_all_front_ends_follow_fits_and_a_saved_notebook_keeps_pictures(
    lab, watched_page, browser, tmp_path
):
    address = lab("disabled")
    page = opened(watched_page(width=1000, height=1500), address, "training")
    expect(page.get_by_role("slider", name="learning rate")).to_have_count(1)
    run_cell(page, 3)
    until(page, lambda: is_busy(page))
    seen = until(page, lambda: (found := latest(page)) and min(found) > 20 and found)
    later = until(page, lambda: (now := latest(page)) and min(now) > max(seen) and now)
    assert is_busy(page), f"they followed while the cell ran: {seen}, {later}"
    until(page, lambda: not is_busy(page), 400)
    assert_both_say(page, f"Finished: all {LONG} iterations are done")
    for cell, at in (4, LONG), (5, LONG + SHORT):  # a third one that has seen no fit yet
        run_cell(page, cell)
        until(page, lambda at=at: latest(page) == [at] * 3)
    until(page, lambda: page.locator(FIGURES).count() == 3)
    assert not page.locator(FIGURES).first.is_visible(), "the dashboard stands in its place"
    save(page)
    end_kernel(page)
    file = tmp_path / "training.ipynb"
    assert file.stat().st_size < 2 * MB
    untrusted = file.read_text(encoding="utf-8").replace("import sys", "import sys  # of another")
    (tmp_path / "untrusted.ipynb").write_text(untrusted, encoding="utf-8")
    for name in "training", "untrusted":
        with browser.new_context() as context:  # not watched: ipywidgets miss their models
            again = context.new_page()
            open_notebook(again, address, f"{name}.ipynb")
            assert_pictured(again, 3)
            if name == "training":
                for cell in range(2):
                    run_cell(again, cell)
                until(again, lambda page=again: latest(page) == [-1])
                expect(again.locator(FIGURES)).to_have_count(2)
            end_kernel(again)


def test_both_front_ends_steer_and_stop_a_fit_that_blocks_its_cell(lab, watched_page):
    page = watched_page(width=1000, height=1500)
    open_notebook(page, lab("perCommTarget"), "steering.ipynb")
    for cell in range(4):  # all at once: the fit begins before a front end has spoken
        run_cell(page, cell)
    until(page, lambda: len(latest(page)) == 2)
    dashboard = page.locator(".bk-btn"), page.get_by_role("slider", name="λ")
    widget = page.locator(".jupyter-button"), page.locator(".widget-slider [role=slider]").first
    for buttons, slider in (dashboard, widget, dashboard, widget):
        begin, changes = latest(page), len(marks(page)[0])
        if not is_busy(page):
            run_cell(page, 3)
        until(page, lambda begin=begin: min(latest(page)) > max(begin))
        slider.press("ArrowLeft")
        until(page, lambda changes=changes: min(map(len, marks(page))) > changes)
        assert is_busy(page)
        buttons.filter(has_text=re.compile("^Stop$")).click()
        until(page, lambda: not is_busy(page), 30)
    run_cell(page, 4)
    assert_both_say(page, "Finished: all 30 iterations are done")
    page.locator(".widget-dropdown select").last.select_option("seconds")
    until(page, lambda: any(columns(page, "training_curves", "det_F_seconds")))


def test_without_a_browser_a_notebook_ends_and_shows_pictures(watched_page):
    cells = [
        MAKE,
        "dashboard = imnn.explore()\ndashboard",
        "widget = imnn.widget()\nwidget",
        "run = imnn.fit(30)",
        LOOP,
    ]
    made = notebook(*cells)
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3").execute()
    for cell in made.cells[1:3]:
        (picture,) = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert all(number in picture["data"]["text/html"] for number in NUMBERS)
    assert made.cells[-1].outputs[0]["text"].split() == ["0"]
    assert len(nbformat.writes(made)) < MB, "without scripts that nobody runs"
    assert_shows_pictures(watched_page(), made, 2)


# A push that waits for a frontend comes back to the kernel's loop every 0.1 s: there must be none.
LOOP = """
import asyncio
loop = asyncio.get_event_loop()
print(len([h for h in loop._scheduled if "push" in repr(h) and not h.cancelled()]))
"""


def assert_shows_pictures(page, made, n):
    """Assert that a page made of a notebook shows its pictures, and no dashboard."""
    made.metadata.pop("widgets")  # their scripts would be asked of a host outside
    text, _ = nbconvert.HTMLExporter(mathjax_url="", require_js_url="").from_notebook_node(made)
    page.set_content(text)
    assert_pictured(page, n)


def assert_pictured(page, n):
    pictures = page.locator(FIGURES)
    expect(pictures).to_have_count(n)
    for i in range(n):
        expect(pictures.nth(i)).to_be_visible()
        assert pictures.nth(i).evaluate("image => image.naturalWidth") > 100
    for number in NUMBERS:
        expect(page.get_by_text(number).first).to_be_visible()
    assert page.locator(DASHBOARD).count() == 0
