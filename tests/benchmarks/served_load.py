"""A served laboratory under load: seconds of page loads and of slider moves, and memory.

Run as ``python tests/benchmarks/served_load.py [seconds]`` with ``tests`` on the path; it prints
the figures. Visitors who train are pages of Chromium, as is one who only loads the page; the
others speak Bokeh's protocol without a browser, since twenty browsers would leave the server
nothing of a small machine.
"""

import asyncio
import contextlib
import json
import os
import re
import statistics
import sys
import threading
import time

import psutil
from dashboards import visitor
from dashboards.serving import column, launched
from playwright.sync_api import sync_playwright
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

VISITORS, TRAINING, RELOADING = 20, 6, 14
RUNNING = min(4, max(1, os.cpu_count() - 1))  # as many as the server runs by default
READY = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
        }
    ],
}


class Light:
    """A visitor without a browser: loads the page, has its document sent, says it is ready."""

    def __init__(self, address):
        self._address, self._socket, self._listening = address, None, None

    async def load(self):
        """Leave the page, and load it anew; return the seconds until its document is here."""
        await self.leave()
        started = time.perf_counter()
        request = HTTPRequest(self._address + "/", request_timeout=300, connect_timeout=300)
        page = await AsyncHTTPClient().fetch(request)
        token = re.search(rb'"token":"([^"]+)"', page.body)[1].decode()
        self._socket = await websocket_connect(
            self._address.replace("http", "ws") + "/ws",
            subprotocols=["bokeh", token],
            max_message_size=10**8,
        )
        await self._message("ACK")
        await self._send("PULL-DOC-REQ", {})
        await self._message("PULL-DOC-REPLY")
        seconds = time.perf_counter() - started
        await self._send("PATCH-DOC", READY)
        self._listening = asyncio.ensure_future(self._listen())
        return seconds

    async def leave(self):
        """Close the page."""
        if self._socket is not None:
            self._listening.cancel()
            self._socket.close()
            self._socket = None

    async def _send(self, kind, content):
        for part in ({"msgid": "1", "msgtype": kind}, {}, content):
            await self._socket.write_message(json.dumps(part))

    async def _message(self, kind):
        while True:
            header = await self._read()
            for _ in range(2 + 2 * header.get("num_buffers", 0)):
                content = await self._socket.read_message()
            if header["msgtype"] == kind:
                return content

    async def _read(self):
        text = await self._socket.read_message()
        if text is None:
            raise ConnectionError("the server closed a page")
        return json.loads(text)

    async def _listen(self):
        while await self._socket.read_message() is not None:
            pass


async def reloading(visitor, pause, until, seconds, first=0.0):
    await asyncio.sleep(first)
    while time.monotonic() < until:
        seconds.append(await visitor.load())
        await asyncio.sleep(pause)
    await visitor.leave()


def light_visitors(address, number, pause, duration):
    """Let light visitors reload in a thread; return it and the seconds that it fills."""
    seconds = []

    async def all_of_them():
        AsyncHTTPClient.configure(None, max_clients=100)
        until = time.monotonic() + duration
        await asyncio.gather(
            *(
                reloading(Light(address), pause, until, seconds, pause * n / number)
                for n in range(number)
            )
        )

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    return thread, seconds


def memory(process):
    return psutil.Process(process.pid).memory_info().rss / 1e6


def told(name, seconds):
    seconds = sorted(seconds)
    if not seconds:
        print(f"{name}: none", flush=True)
        return
    late = seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    print(
        f"{name}: {len(seconds)}, median {statistics.median(seconds):.2f} s, "
        f"95 % {late:.2f} s, largest {seconds[-1]:.2f} s", flush=True,
    )  # fmt: skip


def moved(page, times):
    """Move λ by a key; return the seconds until the move is marked on the page."""
    before = column(page, "iteration", "steering_marks")
    started = time.perf_counter()
    visitor.press(page, "λ", "ArrowRight" if times % 2 else "ArrowLeft")
    while column(page, "iteration", "steering_marks") == before:
        page.wait_for_timeout(20)
        if time.perf_counter() - started > 60:
            break
    return time.perf_counter() - started


def loaded(page, address):
    started = time.perf_counter()
    page.goto(address)
    visitor.button(page, "Build the network").wait_for(timeout=120_000)
    return time.perf_counter() - started


def with_training(browser, address, duration):
    pages = []
    for _ in range(TRAINING):
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.goto(address)
        visitor.button(page, "Build the network").click()
        pages.append(page)
    running = []
    for page in pages[:RUNNING]:
        page.get_by_text("network is ready").wait_for(timeout=240_000)
        visitor.start(page)
        running.append(page)
    print("training", flush=True)
    onlooker = browser.new_page()
    thread, light = light_visitors(address, VISITORS - TRAINING - 1, 30, duration)
    loads, moves, until = [], [], time.monotonic() + duration
    n = 0
    while time.monotonic() < until:
        n += 1
        for page in running:
            moves.append(moved(page, n))
            page.wait_for_timeout(1500)
        if n % 3 == 0:
            loads.append(loaded(onlooker, address))
    thread.join()
    told("loads without a browser", light)
    told("loads in Chromium", loads)
    told("slider moves in Chromium", moves)
    for page in [*pages, onlooker]:
        page.close()


if __name__ == "__main__":
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    command = ["imnn_lab.cli", "serve", "--port", "PORT"]
    with launched(command) as (address, process), sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        with_training(browser, address, 5)
        time.sleep(60)
        first = memory(process)
        print(f"memory after a short round: {first:.0f} MB", flush=True)
        for _ in range(2):
            with_training(browser, address, duration)
            time.sleep(60)
            print(f"memory after a round: {memory(process):.0f} MB", flush=True)
        thread, seconds = light_visitors(address, RELOADING, 2, min(duration, 120))
        thread.join()
        told(f"{RELOADING} who reload every 2 s", seconds)
        time.sleep(60)
        print(f"memory after them: {memory(process):.0f} MB", flush=True)
        with contextlib.suppress(Exception):
            browser.close()
