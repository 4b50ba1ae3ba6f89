"""The beginning of a page is sent at once, with the picture that it opens with, and then the rest.

Building a page takes most of a second, in which a browser would have nothing to show.
"""

from __future__ import annotations

from typing import Any

from bokeh.server.session import ServerSession
from panel.io.server import DocHandler
from tornado.web import Application

from imnn_lab.dashboards.page import THEME

REMOVE = '<script>document.querySelector("#imnn-first").remove()</script>'


class OpeningHandler(DocHandler):
    """Answers as Panel does, but sends the beginning of the page before the rest is built.

    The beginning is what the last page of the same theme had: before the first of them there is
    none. A page with a query is sent as a whole, since it may show something else.
    """

    def initialize(self, first: str, openings: dict[tuple[str, bool], str], **options: Any) -> None:
        """Keep what is shown first, and the beginnings of pages by their paths and themes."""
        self._first, self._openings, self._sent = first, openings, ""

    @property
    def _kind(self) -> tuple[str, bool]:
        """Path of the page, and whether it is dark."""
        return self.request.path, self.get_cookie(THEME) == "dark"

    async def get_session(self) -> ServerSession:
        """Send the beginning, now that the visitor may see the page, and build the rest."""
        is_plain = not self.request.query and self.request.version == "HTTP/1.1"
        self._sent = self._openings.get(self._kind, "") if is_plain else ""
        if self._sent:
            super().write(self._sent)
            self.flush()
        return await super().get_session()

    def write(self, chunk: Any) -> None:
        """Write a page, or what is left of it; a picture that it does not have is removed."""
        page = str(chunk)
        head, first, _ = page.partition(self._first)
        if first and not self.request.query:
            self._openings[self._kind] = head + first
        if self._sent:
            begins_so = page.startswith(self._sent)
            chunk = page.removeprefix(self._sent) if begins_so else REMOVE + page
        super().write(chunk)


def open_at_once(application: Application, first: str) -> None:
    """Let a server send the beginnings of its pages at once.

    Parameters
    ----------
    application : Application
        Answers with Panel's pages.
    first : str
        HTML with which the beginnings end; its first element is called ``imnn-first``.
    """
    for rule in application.wildcard_router.rules:
        if rule.target is DocHandler:
            rule.target = OpeningHandler
            rule.target_kwargs = {**rule.target_kwargs, "first": first, "openings": {}}
