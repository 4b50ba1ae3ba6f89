"""A still picture with its numbers, which a saved notebook shows where a dashboard was.

A notebook keeps what a cell has put out, and a page is not among it: what it shows lives in the
browser and in the kernel. So a cell puts out two things. The first has the scripts that a page
needs; when a browser has answered, the picture takes their place, and they are saved with no
notebook. The second is the page. It opens only where the first has just been put out, once, and
hides the picture as long as it stands.
"""

from __future__ import annotations

import base64
import html
import threading
import time
import uuid
import weakref
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol

SCREEN = 100  # dots per inch of a picture
SETTLED = 1.5  # seconds without a change after which a picture is drawn
HEAD, TAIL = '<script type="application/javascript">', "</script>"
NONE_YET = "The dashboard has no picture yet: it gets one when there are results."
HINT = "Saved from a dashboard. Run this cell to open it again."
MARK = '(window.imnn_lab_opening ??= {})["TOKEN"] = true'
HIDE = "<style>.imnn-still-TOKEN { display: none }</style>"
ONCE = """
{
  const show = () => {
    PAGE
  }
  const look = left => {
    const opening = window.imnn_lab_opening ?? {}
    if (opening["TOKEN"]) {
      delete opening["TOKEN"]
      document.getElementById("imnn-live-TOKEN").innerHTML = "HIDE"
      show()
    } else if (left) setTimeout(look, 50, left - 1)
  }
  setTimeout(look, 0, 100)  // when JupyterLab has said which kernel the page belongs to
}
""".replace("HIDE", HIDE)


@dataclass(frozen=True)
class Picture:
    """What a page shows, for those who only have the notebook.

    Attributes
    ----------
    images : tuple of bytes
        PNG files.
    numbers : str
        HTML.
    """

    images: tuple[bytes, ...]
    numbers: str


class Pictured(Protocol):
    """What has a picture."""

    def picture_key(self) -> Hashable | None:
        """Return what changes with the picture, None while there is nothing to draw."""

    def picture(self) -> Picture:
        """Draw the present picture; any thread may ask."""


class StillPicture:
    """The picture of a page in the outputs of a cell, drawn anew when its results have changed.

    Parameters
    ----------
    page : Pictured
        Held weakly where a browser shows it; where none does, as long as the kernel lives.
    shell : object
        The interactive shell of the notebook's kernel.
    scripts : str, optional
        What the page needs, as JavaScript; None if no page waits for it, see `opens`.
    is_batch : bool
        Whether no browser will ever show the page.

    Attributes
    ----------
    token : str
        Tells this picture from others in the browser.
    is_batch : bool
    """

    def __init__(
        self, page: Pictured, shell: Any, scripts: str | None = None, is_batch: bool = False
    ) -> None:
        self.is_batch = is_batch
        self._page, self._held = weakref.ref(page), page if is_batch else None
        self._lock, self._events = threading.Lock(), shell.events
        self._picture: Picture | None = None
        self._drawn: Hashable | None = None
        self._seen: tuple[Hashable | None, float] = None, 0.0
        self.token = uuid.uuid4().hex
        self._scripts = "" if scripts is None else f"{scripts}\n{self._named(MARK)}"
        self._put(is_update=False)
        self._events.register("post_run_cell", self._after_cell)

    def opens(self, page_html: str, first: str = "") -> str:
        """Return the HTML of a page so that it opens where this picture has just been put out.

        `first` is JavaScript that runs before the page's own.
        """
        before, _, rest = page_html.partition(HEAD)
        script, _, after = rest.rpartition(TAIL)
        once = self._named(ONCE).replace("PAGE", first + script)
        place = self._named('<div id="imnn-live-TOKEN"></div>')
        return f"{before}{place}{HEAD}{once}{TAIL}{after}"

    @property
    def hiding(self) -> str:
        """HTML that hides the picture while it is shown."""
        return self._named(HIDE)

    def renew(self, has_answered: bool, at_once: bool = False) -> None:
        """Draw the picture if results have changed, and leave out the scripts that are loaded.

        Parameters
        ----------
        has_answered : bool
            Whether a browser shows the page.
        at_once : bool
            Whether not to wait until nothing changes any more.
        """
        page = self._page()
        with self._lock:
            has_news = has_answered and bool(self._scripts)
            if has_news:
                self._scripts = ""
            if page is not None and self._is_due(page.picture_key(), at_once):
                self._picture, has_news = page.picture(), True
            if has_news:
                self._put(is_update=True)

    def _is_due(self, key: Hashable | None, at_once: bool) -> bool:
        now = time.monotonic()
        if key != self._seen[0]:
            self._seen = key, now
        waits = not at_once and now < self._seen[1] + SETTLED
        if key is None or key == self._drawn or waits:
            return False
        self._drawn = key
        return True

    def _after_cell(self, *_: Any) -> None:
        if self._page() is None:
            self._events.unregister("post_run_cell", self._after_cell)
        else:
            self.renew(has_answered=False, at_once=True)

    def _named(self, text: str) -> str:
        return text.replace("TOKEN", self.token)

    def _put(self, is_update: bool) -> None:
        from IPython.display import display, update_display

        data = {"text/html": self._html(), "text/plain": HINT}
        if self._picture is not None and self._picture.images:
            data["image/png"] = base64.b64encode(self._picture.images[0]).decode()
        (update_display if is_update else display)(data, raw=True, display_id=self.token)

    def _html(self) -> str:
        script = self._scripts.replace("</script", "<\\/script")
        head = f"<script>{script}</script>" if script else ""
        if self._picture is None:
            inside = f"<p>{html.escape(NONE_YET)}</p>"
        else:
            sources = (base64.b64encode(image).decode() for image in self._picture.images)
            inside = "".join(
                f'<img alt="The figures of the dashboard" style="max-width: 100%" '
                f'src="data:image/png;base64,{source}">'
                for source in sources
            )
            inside += f"{self._picture.numbers}<p><small>{html.escape(HINT)}</small></p>"
        return self._named(f'<div class="imnn-still-TOKEN">{inside}</div>{head}')
