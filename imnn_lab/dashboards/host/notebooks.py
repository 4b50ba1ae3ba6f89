"""A page in a notebook: live where a browser shows it, a still picture where none does."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Protocol

import panel as pn

from imnn_lab.dashboards.host.ipykernel_private import hear_where_asked
from imnn_lab.dashboards.host.kernel import PERIOD, NotebookTicker, is_batch, kernel_shell
from imnn_lab.dashboards.host.panel_private import (
    LiveColumn,
    open_comms,
    scripts_are_loaded,
    scripts_of,
)
from imnn_lab.dashboards.host.sessions import in_session, tick_with_session
from imnn_lab.dashboards.host.still import Pictured, StillPicture


class Page(Pictured, Protocol):
    """What is kept up to date."""

    @property
    def body(self) -> LiveColumn:
        """What is shown."""

    def tick(self) -> bool:
        """Bring the body up to date; return whether to continue while nobody acts."""


@functools.cache
def loads_panel() -> bool:
    """Return whether to send Panel's scripts: not if a notebook had them before this was asked."""
    return not scripts_are_loaded()


def load_mathematics(labels: Iterable[str]) -> None:
    """Load what writes LaTeX, from this machine, into pages and notebooks whose names have some."""
    if not any(getattr(label, "latex", None) for label in labels):
        return
    if kernel_shell() is None or not loads_panel():
        pn.extension("mathjax", inline=kernel_shell() is not None)
    else:
        scripts_of("mathjax")  # sent with each page from now on


def follow(page: Page) -> NotebookTicker | None:
    """Keep a page up to date, in its session's loop or in a notebook's thread.

    Returns
    -------
    NotebookTicker or None
        What ticks the page in a notebook that a browser shows, None elsewhere.
    """
    if in_session():
        tick_with_session(page.tick, PERIOD)
        return None
    shell = kernel_shell()
    if shell is None:
        return None
    if is_batch(shell):
        page.body.still = StillPicture(page, shell, is_batch=True)
        return None
    page.body.still = still = StillPicture(page, shell, scripts_of() if loads_panel() else "")
    page.body.shown = shown = ShownPage(page, still)  # lives as long as the body
    ticker = NotebookTicker(shown)
    ticker.follow(shell.events)
    return ticker


class ShownPage:
    """A page as a notebook shows it: brought up to date and pushed while a frontend listens.

    A push to a frontend that never answers would be repeated for ever.
    """

    def __init__(self, page: Page, still: StillPicture) -> None:
        self.page, self._still = page, still

    def tick(self) -> bool:
        """Tick the page and push what changed; return whether to continue while nobody acts."""
        is_shown = has_answered(self.page.body)
        self._still.renew(is_shown)
        if not is_shown:
            return False
        with self.page.body.turn:
            is_busy = self.page.tick()
            pn.io.push_notebook(self.page.body)
        return is_busy


def has_answered(view: Any) -> bool:
    """Return whether a frontend has opened its connection to a display of a view; listen to it."""
    comms = open_comms(view)
    for comm in comms:
        hear_where_asked(comm)
    return bool(comms)
