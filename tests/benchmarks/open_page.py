"""A page of training left open: seconds from a slider to its effect, and memory of the browser.

Run as ``python tests/benchmarks/open_page.py [minutes]`` with ``tests`` on the path, and nothing
else on the machine. It steers λ from minute 1 on and once more in the last minute, and prints both
medians with what the browser held then, after its garbage was collected. The fit does not end
before the page is closed.
"""

import shutil
import statistics
import sys
import time

import psutil
from dashboards import visitor
from dashboards.serving import column, launched
from playwright.sync_api import sync_playwright

MOVES = 25


def effect(page, key):
    """Move λ by a key; return the seconds until its mark is on the page."""
    before = len(column(page, "label", "steering_marks"))
    started = time.perf_counter()
    visitor.press(page, "λ", key)
    while len(column(page, "label", "steering_marks")) == before:
        assert time.perf_counter() - started < 60
        page.wait_for_timeout(10)
    return time.perf_counter() - started


def memory(page):
    """Return MB of the page's objects, and of all processes of the browser."""
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.collectGarbage")
    client.send("Performance.enable")
    figures = {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}
    client.detach()
    browser = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
    return figures["JSHeapUsedSize"] / 1e6, sum(p.memory_full_info().pss for p in browser) / 1e6


def measured(page, minute):
    seconds = [effect(page, "ArrowLeft" if n % 2 else "ArrowRight") for n in range(MOVES)]
    objects, browser = memory(page)
    iteration = column(page, "det_F_iteration")[-1]
    print(
        f"minute {minute:.0f}, iteration {iteration:,.0f}: slider to effect, median of {MOVES}, "
        f"{1e3 * statistics.median(seconds):.0f} ms (largest {1e3 * max(seconds):.0f}); "
        f"objects {objects:.1f} MB, browser {browser:.0f} MB", flush=True,
    )  # fmt: skip
    return statistics.median(seconds), objects, browser


if __name__ == "__main__":
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    command = ["imnn_lab.cli", "serve", "--port", "PORT"]
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with launched(command) as (address, _), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(300_000)
        page.goto(address)
        visitor.build(page)
        visitor.start(page)
        began = time.monotonic()
        page.wait_for_timeout(60_000)
        first = measured(page, 1)
        page.wait_for_timeout(max(0.0, 60_000 * minutes - 1e3 * (time.monotonic() - began)))
        last = measured(page, minutes)
        ratios = [after / before for before, after in zip(first, last, strict=True)]
        print("last to first: slider {:.2f}, objects {:.2f}, browser {:.2f}".format(*ratios))
        browser.close()
