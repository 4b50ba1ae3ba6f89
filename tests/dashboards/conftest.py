"""One browser for each module of tests, and pages that notice what must not happen."""

import contextlib
import os
import shutil

import pytest
from dashboards.serving import served


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("IMNN_LAB_REQUIRE_BROWSER"):
            pytest.fail("Chromium is missing: apt-get install chromium")
        pytest.skip("Chromium is missing")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield made
        made.close()


@pytest.fixture
def serve():
    """Return a function that runs a server of the test's own, and gives its address."""
    with contextlib.ExitStack() as servers:
        yield lambda *of, **environment: servers.enter_context(served(*of, **environment))


@pytest.fixture
def watched_page(browser, serve):
    """Return a function that opens pages; errors in their consoles and requests to other hosts
    than this one fail the test. Pages are closed before the test's own servers end, which they
    would otherwise look for.
    """
    contexts, errors = [], []

    def open_page(width=1200, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.extend(outside(request.url)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


def outside(url):
    local = ("http://127.0.0.1", "ws://127.0.0.1", "http://localhost", "data:", "blob:", "about:")
    return [] if url.startswith(local) else [f"request to {url}"]
