"""Every stage of the served page for readers who need more than a mouse and good eyes."""

import itertools

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboards import visitor
from dashboards.serving import column, until
from dashboards.visitor import button, tab
from playwright.sync_api import expect

from imnn_lab.laboratory.example import ITERATIONS

STAGES = {  # with a button of each
    "Problem": "Build the network", "Train": "Start", "Trust": "Check",
    "Infer": "Infer with this network", "Results": "Show this session's results",
}  # fmt: skip
TABS = {
    "Train": ("Errors", "Regulariser", "Teach", "Download", "Ellipse"),
    "Trust": ("Simulations", "Layers", "det F"),
    "Infer": ("Draws", "Checks", "Data", "Export", "Posterior", "PMC", "Neural", "Target", "ABC"),
}
SERIOUS = ("serious", "critical")
# Shows what all tabs hold, and returns how many it showed: axe-core takes long to look through all
# shadow roots, so it does it once for all stages.
SHOW_ALL = """() => {
  const models = Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
  const hidden = models.filter(m => m.css_classes?.includes?.("imnn-tab-panel") && !m.visible)
  for (const panel of hidden) panel.visible = true
  return hidden.length
}"""

# Puts what must be found into the shadow root of a tab: a button without a name, pale words.
ADD_CONTROL = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const place = inside(document).find(e => e.matches(".imnn-tab-panel") && e.checkVisibility())
  const control = document.createElement("div")
  control.innerHTML = `<button id="control-button"></button>
    <p id="control-words" style="color: #777; background: #888">hard to read</p>`
  place.shadowRoot.append(control)
}"""
CONTROL = {"button-name", "color-contrast"}  # the rules that it breaks

# where the focus is, with all shadow roots: what it is called, and its place from the tabs of the
# stages, which scroll with it
FOCUSED = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  let at = document.activeElement
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement
  if (at === null || at === document.body) return null
  const box = at.getBoundingClientRect()
  const tabs = inside(document).find(e => e.matches(".imnn-tab-row")).getBoundingClientRect()
  return [at.getAttribute("aria-label") || at.textContent.trim() || at.placeholder || at.tagName,
    box.left - tabs.left, box.top - tabs.top, at.checkVisibility() && box.width > 0]
}"""

# What ends below the window, or right of it: a part of what scrolls ends where that does.
BELOW = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const kinds = ".bk-Figure, button, input, select, table, [role=status], [role=alert]"
  return inside(document).filter(e => e.matches(kinds) && e.checkVisibility()).filter(e => {
    const box = (e.closest("[tabindex='0']:not(button)") ?? e).getBoundingClientRect()
    return box.width * box.height > 0 && (box.bottom > innerHeight || box.right > innerWidth)
  }).map(e => `${e.tagName} ${e.className}: ${e.textContent.trim().slice(0, 40)}`)
}"""

# names of legends that reach out of the figure that they are drawn in
CUT = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  return inside(document).filter(e => e.matches(".bk-CartesianFrame")).flatMap(frame => {
    const end = frame.getBoundingClientRect().bottom
    return inside(frame.shadowRoot ?? frame).filter(e => e.matches(".bk-label"))
      .filter(e => e.getBoundingClientRect().bottom > end + 0.5).map(e => e.textContent)
  })
}"""


def findings(page):
    """Return what axe-core finds serious or critical, in words."""
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ]


def only_the_control_is_found(page):
    """Wait until nothing else is: names of controls and colours of a theme come a moment later."""
    for _ in range(5):
        found = findings(page)
        others = [words for words in found if 'id="control-' not in words]
        if not others:
            assert {words.partition(":")[0] for words in found} == CONTROL
            return
        page.wait_for_timeout(1000)
    pytest.fail("\n".join(others))


def focused_places(page, stage, most=40):
    """Press Tab from the tab of a stage on, until the focus leaves the page; return where it was.

    None if the row of tabs was drawn anew meanwhile, or has not got its roles yet.
    """
    if tab(page, stage).get_attribute("tabindex") != "0":
        return None
    tab(page, stage).focus()
    places = []
    for _ in range(most):
        page.keyboard.press("Tab")
        place = page.evaluate(FOCUSED)
        if place is None:
            break
        places.append(place)
    return places if len(places) > 1 else None


def follows_what_is_seen(page, stage):
    """Require that the focus stays on what is seen, and never goes back to the left and up."""
    tab(page, stage).click()
    expect(button(page, STAGES[stage])).to_be_visible()  # the server shows it a moment later
    places = until(page, lambda: focused_places(page, stage))
    assert all(is_seen for *_, is_seen in places), (stage, places)
    back = [(a, b) for a, b in itertools.pairwise(places) if b[1] < a[1] - 5 and b[2] < a[2] - 5]
    assert back == [], stage


def fill(page):
    """Train shortly, check, draw, and show the results."""
    visitor.fill(page, "iterations", 20)
    button(page, "Start").click()  # the first fit of a server waits for TensorFlow
    finished = page.get_by_text("Finished: all 20 iterations are done").first
    expect(finished).to_be_visible(timeout=240_000)
    tab(page, "Trust").click()
    button(page, "Check").click()
    visitor.words(page, "How much information")
    tab(page, "Infer").click()
    visitor.draw(page)
    tab(page, "Results").click()
    button(page, "Show this session's results").click()
    visitor.words(page, "Saved IMNN: this session")


def stands_above_the_fold(page):
    """Require that nothing of what is shown has to be scrolled to, once it is drawn."""
    page.wait_for_timeout(500)
    for _ in range(20):
        if not (below := page.evaluate(BELOW)):
            return
        page.wait_for_timeout(500)
    pytest.fail("\n".join(below))


def test_every_stage_is_for_everybody(watched_page, serve):
    page = watched_page(1280, 800, reduced_motion="reduce")
    page.goto(serve(["imnn_lab.cli", "serve", "--port", "PORT"]))
    until(page, lambda: len(column(page, "det_F") or []) == ITERATIONS + 1)
    fill(page)
    for stage in STAGES:
        follows_what_is_seen(page, stage)
    for stage in ("Problem", "Results", *TABS):
        tab(page, stage).click()
        stands_above_the_fold(page)
        for name in TABS.get(stage, ()):
            tab(page, name).click()
            expect(tab(page, name)).to_have_attribute("aria-selected", "true")
            stands_above_the_fold(page)
    ways = page.get_by_text("Gaussian approximation", exact=True)
    expect(ways.first).to_be_visible()
    n_tabs = len(STAGES) + sum(len(tabs) for tabs in TABS.values())
    assert page.evaluate(SHOW_ALL) >= n_tabs - 5, "one of each of the five rows was shown"
    page.evaluate(ADD_CONTROL)
    only_the_control_is_found(page)
    assert page.evaluate(CUT) == []
    button(page, "Toggle theme").click()
    until(page, lambda: page.evaluate(visitor.DARK))
    only_the_control_is_found(page)
