"""One panel of a description as a Bokeh figure, whose glyphs are made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import (
    BoxSelectTool,
    CDSView,
    ColumnDataSource,
    DataRange1d,
    GlyphRenderer,
    GroupFilter,
    HoverTool,
    Range1d,
)
from bokeh.plotting import figure
from bokeh.plotting.contour import contour_data

from imnn_lab.figures.brush import Brush, group_name
from imnn_lab.figures.data import Contours, Curve, Histogram, Layer, Panel, Points
from imnn_lab.figures.interactive import NEUTRAL
from imnn_lab.figures.style import mass_label, style

MARKERS = ("circle", "triangle", "square", "diamond", "inverted_triangle", "star")
TOOLS = "pan,wheel_zoom,box_zoom,box_select,lasso_select,reset,save"

Key = tuple[str, int, bool]


@dataclass(frozen=True)
class Setting:
    """What the panels of one drawing share.

    Attributes
    ----------
    name : str
        Names of the data sources begin with it.
    series : tuple of str
    brush : Brush or None
        Where points come from; None keeps them to their panel.
    ranges : dict from label to Range1d
        Axes of the same label move together.
    height : int
        Height of a panel in pixels.
    """

    name: str
    series: tuple[str, ...]
    brush: Brush | None
    ranges: dict[str, Range1d]
    height: int


class PanelFigure:
    """A Bokeh figure of one panel.

    Parameters
    ----------
    panel : Panel
        Its kinds of layers are those that later panels may have.
    setting : Setting
    outer : pair of bool
        Whether the horizontal and the vertical axis are labelled.
    """

    def __init__(self, panel: Panel, setting: Setting, outer: tuple[bool, bool]) -> None:
        self.setting = setting
        self._place = f"{setting.name} {panel.row} {panel.column}"
        self._labels = (panel.x_label, panel.y_label)
        self.figure = self._empty(panel, outer)
        self.renderers = {key: self._renderer(*key) for key in self._keys(panel)}
        self._truths = [self._line("x", panel), self._line("y", panel)]
        self._add_hover()

    def update(self, panel: Panel) -> None:
        """Show another panel."""
        layers: dict[Key, list[Layer]] = {key: [] for key in self.renderers}
        for layer in panel.layers:
            layers[key_of(layer)].append(layer)
        for key, found in layers.items():
            if key[0] != "points" or self.setting.brush is None:
                columns = _columns(key[0], found)
                self.renderers[key].data_source.data = columns | self._named(key, columns)
        for source, values in zip(self._truths, (panel.x_truth, panel.y_truth), strict=True):
            source.data = {"at": list(values)}

    def _empty(self, panel: Panel, outer: tuple[bool, bool]) -> Any:
        ranges = self.setting.ranges
        density = panel.y_label not in ranges
        made = figure(
            height=self.setting.height,
            sizing_mode="stretch_width",
            x_range=ranges[panel.x_label],
            y_range=DataRange1d(start=0) if density else ranges[panel.y_label],
            x_axis_label=panel.x_label if outer[0] else None,
            y_axis_label=panel.y_label if outer[1] else None,
            tools=TOOLS,
            name=self._place,
            min_border_left=52,
            min_border_right=8,
            min_width=100,
        )
        made.xaxis.major_label_text_font_size = made.yaxis.major_label_text_font_size = "11px"
        made.xaxis.ticker.desired_num_ticks = made.yaxis.ticker.desired_num_ticks = 4
        made.yaxis.visible = panel.y_label != "" and outer[1]
        made.xaxis.major_label_text_font_size = "11px" if outer[0] else "0px"
        made.toolbar.logo, made.toolbar.autohide = None, True
        if self.setting.brush is not None:
            made.toolbar.active_drag = made.select_one(BoxSelectTool)
        return made

    def _keys(self, panel: Panel) -> list[Key]:
        found = {key_of(layer) for layer in panel.layers}
        if any(kind == "lines" for kind, _, _ in found):
            found |= {("lines", k, False) for k in range(len(self.setting.series))}
        return sorted(found, key=lambda key: (key[0] != "points", not key[2], key[1]))

    def _renderer(self, kind: str, series: int, rejected: bool) -> GlyphRenderer:
        look = style(series)
        colour = NEUTRAL if rejected else look.colour
        name = group_name(self.setting.series[series], rejected)
        if kind == "lines":
            options = {"line_color": colour, "line_dash": value(dashes(series)), "line_width": 2}
            return self.figure.multi_line("xs", "ys", source=self._source(kind, name), **options)
        if kind == "histogram":
            sides = {side: side for side in ("left", "right", "bottom", "top")}
            options = {"fill_color": colour, "line_color": None, "fill_alpha": 0.8}
            return self.figure.quad(**sides, source=self._source(kind, name), **options)
        marks = {
            "marker": MARKERS[series % len(MARKERS)],
            "size": 4 if rejected else 5,
            "color": colour,
            "alpha": "alpha",
            "line_color": None,
            "nonselection_alpha": 0.08,
            "selection_alpha": 1.0,
        }
        brush = self.setting.brush
        if brush is None:
            return self.figure.scatter("x", "y", source=self._source(kind, name), **marks)
        view = CDSView(filter=GroupFilter(column_name="group", group=name))
        return self.figure.scatter(*self._labels, source=brush.source, view=view, **marks)

    def _source(self, kind: str, name: str) -> ColumnDataSource:
        return ColumnDataSource(_columns(kind, []), name=f"{self._place} {kind} {name}")

    def _line(self, side: str, panel: Panel) -> ColumnDataSource:
        source = ColumnDataSource({"at": []}, name=f"{self._place} {side} truth")
        draw = self.figure.vspan if side == "x" else self.figure.hspan
        draw("at", source=source, line_color=NEUTRAL, line_dash="dotted", line_width=1.5)
        return source

    def _named(self, key: Key, columns: dict[str, Any]) -> dict[str, Any]:
        length = len(next(iter(columns.values())))
        return {"series": [group_name(self.setting.series[key[1]], key[2])] * length}

    def _add_hover(self) -> None:
        x, y = self._labels
        lines = [r for (kind, _, _), r in self.renderers.items() if kind == "lines"]
        if lines:
            inside = [("encloses", "@mass")] if y else []
            tips = [("", "@series"), (x, "$x{0.[0000]}"), *inside]
            self.figure.add_tools(HoverTool(renderers=lines, tooltips=tips))
        bars = [r for (kind, _, _), r in self.renderers.items() if kind == "histogram"]
        if bars:
            tips = [("", "@series"), (x, "@left{0.00} to @right{0.00}"), (y, "@count")]
            self.figure.add_tools(HoverTool(renderers=bars, tooltips=tips))


def dashes(series: int) -> str:
    """Return the dashes of a series as Bokeh writes them."""
    return " ".join(str(int(length)) for length in style(series).dashes) or "solid"


def key_of(layer: Layer) -> Key:
    """Return the kind of glyph, the series, and whether it is what was rejected."""
    if isinstance(layer, Points):
        return "points", layer.series, layer.rejected
    if isinstance(layer, Histogram):
        return "histogram", layer.series, layer.rejected
    return "lines", layer.series, False


def _columns(kind: str, layers: Sequence[Any]) -> dict[str, Any]:
    if kind == "histogram":
        counts = _joined([layer.counts for layer in layers])
        bottom = _joined([layer.base for layer in layers])
        edges = [(layer.edges[:-1], layer.edges[1:]) for layer in layers]
        left, right = (_joined([pair[k] for pair in edges]) for k in (0, 1))
        top = bottom + counts
        return {"left": left, "right": right, "bottom": bottom, "top": top, "count": counts}
    if kind == "points":
        alpha = [0.2 + 0.7 * layer.weights for layer in layers]
        columns = {"x": [layer.x for layer in layers], "y": [layer.y for layer in layers]}
        return {name: _joined(parts) for name, parts in (columns | {"alpha": alpha}).items()}
    paths = [path for layer in layers for path in _paths(layer)]
    xs, ys, masses = zip(*paths, strict=True) if paths else ((), (), ())
    return {"xs": list(xs), "ys": list(ys), "mass": list(masses)}


def _paths(layer: Curve | Contours) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return lines with the probability mass that they enclose, in words."""
    if isinstance(layer, Curve):
        return [(layer.x, layer.y, "" if layer.mass is None else mass_label(layer.mass))]
    levels, kept = np.unique(layer.levels, return_index=True)
    drawn = contour_data(layer.x, layer.y, layer.values.T, levels, want_fill=False).line_data
    masses = [mass_label(layer.masses[k]) for k in kept]
    return list(zip(drawn.xs, drawn.ys, masses, strict=True)) if drawn else []


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)
