"""Servers in processes of their own, and questions to the pages that they serve."""

import contextlib
import os
import socket
import subprocess
import sys
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
def served(command, path="/", seconds=120, **environment):
    """Run a server; the word PORT in the command is replaced. Yields its address."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in command]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment
    log = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", *words], env=variables, stdout=log, stderr=subprocess.STDOUT
    )
    os.set_blocking(process.stdout.fileno(), False)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address + path, process, seconds)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url, process, seconds):
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                return
        except (urllib.error.URLError, ConnectionError) as error:
            heard = process.stdout.read() or b""
            assert process.poll() is None, heard.decode()
            assert time.monotonic() < end, f"{error}: {heard.decode()}"
            time.sleep(0.2)


def column(page, name, source="training_curves"):
    """Return a column of a named data source of a page, as a list."""
    code = """([source, name]) => {
      const found = Bokeh.documents.map(d => d.get_model_by_name(source)).find(s => s != null)
      return found == null ? null : Array.from(found.data[name])
    }"""
    return page.evaluate(code, [source, name])


def until(page, condition, seconds=90):
    """Wait until a condition on the page holds, asked a few times a second; return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came true"
        page.wait_for_timeout(100)
    return found
