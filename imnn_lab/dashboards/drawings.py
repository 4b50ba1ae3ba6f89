"""Places drawings on a page."""

from __future__ import annotations

from typing import Any

import panel as pn

from imnn_lab.figures.interactive_panels import Drawing

WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": 0, "min_width": 0}


def placed(drawing: Drawing) -> pn.Column:
    """Return a drawing's legend and its figures in rows.

    Each figure is a pane of its own: Bokeh's grids do not finish deep inside Panel's layouts.
    """
    rows = [
        pn.Row(*(pn.Spacer(**WIDE) if made is None else pane(made) for made in row), **WIDE)
        for row in drawing.places
    ]
    return pn.Column(pane(drawing.legend), *rows, **WIDE)


def pane(figure: Any) -> pn.pane.Bokeh:
    """Return a pane as wide as its place."""
    return pn.pane.Bokeh(figure, **WIDE)
