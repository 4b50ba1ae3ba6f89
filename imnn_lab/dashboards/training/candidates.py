"""The networks that the present one was chosen from, and what each kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imnn_lab.dashboards.common.layout import (
    LiveText,
    View,
    card,
    figure_rows,
    scrolling,
    table,
)
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.candidates import candidates

ROW = 44  # pixels of a row of the figure
ABOUT = (
    "det F of each network on simulations that its last layer was not solved for, with a standard "
    "error. Of those that are nearly as good as the best, that with the fewest weights is chosen."
)


class CandidatesView(View[Moment]):
    """ln det F of each candidate, with its error, its weights and its time.

    Parameters
    ----------
    tried : sequence of candidates
        As `imnn.candidates` has them.
    """

    def __init__(self, tried: Sequence[Any]) -> None:
        super().__init__()
        described = candidates(tried)
        height = 80 + ROW * len(described.panels[0].y_names)
        self.drawing = Drawing(described, "candidates", height=height)
        self.words = LiveText(scrolling(candidates_html(tried)), margin=(4, 10))
        self.body = card("", LiveText(ABOUT, margin=(0, 10)), figure_rows(self.drawing), self.words)

    def refresh(self, moment: Moment) -> None:
        """Leave it as it is: the choice was made before."""


def candidates_html(tried: Sequence[Any]) -> str:
    """Return a table of candidates, empty without any.

    Parameters
    ----------
    tried : sequence of candidates
    """
    rows = [
        (
            f"{'→ ' if each.is_chosen else ''}{each.name}",
            each.result,
            f"{each.n_weights:,}",
            f"{each.seconds:.1f}",
        )
        for each in tried
    ]
    return table(("network", "ln det F", "weights", "seconds"), rows) if rows else ""
