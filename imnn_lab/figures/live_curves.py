"""Draw the curves of a training with Bokeh: glyphs are made once, then only data move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.events import RangesUpdate, Reset
from bokeh.layouts import column
from bokeh.models import (
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    CustomJSTransform,
    HoverTool,
    LabelSet,
    LayoutDOM,
    Legend,
    LegendItem,
    Range1d,
    Span,
)
from bokeh.plotting import figure

from imnn_lab.figures.bokeh import (
    LEFT,
    LEGEND,
    NEUTRAL,
    about,
    axes_words,
    line_look,
    new_figure,
    reference_line,
)
from imnn_lab.figures.curves import AXES, COLUMNS
from imnn_lab.figures.data import Panel, Panels
from imnn_lab.figures.decimation import Addition
from imnn_lab.figures.style import earlier_style

GHOST = ("name", "colour", "dashes", *AXES, "det_F", "det_C")
GHOSTLY = {"det F": "det_F", "det C, det C⁻¹": "det_C"}  # which figures show earlier runs
SIDES = ("left", "right", "above", "below")  # where the exact values stand beside a point
# Ranges follow the data until somebody pans or zooms, and again after a reset or a new choice.
FOLLOW = """
const generation = view.data.generation[0]
if (view.tags[0] !== generation) view.tags = [generation, false]
if (view.tags[1]) return
ranges.forEach((range, i) => {
  const [start, end] = [view.data.start[i], view.data.end[i]]
  if (isFinite(start) && isFinite(end))
    range.setv({start, end, reset_start: start, reset_end: end})
})
"""
HOLD = "view.tags = [view.data.generation[0], true]"
RELEASE = """setTimeout(() => {
  view.tags = [view.data.generation[0], false]
  view.properties.data.change.emit()
}, 50)"""
# Of labels that would lie over each other the newest is shown.
THIN = """
const pixels = figure.inner_width / (figure.x_range.end - figure.x_range.start)
const shown = Array.from(xs, () => null)
for (let i = xs.length - 1, last = Infinity; i >= 0; i--) {
  if ((last - marks.data.at[i]) * pixels < 13) continue
  shown[i] = xs[i]
  last = marks.data.at[i]
}
return shown
"""


def columns_of(panel: Panel) -> tuple[str, ...]:
    """Return the columns of the history that hold a panel's curves."""
    return tuple(COLUMNS[panel.y_label][name] for name in panel.names)


def x_column(name: str, against: str = "iteration") -> str:
    """Return the name of the column that holds where a curve's points lie horizontally."""
    return f"{name}_{against}"


def curve_data(
    names: Sequence[str], x: np.ndarray, y: np.ndarray, against: str = "iteration"
) -> dict[str, np.ndarray]:
    """Return points of curves, shape (n, len(names)), as columns of a data source."""
    data = {name: y[:, i] for i, name in enumerate(names)}
    return data | {x_column(name, against): x[:, i] for i, name in enumerate(names)}


class CurvesFigure:
    """The live curves of a training.

    Parameters
    ----------
    description : Panels
        See `training_curves`. Its curves are not drawn: the points come by `put`.
    height : int
        Height of each figure in pixels.

    Attributes
    ----------
    layout : bokeh.models.LayoutDOM
    source : ColumnDataSource
        Named `training_curves`; `smoothed` is named `smoothed_curves`, `marks` `steering_marks`.
    names : tuple of str
        The columns of the history that are shown.
    against : str
        The one that they are shown against, "iteration" or "seconds".
    earlier : dict from str to list
        The curves of earlier runs; another dict with each change.
    """

    def __init__(self, description: Panels, height: int = 240) -> None:
        self.panels, self._height = description.panels, height
        self.names = tuple(name for panel in self.panels for name in columns_of(panel))
        self.against = next(k for k, label in AXES.items() if label == self.panels[0].x_label)
        empty = np.empty((0, len(self.names)))
        data = curve_data(self.names, empty, empty, self.against)
        self.source = ColumnDataSource(data, name="training_curves")
        self.smoothed = ColumnDataSource({k: v.copy() for k, v in data.items()})
        self.smoothed.name = "smoothed_curves"
        self.marks = ColumnDataSource({"at": [], "label": []}, name="steering_marks")
        self._x_range = Range1d(0, 10)
        self.then = reference_line(0, "height", line_dash="solid", line_width=2, visible=False)
        crosshair = Span(dimension="height", line_color=NEUTRAL, line_alpha=0.6)
        self._lines: list = []
        self.figures = [self._figure(panel, crosshair) for panel in self.panels]
        self.figures[-1].xaxis.axis_label = self.panels[-1].x_label
        self._label_marks(self.figures[0])
        self.earlier: dict[str, list] = {name: [] for name in GHOST}
        self.ghosts = ColumnDataSource(self.earlier, name="ghost_curves")
        for shown, panel in zip(self.figures, self.panels, strict=True):
            if panel.y_label in GHOSTLY:
                self._draw_ghosts(shown, GHOSTLY[panel.y_label])
        self.view, self._has_ranges = self._following(), False
        self.layout: LayoutDOM = column(*self.figures, sizing_mode="stretch_width")

    def put(self, source: ColumnDataSource, addition: Addition) -> None:
        """Add points to a source: one patch of its end and one stream, or all of it anew."""
        data = curve_data(self.names, addition.x, addition.y, self.against)
        dropped, end = addition.dropped, len(source.data[self.names[0]])
        if addition.replaces or not end:
            # An empty source may have been emptied in this tick. What is then streamed would be in
            # the message about that as well, and come twice.
            source.data = data
            return
        # Lists travel in one message, where each array is one or two of its own.
        few = {name: values.tolist() for name, values in data.items()}
        if dropped:
            last = slice(end - dropped, end)
            source.patch({name: [(last, values[:dropped])] for name, values in few.items()})
        if len(addition.x) > dropped:
            source.stream({name: values[dropped:] for name, values in few.items()})

    def clear(self) -> None:
        """Take all points and marks away."""
        empty = np.empty((0, len(self.names)))
        for source in (self.source, self.smoothed):
            source.data = curve_data(self.names, empty, empty, self.against)
        self.show_marks([], [])

    def show_marks(self, at: Sequence[float], labels: Sequence[str]) -> None:
        """Show the marks of steering, where they lie on the horizontal axis."""
        self.marks.data = {"at": list(at), "label": list(labels)}

    def show_smoothed(self, shown: bool) -> None:
        """Show the smoothed curves, the raw ones pale behind them; or the raw ones alone."""
        for raw, smooth in self._lines:
            smooth.glyph.line_alpha = 1.0 if shown else 0.0
            raw.glyph.line_alpha = 0.35 if shown else 1.0

    def show_then(self, at: float | None) -> None:
        """Mark what other figures show, on the horizontal axis; None takes the mark away."""
        self.then.update(location=at or 0, visible=at is not None)

    def show_ghosts(self, curves: Mapping[str, Sequence[Any]]) -> None:
        """Show the curves of earlier runs, thin behind those of the present one.

        Parameters
        ----------
        curves : mapping from str to sequence
            For each of them its `name`, the number of its `look`, and lists of its `iteration`,
            `seconds`, `det_F` and `det_C`.
        """
        looks = [earlier_style(look) for look in curves["look"]]
        dashes = [" ".join(f"{length:g}" for length in look.dashes) or "solid" for look in looks]
        data = {**curves, "colour": [look.colour for look in looks], "dashes": dashes}
        self.earlier = {name: list(data[name]) for name in GHOST}
        self.ghosts.data = self.earlier

    def show_ranges(self, ranges: Sequence[tuple[float, float] | None], generation: int) -> None:
        """Move the ranges, x first, unless the reader holds them; a new generation lets go."""
        known = [ends or (np.nan, np.nan) for ends in ranges]
        if not self._has_ranges:
            # FOLLOW only reacts to changes, so set the first ranges before the browser draws
            self._has_ranges = True
            for axis, (low, high) in zip(self._axes, known, strict=True):
                if np.isfinite([low, high]).all():
                    axis.update(start=low, end=high, reset_start=low, reset_end=high)
        self.view.data = {
            "start": [low for low, _ in known],
            "end": [high for _, high in known],
            "generation": [generation] * len(known),
        }

    def _figure(self, panel: Panel, crosshair: Span) -> figure:
        empty = new_figure(
            "", panel.y_label, height=self._height, x_range=self._x_range,
            y_range=Range1d(0.1 if panel.y_log else 0, 10 if panel.y_log else 1),
            y_axis_type="log" if panel.y_log else "linear", min_border_left=LEFT,
            html_attributes=about(axes_words(panel)),
        )  # fmt: skip
        horizontal = Span(dimension="width", line_color=NEUTRAL, line_alpha=0.4)
        empty.add_tools(CrosshairTool(overlay=(horizontal, crosshair)))
        items = [
            self._curve(empty, title, name, series)
            for series, (title, name) in enumerate(zip(panel.names, columns_of(panel), strict=True))
        ]
        for title, value in panel.references:
            empty.add_layout(reference_line(value, "width"))
            if title:
                line = empty.line([0, 0], [value, value], line_color=NEUTRAL, line_dash="dashed")
                items.append(LegendItem(label=title, renderers=[line]))
        empty.add_layout(self._legend(items), "above")
        empty.vspan(
            x="at", source=self.marks, line_color=NEUTRAL, line_dash="dotted", level="glyph"
        )
        empty.add_layout(self.then)
        return empty

    def _draw_ghosts(self, shown: figure, column: str) -> None:
        lines = shown.multi_line(
            self.against, column, source=self.ghosts, line_color="colour", line_dash="dashes",
            line_width=1.4, level="underlay",
        )  # fmt: skip
        shown.add_tools(HoverTool(renderers=[lines], tooltips=[("", "@name")], visible=False))

    def _curve(self, drawn_on: figure, title: str, name: str, series: int) -> LegendItem:
        at = x_column(name, self.against)
        digits = "{0}" if self.against == "iteration" else "{0.00}"
        raw = drawn_on.line(at, name, source=self.source, name=name, **line_look(series))
        smooth = drawn_on.line(
            at, name, source=self.smoothed, line_alpha=0, **line_look(series, 2.4)
        )
        self._lines.append((raw, smooth))
        drawn_on.add_tools(
            HoverTool(
                renderers=[raw], mode="vline", visible=False, attachment=SIDES[series],
                tooltips=[(AXES[self.against], f"@{at}{digits}"), (title, f"@{name}{{%.8g}}")],
                formatters={f"@{name}": "printf"},
            )
        )  # fmt: skip
        return LegendItem(label=title, renderers=[raw, smooth])

    @staticmethod
    def _legend(items: list[LegendItem]) -> Legend:
        ncols = 2 if any(len(item.label.value) > 12 for item in items) else 3
        return Legend(
            items=items, click_policy="hide", orientation="horizontal", ncols=ncols,
            label_text_font_size="9pt", padding=0, margin=0, border_line_alpha=0,
            background_fill_alpha=0, styles=LEGEND,
        )  # fmt: skip

    def _label_marks(self, top: figure) -> None:
        thin = CustomJSTransform(args={"figure": top, "marks": self.marks}, v_func=THIN)
        text = {"field": "label", "transform": thin}
        again = CustomJS(args={"marks": self.marks}, code="marks.change.emit()")
        for end in ("start", "end"):
            self._x_range.js_on_change(end, again)
        labels = LabelSet(
            x="at", y=4, y_units="screen", text=text, source=self.marks, angle=np.pi / 2,
            text_font_size="8pt", text_color=NEUTRAL, text_baseline="bottom", x_offset=-2,
        )  # fmt: skip
        top.add_layout(labels)

    @property
    def _axes(self) -> list[Range1d]:
        return [self._x_range, *(shown.y_range for shown in self.figures)]

    def _following(self) -> ColumnDataSource:
        ranges = self._axes
        n = len(ranges)
        data = {"start": [np.nan] * n, "end": [np.nan] * n, "generation": [0] * n}
        view = ColumnDataSource(data, name="curves_view", tags=[0, False])
        view.js_on_change("data", CustomJS(args={"view": view, "ranges": ranges}, code=FOLLOW))
        for shown in self.figures:
            shown.js_on_event(RangesUpdate, CustomJS(args={"view": view}, code=HOLD))
            shown.js_on_event(Reset, CustomJS(args={"view": view}, code=RELEASE))
        return view
