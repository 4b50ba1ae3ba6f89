"""Draw descriptions with matplotlib, for print."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from imnn_lab import checks
from imnn_lab.figures.curves import apart
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
    coordinates,
)
from imnn_lab.figures.style import REJECTED, TRUTH, style
from imnn_lab.parameters import Label, shown

SINGULAR = {
    "colors": "color",
    "linewidths": "linewidth",
    "linestyles": "linestyle",
    "c": "color",
    "lw": "linewidth",
    "ls": "linestyle",
}
LARGEST = 1000  # inches
PRINT = 200  # dots per inch
SHORT = 4  # ratio of the ends of a logarithmic axis that is labelled as a linear one
COUNTS = ("iteration", "epoch")  # labels of axes that have whole numbers only
LABEL = 10.0  # points from one label of a mark to the next
REFERENCE: dict[str, Any] = {"color": TRUTH, "linewidth": 0.8, "linestyle": "--"}


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
    size = default_size(description) if figsize is None else as_size(figsize)
    figure = plt.figure(figsize=size, layout="constrained") if figure is None else figure
    panels = figure
    if description.matrix is not None:
        left, panels = figure.subfigures(1, 2, width_ratios=(2, max(2, description.columns)))
        _draw_matrix(left, description)
    grid = panels.add_gridspec(description.rows, description.columns)
    properties = {SINGULAR.get(name, name): value for name, value in kwargs.items()}
    ranges = description.ranges()
    for panel in description.panels:
        axes = panels.add_subplot(grid[panel.row, panel.column])
        for layer in panel.layers:
            if len(coordinates(layer, "x")):
                _draw_layer(axes, layer, properties)
        _set_axes(axes, panel, ranges)
        _draw_lines(axes, panel)
        _label(axes, panel, description)
    _draw_legend(panels, description)
    return figure


def default_size(description: Panels) -> tuple[float, float]:
    """Return the width and height of a figure in inches."""
    width, height = description.size
    extra = 0 if description.matrix is None else 2
    return max(4.0, width * (description.columns + extra)), max(3.2, height * description.rows)


def image(description: Panels, kind: str, dpi: int = PRINT) -> io.BytesIO:
    """Return panels as a file of a kind that matplotlib can write, "png" or "pdf".

    It is safe in any thread: neither a window nor the state of pyplot is involved.

    Parameters
    ----------
    description : Panels
    kind : {"png", "pdf"}
    dpi : int
        Dots per inch of a PNG.
    """
    empty = Figure(figsize=default_size(description), layout="constrained")
    file = io.BytesIO()
    draw(description, figure=empty).savefig(file, format=kind, dpi=dpi)
    file.seek(0)
    return file


def as_size(figsize: Any) -> tuple[float, float]:
    """Return the width and height of a figure in inches."""
    size = checks.real_array("figsize", figsize).astype(float)
    if size.shape != (2,) or not ((size > 0) & (size < LARGEST)).all():
        expected = f"be a width and a height in inches, between 0 and {LARGEST}"
        raise ValueError(checks.wording("`figsize`", expected, checks.describe(figsize)))
    return float(size[0]), float(size[1])


def _draw_layer(axes: Axes, layer: Layer, properties: Mapping[str, Any]) -> None:
    if isinstance(layer, Curve):
        axes.plot(layer.x, layer.y, **_line(layer.series, properties))
    elif isinstance(layer, Contours):
        _draw_contours(axes, layer, properties)
    elif isinstance(layer, Histogram):
        _draw_histogram(axes, layer, properties)
    elif isinstance(layer, Image):
        extent = (*layer.x.tolist(), *layer.y.tolist())
        axes.imshow(layer.values, origin="lower", extent=extent, aspect="auto")
    elif isinstance(layer, Band):
        colour = style(layer.series).colour
        axes.fill_between(layer.x, layer.low, layer.high, color=colour, alpha=0.18)
    else:
        _draw_points(axes, layer, properties)


def _draw_lines(axes: Axes, panel: Panel) -> None:
    """Draw known values, references and marks."""
    for value in panel.x_truth:
        axes.axvline(value, color=TRUTH, linewidth=0.8, linestyle=":")
    for value in panel.y_truth:
        axes.axhline(value, color=TRUTH, linewidth=0.8, linestyle=":")
    for _, value in panel.references:
        axes.axhline(value, **REFERENCE)
    start, end = axes.get_xlim()
    points = 72 * axes.get_window_extent().width / axes.figure.dpi
    places = [at for at, _ in panel.marks]
    labelled = apart(places, LABEL * (end - start) / points)
    for i, (at, label) in enumerate(panel.marks):
        axes.axvline(at, color=TRUTH, linewidth=0.6, linestyle=":")
        if i not in labelled:
            continue
        axes.annotate(
            label, (at, 1), (2, -2), rotation=90, xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize="x-small", va="top",
        )  # fmt: skip


def _set_axes(axes: Axes, panel: Panel, ranges: Mapping[str, tuple[float, float]]) -> None:
    axes.set(
        xscale="log" if panel.x_log else "linear",
        yscale="log" if panel.y_log else "linear",
        xlim=ranges[panel.x_label],
        title=panel.title,
    )
    if panel.x_label in COUNTS and not panel.x_log:
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    if panel.has_free_height:
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(ranges[panel.y_label])
    for axis, is_log in ((axes.xaxis, panel.x_log), (axes.yaxis, panel.y_log)):
        if is_log:
            _label_short(axis)
    if panel.y_names:
        heights, names = zip(*panel.y_names, strict=True)
        axes.set_yticks(heights, labels=[in_mathtext(name) for name in names])


def _label_short(axis: Axis) -> None:
    """Label a short logarithmic axis, of which Matplotlib may label one value, as a linear one."""
    low, high = sorted(axis.get_view_interval())
    if high < SHORT * low:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(ScalarFormatter(useOffset=False))
        axis.set_minor_locator(NullLocator())


def in_mathtext(label: str) -> str:
    """Return a name as LaTeX writes it, if that is known and Matplotlib can, with its unit."""
    if not isinstance(label, Label) or not label.latex:
        return shown(label)
    text = f"${label.latex}$"
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return shown(label)
    return shown(Label(text, label.unit))


def _label(axes: Axes, panel: Panel, description: Panels) -> None:
    """Label the outer axes of the figure; the others share them."""
    has_x_label, has_y_label = description.has_labels(panel)
    if description.size[0] < 4:
        axes.tick_params(labelsize="small", axis="both")
        axes.tick_params(axis="x", labelrotation=45)
    if has_x_label:
        axes.set_xlabel(in_mathtext(panel.x_label))
    else:
        axes.tick_params(labelbottom=False)
    if panel.y_label == "":
        axes.set_yticks([])
    elif has_y_label:
        axes.set_ylabel(in_mathtext(panel.y_label))
    else:
        axes.tick_params(labelleft=False)
    handles = _named_lines(panel)
    if handles:
        axes.legend(handles=handles, fontsize="small", loc="best", frameon=False, ncols=2)


def _named_lines(panel: Panel) -> list[Line2D]:
    """Return the entries of a panel's own legend."""
    shown = sorted({layer.series for layer in panel.layers}) if panel.names else []
    lines = [Line2D([], [], **_line(k, {}), label=panel.names[k]) for k in shown]
    named = [name for name, _ in panel.references if name and lines]
    return lines + [Line2D([], [], **REFERENCE, label=name) for name in named]


def _line(series: int, properties: Mapping[str, Any]) -> dict[str, Any]:
    look = style(series)
    dashes = (0, look.dashes) if look.dashes else "solid"
    own = {"color": look.colour, "linewidth": 1.4, "linestyle": dashes}
    markers = {"s", "marker", "edgecolors", "rasterized"}
    return own | {name: value for name, value in properties.items() if name not in markers}


def _draw_contours(axes: Axes, contours: Contours, properties: Mapping[str, Any]) -> None:
    line = _line(contours.series, properties)
    plural = {"color": "colors", "linewidth": "linewidths", "linestyle": "linestyles"}
    options = {plural.get(name, name): value for name, value in line.items()}
    options["linestyles"] = [options["linestyles"]]
    levels = np.unique(contours.levels)
    axes.contour(contours.x, contours.y, contours.values.T, levels, **options)


def _draw_histogram(axes: Axes, bars: Histogram, properties: Mapping[str, Any]) -> None:
    colour = REJECTED if bars.rejected else style(bars.series).colour
    options = {"color": colour, "fill": True, **properties}
    axes.stairs(bars.base + bars.counts, bars.edges, baseline=bars.base, **options)


def _draw_points(axes: Axes, points: Points, properties: Mapping[str, Any]) -> None:
    colour = REJECTED if points.rejected else style(points.series).colour
    own: dict[str, Any] = {"s": 4.0, "color": colour, "linewidth": 0, "alpha": points.opacity}
    own |= {"rasterized": len(points.x) > 2000, "zorder": 1 if points.rejected else 2}
    axes.scatter(points.x, points.y, **(own | dict(properties)))


def _draw_matrix(figure: Any, description: Panels) -> None:
    matrix, labels = description.matrix, [in_mathtext(x) for x in description.labels]
    axes = figure.add_subplot()
    largest = float(np.abs(matrix).max())  # type: ignore[arg-type]
    axes.imshow(matrix, cmap="RdBu", vmin=-largest, vmax=largest)
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_title("inverse Fisher matrix", fontsize="medium")
    if len(labels) <= 6:
        for (i, j), value in np.ndenumerate(np.asarray(matrix)):
            dark = abs(value) > 0.6 * largest
            axes.text(j, i, f"{value:.3g}", ha="center", va="center", color="w" if dark else "k")


def _draw_legend(figure: Any, description: Panels) -> None:
    drawn = description.drawn
    several = sorted({series for series, _ in drawn}) if len(description.series) > 1 else []
    handles = [Line2D([], [], **_line(k, {}), label=description.series[k]) for k in several]
    if any(rejected for _, rejected in drawn):
        handles.append(Line2D([], [], marker="o", linestyle="", color=REJECTED, label="rejected"))
    if description.has_truth:
        dotted = REFERENCE | {"linestyle": ":"}
        handles.append(Line2D([], [], **dotted, label=description.truth))
    last = description.columns - 1
    is_taken = any((p.row, p.column) == (0, last) for p in description.panels)
    if handles or description.caption:
        loc = "outside upper right" if is_taken else "upper right"
        size = {"fontsize": "small", "title_fontsize": "small"}
        figure.legend(handles=handles, title=description.caption or None, loc=loc, **size)
