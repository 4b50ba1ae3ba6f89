"""A page in a notebook: live where a browser shows it, a still picture where none does."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Protocol

import panel as pn

from imnn_lab.dashboards.host.ipykernel_private import hear_where_asked
from imnn_lab.dashboards.host.kernel import PERIOD, NotebookTicker, kernel_shell
from imnn_lab.dashboards.host.panel_private import LiveColumn, open_comms, scripts_are_loaded
from imnn_lab.dashboards.host.sessions import in_session, tick_with_session


class Page(Protocol):
    """What is kept up to date."""

    @property
    def body(self) -> LiveColumn:
        """What is shown."""

    def tick(self) -> bool:
        """Bring the body up to date; return whether to continue while nobody acts."""


class Pictured(Page, Protocol):
    """A page that has a picture for notebooks that no browser shows."""

    def new_picture(self) -> bytes | None:
        """Return a PNG, None unless it differs from the last one."""


def prepare_notebook() -> None:
    """Load Panel's scripts into a notebook, from this machine, unless they are there."""
    if kernel_shell() is not None and not scripts_are_loaded():
        pn.extension(inline=True)


def load_mathematics(labels: Iterable[str]) -> None:
    """Load what writes LaTeX, from this machine, into pages and notebooks whose names have some."""
    if any(getattr(label, "latex", None) for label in labels):
        pn.extension("mathjax", inline=kernel_shell() is not None)


def follow(page: Page) -> NotebookTicker | None:
    """Keep a page up to date, in its session's loop or in a notebook's thread.

    Returns
    -------
    NotebookTicker or None
        What ticks the page in a notebook, None elsewhere.
    """
    if in_session():
        tick_with_session(page.tick, PERIOD)
        return None
    shell = kernel_shell()
    if shell is None:
        return None
    page.body.shown = shown = ShownPage(page)  # lives as long as the body
    ticker = NotebookTicker(shown)
    ticker.follow(shell.events)
    return ticker


class ShownPage:
    """A page as a notebook shows it: brought up to date and pushed while a frontend listens.

    A push to a frontend that never answers would be repeated for ever.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def tick(self) -> bool:
        """Tick the page and push what changed; return whether to continue while nobody acts."""
        if not has_answered(self.page.body):
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


class StillPicture:
    """A picture put beside a page that no browser shows, renewed after the cells that change it.

    Without a browser (a notebook run as a batch) nothing else would show what a cell did.

    Parameters
    ----------
    page : Pictured
        Held weakly.
    """

    def __init__(self, page: Pictured) -> None:
        from IPython.display import HTML, display

        self._events = kernel_shell().events
        self._page = weakref.ref(page)
        self._display = display(HTML(""), display_id=True)
        self._events.register("post_run_cell", self._after_cell)

    def _after_cell(self, *_: Any) -> None:
        page = self._page()
        if page is None or has_answered(page.body):
            self._events.unregister("post_run_cell", self._after_cell)
            return
        picture = page.new_picture()
        if picture is not None:
            from IPython.display import Image

            self._display.update(Image(picture))
