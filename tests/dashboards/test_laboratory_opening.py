"""The beginning of a page, which leaves before the rest is built."""

import asyncio
import contextlib
import http.client
import queue
import threading

import panel as pn
import pytest
from dashboards.serving import answer, free_port

from imnn_lab.dashboards.host.panel_private import application_of
from imnn_lab.dashboards.page import THEME, page
from imnn_lab.laboratory.opening import REMOVE, open_at_once

FIRST = '<div id="imnn-first">a picture</div>'


class Pages:
    """What a server builds: with the picture, without it, or not at all; it may have to wait."""

    def __init__(self):
        self.may_go_on, self.first, self.error = threading.Event(), FIRST, None
        self.may_go_on.set()

    def make(self):
        assert self.may_go_on.wait(60)
        if self.error is not None:
            raise self.error
        return page("a title", pn.pane.HTML("the rest"), first=self.first)


@pytest.fixture
def served():
    """Pages, and the address of a server in a thread of this process that has answered once."""
    pages, port, started = Pages(), free_port(), queue.Queue()

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        server = pn.serve(
            pages.make, port=port, address="127.0.0.1", show=False, start=False, verbose=False
        )
        open_at_once(application_of(server), FIRST)
        server.start()
        started.put(server.io_loop)
        server.io_loop.start()
        server.stop()

    thread = threading.Thread(target=run)
    thread.start()
    loop = started.get(timeout=60)
    try:
        address = f"http://127.0.0.1:{port}"
        answer(address)
        yield pages, address
    finally:
        pages.may_go_on.set()
        loop.add_callback(loop.stop)
        thread.join()


@contextlib.contextmanager
def asked(address, path):
    """Ask for a page; yields the connection, which gives up after a second without a byte."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=1)
    connection.request("GET", path)
    try:
        yield connection
    finally:
        connection.close()


def test_the_beginning_comes_while_the_rest_is_being_built(served):
    pages, address = served
    pages.may_go_on.clear()
    with asked(address, "/") as connection:
        connection.sock.settimeout(60)
        response = connection.getresponse()
        begun = response.read1().decode()
        assert begun.startswith("<!DOCTYPE html>")
        assert begun.endswith(FIRST)
        assert "</html>" not in begun
        pages.may_go_on.set()
        whole = begun + response.read().decode()
    assert (whole.count("<!DOCTYPE"), whole.count("<body>"), whole.count(FIRST)) == (1, 1, 1)
    assert whole.count("</head>") == whole.count("</body>") == whole.count("</html>") == 1
    assert whole.index("</head>") < whole.index(FIRST) < whole.index("<script")
    assert response.headers["Cache-Control"] == "no-store"


def test_a_page_with_a_query_is_sent_as_a_whole(served):
    """It is the control of the test above, too."""
    pages, address = served
    pages.may_go_on.clear()
    with asked(address, "/?problem=slope") as connection, pytest.raises(TimeoutError):
        connection.getresponse()


def test_a_page_without_the_picture_takes_it_away(served):
    pages, address = served
    pages.first = ""
    text = answer(address).text
    assert text.count(FIRST) == text.count(REMOVE) == 1
    assert text.index(FIRST) < text.index(REMOVE) < text.index("data-root-id")
    assert REMOVE not in answer(address, "/?a=b").text


def test_a_page_begins_in_the_theme_that_its_browser_remembers(served):
    """The first of each theme is sent as a whole, the second begins like it."""
    _, address = served
    dark = [answer(address, Cookie=f"{THEME}=dark").text for _ in range(2)]
    light = [answer(address, Cookie=f"{THEME}={chosen}").text for chosen in ("light", "odd")]
    heads = [text.partition(FIRST)[0] for text in (*dark, *light)]
    assert ["background-color: #121212" in head for head in heads] == [True, True, False, False]
    assert all(text.count("<body>") == text.count("</html>") == 1 for text in (*dark, *light))
    assert REMOVE not in "".join((*dark, *light))


def test_a_page_that_cannot_be_built_takes_the_picture_away(served):
    """Panel answers with an empty page then."""
    pages, address = served
    pages.error = RuntimeError("out of order")
    text = answer(address).text
    assert text.count(FIRST) == text.count(REMOVE) == 1
