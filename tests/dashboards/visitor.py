"""What a visitor does on the pages of training and of inference, and what must follow."""

import csv
import re
import time

import numpy as np
from dashboards.serving import column, until
from playwright.sync_api import expect

from imnn_lab.inference import Posterior

DRAWS, PARTICLES = 10_000, 500
FINISHED = r"finished: ([\d,]+) simulations"
# names in a legend, whether their marks are painted, and their places
MARKS = """name => {
  const model = Bokeh.documents.map(d => d.get_model_by_name(name)).find(m => m != null)
  return Bokeh.index.find_one(model).entries.map(({el, glyph, label}) => {
    const {width, height} = glyph.canvas
    const pixels = glyph.canvas.getContext("2d").getImageData(0, 0, width, height).data
    const {left, top} = el.getBoundingClientRect()
    return [label, pixels.some(value => value > 0), left, top]
  })
}"""
DARK = "() => getComputedStyle(document.body).backgroundColor === 'rgb(18, 18, 18)'"


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def slider(page, name):
    return page.get_by_role("slider", name=re.compile("^" + re.escape(name)))


def words(page, text):
    expect(page.get_by_text(text).first).to_be_visible()


def fill(page, label, value):
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def press(page, name, key, times=1):
    """Move a slider by its keys."""
    handle = slider(page, name)
    handle.focus()
    for _ in range(times):
        handle.press(key)


def count(page, pattern):
    """Return the number that a pattern finds in the page's words, None without one."""
    found = page.get_by_text(re.compile(pattern))
    if not found.count():
        return None
    return int(re.search(pattern, found.first.inner_text())[1].replace(",", ""))


def downloaded(page, name):
    with page.expect_download() as waited:
        page.get_by_text(name, exact=True).click()
    return waited.value.path()


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tab(page, name):
    return page.get_by_role("tab", name=re.compile("^" + re.escape(name)))


def build(page):
    """Build the network that is chosen; the first one of a server waits for TensorFlow."""
    tab(page, "Problem").click()
    button(page, "Build the network").click()
    expect(tab(page, "Problem")).to_contain_text("built", timeout=240_000)
    expect(tab(page, "Train")).to_have_attribute("aria-selected", "true")


def start(page, iterations=10_000_000):
    fill(page, "iterations", iterations)
    button(page, "Start").click()
    until(page, lambda: len(column(page, "det_F") or []) > 20)


def come_back(page):
    """Load the page again: the run is found by its address, with its history, and goes on."""
    until(page, lambda: "?run=" in page.url)
    address, before = page.url, column(page, "det_F_iteration")[-1]
    page.reload()
    found = until(page, lambda: column(page, "det_F_iteration"))
    assert (found[0], page.url) == (0, address)
    until(page, lambda: column(page, "det_F_iteration")[-1] > before)
    words(page, "This run goes on when the page is closed")


def steer(page):
    """Move λ while it trains: it is applied and marked; a pair without a rate is refused."""
    press(page, "λ", "ArrowLeft", 10)
    applied = until(page, lambda: column(page, "label", "steering_marks"))
    assert applied[-1].startswith("λ ")
    words(page, "applied at iteration")

    before = len(column(page, "label", "steering_marks"))
    press(page, "λ", "End")
    words(page, "Not applied.")
    words(page, "smaller ϵ")
    page.wait_for_timeout(600)
    marked = column(page, "label", "steering_marks")
    assert not any(label.endswith("→ 1e+03") for label in marked)
    assert len(marked) >= before
    assert float(slider(page, "λ").get_attribute("aria-valuenow")) == 3


def pause_resume_and_stop(page):
    button(page, "Pause").click()
    words(page, "Paused. Press Resume to continue.")
    ends = [button(page, name).bounding_box() for name in ("Resume", "Stop")]
    assert ends[0]["x"] + ends[0]["width"] <= ends[1]["x"], "neither covers the other"
    held = until(page, lambda: _at_rest(page))
    button(page, "Resume").click()
    until(page, lambda: column(page, "det_F_iteration")[-1] > held)
    button(page, "Stop").click()
    words(page, "Stopped by the user")


def _at_rest(page):
    """Return the last iteration shown; None while more arrive: some may be on their way."""
    before = column(page, "det_F_iteration")[-1]
    page.wait_for_timeout(1000)
    return before if column(page, "det_F_iteration")[-1] == before else None


def travel_to_the_beginning(page):
    tab(page, "Ellipse").click()
    assert column(page, "xs", "ellipse 0 0 lines then") == []
    press(page, "iteration (", "Home")
    until(page, lambda: len(column(page, "xs", "ellipse 0 0 lines then")) == 2)
    words(page, "then (iteration 0)")
    marks = [["now", True], ["then", True], ["known", True]]
    until(page, lambda: [m[:2] for m in page.evaluate(MARKS, "ellipse legend")] == marks)


def look_at_the_information(page):
    """See the bracket, F from fewer simulations, and that of each layer, beside the answers."""
    tab(page, "Trust").click()
    for name, act, source, text in (
        ("det F", "Find the bracket", "det F 0 0 areas bracket, 95 %", "compressed"),
        ("Simulations", "Solve on fewer", "Simulations 0 0 lines held out", "The last doubling"),
        ("Layers", "Look into each layer", "Layers 0 0 lines now", "ln det F before"),
    ):
        tab(page, name).click()
        button(page, act).click()
        until(page, lambda source=source: column(page, "xs", source))
        words(page, text)


def look_at_the_errors(page):
    """See errors and curves against the time of training, and the curves by iteration again."""
    tab(page, "Errors").click()
    axis = page.get_by_label("horizontal axis")
    axis.select_option("seconds")
    times = until(page, lambda: column(page, "det_F_seconds"))
    assert times == sorted(times)
    # Curves end at an extreme of their last few iterations, errors at the last one.
    last = 1.2 * times[-1]
    source = "errors 0 0 lines validation"
    until(page, lambda: (column(page, "xs", source) or [[np.inf]])[0][-1] < last)
    axis.select_option("iteration")
    until(page, lambda: column(page, "det_F_iteration"))


def download_the_curves(page):
    tab(page, "Download").click()
    rows = rows_of(downloaded(page, "CSV"))
    assert {"iteration", "det_F", "val_det_F", "λ"} <= set(rows[0])
    iterations = np.array([float(row["iteration"]) for row in rows])
    np.testing.assert_array_equal(iterations, np.arange(len(rows)))
    assert downloaded(page, "PNG").read_bytes().startswith(b"\x89PNG")
    assert downloaded(page, "PDF").read_bytes().startswith(b"%PDF")
    arrays = np.load(downloaded(page, "NPZ"), allow_pickle=False)
    assert len(arrays["column_det_F"]) == len(rows)


def draw(page):
    """Draw for ABC; press again after a minute, should the page have missed it when it was new.

    A page that was only late has drawn twice then.
    """

    def is_drawn():
        return count(page, FINISHED) in (DRAWS, 2 * DRAWS)

    button(page, "Draw").click()
    page.wait_for_timeout(100)
    again = time.monotonic() + 60
    while not is_drawn() and time.monotonic() < again:
        page.wait_for_timeout(100)
    if not is_drawn() and button(page, "Draw").is_enabled():
        button(page, "Draw").click()
    until(page, is_drawn)


def accept_from_farther(page):
    """Move the distance: more draws are accepted, and none is made."""
    accepted, drawn = until(page, lambda: count(page, r"accepts ([\d,]+)")), count(page, FINISHED)
    press(page, "log₁₀ ε", "ArrowRight", 30)

    def has_settled():
        groups = column(page, "group", "draws")
        return groups.count("ABC") == count(page, r"accepts ([\d,]+)") > accepted and groups

    assert until(page, has_settled).count("ABC, rejected") > 0
    assert count(page, FINISHED) == drawn


def run_pmc(page):
    tab(page, "PMC").click()
    button(page, "Run PMC").click()
    until(page, lambda: page.get_by_text(re.compile("finished: .*below the criterion")).count())
    assert column(page, "group", "draws").count("PMC") == PARTICLES
    until(page, lambda: len(column(page, "xs", "corner 1 0 lines PMC")) > 0)


def brush_and_download(page, labels):
    _drag_over_the_middle_of(page, "corner 1 0")
    selected = until(page, lambda: count(page, r"([\d,]+) selected"))
    assert selected > 0
    tab(page, "Draws").click()
    expect(page.get_by_role("columnheader", name="distance ρ")).to_be_visible()
    rows = rows_of(downloaded(page, "Selected draws (CSV)"))
    assert len(rows) == selected
    estimates = {f"estimate of {label}" for label in labels}
    assert {"method", *labels, *estimates, "distance ρ", "weight"} <= set(rows[0])


def download_the_posterior(page, place):
    """Return PMC's posterior as the page gives it."""
    tab(page, "Export").click()
    assert downloaded(page, "corner (PDF)").read_bytes()[:5] == b"%PDF-"
    with page.expect_download() as waited:
        page.get_by_text("PMC samples (NPZ)").click()
    waited.value.save_as(place / "posterior-PMC.npz")
    return Posterior.from_npz(place / "posterior-PMC.npz")


def train_the_neural_posterior(page):
    """Learn from the draws of ABC: −ln q falls in training, and the posterior is shown."""
    tab(page, "Neural").click()
    button(page, "Train").click()
    until(page, lambda: page.get_by_text(re.compile("finished: .*epochs")).count())
    for name in ("training", "validation"):
        lines = column(page, "ys", f"learning 0 0 lines {name}")
        assert len(lines) == 4
        assert all(min(line) < line[0] for line in lines)
    until(page, lambda: len(column(page, "xs", "corner 1 0 lines neural posterior")) > 0)


def check_the_calibration(page, methods):
    """Check all methods by one button: their ranks, words, and a report of its own."""
    tab(page, "Checks").click()
    button(page, "Check calibration").click()
    words(page, f"{len(methods)} methods checked")
    for name, inside in methods.items():
        words(page, f"Are the posteriors of {inside} right?")
        assert len(column(page, "ys", f"ranks 0 0 lines {name}")) == 1
    assert len(column(page, "x", "estimates 0 0 points simulations")) > 500
    page_alone = downloaded(page, "Report (HTML)").read_text(encoding="utf-8")
    assert "Are the posteriors of ABC right?" in page_alone
    assert "<img" in page_alone


def look_at_the_data(page):
    """Simulate at draws of a posterior: the nearest simulation stands beside the observation."""
    tab(page, "Data").click()
    until(page, lambda: len(column(page, "ys", "observation 0 0 lines observed") or []) == 1)
    button(page, "Simulate").click()
    words(page, "100 simulations from the posterior of Gaussian approximation")
    until(page, lambda: len(column(page, "ys", "observation 0 0 lines nearest simulation")) == 1)


def widest(page):
    """Return how far to the right figures and controls reach, in pixels."""
    return page.evaluate(
        """() => {
          const inside = node => [...node.querySelectorAll("*")].flatMap(
            e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
          const found = inside(document).filter(e => e.matches("canvas, button, input, select"))
          return Math.max(...found.map(e => e.getBoundingClientRect().right))
        }"""
    )


def _drag_over_the_middle_of(page, name):
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


def check_the_results(page, question):
    """Have the results checked: the answers are on the page, and in a report of its own."""
    tab(page, "Trust").click()
    button(page, "Check").click()
    words(page, question)
    page_alone = downloaded(page, "Report (HTML)").read_text(encoding="utf-8")
    assert question in page_alone
    assert "<img" in page_alone
