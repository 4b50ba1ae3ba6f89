"""The training dashboard and the widget in notebooks: in JupyterLab, and without any browser."""

import nbclient
import nbformat
import pytest
from dashboards.lab import is_busy, laboratory, notebook, open_notebook, run_cell
from dashboards.serving import ROOT, until
from playwright.sync_api import expect

MAKE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from makers import small_imnn
imnn = small_imnn()
"""
LATEST = """() => {
  if (window.Bokeh == null) return []
  const documents = new Set([...Bokeh.documents, ...Bokeh.index.roots.map(r => r.model.document)])
  return [...documents].map(d => d.get_model_by_name("training_curves"))
    .filter(s => s != null).map(s => Array.from(s.data.det_F_iteration).at(-1) ?? -1)
}"""


@pytest.fixture(scope="module", params=["perCommTarget", "disabled"])
def lab(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("lab")
    cells = [MAKE, "imnn.explore()", "imnn.widget()", "run = imnn.fit(20_000)"]
    nbformat.write(notebook(*cells), place / "training.ipynb")
    with laboratory(place, request.param) as address:
        yield address


def test_both_front_ends_follow_a_fit_in_another_cell(lab, watched_page):
    page = watched_page(width=1000, height=1500)
    open_notebook(page, lab, "training.ipynb")
    for cell in range(3):
        run_cell(page, cell)
        until(page, lambda: not is_busy(page))
    until(page, lambda: page.evaluate(LATEST) == [-1, -1])
    expect(page.get_by_role("slider", name="learning rate")).to_have_count(1)
    run_cell(page, 3)
    until(page, lambda: is_busy(page))
    seen = until(page, lambda: (found := page.evaluate(LATEST)) and min(found) > 20 and found)
    later = until(page, lambda: (now := page.evaluate(LATEST)) and min(now) > max(seen) and now)
    assert is_busy(page), f"they followed while the cell ran: {seen}, {later}"
    until(page, lambda: not is_busy(page), 400)
    ended = page.get_by_text("Finished: all 20000 iterations are done")
    until(page, lambda: ended.count() >= 2, 60)


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
    assert made.cells[-1].outputs[0]["text"].split() == ["0", "True"]


# A push that waits for a frontend comes back to the kernel's loop every 0.1 s: there must be none.
LOOP = """
import asyncio
loop = asyncio.get_event_loop()
waiting = [h for h in loop._scheduled if "push" in repr(h) and not h.cancelled()]
print(len(waiting), len(dashboard.curves.figure.source.data["det_F"]) <= 31)
"""
