"""What a training dashboard costs: throughput, delay of a slider, a tick, memory of sessions."""

import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bokeh.document import Document
from dashboards.scripted import ScriptedNetwork
from dashboards.serving import ROOT
from makers import small_imnn

from imnn_lab.dashboards import TrainingDashboard

pytestmark = pytest.mark.benchmark
PAIRS = 60


def shown(network):
    """Return a dashboard whose models are in a document that counts what would be sent."""
    dashboard, document = TrainingDashboard(network).page(), Document()
    document.add_root(dashboard.body.get_root(document))
    return dashboard, document


class Ticks:
    """Ticks a dashboard four times a second in a thread, as a session's loop does."""

    def __init__(self, dashboard):
        self._dashboard, self._ended = dashboard, threading.Event()
        self.seconds = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(0.25):
            started = time.perf_counter()
            self._dashboard.pump.tick()
            self.seconds.append(time.perf_counter() - started)


def rate(run, tick=None, seconds=1.0):
    """Return iterations per second of a run, ticked as by a session's loop or not."""
    first, before = run.iteration, time.perf_counter()
    while time.perf_counter() < before + seconds:
        time.sleep(0.25)
        if tick is not None:
            tick()
    return (run.iteration - first) / (time.perf_counter() - before)


def test_throughput_with_an_open_dashboard():
    imnn = small_imnn()
    dashboard, _ = shown(imnn)
    run = imnn.start(10**7)
    while run.iteration < 200:
        time.sleep(0.1)
    tick, shares, nothing = dashboard.pump.tick_if_due, [], []
    for pair in range(PAIRS):
        for ticked, ratios in ((tick, shares), (None, nothing)):
            order = (None, ticked) if pair % 2 else (ticked, None)
            found = [rate(run, act) for act in order]
            ratios.append(found[pair % 2] / found[1 - pair % 2])
    run.stop()
    run.wait(60)
    share, without = statistics.median(shares), statistics.median(nothing)
    print(f"throughput with a dashboard: {share:.1%}; with none in both (noise): {without:.1%}")
    assert share >= 0.95


def test_release_of_a_slider_to_application():
    imnn = small_imnn()
    dashboard, _ = shown(imnn)
    dashboard.state.n_iterations = 10**7
    dashboard.state.start()
    while imnn.run.iteration < 50:
        time.sleep(0.01)
    delays = []
    with Ticks(dashboard):
        for exponent in np.linspace(0.5, 0.9, 10):
            marks = len(imnn.history.marks)
            started = time.perf_counter()
            dashboard.state.log_lambda = float(exponent)
            dashboard.state.apply_pair()
            while len(imnn.history.marks) == marks:
                time.sleep(0.001)
            delays.append(time.perf_counter() - started)
    imnn.run.stop()
    imnn.run.wait(60)
    print(f"release to application: median {1e3 * statistics.median(delays):.0f} ms, "
          f"largest {1e3 * max(delays):.0f} ms")  # fmt: skip
    assert max(delays) <= 0.3


def test_a_tick_on_a_long_history():
    network = ScriptedNetwork()
    network.start(10**6)
    network.train(200_000)
    dashboard, _ = shown(network)
    dashboard.pump.tick()
    seconds = []
    for _ in range(100):
        network.train(50)
        started = time.perf_counter()
        dashboard.pump.tick()
        seconds.append(time.perf_counter() - started)
    print(f"tick at 200,000 iterations: median {1e3 * statistics.median(seconds):.1f} ms, "
          f"largest {1e3 * max(seconds):.1f} ms")  # fmt: skip
    assert statistics.median(seconds) <= 0.030


def test_memory_of_sessions_is_returned():
    command = [sys.executable, str(Path(__file__).parent / "session_memory.py"), "20"]
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run(command, env=os.environ | paths, capture_output=True, check=True)
    before, after = map(float, done.stdout.split())
    print(f"memory after 20 sessions: {after:.0f} MB, before {before:.0f} MB")
    assert after <= 1.1 * before
