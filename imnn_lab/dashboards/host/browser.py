"""Keeps to the pace of a browser, which says when it has drawn what it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST_WAIT, LONGEST_WAIT = 2.0, 30.0  # seconds for an answer


class Acknowledged:
    """A browser that is asked whether it has drawn, and sent nothing more before it answers.

    Otherwise messages to a slow browser would queue up there, and what its reader does would wait
    behind them. An answer can be lost: it is waited for so long, and twice as long after each
    question that was not answered in time.

    Parameters
    ----------
    send : callable
        Sends a question, a whole number above 0, after what is to be drawn.
    """

    def __init__(self, send: Callable[[int], object]) -> None:
        self._send = send
        self._asked, self._answered = 0, 0
        self._asked_at, self._wait = 0.0, SHORTEST_WAIT

    def ask(self) -> None:
        """Send the next question."""
        missed = self._answered != self._asked
        self._wait = min(2 * self._wait, LONGEST_WAIT) if missed else SHORTEST_WAIT
        self._asked += 1
        self._asked_at = time.monotonic()
        self._send(self._asked)

    def answer(self, n: int) -> None:
        """Take the answer to question `n`."""
        self._answered = n

    def arrive(self) -> None:
        """Say that a browser has come: it does not answer what was asked before."""
        self._answered = self._asked

    @property
    def is_awaited(self) -> bool:
        """Whether the last question has no answer yet, and is waited for."""
        if self._answered == self._asked:
            return False
        return time.monotonic() < self._asked_at + self._wait
