"""The training dashboard and the widget in notebooks: in JupyterLab, and without any browser."""

import contextlib
import re

import nbclient
import nbformat
import pytest
from dashboards.lab import columns, is_busy, laboratory, marks, notebook, open_notebook, run_cell
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


@pytest.fixture
def lab(tmp_path):
    """Return a function that runs a JupyterLab with comms as said, and gives its address."""
    cells = [MAKE + LATE_SUBSHELLS, "imnn.explore()", "imnn.widget()"]
    for name, counts in {"training": [15_000], "steering": [10_000_000, 30]}.items():
        fits = [f"run = imnn.fit({count})" for count in counts]
        nbformat.write(notebook(*cells, *fits), tmp_path / f"{name}.ipynb")
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


def test_both_front_ends_follow_a_fit_in_another_cell(lab, watched_page):
    page = opened(watched_page(width=1000, height=1500), lab("disabled"), "training")
    expect(page.get_by_role("slider", name="learning rate")).to_have_count(1)
    run_cell(page, 3)
    until(page, lambda: is_busy(page))
    seen = until(page, lambda: (found := latest(page)) and min(found) > 20 and found)
    later = until(page, lambda: (now := latest(page)) and min(now) > max(seen) and now)
    assert is_busy(page), f"they followed while the cell ran: {seen}, {later}"
    until(page, lambda: not is_busy(page), 400)
    assert_both_say(page, "Finished: all 15000 iterations are done")


def test_both_front_ends_steer_and_stop_a_fit_that_blocks_its_cell(lab, watched_page):
    page = opened(watched_page(width=1000, height=1500), lab("perCommTarget"), "steering")
    dashboard = page.locator(".bk-btn"), page.get_by_role("slider", name="λ")
    widget = page.locator(".jupyter-button"), page.locator(".widget-slider [role=slider]").first
    for buttons, slider in (dashboard, widget, dashboard, widget):
        begin, changes = latest(page), len(marks(page)[0])
        run_cell(page, 3)
        until(page, lambda begin=begin: min(latest(page)) > max(begin))
        slider.press("ArrowLeft")
        until(page, lambda changes=changes: min(map(len, marks(page))) > changes)
        assert is_busy(page)
        buttons.filter(has_text=re.compile("^Stop$")).click()
        until(page, lambda: not is_busy(page), 30)
    run_cell(page, 4)
    assert_both_say(page, "Finished: all 30 iterations are done")


def test_without_a_browser_a_notebook_ends_and_shows_a_picture():
    cells = [
        MAKE,
        "dashboard = imnn.explore()\ndashboard",
        "widget = imnn.widget()\nwidget",
        "run = imnn.fit(30)",
        LOOP,
    ]
    made = notebook(*cells)
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3").execute()
    pictures = [output for output in made.cells[1].outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
    assert made.cells[-1].outputs[0]["text"].split() == ["0", "[True]"]


# A push that waits for a frontend comes back to the kernel's loop every 0.1 s: there must be none.
LOOP = """
import asyncio
import panel
views = [view for view, *_ in panel.state._views.values()]
pages = [view.shown.page for view in views if hasattr(view, "shown")]
loop = asyncio.get_event_loop()
waiting = [h for h in loop._scheduled if "push" in repr(h) and not h.cancelled()]
print(len(waiting), [len(page.curves.figure.source.data["det_F"]) <= 31 for page in pages])
"""
