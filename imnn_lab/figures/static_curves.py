"""Draw the curves of a training with matplotlib."""

from __future__ import annotations

from typing import BinaryIO

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imnn_lab.figures.curves import CurveAxes, TrainingCurves, mark_labels
from imnn_lab.figures.style import TRUTH, style


def draw_curves(description: TrainingCurves, figsize: tuple[float, float] | None = None) -> Figure:
    """Draw training curves and return the figure.

    Parameters
    ----------
    description : TrainingCurves
    figsize : pair of float, optional
        Width and height in inches.
    """
    size = figsize or (7, 2.4 * len(description.axes))
    figure = plt.figure(figsize=size, layout="constrained")
    _draw_on(figure, description)
    return figure


def save_curves(description: TrainingCurves, file: BinaryIO, kind: str) -> None:
    """Draw training curves to a file of a kind that matplotlib can write, "png" or "pdf".

    It is safe in any thread: no window and no state of pyplot is involved.
    """
    figure = Figure(figsize=(7, 2.4 * len(description.axes)), layout="constrained")
    _draw_on(figure, description)
    figure.savefig(file, format=kind, dpi=150)


def _draw_on(figure: Figure, description: TrainingCurves) -> None:
    labels = mark_labels(description.marks)
    places = figure.subplots(len(description.axes), 1, sharex=True, squeeze=False)
    for place, axes in zip(places[:, 0], description.axes, strict=True):
        _draw_axes(place, axes)
        for iteration in labels:
            place.axvline(iteration, color=TRUTH, linewidth=0.6, linestyle=":")
    _name_marks(places[0, 0], labels)
    places[-1, 0].set_xlabel("iteration")


def _draw_axes(place: Axes, axes: CurveAxes) -> None:
    for line in axes.lines:
        look = style(line.series)
        dashes = (0, look.dashes) if look.dashes else "solid"
        place.plot(
            line.x, line.y, color=look.colour, linestyle=dashes, linewidth=1.4, label=line.name
        )
    for name, value in axes.reference:
        label = f"{name}: {value:.4g}" if name == "known" else None
        place.axhline(value, color=TRUTH, linewidth=0.8, linestyle="--", label=label)
    place.set_ylabel(axes.label)
    if axes.log:
        place.set_yscale("log")
    if axes.lines:
        place.legend(fontsize="small", loc="best", frameon=False, ncols=2)


def _name_marks(place: Axes, labels: dict[int, str]) -> None:
    for iteration, label in labels.items():
        place.annotate(
            label, (iteration, 1), (2, -2), rotation=90, xycoords=("data", "axes fraction"),
            textcoords="offset points", fontsize="x-small", va="top",
        )  # fmt: skip
