"""The work that a page starts and may stop."""

import threading
from pathlib import Path

import numpy as np
import pytest

from imnn_lab import checks, storage
from imnn_lab.dashboards.common.background import Record, Work

HERE = Path(__file__).parent


class LockThatStops:
    """A lock whose release is followed at once by a request to stop."""

    def __init__(self, work):
        self._work, self._lock = work, threading.Lock()

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *error):
        self._lock.__exit__(*error)
        self._work.stop()


def test_a_stop_right_after_the_start_is_kept():
    work = Work("test")
    work._lock = LockThatStops(work)
    work.start(lambda stop: "stopped" if stop.wait(5) else "never stopped")
    assert work.wait(30)
    assert (work.message, work.state) == ("stopped", "stopped")


def test_a_stop_before_the_start_does_not_count():
    work = Work("test")
    work.stop()
    work.start(lambda stop: f"stop is set: {stop.is_set()}")
    assert work.wait(30)
    assert (work.message, work.state) == ("stop is set: False", "finished")


def test_one_task_runs_at_a_time_and_says_how_it_ended():
    work, record, may_end = Work("test"), Record(), threading.Event()

    def task(stop):
        record.append("first")
        assert may_end.wait(30)
        raise RuntimeError("too bad")

    assert work.state == "idle"
    work.start(task)
    work.start(lambda stop: record.append("second"))
    assert work.is_running
    work.stop()
    assert work.state == "stopping"
    may_end.set()
    assert work.wait(30)
    assert (work.state, work.message) == ("failed", "RuntimeError: too bad")
    assert record.read() == ("first",)


def broken(number):
    return number + "one"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (lambda stop: checks.integer("seed", 1.5), "`seed` must be an integer. Received"),
        (lambda stop: storage.check_holds(HERE, "a.npz", "a state", ""), "`directory` must hold"),
        (lambda stop: storage.read_members(None), "AttributeError: "),
        (lambda stop: broken(1), "TypeError: unsupported operand"),
        (lambda stop: np.zeros(2).reshape(3), "ValueError: cannot reshape"),
    ],
)
def test_what_was_written_for_readers_is_shown_without_its_kind(task, words):
    """Mistakes of the package's own code and what others raise are controls."""
    work = Work("test")
    work.start(task)
    assert work.wait(30)
    assert work.message.startswith(words)


@pytest.mark.parametrize("entries", [(), (1, 2)])
def test_a_record_grows_from_what_it_is_given(entries):
    record = Record(entries)
    before = record.read()
    record.append(3)
    assert (before, record.read(), len(record)) == (entries, (*entries, 3), len(entries) + 1)
