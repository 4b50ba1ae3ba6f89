"""The laboratory as ``imnn-lab serve`` and ``panel serve`` give it, in Chromium."""

import numpy as np
import pytest
from dashboards import visitor
from dashboards.serving import ROOT, served, until
from dashboards.visitor import button
from playwright.sync_api import expect

from imnn_lab import problems

COMMANDS = {
    "imnn-lab serve": (["imnn_lab.cli", "serve", "--port", "PORT", "--grace", "1"], "/"),
    "panel serve": (
        ["panel", "serve", str(ROOT / "imnn_lab" / "app.py"), "--port", "PORT",
         "--address", "127.0.0.1"],
        "/app",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(COMMANDS))
def address(request):
    command, path = COMMANDS[request.param]
    with served(command, path) as found:
        yield found + path


def opened(page, address):
    page.goto(address)
    expect(button(page, "Build the network")).to_be_enabled()
    return page


COVERED = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const ends = [-Infinity]
  return inside(document).filter(e => {
    const {top, bottom} = e.getBoundingClientRect()
    if (e.tagName === "CANVAS") ends.push(bottom)
    return e.tagName === "H2" && top < Math.max(...ends)
  }).map(e => e.textContent)
}"""


RANGES = """() => [...Bokeh.documents[0]._all_models.values()]
  .filter(m => m.x_range && m.renderers.some(r => r.data_source?.name == "training_curves"))
  .map(figure => [figure.x_range.start, figure.x_range.end])"""


@pytest.mark.parametrize("width", [400, 1600])
def test_build_train_infer_and_look_at_the_results(watched_page, address, width):
    page = opened(watched_page(width), address)
    button(page, "Build the network").click()
    expect(page.get_by_text("network is ready")).to_be_visible()
    visitor.start(page, iterations=20)
    button(page, "Infer with this network").click()
    visitor.draw(page)
    button(page, "Show this session's results").click()
    expect(page.get_by_text("Saved IMNN: this session")).to_be_visible()
    until(page, lambda: page.evaluate(COVERED) == [], 20)  # no stage lies over the one before
    assert visitor.widest(page) <= width
    ranges = page.evaluate(RANGES)
    assert len(ranges) == 2 * 3, "the curves of the training and of the results"
    assert all(start <= 0 < 20 <= end < 30 for start, end in ranges), "the whole run is seen"
    with page.expect_download() as caught:
        page.get_by_text("Network and history (state.npz)").click()
    with np.load(caught.value.path(), allow_pickle=False) as arrays:
        assert "archive" in arrays.files


def test_steer_the_network_and_explore_its_posteriors(watched_page, address, tmp_path):
    page = opened(watched_page(1400, 1000), address)
    button(page, "Build the network").click()
    visitor.start(page)
    visitor.steer(page)
    visitor.pause_resume_and_stop(page)
    visitor.travel_to_the_beginning(page)
    visitor.download_the_curves(page)
    button(page, "Infer with this network").click()
    visitor.draw(page)
    visitor.accept_from_farther(page)
    visitor.run_pmc(page)
    visitor.brush_and_download(page, problems.gaussian().labels)
    posterior = visitor.download_the_posterior(page, tmp_path)
    assert len(posterior) == visitor.PARTICLES
    button(page, "Show this session's results").click()
    expect(page.get_by_text("Saved IMNN: this session")).to_be_visible()


def test_uploads_are_refused_with_the_reason(watched_page, address, tmp_path):
    page = opened(watched_page(), address)
    pickled, large = tmp_path / "fiducial.npy", tmp_path / "derivative.npy"
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    np.save(large, np.zeros(13 * 2**17))
    for path, reason in ((pickled, "Python objects"), (large, "at most 12 MB")):
        page.locator("input[type=file]").first.set_input_files(path)
        page.wait_for_timeout(1500)
        button(page, "Build from own data").click()
        expect(page.get_by_role("alert")).to_contain_text(reason)


def test_visitors_wait_in_line_until_who_is_before_them_leaves(watched_page, serve):
    address = serve(["imnn_lab.cli", "serve", "--port", "PORT", "--max-fits", "1", "--grace", "1"])
    first, second = (opened(watched_page(), address) for _ in range(2))
    button(first, "Build the network").click()
    expect(first.get_by_text("network is ready")).to_be_visible()
    visitor.start(first)
    button(second, "Build the network").click()
    expect(second.get_by_text("you are number 1 in the queue")).to_be_visible()
    second.wait_for_timeout(1000)
    assert second.get_by_text("network is ready").count() == 0
    first.close()  # its session ends half a minute later, and its fit with it
    expect(second.get_by_text("network is ready")).to_be_visible(timeout=120_000)


def test_a_visitor_without_the_password_is_not_served(watched_page, serve):
    command = ["imnn_lab.cli", "serve", "--port", "PORT", "--basic-auth", "a secret"]
    address = serve(command, "/login")
    page = watched_page()
    page.goto(address)
    for password in ("a guess", "a secret"):
        assert button(page, "Build the network").count() == 0
        page.get_by_label("Name").fill("visitor")
        page.get_by_label("Password").fill(password)
        button(page, "Sign in").click()
        if password == "a guess":
            expect(page.get_by_role("alert")).to_contain_text("Invalid username or password")
    expect(button(page, "Build the network")).to_be_enabled()
