"""What all Bokeh figures share: sizes, tools, lines that hold for both light and dark pages."""

from __future__ import annotations

from typing import Any

from bokeh.core.properties import value
from bokeh.models import FactorRange, Range1d, Span
from bokeh.plotting import figure

from imnn_lab.figures.style import Style

NEUTRAL = "#808080"
TOOLS = "pan,box_zoom,wheel_zoom,save,reset"


def new_figure(x_label: str, y_label: str, **options: Any) -> figure:
    """Return an empty figure as wide as its place, 260 pixels high unless told."""
    settings = {"height": 260, "sizing_mode": "stretch_width", "min_width": 240, "tools": TOOLS}
    made = figure(x_axis_label=x_label, y_axis_label=y_label, **(settings | options))
    made.toolbar.logo = None
    made.toolbar.autohide = True
    return made


def line_look(look: Style, width: float = 1.6) -> dict[str, Any]:
    """Return the properties of a Bokeh line in a series' style."""
    dashes = [int(length) for length in look.dashes]
    return {"line_color": look.colour, "line_dash": dashes, "line_width": width}


def multi_line_look(look: Style) -> dict[str, Any]:
    """Return the properties of a glyph of many lines in a series' style."""
    looks = line_look(look, 2.0)
    return looks | {"line_dash": value(looks["line_dash"])}


def reference_line(location: float, dimension: str, **options: Any) -> Span:
    """Return a line across the figure: "width" for a horizontal, "height" for a vertical one."""
    looks = {"line_color": NEUTRAL, "line_dash": "dashed", "line_width": 1}
    return Span(location=location, dimension=dimension, **(looks | options))


def set_range(axis: Range1d | FactorRange, ends: tuple[float, float]) -> None:
    """Move an axis, and what its reset returns to."""
    axis.update(start=ends[0], end=ends[1], reset_start=ends[0], reset_end=ends[1])
