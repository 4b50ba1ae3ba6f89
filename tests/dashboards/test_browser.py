"""The pace of a browser: nothing is sent to it while it draws."""

import pytest

from imnn_lab.dashboards.host import browser
from imnn_lab.dashboards.host.browser import LONGEST_WAIT, SHORTEST_WAIT, Acknowledged


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [100.0]
    monkeypatch.setattr(browser.time, "monotonic", lambda: now[0])
    return now


def test_it_is_awaited_until_it_answers_the_last_question(clock):
    sent = []
    slow = Acknowledged(sent.append)
    assert not slow.is_awaited
    slow.ask()
    assert sent == [1]
    assert slow.is_awaited
    slow.answer(1)
    assert not slow.is_awaited
    slow.ask()
    slow.answer(1)
    assert slow.is_awaited, "an older answer says nothing of the last question"


def test_each_lost_answer_doubles_the_wait_and_one_that_comes_ends_it(clock):
    slow = Acknowledged(lambda n: None)

    def waited():
        slow.ask()
        began = clock[0]
        while slow.is_awaited:
            clock[0] += 0.5
        return clock[0] - began

    expected = [SHORTEST_WAIT * 2**k for k in range(4)] + [LONGEST_WAIT] * 2
    assert [waited() for _ in expected] == expected
    slow.answer(len(expected))
    assert waited() == SHORTEST_WAIT


def test_a_browser_that_comes_does_not_answer_what_was_asked_before(clock):
    slow = Acknowledged(lambda n: None)
    slow.ask()
    slow.arrive()
    assert not slow.is_awaited
    slow.ask()
    assert slow.is_awaited
