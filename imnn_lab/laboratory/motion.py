"""Whether a reader wants nothing to move by itself; browsers know (prefers-reduced-motion)."""

from __future__ import annotations

import panel as pn
from bokeh.document import Document
from bokeh.models import CustomJS, Toggle

TELL = 'if (matchMedia("(prefers-reduced-motion: reduce)").matches) unwanted.active = true'


class Motion:
    """What a browser says of its reader's wish.

    Attributes
    ----------
    body : Viewable
        Unseen; part of the page, so that the browser can answer.
    """

    def __init__(self) -> None:
        self._model = Toggle(visible=False)
        self.body = pn.pane.Bokeh(self._model, visible=False, margin=0)

    @property
    def is_unwanted(self) -> bool:
        """Whether nothing is to move by itself; False until the browser has answered."""
        return bool(self._model.active)

    def ask(self, document: Document) -> None:
        """Ask the browser of a served page once it is ready."""
        document.js_on_event("document_ready", CustomJS(args={"unwanted": self._model}, code=TELL))
