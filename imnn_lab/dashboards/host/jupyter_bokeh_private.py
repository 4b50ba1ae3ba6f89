"""The private name of jupyter_bokeh 4 that imnn_lab uses.

``tests/dashboards/test_private_names.py`` says what an upgrade breaks.
"""

from __future__ import annotations

from typing import Any

from jupyter_bokeh import BokehModel


class SentFigures(BokehModel):
    """Figures that are sent to a browser; of its answers only "drawn" is used.

    jupyter_bokeh's frontend returns whatever it is sent, and its kernel side applies that in a
    thread of its own (``_sync_model``; no public issue known), which would replace newer points
    by older ones.

    Attributes
    ----------
    was_drawn : bool
        Whether a browser has drawn them since this was last set to False.
    """

    was_drawn = False

    def _sync_model(self, _model: BokehModel, content: dict[str, Any], _buffers: list) -> None:
        if content.get("attr") == "inner_width":
            self.was_drawn = True

    def close(self) -> None:
        """Close once: jupyter_bokeh raises KeyError when a closed widget is closed again.

        ipywidgets closes every widget again when it is collected (``Widget.__del__``).
        """
        if self.comm is not None:
            super().close()
