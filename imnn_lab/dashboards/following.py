"""Keeps a page that looks at itself up to date, in a session or in a notebook."""

from __future__ import annotations

from typing import Protocol

import panel as pn

from imnn_lab.dashboards.layout import Body
from imnn_lab.dashboards.notebooks import has_answered
from imnn_lab.dashboards.sessions import in_session, tick_with_session
from imnn_lab.dashboards.ticking import PERIOD, NotebookTicker, kernel_shell


class Page(Protocol):
    """What is followed: `refresh` brings `body` up to date."""

    body: Body

    def refresh(self) -> None:
        """Show what there is now."""


class Followed:
    """A page as a notebook shows it: refreshed and pushed while somebody listens."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def tick(self) -> bool:
        """Refresh the page and push what changed; say whether somebody listens."""
        if not has_answered(self.page.body):
            return False
        with self.page.body.turn:
            self.page.refresh()
            pn.io.push_notebook(self.page.body)
        return True


def follow(page: Page) -> None:
    """Refresh a page four times a second, in its session's loop or in a notebook's thread."""
    if in_session():
        tick_with_session(page.refresh, PERIOD)
        return
    shell = kernel_shell()
    if shell is not None:
        followed = Followed(page)
        page.body.followed = followed  # what is shown keeps what follows it
        NotebookTicker(followed).follow(shell.events)
