"""The laboratory as ``imnn-lab serve`` and ``panel serve`` give it, in Chromium."""

import contextlib
import functools
import re
import threading
import time
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import numpy as np
import pytest
from dashboards import visitor
from dashboards.serving import ROOT, answer, launched, served, until
from dashboards.visitor import button
from playwright.sync_api import expect

from imnn_lab import problems

COMMANDS = {
    "imnn-lab serve": (["imnn_lab.cli", "serve", "--port", "PORT", "--keep", "1"], "/"),
    "panel serve": (
        ["panel", "serve", str(ROOT / "imnn_lab" / "app.py"), "--port", "PORT",
         "--address", "127.0.0.1"],
        "/app",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(COMMANDS))
def address(request, tmp_path_factory):
    command, path = COMMANDS[request.param]
    if request.param == "imnn-lab serve":
        data = tmp_path_factory.mktemp("data")
        np.savez(data / "all.npz", fiducial=np.zeros((30, 10)))
        command = [*command, "--max-upload", "4", "--data", str(data)]
    with served(command, path) as found:
        yield found + path


@pytest.fixture(scope="module")
def guarded():
    """A laboratory with a password, whose name may be one of example.org."""
    options = ["--basic-auth", "a secret", "--allow-websocket-origin", "*.example.org:80"]
    with served([*COMMANDS["imnn-lab serve"][0], *options], "/login") as found:
        yield found


by_imnn_lab = pytest.mark.parametrize("address", ["imnn-lab serve"], indirect=True)


def opened(page, address):
    page.goto(address)
    visitor.tab(page, "Problem").click()
    expect(button(page, "Build the network")).to_be_enabled()
    return page


COVERED = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  const boxes = inside(document).filter(e => e.matches(".bk-Figure, button") && e.checkVisibility())
    .map(e => e.getBoundingClientRect())
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => meet(a, b)).map(b => [a, b]))
}"""


RANGES = """() => Bokeh.documents[0].roots().flatMap(root => [...root.references()])
  .filter(m => m.x_range && m.renderers.some(r => r.data_source?.name == "training_curves"))
  .map(figure => [figure.x_range.start, figure.x_range.end])"""


CLICK_ONCE_SHOWN = """button => {
  const shown = new MutationObserver(() => {
    if (button.hidden) return
    shown.disconnect()
    button.click()
  })
  shown.observe(button, {attributes: true})
}"""


@pytest.mark.parametrize(
    ("address", "width"), [("imnn-lab serve", 400), ("panel serve", 1600)], indirect=["address"]
)
def test_build_train_infer_and_look_at_the_results(watched_page, address, width):
    page = opened(watched_page(width), address)
    visitor.build(page)
    visitor.start(page, iterations=20)
    visitor.tab(page, "Infer").click()
    visitor.draw(page)
    drawn = visitor.count(page, visitor.FINISHED)
    button(page, "Toggle theme").click()
    until(page, lambda: page.evaluate(visitor.DARK))
    page.reload()
    until(page, lambda: page.evaluate(visitor.DARK))
    visitor.tab(page, "Infer").click()
    until(page, lambda: visitor.count(page, visitor.FINISHED) == drawn)
    visitor.tab(page, "Results").click()
    button(page, "Show this session's results").click()
    expect(page.get_by_text("Saved IMNN: this session")).to_be_visible()
    until(page, lambda: page.evaluate(COVERED) == [], 60)  # no figure or button lies over another
    assert visitor.widest(page) <= width

    def shows_the_whole_run():
        ranges = page.evaluate(RANGES)  # of the curves of the training and of the results
        return len(ranges) == 2 * 3 and all(start <= 0 < 20 <= end < 30 for start, end in ranges)

    until(page, shows_the_whole_run, 60)
    with page.expect_download() as caught:
        page.get_by_text("Network and history (imnn.zip)").click()
    assert "imnn/state.npz" in zipfile.ZipFile(caught.value.path()).namelist()


@by_imnn_lab
def test_steer_the_network_and_explore_its_posteriors(watched_page, address, tmp_path):
    page = opened(watched_page(1400, 1000), address)
    visitor.build(page)
    visitor.start(page)
    visitor.come_back(page)
    visitor.steer(page)
    visitor.pause_resume_and_stop(page)
    visitor.travel_to_the_beginning(page)
    visitor.download_the_curves(page)
    visitor.tab(page, "Infer").click()
    visitor.draw(page)
    visitor.accept_from_farther(page)
    visitor.run_pmc(page)
    visitor.brush_and_download(page, problems.gaussian().labels)
    posterior = visitor.download_the_posterior(page, tmp_path)
    assert len(posterior) == visitor.PARTICLES
    visitor.tab(page, "Results").click()
    button(page, "Show this session's results").click()
    expect(page.get_by_text("Saved IMNN: this session")).to_be_visible()


@by_imnn_lab
def test_own_simulations_are_sent_in_pieces_or_chosen_on_the_server(
    watched_page, address, tmp_path
):
    page = opened(watched_page(), address)
    box = page.locator("input[type=file]").first
    alert, status = page.get_by_role("alert"), page.get_by_text("All is sent.")

    large = tmp_path / "derivative.npy"
    np.save(large, np.zeros(5 * 2**17))
    box.set_input_files(large)
    expect(alert).to_contain_text("must have at most 4 MB together. Received 5 MB")
    np.save(large, np.zeros(2**18))
    page.locator(".sender button", has_text="Cancel").first.evaluate(CLICK_ONCE_SHOWN)
    box.set_input_files(large)
    expect(alert).to_have_text("Cancelled.")
    expect(page.get_by_text("Here:")).to_have_count(0)
    pickled = tmp_path / "fiducial.npy"
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    box.set_input_files(pickled)
    expect(status).to_be_visible()
    visitor.fill(page, "θ_fid", "0, 1")
    visitor.fill(page, "δθ, full width", "0.1, 0.1")
    button(page, "Build from own data").click()
    expect(alert).to_contain_text("Python objects", timeout=60_000)

    page.get_by_label("simulations").select_option("all.npz")
    visitor.words(page, "float64 of shape (30, 10)")
    page.get_by_label("simulations").select_option("the files above")
    fiducial, derivative = problems.gaussian().training_set(20_000, 5_000, 1)
    np.save(pickled, fiducial.astype(np.float32))
    np.savez(tmp_path / "all.npz", derivative=derivative[:2000])
    (tmp_path / "notes.txt").write_text("how they were made")
    box.set_input_files([pickled, tmp_path / "notes.txt", tmp_path / "all.npz"])
    others = re.compile(
        r"notes\.txt is not taken. A file must end in .npy.*\nAll others are sent\."
    )
    visitor.words(page, others)
    visitor.words(page, re.compile(r"Here: all\.npz \(625\.\d kB\), fiducial\.npy \(781\.4 kB\)"))
    page.get_by_label("network").select_option("linear")
    button(page, "Build from own data").click()
    expect(visitor.tab(page, "Problem")).to_contain_text("built", timeout=240_000)
    visitor.tab(page, "Problem").click()
    visitor.words(page, "own data, 20,000 fiducial simulations is ready")


def test_visitors_wait_in_line_until_who_is_before_them_leaves(watched_page, serve):
    page = str(ROOT / "tests" / "dashboards" / "page_laboratory.py")
    lifetime = ["--unused-session-lifetime", "5000", "--check-unused-sessions", "500"]
    command = ["panel", "serve", page, "--port", "PORT", "--address", "127.0.0.1", *lifetime]
    address = serve(command, "/page_laboratory") + "/page_laboratory"
    first, second = (opened(watched_page(), address) for _ in range(2))
    visitor.build(first)
    visitor.start(first)
    button(second, "Build the network").click()
    expect(second.get_by_text("you are number 1 in the queue")).to_be_visible()
    second.wait_for_timeout(1000)
    expect(visitor.tab(second, "Problem")).to_contain_text("in the queue")
    first.close()  # its session ends some seconds later, and its fit with it
    expect(visitor.tab(second, "Problem")).to_contain_text("built", timeout=120_000)


def test_a_fit_ends_in_time_and_the_next_visitor_has_a_turn(watched_page, serve):
    limits = ["--max-fits", "1", "--max-seconds", "3"]
    address = serve(["imnn_lab.cli", "serve", "--port", "PORT", *limits])
    first, second = (opened(watched_page(), address) for _ in range(2))
    visitor.build(first)
    visitor.fill(first, "iterations", 10_000_000)
    button(first, "Start").click()
    expect(first.get_by_text(re.compile("Compiling|Running|Stopped after")).first).to_be_visible()
    visitor.build(second)
    visitor.words(first, "Stopped after 3 s, the most for a fit on this server")


def test_a_server_that_is_terminated_ends_what_runs_first(browser):
    command = ["imnn_lab.cli", "serve", "--port", "PORT"]
    with launched(command) as (address, process):
        page = browser.new_page()  # it will look for the server
        opened(page, address)
        visitor.build(page)
        visitor.start(page)
        page.goto("about:blank")
        process.terminate()
        assert process.wait(60) == 0, "neither the signal nor an abort ended it"
        page.close()


def test_a_visitor_without_the_password_is_not_served(watched_page, guarded):
    page = watched_page()
    page.goto(guarded)
    for password in ("a guess", "a secret"):
        assert visitor.tab(page, "Problem").count() == 0
        page.get_by_label("Name").fill("visitor")
        page.get_by_label("Password").fill(password)
        button(page, "Sign in").click()
        if password == "a guess":
            expect(page.get_by_role("alert")).to_contain_text("Invalid username or password")
    expect(visitor.tab(page, "Problem")).to_be_visible()


def logged_in(address, password):
    """Write a password into the login; return where it leads."""
    body = urlencode({"username": "visitor", "password": password})
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    return answer(address, "/login", "POST", body, **form).headers["Location"]


def test_who_guesses_passwords_has_to_wait(guarded):
    guesses = (logged_in(guarded, f"guess {i}") for i in range(100))
    assert any("Too+many+wrong+logins" in where for where in guesses)
    end = time.monotonic() + 100
    while "error" in (where := logged_in(guarded, "a secret")):
        assert "Too+many" in where, "the password is right, but has to wait"
        assert time.monotonic() < end
        time.sleep(0.2)
    assert where == "./"


@by_imnn_lab
def test_pages_cannot_be_framed_nor_asked_for_under_another_name(guarded, address):
    for path in ("/", "/login", "/logout", "/static/js/bokeh.min.js", "/metadata", "/nowhere"):
        headers = answer(guarded, path).headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        for name in ("lab.example.com", "lab.example.org.evil.com", "evil-localhost", "192.0.2.1"):
            refused = answer(guarded, path, Host=name)
            assert (refused.status, "does not answer" in refused.text) == (403, True)
            assert refused.text.endswith(f"--allow-websocket-origin {name}\n")
    for name in ("localhost:5006", "LAB.example.org", "lab.example.org:80", "[::1]:1"):
        assert answer(guarded, "/login", Host=name).status == 200
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
               "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
    own, foreign = "http://lab.example.org", "http://evil.example.com"
    address = address.removesuffix("/")
    same = {"Sec_Fetch_Site": "same-origin"}
    ours = answer(address, "/ws", **upgrade, Origin=address, **same)
    assert ours.status == 101, "the control"
    for origin in (own, foreign):  # a name that its owner has pointed to this machine
        host = origin.removeprefix("http://")
        assert answer(address, "/ws", **upgrade, **same, Origin=origin, Host=host).status == 403


@contextlib.contextmanager
def pages_of(host, place):
    """Serve the files of a directory; 127.0.0.2 is this machine, but no name of the laboratory."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=place)
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@by_imnn_lab
def test_only_pages_of_this_machine_can_frame_the_laboratory(browser, address, tmp_path):
    page = browser.new_page()
    with pages_of("127.0.0.1", tmp_path) as own, pages_of("127.0.0.2", tmp_path) as foreign:
        framed = {"ours": address, "any": f"{own}/"}
        for name, url in framed.items():
            (tmp_path / f"{name}.html").write_text(f'<iframe src="{url}"></iframe>')
        seen = {}
        for host in (own, foreign):
            for name in framed:
                page.goto(f"{host}/{name}.html", wait_until="load", timeout=120_000)
                seen[host, name] = until(page, lambda: page.frames[1].url)
        page.close()
    assert seen.pop((foreign, "ours")) == "chrome-error://chromewebdata/"
    assert all(url == framed[name] for (_, name), url in seen.items()), seen
