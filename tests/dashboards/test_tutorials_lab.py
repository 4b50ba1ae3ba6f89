"""Tutorials in a real JupyterLab: all cells run, and what the reader moves has its effect.

They train for less long than as they are stored, which is how CI runs them without a browser.
"""

import re

import pytest
from dashboards.lab import end_kernel, laboratory, marks, open_notebook, run_all
from dashboards.serving import ROOT, until
from dashboards.visitor import count, slider
from playwright.sync_api import expect

MINUTES = 60
SHORTER = {
    "01_first_imnn": {
        "fit(patience=50)": "fit(5)",
        "training_set(n_s=20_000, n_d=20_000": "training_set(n_s=2_000, n_d=2_000",
        r", \"deep set\": networks.deep_set((10,), 2, seed=1)}": "}",
    },
    "02_the_regulariser": {
        "[step() for _ in range(n_iterations)]": "[step()] * n_iterations",
        "imnn.fit(300,": "imnn.fit(5,",
        "in starts.items()": "in list(starts.items())[:1]",
    },
    "06_inference": {
        "imnn.fit(100, patience=20)": "imnn.fit(5)",
        "networks.deep_set(problem.input_shape, n_summaries=2": "networks.dense((20,), 2",
    },
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    place = tmp_path_factory.mktemp("lab")
    (place / "tutorials").mkdir()
    for name, changes in SHORTER.items():
        text = (ROOT / "tutorials" / f"{name}.ipynb").read_text(encoding="utf-8")
        for long, short in changes.items():
            assert long in text
            text = text.replace(long, short)
        (place / "tutorials" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    with laboratory(place, "perCommTarget") as address:
        yield address


@pytest.fixture
def opened(lab, watched_page):
    """Return a function that opens a tutorial, runs it, and returns its page."""
    pages = []

    def open_and_run(name):
        page = watched_page(width=1400, height=1200)
        open_notebook(page, lab, f"tutorials/{name}.ipynb")
        pages.append(page)
        run_all(page, 8 * MINUTES)
        return page

    yield open_and_run
    for page in pages:
        end_kernel(page)


SIZE = "JSON.stringify(window.jupyterapp.shell.currentWidget.content.model.toJSON()).length"


def move(handle, steps):
    handle.focus()
    for _ in range(abs(steps)):
        handle.press("ArrowRight" if steps > 0 else "ArrowLeft")


def changes_of_λ(page):
    return [label for several in marks(page) for label in several if label.startswith("λ")]


def accepted(page):
    """Return how many draws the page of ABC accepts."""
    return count(page, r"accepts ([\d,]+)")


def assert_a_pair_is_refused_and_another_taken(page):
    rate = page.get_by_text(re.compile(r"rate α = ")).first
    before = rate.inner_text()
    move(slider(page, "ϵ").first, 100)
    expect(page.get_by_text("Not applied.").first).to_be_visible()
    move(slider(page, "ϵ").first, -150)
    until(page, lambda: rate.count() and rate.inner_text() != before)


def test_pairs_are_refused_or_taken_and_a_fit_that_runs_is_steered(opened):
    page = opened("01_first_imnn")
    until(page, lambda: page.evaluate(SIZE) < 2_000_000)
    assert_a_pair_is_refused_and_another_taken(page)
    page.get_by_label("iterations").first.fill("100000")
    page.get_by_label("iterations").first.press("Enter")
    page.get_by_label("patience").first.fill("")
    page.get_by_label("patience").first.press("Enter")
    page.get_by_role("button", name="Start", exact=True).first.click()
    expect(page.get_by_role("button", name="Stop", exact=True).first).to_be_enabled()
    assert not changes_of_λ(page)
    move(slider(page, "λ").first, -10)
    until(page, lambda: changes_of_λ(page))
    page.get_by_role("button", name="Stop", exact=True).first.click()
    expect(page.get_by_role("button", name="Start", exact=True).first).to_be_enabled()


@pytest.mark.endurance  # the front end is that of the first tutorial
def test_a_pair_that_does_not_exist_is_refused_and_another_taken(opened):
    assert_a_pair_is_refused_and_another_taken(opened("02_the_regulariser"))


def test_a_larger_distance_accepts_more(opened):
    page = opened("06_inference")
    expect(page.get_by_text(re.compile(r"accepts [\d,]+")).first).to_be_visible()
    first = accepted(page)
    move(slider(page, "log₁₀ ε").first, 30)
    # From ϵ = 1 to 2: about four times as many in two dimensions, other things being equal.
    until(page, lambda: 2.5 < accepted(page) / first < 6)
