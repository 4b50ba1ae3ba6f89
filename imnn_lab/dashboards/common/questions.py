"""What readers ask that takes a while: the work, how far it is, and what was found.

It belongs to what is asked about, and not to a page: any page may show it, at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from imnn_lab.dashboards.common.background import Record, Work

Tell = Callable[[float], Any]


class Stopped(Exception):
    """Raised where the reader does not want to wait any longer."""


class Question:
    """Something that is asked, one at a time.

    Parameters
    ----------
    name : str

    Attributes
    ----------
    work : Work
    share : float
        How much of the work is done, from 0 to 1.
    """

    def __init__(self, name: str) -> None:
        self.work, self.share = Work(name), 0.0
        self._found = Record[tuple[Hashable, Any]]()

    @property
    def found(self) -> tuple[tuple[Hashable, Any], ...]:
        """All that was found so far, each with what it is about."""
        return self._found.read()

    def ask(self, make: Callable[[Tell], Any], subject: Callable[[], Hashable]) -> None:
        """Find an answer in a thread, unless one is being found.

        Parameters
        ----------
        make : callable
            ``make(tell)`` returns it; it calls ``tell(share)``, which may raise, as it goes on.
        subject : callable
            Returns what it is about.
        """

        def task(stop: threading.Event) -> str:
            def tell(share: float) -> None:
                self.share = share
                if stop.is_set():
                    raise Stopped

            about = subject()
            tell(0.0)
            try:
                self._found.append((about, make(tell)))
            except Stopped:
                return "cancelled"
            return "done"

        self.work.start(task)


class Questions:
    """What was asked about one network, by name."""

    def __init__(self) -> None:
        self._named: dict[str, Question] = {}

    def named(self, name: str) -> Question:
        """Return the question of this name, which is asked for the first time if it is new."""
        return self._named.setdefault(name, Question(name))

    @property
    def works(self) -> tuple[Work, ...]:
        """All that looks for an answer."""
        return tuple(question.work for question in list(self._named.values()))

    def stop(self) -> None:
        """Ask all of it to end."""
        for work in self.works:
            work.stop()
