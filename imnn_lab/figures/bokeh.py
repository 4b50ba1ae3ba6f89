"""Draw descriptions with Bokeh: figures are made once, then only their data move."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.events import LegendItemClick
from bokeh.models import (
    BasicTicker,
    BoxSelectTool,
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataRange1d,
    GlyphRenderer,
    GroupFilter,
    HoverTool,
    Legend,
    LegendItem,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from bokeh.plotting.contour import contour_data

from imnn_lab.figures.data import (
    Band,
    Contours,
    Curve,
    Histogram,
    Image,
    Layer,
    Panel,
    Panels,
    Points,
    mass_label,
)
from imnn_lab.figures.log_ticks import with_log_ticks
from imnn_lab.figures.style import style
from imnn_lab.parameters import Label, shown

NEUTRAL = "#808080"  # readable on both light and dark pages
MARKERS = ("circle", "triangle", "square", "diamond", "inverted_triangle", "star")
DOTTED = {"line_color": NEUTRAL, "line_dash": "dotted", "line_width": 1.5}
TOOLS = "pan,wheel_zoom,box_zoom,reset,save"
ROW = 26  # pixels of a row of the legend
LEGEND = {"font-size": "12px"}  # pages of panel-material-ui set the texts of legends to 0.95 of it
# Pixels that are left free beside a panel, for its axes, so that the panels of a column lie exactly
# below each other, and those of a row beside each other; and those of a letter and of a line.
LEFT, BOTTOM, ABOVE, NO_AXIS, LETTER, LINE = 80, 54, 5, 12, 6.5, 15
FOLLOW_CLICK = """
const named = renderers[items.indexOf(cb_obj.item)]
const visible = !named[0].visible
for (const renderer of named) renderer.visible = visible
"""

Key = tuple[str, int, bool]


class Brush:
    """A selection of draws that all figures share, by one data source of all their points.

    Its columns are named by the axes' labels. `row` holds the numbers of the draws, by which the
    selection is kept while they change; `group` names their series.

    Parameters
    ----------
    series : sequence of str
        Names of the series.
    name : str
        Name of the source.
    """

    def __init__(self, series: Sequence[str], name: str = "draws") -> None:
        self.series = tuple(series)
        nothing = {column: np.empty(0) for column in ("row", "group", "alpha")}
        self.source = ColumnDataSource(nothing, name=name)

    @property
    def rows(self) -> np.ndarray:
        """Numbers of the selected draws, in increasing order."""
        indices = np.asarray(self.source.selected.indices, int)
        rows = np.asarray(self.source.data["row"], int)
        return np.unique(rows[indices[indices < len(rows)]])

    def update(self, descriptions: Iterable[Panels]) -> None:
        """Show the points of several figures; draws that stay selected are found by their numbers.

        Points of one series are the same draws, in the same order, in all panels.
        """
        selected = self.rows
        groups: dict[str, dict[str, np.ndarray]] = {}
        for panel in (panel for described in descriptions for panel in described.panels):
            for layer in panel.layers:
                if isinstance(layer, Points):
                    name = group_name(self.series[layer.series], layer.rejected)
                    groups.setdefault(name, {}).update(_draw_columns(panel, layer, name))
        # Keep columns that no panel shows any more: their glyphs are replaced only afterwards.
        names = dict.fromkeys([*self.source.data, *(n for group in groups.values() for n in group)])
        columns = {
            name: _joined([_filled(group, name) for group in groups.values()]) for name in names
        }
        self.source.data = columns
        chosen = np.flatnonzero(np.isin(columns["row"], selected))
        self.source.selected.indices = chosen.tolist()


class Drawing:
    """Panels on Bokeh, with a legend whose entries hide and show a series everywhere.

    Parameters
    ----------
    description : Panels
        What to show first. Later descriptions have the same panels, series and kinds of layers.
    name : str
        Data sources are named ``<name> <row> <column> <kind> <series>``.
    brush : Brush, optional
        Where points come from, so that a selection shows in all drawings that share it. It is
        updated with the descriptions before they are drawn.
    height : int
        Height in pixels of a figure with a horizontal axis; those without are as much lower.
    legend_columns : int, optional
        Columns of the legend; by default 4 of short names, 2 of long ones.

    Attributes
    ----------
    legend : bokeh.plotting.figure
        To be placed above `figures`. A Bokeh model belongs to one document.
    ranges : dict from label to Range1d
        Axes of the same label move together.
    lefts : list of int
        For each column the pixels to the left of its panels.
    """

    def __init__(
        self,
        description: Panels,
        name: str,
        *,
        brush: Brush | None = None,
        height: int = 220,
        legend_columns: int | None = None,
    ) -> None:
        self.name, self.series, self.brush, self.height = name, description.series, brush, height
        self._fitted = description.ranges()
        self.ranges = {label: Range1d(*ends) for label, ends in self._fitted.items()}
        self.lefts = [self._left(description, column) for column in range(description.columns)]
        self._labelled = {p.row for p in description.panels if description.has_labels(p)[0]}
        self._panels = {
            (panel.row, panel.column): PanelFigure(panel, self, description.has_labels(panel))
            for panel in description.panels
        }
        self._items: dict[tuple[int, bool] | None, LegendItem] = {}
        self.legend = self._legend(description.caption, description.truth, legend_columns)
        self.update(description)

    def update(self, description: Panels) -> None:
        """Show another description of the same shape; axes that the reader moved stay."""
        for panel in description.panels:
            self._panels[panel.row, panel.column].update(panel)
        for label, wanted in description.ranges().items():
            shown = self.ranges[label]
            if (shown.start, shown.end) == self._fitted[label]:
                shown.update(start=wanted[0], end=wanted[1])
                self._fitted[label] = wanted
            shown.update(reset_start=wanted[0], reset_end=wanted[1])
        self._list(description)

    def below(self, row: int) -> int:
        """Return the pixels below the panels of a row."""
        return BOTTOM if row in self._labelled else NO_AXIS

    def fitting(self, name: str) -> str:
        """Return the name of a vertical axis in lines as long as the axis."""
        pixels = self.height - BOTTOM - ABOVE
        is_text = not name.startswith("$$")
        return textwrap.fill(name, max(8, int(pixels / LETTER))) if is_text else name

    def _left(self, description: Panels, column: int) -> int:
        """Return the pixels that the vertical axes of a column need."""
        labels = [
            self.fitting(in_mathjax(panel.y_label))
            for panel in description.panels
            if panel.column == column and description.has_labels(panel)[1]
        ]
        return LEFT + LINE * max(label.count("\n") for label in labels) if labels else NO_AXIS

    def _list(self, description: Panels) -> None:
        """Name in the legend what is drawn, and nothing else."""
        drawn = description.drawn
        named = [
            item
            for group, item in self._items.items()
            if (description.has_truth if group is None else group in drawn)
        ]
        (legend,) = self.legend.legend
        if named != legend.items:
            # Not by their `visible`: the legend would forget the marks.
            legend.items = named
        rows = -(-len(named) // legend.ncols) + bool(description.caption)
        self.legend.height = ROW * rows + 12

    @property
    def figures(self) -> list[list[figure | None]]:
        """The figures by row and column, None where there is no panel."""
        rows, columns = (1 + max(position[k] for position in self._panels) for k in (0, 1))
        return [[self._figure(row, column) for column in range(columns)] for row in range(rows)]

    def _figure(self, row: int, column: int) -> figure | None:
        panel = self._panels.get((row, column))
        return None if panel is None else panel.figure

    def _legend(self, title: str, truth: str, columns: int | None) -> figure:
        keys = sorted({key for panel in self._panels.values() for key in panel.renderers})
        groups = sorted({(series, rejected) for _, series, rejected in keys}, key=lambda g: g[::-1])
        labels = [group_name(self.series[series], rejected) for series, rejected in groups]
        labels += [truth] * bool(truth)
        ncols = columns or (4 if max(map(len, labels), default=0) <= 12 else 2)
        strip = figure(
            sizing_mode="stretch_width", toolbar_location=None, tools="", outline_line_color=None,
            x_range=Range1d(0, 1), y_range=Range1d(0, 1), min_border=0,
            frame_align=False,  # beside a figure it would lose the height of that one's axis
            html_attributes=about("legend"),
        )  # fmt: skip
        strip.axis.visible = strip.grid.visible = False
        marks = [_legend_mark(strip, keys, group) for group in groups]
        marks += [_dotted_mark(strip)] * bool(truth)
        items = [
            LegendItem(label=label, renderers=[mark])
            for label, mark in zip(labels, marks, strict=True)
        ]
        named: list[tuple[int, bool] | None] = [*groups, *[None] * bool(truth)]
        self._items = dict(zip(named, items, strict=True))
        legend = Legend(
            items=items, click_policy="hide", orientation="horizontal", ncols=ncols, title=title,
            location="top_left", margin=0, padding=4, label_text_font_size="12px",
            title_text_font_size="12px", title_text_font_style="normal", border_line_color=None,
            background_fill_alpha=0, inactive_fill_alpha=0.6, name=f"{self.name} legend",
            styles=LEGEND, spacing=0 if ncols == 1 else 3,
        )  # fmt: skip
        # Not by links from the marks: a legend forgets its marks when what they lead to changes.
        followers = [list(self._of_group(group)) for group in groups]
        if truth:
            followers.append([line for panel in self._panels.values() for line in panel.truths])
        arguments = {"items": items, "renderers": followers}
        legend.js_on_event(LegendItemClick, CustomJS(args=arguments, code=FOLLOW_CLICK))
        strip.add_layout(legend)
        return strip

    def _of_group(self, group: tuple[int, bool]) -> Iterator[GlyphRenderer]:
        for panel in self._panels.values():
            for (_, series, rejected), renderer in panel.renderers.items():
                if (series, rejected) == group:
                    yield renderer


class PanelFigure:
    """A Bokeh figure of one panel; `CurvesFigure` draws those with references, marks and names.

    Parameters
    ----------
    panel : Panel
        Its kinds of layers are those that later panels may have.
    drawing : Drawing
        What it is part of.
    has_labels : pair of bool
        Whether the horizontal and the vertical axis are labelled.
    """

    def __init__(self, panel: Panel, drawing: Drawing, has_labels: tuple[bool, bool]) -> None:
        self.drawing = drawing
        self._name = f"{drawing.name} {panel.row} {panel.column}"
        self._labels = (panel.x_label, panel.y_label)
        self.figure = self._empty(panel, has_labels)
        self._shown: dict[Key, list[Layer]] = {key_of(layer): [] for layer in panel.layers}
        self.renderers = {key: self._renderer(*key) for key in self._shown}
        self.truths = [self._truth("x"), self._truth("y")]
        self._add_hover(panel)

    def update(self, panel: Panel) -> None:
        """Show another panel; only what differs is sent to browsers."""
        layers: dict[Key, list[Layer]] = {key: [] for key in self.renderers}
        for layer in panel.layers:
            layers[key_of(layer)].append(layer)
        for key, new in layers.items():
            if _are_equal(new, self._shown[key]) or self._is_brushed(key[0]):
                continue
            self._shown[key] = new
            columns = _columns(key[0], new)
            series = [self._group(key)] * len(next(iter(columns.values())))
            self.renderers[key].data_source.data = {**columns, "series": series}
        for line, values in zip(self.truths, (panel.x_truth, panel.y_truth), strict=True):
            if line.data_source.data["at"] != list(values):
                line.data_source.data = {"at": list(values)}

    def _is_brushed(self, kind: str) -> bool:
        return kind == "points" and self.drawing.brush is not None

    def _group(self, key: Key) -> str:
        return group_name(self.drawing.series[key[1]], key[2])

    def _empty(self, panel: Panel, has_labels: tuple[bool, bool]) -> figure:
        ranges, brush = self.drawing.ranges, self.drawing.brush
        below = self.drawing.below(panel.row)
        empty = new_figure(
            in_mathjax(panel.x_label) if has_labels[0] else None,
            self.drawing.fitting(in_mathjax(panel.y_label)) if has_labels[1] else None,
            height=self.drawing.height - BOTTOM + below,
            x_range=ranges[panel.x_label],
            y_range=DataRange1d(start=0) if panel.has_free_height else ranges[panel.y_label],
            x_axis_type="log" if panel.x_log else "linear",
            y_axis_type="log" if panel.y_log else "linear",
            tools=TOOLS if brush is None else f"{TOOLS},box_select,lasso_select",
            title=panel.title or None,
            name=self._name,
            min_border_left=self.drawing.lefts[panel.column],
            min_border_right=NO_AXIS,
            min_border_bottom=below,
            min_border_top=ABOVE,
            html_attributes=about(panel.title or axes_words(panel)),
            min_width=100,
        )
        empty.axis.major_label_text_font_size = "11px"
        for axis in empty.axis:
            if isinstance(axis.ticker, BasicTicker):
                is_narrow = axis in empty.xaxis and len(self.drawing.lefts) > 2
                axis.ticker.desired_num_ticks = 2 if is_narrow else 4
        if panel.y_names:
            empty.yaxis.ticker = [height for height, _ in panel.y_names]
            empty.yaxis.major_label_overrides = {
                height: in_mathjax(name) for height, name in panel.y_names
            }
        empty.yaxis.visible = panel.y_label != "" and has_labels[1]
        empty.xaxis.visible = has_labels[0]
        if brush is not None:
            empty.toolbar.active_drag = empty.select_one(BoxSelectTool)
        return empty

    def _renderer(self, kind: str, series: int, rejected: bool) -> GlyphRenderer:
        name = self._group((kind, series, rejected))
        colour = NEUTRAL if rejected else style(series).colour
        source = ColumnDataSource(_columns(kind, []), name=f"{self._name} {kind} {name}")
        if kind == "lines":
            dashes = value(line_look(series)["line_dash"])
            look = line_look(series, 2.0) | {"line_dash": dashes}
            return self.figure.multi_line("xs", "ys", source=source, **look)
        if kind == "areas":
            look = {"fill_color": colour, "fill_alpha": 0.18, "line_color": colour}
            return self.figure.patches("xs", "ys", source=source, **look)
        if kind == "images":
            places = {name: name for name in ("image", "x", "y", "dw", "dh")}
            return self.figure.image(**places, source=source, palette="Viridis256")
        if kind == "histogram":
            sides = {side: side for side in ("left", "right", "bottom", "top")}
            look = {"fill_color": colour, "line_color": None, "fill_alpha": 0.8}
            return self.figure.quad(**sides, source=source, **look)
        look = {
            "marker": MARKERS[series % len(MARKERS)],
            "color": colour,
            "alpha": "alpha",
            "line_color": None,
            "nonselection_alpha": 0.08,
            "selection_alpha": 1.0,
        }
        brush = self.drawing.brush
        if brush is None:
            return self.figure.scatter("x", "y", source=source, size=7, **look)
        view = CDSView(filter=GroupFilter(column_name="group", group=name))
        look["size"] = 4 if rejected else 5
        return self.figure.scatter(*self._labels, source=brush.source, view=view, **look)

    def _truth(self, side: str) -> GlyphRenderer:
        source = ColumnDataSource({"at": []}, name=f"{self._name} {side} truth")
        draw = self.figure.vspan if side == "x" else self.figure.hspan
        return draw("at", source=source, **DOTTED)

    def _add_hover(self, panel: Panel) -> None:
        x, y = self._labels
        encloses = y and not panel.has_free_height and not (panel.x_log or panel.y_log)
        tips = {
            "lines": [(x, "$x{0.[0000]}"), *([("encloses", "@mass")] if encloses else [])],
            "histogram": [(x, "@left{0.00} to @right{0.00}"), (y, "@count")],
            "points": [(x, "@x{%.4g}"), (y, "@y{%.4g}")],
        }
        for kind, lines in tips.items():
            renderers = [r for (k, *_), r in self.renderers.items() if k == kind]
            if renderers and not self._is_brushed(kind):
                self.figure.add_tools(
                    HoverTool(
                        renderers=renderers,
                        tooltips=[("", "@series"), *lines],
                        formatters={"@x": "printf", "@y": "printf"},
                    )
                )


def about(words: str) -> dict[str, str]:
    """Return what a figure is called when it has the focus; the page puts it there."""
    return {"data-about": words}


def axes_words(panel: Panel) -> str:
    """Return what the axes of a panel show, in words."""
    return f"{panel.y_label or 'density'} against {panel.x_label}"


def in_mathjax(label: str) -> str:
    """Return a name as LaTeX writes it, if that is known, with its unit."""
    if not isinstance(label, Label) or not label.latex:
        return shown(label)
    return shown(Label(f"$${label.latex}$$", label.unit))


def new_figure(x_label: str | None, y_label: str | None, **options: Any) -> figure:
    """Return an empty figure as wide as its container."""
    settings = {"sizing_mode": "stretch_width", "min_width": 240, "tools": TOOLS}
    empty = figure(x_axis_label=x_label, y_axis_label=y_label, **(settings | options))
    empty.toolbar.logo = None
    empty.toolbar.autohide = True
    empty.axis.axis_label_text_font_style = "normal"  # in notebooks as on served pages
    empty.axis.minor_tick_line_color = None
    return with_log_ticks(empty)


def line_look(series: int, width: float = 1.6) -> dict[str, Any]:
    """Return the properties of a Bokeh line in a series' style."""
    look = style(series)
    dashes = [int(length) for length in look.dashes]
    return {"line_color": look.colour, "line_dash": dashes, "line_width": width}


def reference_line(location: float, dimension: str, **options: Any) -> Span:
    """Return a line across the figure: "width" for a horizontal, "height" for a vertical one."""
    look = {"line_color": NEUTRAL, "line_dash": "dashed", "line_width": 1}
    return Span(location=location, dimension=dimension, **(look | options))


def group_name(series: str, rejected: bool) -> str:
    """Name the accepted or rejected part of a series."""
    return f"{series}, rejected" if rejected else series


def key_of(layer: Layer) -> Key:
    """Return the kind of glyph, the series, and whether it shows what was rejected."""
    if isinstance(layer, Points):
        return "points", layer.series, layer.rejected
    if isinstance(layer, Histogram):
        return "histogram", layer.series, layer.rejected
    if isinstance(layer, Image):
        return "images", layer.series, False
    return "areas" if isinstance(layer, Band) else "lines", layer.series, False


def _legend_mark(strip: figure, keys: Sequence[Key], group: tuple[int, bool]) -> GlyphRenderer:
    """Draw what marks a legend entry, outside of what is seen of the strip."""
    series, rejected = group
    unseen = ColumnDataSource({"x": [-1, -1], "y": [-1, -1]})
    kinds = {kind for kind, *of in keys if tuple(of) == group}
    if "lines" in kinds:
        return strip.line("x", "y", source=unseen, **line_look(series, 2.0))
    marker = MARKERS[series % len(MARKERS)] if "points" in kinds else "square"
    colour = NEUTRAL if rejected else style(series).colour
    return strip.scatter("x", "y", source=unseen, color=colour, marker=marker, size=1)


def _dotted_mark(strip: figure) -> GlyphRenderer:
    """Draw what marks the legend entry of known values, outside of what is seen of the strip."""
    return strip.line([-1, -1], [-1, -1], **DOTTED)


def _columns(kind: str, layers: Sequence[Any]) -> dict[str, Any]:
    if kind == "histogram":
        return {
            "left": _joined([layer.edges[:-1] for layer in layers]),
            "right": _joined([layer.edges[1:] for layer in layers]),
            "bottom": _joined([layer.base for layer in layers]),
            "top": _joined([layer.base + layer.counts for layer in layers]),
            "count": _joined([layer.counts for layer in layers]),
        }
    if kind == "points":
        names = {"x": "x", "y": "y", "alpha": "opacity"}
        return {k: _joined([getattr(layer, name) for layer in layers]) for k, name in names.items()}
    if kind == "images":
        there = [layer.values for layer in layers if layer.values.size]
        return {
            "image": there,
            "x": [0.0] * len(there),
            "y": [0.0] * len(there),
            "dw": [float(values.shape[1]) for values in there],
            "dh": [float(values.shape[0]) for values in there],
        }
    paths = [path for layer in layers for path in _paths(layer)]
    xs, ys, masses = zip(*paths, strict=True) if paths else ((), (), ())
    return {"xs": list(xs), "ys": list(ys), "mass": list(masses)}


def _paths(layer: Curve | Contours | Band) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Return lines or outlines, with the probability mass that they enclose in words."""
    if isinstance(layer, Band):
        x, y = np.append(layer.x, layer.x[::-1]), np.append(layer.low, layer.high[::-1])
        return [(x, y, "")]
    if isinstance(layer, Curve):
        mass = "" if layer.mass is None else mass_label(layer.mass)
        return [(layer.x, layer.y, mass)] if len(layer.x) else []
    levels, kept = np.unique(layer.levels, return_index=True)
    drawn = contour_data(layer.x, layer.y, layer.values.T, levels, want_fill=False).line_data
    masses = [mass_label(layer.masses[k]) for k in kept]
    return list(zip(drawn.xs, drawn.ys, masses, strict=True)) if drawn else []


def _draw_columns(panel: Panel, points: Points, group: str) -> dict[str, np.ndarray]:
    n = len(points.x)
    rows = np.arange(n) if points.rows is None else points.rows
    names = np.full(n, group, object)
    shown = {panel.x_label: points.x, panel.y_label: points.y}
    return {**shown, "row": rows, "group": names, "alpha": points.opacity}


def _filled(columns: dict[str, np.ndarray], name: str) -> np.ndarray:
    return columns[name] if name in columns else np.full(len(columns["row"]), np.nan)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)


def _are_equal(some: Sequence[Layer], others: Sequence[Layer]) -> bool:
    """Say whether layers show the same."""
    return len(some) == len(others) and all(
        one is other or all(np.array_equal(a, vars(other)[k]) for k, a in vars(one).items())
        for one, other in zip(some, others, strict=True)
    )
