"""How often a live page is brought up to date."""

from __future__ import annotations

import time

SHARE = 0.02
LONGEST_WAIT = 1.0


class Pace:
    """Keeps the time that ticks take to a small share of all, so that training is not held up.

    Parameters
    ----------
    share : float
        Of the time, from 0 to 1.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share, self._due, self._started = share, 0.0, 0.0

    @property
    def is_due(self) -> bool:
        """Whether enough time has gone by since the last tick."""
        return time.monotonic() >= self._due

    def __enter__(self) -> Pace:
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        now = time.monotonic()
        self._due = now + min((now - self._started) / self._share, LONGEST_WAIT)
