"""What readers ask that takes a while: the work, how far it is, and what was found.

It belongs to what is asked about, and not to a page: any page may show it, at any time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from imnn_lab.dashboards.common.background import Record, Work

Tell = Callable[[float], Any]
Found = tuple[Hashable, Any]  # what it is about, and the answer
Keep = Callable[[str, Found], Any]


class Stopped(Exception):
    """Raised where the reader does not want to wait any longer."""


class Question:
    """Something that is asked, one at a time.

    Parameters
    ----------
    name : str
    keep : callable, optional
        ``keep(name, found)`` is called with each answer, and what it is about.
    found : tuple of pairs
        What was found before.

    Attributes
    ----------
    work : Work
    share : float
        How much of the work is done, from 0 to 1.
    """

    def __init__(self, name: str, keep: Keep | None = None, found: tuple[Found, ...] = ()) -> None:
        self.name, self.work, self.share = name, Work(name), 0.0
        self._keep, self._found = keep, Record(found)

    @property
    def found(self) -> tuple[Found, ...]:
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
                found = about, make(tell)
            except Stopped:
                return "cancelled"
            self._found.append(found)
            if self._keep is not None and not stop.is_set():
                self._keep(self.name, found)
            return "done"

        self.work.start(task)


class Questions:
    """What was asked about one network, by name.

    Parameters
    ----------
    keep : callable, optional
        As for a `Question`.
    """

    def __init__(self, keep: Keep | None = None) -> None:
        self._keep, self._named = keep, dict[str, Question]()

    def named(self, name: str) -> Question:
        """Return the question of this name, which is asked for the first time if it is new."""
        return self._named.setdefault(name, Question(name, self._keep))

    def restore(self, found: Mapping[str, Found]) -> None:
        """Take over what was found before a restart, by the names of the questions."""
        for name, each in found.items():
            self._named[name] = Question(name, self._keep, (each,))

    @property
    def works(self) -> tuple[Work, ...]:
        """All that looks for an answer."""
        return tuple(question.work for question in list(self._named.values()))

    def stop(self) -> None:
        """Ask all of it to end."""
        for work in self.works:
            work.stop()
