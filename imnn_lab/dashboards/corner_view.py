"""The corner plot of all posteriors."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.dashboards.drawings import placed
from imnn_lab.dashboards.layout import card
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import words
from imnn_lab.figures.interactive_panels import Brush, Drawing


class CornerView(pn.viewable.Viewer):
    """Posteriors over each other, with the draws that are accepted below the contours."""

    def __init__(self, snapshot: Snapshot, brush: Brush, **params: Any) -> None:
        super().__init__(**params)
        self._shown = snapshot.key
        height = 260 if len(snapshot.labels) < 3 else 190
        self._drawing = Drawing(snapshot.corner(), "corner", brush=brush, height=height)
        self._body = card(
            "Posteriors",
            words("Click a name to hide it; drag over draws to select them."),
            placed(self._drawing),
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        if snapshot.key != self._shown:
            self._shown = snapshot.key
            self._drawing.update(snapshot.corner())

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body
