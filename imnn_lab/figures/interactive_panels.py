"""Draw descriptions with Bokeh: figures are made once, then only their data move."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from bokeh.events import LegendItemClick
from bokeh.models import ColumnDataSource, CustomJS, Legend, LegendItem, Range1d
from bokeh.plotting import figure

from imnn_lab.figures.brush import Brush, group_name
from imnn_lab.figures.data import Contours, Curve, Panel, Panels, Points
from imnn_lab.figures.interactive import NEUTRAL
from imnn_lab.figures.interactive_panel import MARKERS, Key, PanelFigure, Setting, dashes
from imnn_lab.figures.style import mass_label, style

ROW = 24  # pixels of a row of the legend
FOLLOW_CLICK = """
const named = renderers[items.indexOf(cb_obj.item)]
const visible = !named[0].visible
for (const renderer of named) renderer.visible = visible
"""


class Drawing:
    """Panels on Bokeh, with a legend whose entries hide and show a series everywhere.

    Parameters
    ----------
    description : Panels
        What to show first. Later descriptions have the same places, series and kinds of layers.
    name : str
        Data sources are named ``<name> <row> <column> <kind> <series>``.
    brush : Brush, optional
        Where points come from, so that a selection shows in all drawings that share it.
    height : int
        Height of a panel in pixels.

    Attributes
    ----------
    legend : bokeh.plotting.figure
        To be placed above `places`. A Bokeh model belongs to one document.
    """

    def __init__(
        self, description: Panels, name: str, *, brush: Brush | None = None, height: int = 220
    ) -> None:
        ranges = {label: Range1d(0, 1) for label in _shared_labels(description)}
        setting = Setting(name, description.series, brush, ranges, height)
        self._ranges, self._fitted = ranges, dict.fromkeys(ranges, (0.0, 1.0))
        self._panels = {
            (panel.row, panel.column): PanelFigure(panel, setting, _outer(panel, description))
            for panel in description.panels
        }
        self.legend = self._legend(description, setting)
        self.update(description)

    def update(self, description: Panels) -> None:
        """Show another description of the same shape; axes that the reader moved stay."""
        for panel in description.panels:
            self._panels[panel.row, panel.column].update(panel)
        for label, wanted in _extents(description).items():
            shown = self._ranges[label]
            if (shown.start, shown.end) == self._fitted[label]:
                shown.update(start=wanted[0], end=wanted[1])
                self._fitted[label] = wanted
            shown.update(reset_start=wanted[0], reset_end=wanted[1])

    @property
    def places(self) -> list[list[figure | None]]:
        """The figures by row and column, None where there is no panel."""
        rows, columns = (1 + max(place[k] for place in self._panels) for k in (0, 1))
        return [[self._figure(row, column) for column in range(columns)] for row in range(rows)]

    def _figure(self, row: int, column: int) -> figure | None:
        panel = self._panels.get((row, column))
        return None if panel is None else panel.figure

    def _legend(self, description: Panels, setting: Setting) -> figure:
        keys = sorted({key for panel in self._panels.values() for key in panel.renderers})
        groups = sorted({(series, rejected) for _, series, rejected in keys}, key=lambda g: g[::-1])
        title = _masses(description)
        rows = -(-len(groups) // 2) + bool(title)
        strip = figure(
            height=ROW * rows + 12, sizing_mode="stretch_width", toolbar_location=None, tools="",
            outline_line_color=None, x_range=Range1d(0, 1), y_range=Range1d(0, 1),
        )  # fmt: skip
        strip.axis.visible = strip.grid.visible = False
        items = [_item(strip, setting, keys, group) for group in groups]
        legend = Legend(
            items=items, click_policy="hide", orientation="horizontal", ncols=2, title=title,
            location="top_left", margin=0, padding=4, label_text_font_size="12px",
            title_text_font_size="12px", title_text_font_style="normal", border_line_color=None,
            background_fill_alpha=0, inactive_fill_alpha=0.6, name=f"{setting.name} legend",
        )  # fmt: skip
        # Not by links from the marks: a legend forgets its marks when what they lead to changes.
        followers = [list(self._of_group(group)) for group in groups]
        arguments = {"items": items, "renderers": followers}
        legend.js_on_event(LegendItemClick, CustomJS(args=arguments, code=FOLLOW_CLICK))
        strip.add_layout(legend)
        return strip

    def _of_group(self, group: tuple[int, bool]) -> Iterator[object]:
        for panel in self._panels.values():
            for (_, series, rejected), renderer in panel.renderers.items():
                if (series, rejected) == group:
                    yield renderer


def _item(strip: figure, setting: Setting, keys: list[Key], group: tuple[int, bool]) -> LegendItem:
    """Return a legend entry with a mark of its own."""
    series, rejected = group
    unseen = ColumnDataSource({"x": [-1, -1], "y": [-1, -1]})
    colour = NEUTRAL if rejected else style(series).colour
    drawn = {kind for kind, k, r in keys if (k, r) == group}
    glyphs = []
    if "lines" in drawn:
        glyphs.append(
            strip.line(
                "x", "y", source=unseen, color=colour, line_dash=dashes(series), line_width=2
            )
        )
    else:
        marker = "square" if "histogram" in drawn else MARKERS[series % len(MARKERS)]
        glyphs.append(strip.scatter("x", "y", source=unseen, color=colour, marker=marker, size=1))
    label = group_name(setting.series[series], rejected)
    return LegendItem(label=label, renderers=glyphs)


def _outer(panel: Panel, description: Panels) -> tuple[bool, bool]:
    """Whether a panel is the lowest of its column and the leftmost of its row."""
    lowest = max(p.row for p in description.panels if p.column == panel.column)
    named = [p.column for p in description.panels if p.row == panel.row and p.y_label]
    leftmost = min(named, default=0)
    return panel.row == lowest, panel.column == leftmost


def _shared_labels(description: Panels) -> list[str]:
    """Return the labels of axes that several panels may share: not of densities and counts."""
    labels = {panel.x_label for panel in description.panels}
    plain = [p for p in description.panels if not _is_density(p)]
    return sorted(labels | {panel.y_label for panel in plain})


def _is_density(panel: Panel) -> bool:
    return not any(isinstance(layer, Points | Contours) for layer in panel.layers) and not any(
        isinstance(layer, Curve) and layer.mass for layer in panel.layers
    )


def _extents(description: Panels) -> dict[str, tuple[float, float]]:
    """Return the range of each label: the one given, or where the data lie and a margin."""
    found: dict[str, tuple[float, float]] = {}
    values: dict[str, list[np.ndarray]] = {}
    for panel in description.panels:
        sides = [(panel.x_label, panel.x_range, panel.x_truth, "x")]
        if not _is_density(panel):
            sides.append((panel.y_label, panel.y_range, panel.y_truth, "y"))
        for label, given, truth, side in sides:
            if given is not None:
                found[label] = given
            data = [np.asarray(getattr(layer, side)) for layer in panel.layers if given is None]
            values.setdefault(label, []).extend([*data, np.asarray(truth, float)])
    for label, parts in values.items():
        if label not in found:
            found[label] = _with_margin(np.concatenate(parts))
    return found


def _with_margin(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _masses(description: Panels) -> str | None:
    layers = [layer for panel in description.panels for layer in panel.layers]
    masses = {m for layer in layers if isinstance(layer, Contours) for m in layer.masses}
    masses |= {layer.mass for layer in layers if isinstance(layer, Curve) and layer.mass}
    named = " and ".join(mass_label(m) for m in sorted(masses))
    return f"contours enclose {named}" if masses else None


__all__ = ["Brush", "Drawing"]
