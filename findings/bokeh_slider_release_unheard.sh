#!/usr/bin/env bash
# Bokeh 3.9.2: the release of a slider is not heard where it repeats the last release.
#
# `value_throttled` keeps the value of the last release, and Python's changes of `value` leave it alone.
# When a server moves a slider back (another page, another cell, a refused value) and the reader chooses
# the value of the last release again, `value_throttled` does not change, so its callbacks are not
# called, although `value` did change and the handle did move. A control that acts on release alone,
# as Bokeh advises for slow actions, then shows a value that was never applied.
#
# Seen: key press to 1, server back to 0, key press to 1, key press to 2
#   `value` changes to 1, 0, 1, 2; `value_throttled` to 1 and 2: the second choice of 1 is missing.
# Needs Debian's chromium.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q bokeh==3.9.2 playwright==1.65.0
"$work/venv/bin/python" - <<'PY'
import asyncio
import shutil
import threading

from bokeh.models import Slider
from bokeh.server.server import Server
from playwright.sync_api import sync_playwright

values, releases, documents = [], [], []
ready = threading.Event()


def page(document):
    slider = Slider(start=0, end=10, step=1, value=0, name="slider")
    slider.on_change("value", lambda name, old, new: values.append(new))
    slider.on_change("value_throttled", lambda name, old, new: releases.append(new))
    document.add_root(slider)
    documents.append(document)


def serve():
    asyncio.set_event_loop(asyncio.new_event_loop())
    server = Server({"/": page}, port=0, address="127.0.0.1")
    server.start()
    serve.port = server.port
    ready.set()
    server.io_loop.start()


threading.Thread(target=serve, daemon=True).start()
ready.wait()
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
    )
    tab = browser.new_page()

    def wait_for(condition):
        for _ in range(200):
            if condition():
                return
            tab.wait_for_timeout(50)
        raise SystemExit(f"waited in vain; value: {values}, value_throttled: {releases}")

    tab.goto(f"http://127.0.0.1:{serve.port}/")
    handle = tab.locator(".noUi-handle")
    handle.focus()
    tab.keyboard.press("ArrowRight")
    wait_for(lambda: releases == [1])

    slider = documents[0].get_model_by_name("slider")
    documents[0].add_next_tick_callback(lambda: slider.update(value=0))
    shown = "Bokeh.documents[0].get_model_by_name('slider').value"
    wait_for(lambda: tab.evaluate(shown) == 0)

    handle.focus()
    tab.keyboard.press("ArrowRight")
    wait_for(lambda: values == [1, 0, 1])
    tab.wait_for_timeout(2000)
    tab.keyboard.press("ArrowRight")
    wait_for(lambda: values == [1, 0, 1, 2])
    wait_for(lambda: releases[-1] == 2)
    browser.close()
print("value:", values, "value_throttled:", releases)
assert releases == [1, 2], "the repeated release is heard now"
PY
