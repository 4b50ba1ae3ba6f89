"""What every answer of the server must have, and whom it answers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tornado.httputil import HTTPHeaders
from tornado.web import Application, OutputTransform, RedirectHandler, RequestHandler

from imnn_lab.laboratory.options import ORIGIN

POLICY = "; ".join(
    [
        "default-src 'self'",
        # Panel and Bokeh load components from blobs, and make functions of the words of callbacks
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline' blob:",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        # notebooks of this machine show the page in a frame
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*",
    ]
)
HERE = ("localhost", "127.0.0.1", "[::1]")


class SafeHeaders(OutputTransform):
    """Keeps pages of other hosts from framing ours, and ours from asking other hosts."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add the headers."""
        headers["Content-Security-Policy"] = POLICY
        headers["X-Frame-Options"] = "SAMEORIGIN"  # where frame-ancestors is not known
        return status_code, headers, chunk


class ForeignHost(RequestHandler):
    """Refuses requests under a name that is not this server's.

    A page of another host can have its name point here, and would count as of the same origin.
    """

    def prepare(self) -> None:
        """Say how the name would be allowed."""
        asked = self.request.host
        name = asked if ORIGIN.fullmatch(asked) else "NAME[:PORT]"
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(
            "This server does not answer under this name. Whoever runs it can allow the name: "
            f"imnn-lab serve --allow-websocket-origin {name}\n"
        )


def protect(application: Application, names: Iterable[str]) -> None:
    """Add `SafeHeaders` to all answers, and refuse requests under other names than these.

    Parameters
    ----------
    application : Application
    names : iterable of str
        Names of hosts; each may have a port, which does not count, and * for any part. Those of
        this machine (`HERE`) are always allowed.
    """
    application.add_transform(SafeHeaders)
    allowed = {name.rpartition(":")[0] or name for name in names} | set(HERE)
    if "*" not in allowed:
        patterns = (re.escape(name.lower()).replace(r"\*", "[^.]*") for name in sorted(allowed))
        application.add_handlers(rf"(?!(?:{'|'.join(patterns)})$).*", [(r".*", ForeignHost)])


def add_slash(application: Application, prefix: str) -> None:
    """Send who asks for the path of a page without a slash at its end to the page.

    All other addresses are relative to it, that of the login too.
    """
    last = prefix.rpartition("/")[2]
    application.add_handlers(r".*", [(re.escape(prefix), RedirectHandler, {"url": f"{last}/"})])
