"""Draw Fisher ellipses with Bokeh, as paths: Bokeh's own ellipses turn with the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Legend
from bokeh.plotting import figure

from imnn_lab.figures.data import MASSES, Curve
from imnn_lab.figures.ellipses import fisher_paths
from imnn_lab.figures.interactive import multi_line_look, new_figure
from imnn_lab.figures.style import mass_label, style

WHICH = ("now", "then", "known")


class EllipseFigure:
    """Ellipses of the Fisher matrix now, at an earlier iteration, and as known.

    Parameters
    ----------
    centre : ndarray, shape (n_params,)
        Where they are drawn, usually θ_fid.
    labels : sequence of str
        Names of the parameters.

    Attributes
    ----------
    figure : bokeh.plotting.figure
    sources : dict
        A ColumnDataSource for each of now, then and known, named `ellipse_now` and so on.
    """

    def __init__(self, centre: np.ndarray, labels: Sequence[str]) -> None:
        self.centre, self.labels = centre, tuple(labels)
        self.pair = (0, min(1, len(labels) - 1))
        self.sources = {
            which: ColumnDataSource({"xs": [], "ys": [], "mass": []}, name=f"ellipse_{which}")
            for which in WHICH
        }
        self.figure = self._figure()

    def choose(self, pair: tuple[int, int]) -> None:
        """Show another pair of parameters; `show` what is to be seen again."""
        self.pair = pair
        self._name_axes()

    def show(self, matrices: Mapping[str, np.ndarray | None]) -> dict[str, bool]:
        """Draw Fisher matrices by name, and say which of them are not singular."""
        drawn = {}
        for which, F in matrices.items():
            curves = [] if F is None else fisher_paths(F, self.centre, self.pair)
            self.sources[which].data = _data(curves)
            drawn[which] = self._items[which].visible = bool(curves)
        return drawn

    def _figure(self) -> figure:
        made = new_figure("", "", height=340)
        made.title.text = "Fisher forecast, " + " and ".join(mass_label(m) for m in MASSES)
        items = []
        for series, which in enumerate(WHICH):
            lines = made.multi_line(
                "xs", "ys", source=self.sources[which], **multi_line_look(style(series))
            )
            made.add_tools(HoverTool(renderers=[lines], visible=False, tooltips=f"{which}, @mass"))
            items.append((which, [lines]))
        made.scatter(
            [self.centre[self.pair[0]]], [self.centre[self.pair[1]]], marker="cross", size=10,
            line_color="#808080", visible=self.pair[0] != self.pair[1],
        )  # fmt: skip
        legend = Legend(
            items=items, orientation="horizontal", click_policy="hide", padding=0, margin=0,
            label_text_font_size="9pt", border_line_alpha=0, background_fill_alpha=0,
        )  # fmt: skip
        self._items = dict(zip(WHICH, legend.items, strict=True))
        made.add_layout(legend, "above")
        self._cross = made.renderers[-1]
        self._title_axes(made)
        return made

    def _name_axes(self) -> None:
        i, j = self.pair
        self._cross.data_source.data = {"x": [self.centre[i]], "y": [self.centre[j]]}
        self._cross.visible = i != j
        self._title_axes(self.figure)

    def _title_axes(self, made: figure) -> None:
        i, j = self.pair
        made.xaxis.axis_label = self.labels[i]
        made.yaxis.axis_label = "density" if i == j else self.labels[j]


def _data(curves: Sequence[Curve]) -> dict[str, list]:
    return {
        "xs": [curve.x.tolist() for curve in curves],
        "ys": [curve.y.tolist() for curve in curves],
        "mass": ["" if curve.mass is None else mass_label(curve.mass) for curve in curves],
    }
