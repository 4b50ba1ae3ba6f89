"""The private name of jupyter_bokeh 4 that imnn_lab uses.

``tests/dashboards/test_private_names.py`` says what an upgrade breaks.
"""

from __future__ import annotations

from typing import Any

from bokeh.models import LayoutDOM
from jupyter_bokeh import BokehModel

from imnn_lab.dashboards.host.browser import Acknowledged


class SentFigures(BokehModel):
    """Figures that are sent to a browser; of what it returns only two things are used.

    jupyter_bokeh's frontend returns whatever it is sent, and its kernel side applies that in a
    thread of its own (``_sync_model``; no public issue known), which would replace newer points
    by older ones. What is used: that the figures were drawn, and the question of `browser`, which
    returns when all that was sent before it has arrived.

    Parameters
    ----------
    model : bokeh.models.LayoutDOM
        Its `tags` hold the question.

    Attributes
    ----------
    was_drawn : bool
        Whether a browser has drawn them since this was last set to False.
    browser : Acknowledged
    """

    was_drawn = False

    def __init__(self, model: LayoutDOM) -> None:
        super().__init__(model)
        self.browser = Acknowledged(lambda n: self._model.update(tags=[n]))

    def show(self, model: LayoutDOM) -> None:
        """Show other figures, which a browser draws in place of these."""
        self._model.document.remove_on_change(self)
        self.update_from_model(model)

    def _sync_model(self, _model: BokehModel, content: dict[str, Any], _buffers: list) -> None:
        if content.get("msg_data", {}).get("name") == "document_ready":
            self.was_drawn = True
            self.browser.arrive()
        elif content.get("attr") == "tags" and content["model"]["id"] == self._model.id:
            self.browser.answer(*content["new"])

    def close(self) -> None:
        """Close once: jupyter_bokeh raises KeyError when a closed widget is closed again.

        ipywidgets closes every widget again when it is collected (``Widget.__del__``).
        """
        if self.comm is not None:
            super().close()
