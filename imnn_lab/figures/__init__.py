"""Figures: what each shows, as plain arrays (`Panels`), and what draws it.

`corner`, `scatter`, `distances`, `fisher`, `training_curves` and `marginal_errors` describe; `draw`
draws a description with matplotlib, and `imnn_lab.figures.bokeh.Drawing` on a page. Descriptions
need neither library.
"""

from __future__ import annotations

from typing import Any

from imnn_lab.figures.corner import corner
from imnn_lab.figures.curves import marginal_errors, training_curves
from imnn_lab.figures.data import Panels
from imnn_lab.figures.distances import distances
from imnn_lab.figures.ellipses import fisher
from imnn_lab.figures.scatter import scatter

__all__ = [
    "Panels", "corner", "distances", "draw", "fisher", "marginal_errors", "scatter",
    "training_curves",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "draw":
        from imnn_lab.figures.matplotlib import draw

        return draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
