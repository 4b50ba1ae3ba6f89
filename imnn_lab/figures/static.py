"""Draw descriptions with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imnn_lab.figures.data import Contours, Curve, Histogram, Panel, Panels, Points
from imnn_lab.figures.style import REJECTED, TRUTH, mass_label, style

SINGULAR = {
    "colors": "color",
    "linewidths": "linewidth",
    "linestyles": "linestyle",
    "c": "color",
    "lw": "linewidth",
    "ls": "linestyle",
}


def draw(
    description: Panels,
    *,
    figure: Any = None,
    figsize: tuple[float, float] | None = None,
    **kwargs: Any,
) -> Figure:
    """Draw panels and return the figure.

    Parameters
    ----------
    description : Panels
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw; a new one by default.
    figsize : pair of float, optional
        Size in inches.
    **kwargs
        Properties of matplotlib lines and markers: color, linewidth, linestyle, alpha, s, marker...
    """
    extra = 0 if description.matrix is None else 1
    size = figsize or (
        max(4.0, 2.4 * (description.columns + 2 * extra)),
        max(3.2, 2.4 * description.rows),
    )
    figure = plt.figure(figsize=size, layout="constrained") if figure is None else figure
    place = figure
    if description.matrix is not None:
        left, place = figure.subfigures(1, 2, width_ratios=(2, max(2, description.columns)))
        _draw_matrix(left, description)
    grid = place.add_gridspec(description.rows, description.columns)
    properties = {SINGULAR.get(name, name): value for name, value in kwargs.items()}
    for panel in description.panels:
        _draw_panel(
            place.add_subplot(grid[panel.row, panel.column]), panel, description, properties
        )
    _draw_legend(place, description)
    return figure


def _draw_panel(
    axes: Axes, panel: Panel, description: Panels, properties: Mapping[str, Any]
) -> None:
    for layer in panel.layers:
        if isinstance(layer, Curve):
            _draw_curve(axes, layer, properties)
        elif isinstance(layer, Contours):
            _draw_contours(axes, layer, properties)
        elif isinstance(layer, Histogram):
            _draw_histogram(axes, layer, properties)
        elif len(layer.x):
            _draw_points(axes, layer, properties)
    for value in panel.x_truth:
        axes.axvline(value, color=TRUTH, linewidth=0.8, linestyle=":")
    for value in panel.y_truth:
        axes.axhline(value, color=TRUTH, linewidth=0.8, linestyle=":")
    axes.set(xlim=panel.x_range, ylim=panel.y_range)
    _label(axes, panel, description)


def _label(axes: Axes, panel: Panel, description: Panels) -> None:
    """Label the outer axes of the figure; the others share them."""
    lowest = max(p.row for p in description.panels if p.column == panel.column)
    leftmost = min(p.column for p in description.panels if p.row == panel.row)
    axes.tick_params(labelsize="small", axis="both")
    axes.tick_params(axis="x", labelrotation=45)
    if panel.row == lowest:
        axes.set_xlabel(panel.x_label)
    else:
        axes.tick_params(labelbottom=False)
    if panel.y_label == "":
        axes.set_yticks([])
        axes.set_ylim(bottom=0)
    elif panel.column == leftmost:
        axes.set_ylabel(panel.y_label)
    else:
        axes.tick_params(labelleft=False)


def _line(series: int, properties: Mapping[str, Any]) -> dict[str, Any]:
    look = style(series)
    dashes = (0, look.dashes) if look.dashes else "solid"
    own = {"color": look.colour, "linewidth": 1.4, "linestyle": dashes}
    markers = {"s", "marker", "edgecolors", "rasterized"}
    return own | {name: value for name, value in properties.items() if name not in markers}


def _draw_curve(axes: Axes, curve: Curve, properties: Mapping[str, Any]) -> None:
    axes.plot(curve.x, curve.y, **_line(curve.series, properties))


def _draw_contours(axes: Axes, contours: Contours, properties: Mapping[str, Any]) -> None:
    line = _line(contours.series, properties)
    plural = {"color": "colors", "linewidth": "linewidths", "linestyle": "linestyles"}
    options = {plural.get(name, name): value for name, value in line.items()}
    options["linestyles"] = [options["linestyles"]]
    levels = np.unique(contours.levels)
    axes.contour(contours.x, contours.y, contours.values.T, levels, **options)


def _draw_histogram(axes: Axes, bars: Histogram, properties: Mapping[str, Any]) -> None:
    own: dict[str, Any] = {
        "color": REJECTED if bars.rejected else style(bars.series).colour,
        "fill": True,
    }
    top = bars.base + bars.counts
    axes.stairs(top, bars.edges, baseline=bars.base, **(own | dict(properties)))


def _draw_points(axes: Axes, points: Points, properties: Mapping[str, Any]) -> None:
    colour = REJECTED if points.rejected else style(points.series).colour
    own: dict[str, Any] = {
        "s": 4.0,
        "color": colour,
        "linewidth": 0,
        "rasterized": len(points.x) > 2000,
    }
    own["alpha"] = 0.25 if points.rejected else 0.15 + 0.85 * points.weights
    order = {"zorder": 1 if points.rejected else 2}
    axes.scatter(points.x, points.y, **(own | order | dict(properties)))


def _draw_matrix(place: Any, description: Panels) -> None:
    matrix, labels = description.matrix, description.labels
    axes = place.add_subplot()
    largest = float(np.abs(matrix).max())  # type: ignore[arg-type]
    axes.imshow(matrix, cmap="RdBu", vmin=-largest, vmax=largest)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_title("inverse Fisher matrix", fontsize="medium")
    if len(labels) <= 6:
        for (i, j), value in np.ndenumerate(np.asarray(matrix)):
            dark = abs(value) > 0.6 * largest
            axes.text(j, i, f"{value:.3g}", ha="center", va="center", color="w" if dark else "k")


def _draw_legend(place: Any, description: Panels) -> None:
    layers = [layer for panel in description.panels for layer in panel.layers]
    used = sorted({layer.series for layer in layers})
    handles: list[Any] = [
        Line2D([], [], **_line(k, {}), label=description.series[k])
        for k in used
        if len(description.series) > 1
    ]
    if any(isinstance(layer, Points | Histogram) and layer.rejected for layer in layers):
        handles.append(Line2D([], [], marker="o", linestyle="", color=REJECTED, label="rejected"))
    masses = {m for layer in layers if isinstance(layer, Contours) for m in layer.masses}
    masses |= {layer.mass for layer in layers if isinstance(layer, Curve) and layer.mass}
    title = f"contours: {', '.join(mass_label(m) for m in sorted(masses))}" if masses else None
    corner_free = not any(
        p.row == 0 and p.column == description.columns - 1 for p in description.panels
    )
    if handles or title:
        loc = "upper right" if corner_free else "outside upper right"
        size = {"fontsize": "small", "title_fontsize": "small"}
        place.legend(handles=handles, title=title, loc=loc, **size)
