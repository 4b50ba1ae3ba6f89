"""Servers in processes of their own, and questions to the pages that they serve."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[2]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def served(*arguments, **options):
    """Run a server as `launched` does; yields its address."""
    with launched(*arguments, **options) as (address, _):
        yield address


@contextlib.contextmanager
def launched(command, path="/", seconds=120, port=None, **environment):
    """Run a server; the word PORT in the command is replaced. Yields its address and process."""
    port = free_port() if port is None else port
    words = [word.replace("PORT", str(port)) for word in command]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=variables, stdout=log, stderr=subprocess.STDOUT
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(address + path, process, seconds, log)
            yield address, process
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(url, process, seconds, log):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        if process.poll() is not None or time.monotonic() > end:
            log.seek(0)
            raise RuntimeError(log.read().decode())


def answer(address, path="/", method="GET", body=None, **headers):
    """Ask a server once, whatever its answer; underscores of headers' names are dashes."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=120)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    try:
        response = connection.getresponse()
        response.text = "" if response.status == 101 else response.read().decode(errors="replace")
        return response
    finally:
        connection.close()


def column(page, name, source="training_curves"):
    """Return a column of a named data source of a page, as a list.

    A document keeps models that are shown no more until it has had nothing to do for a while: so
    the source is looked for among what is shown.
    """
    code = """([source, name]) => {
      const shown = Bokeh.documents.flatMap(d => d.roots()).flatMap(root => [...root.references()])
      const found = shown.find(model => model.name === source)
      return found?.data[name] == null ? null : Array.from(found.data[name])
    }"""
    return page.evaluate(code, [source, name])


SAYS = """() => {
  const inside = node => [...node.querySelectorAll("*")].flatMap(
    e => [e, ...(e.shadowRoot ? inside(e.shadowRoot) : [])])
  return inside(document).filter(e => e.matches("[role=status], [role=alert], button"))
    .map(e => e.textContent.trim() + (e.disabled ? " (disabled)" : "")).filter(Boolean)
}"""


def until(page, condition, seconds=120):
    """Wait until a condition on the page holds, asked a few times a second; return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it never came true; the page says {page.evaluate(SAYS)}"
        page.wait_for_timeout(100)
    return found
