"""The scatter plot of draws and particles, in three choices of axes."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.dashboards.drawings import WIDE, placed
from imnn_lab.dashboards.inference_state import Choices
from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.figures.interactive_panels import Brush, Drawing


class ScatterView(pn.viewable.Viewer):
    """Draws that were accepted and rejected, and particles; linked with other figures."""

    def __init__(self, snapshot: Snapshot, choices: Choices, brush: Brush, **params: Any) -> None:
        super().__init__(**params)
        self._brush, self._shown, self._axes = brush, snapshot.key, snapshot.axes
        self._place = pn.Column(**WIDE)
        self._draw(snapshot)
        axes = pn.widgets.Select.from_param(choices.param.axes, width=240)
        self._body = card("Draws", axes, self._place)

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment; other axes need another figure."""
        if snapshot.key == self._shown:
            return
        self._shown = snapshot.key
        if snapshot.axes != self._axes:
            self._axes = snapshot.axes
            self._draw(snapshot)
        else:
            self._drawing.update(snapshot.scatter())

    def _draw(self, snapshot: Snapshot) -> None:
        height = 220 if len(snapshot.labels) < 3 else 170
        self._drawing = Drawing(snapshot.scatter(), "scatter", brush=self._brush, height=height)
        self._place[:] = [placed(self._drawing)]

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body
