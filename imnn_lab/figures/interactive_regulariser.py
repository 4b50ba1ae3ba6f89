"""Draw the regulariser with Bokeh: r(Λ2) with the point of training, and the allowed (λ, ε)."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Legend, Range1d

from imnn_lab.figures.interactive import NEUTRAL, line_look, new_figure
from imnn_lab.figures.regulariser import allowed_pairs, strength_curve
from imnn_lab.figures.style import style
from imnn_lab.regularisation import EPSILON, Regularisation

Λ_RANGE = (0.5, 1000.0)
E_RANGE = (1e-4, 1.0)
FORBIDDEN = "#D55E00"


class RegulariserFigure:
    """r(Λ2) as applied and as chosen, the point of training on it, and the map of allowed pairs.

    Attributes
    ----------
    strength, pairs : bokeh.plotting.figure
    applied, chosen : ColumnDataSource
        The curves; `point` is where training stands, `pair` holds the two pairs.
    """

    def __init__(self) -> None:
        empty = {"x": np.empty(0), "y": np.empty(0)}
        self.applied = ColumnDataSource(dict(empty), name="strength_applied")
        self.chosen = ColumnDataSource(dict(empty), name="strength_chosen")
        self.point = ColumnDataSource(dict(empty), name="strength_point")
        self.pair = ColumnDataSource({"x": [], "y": [], "which": []}, name="regulariser_pairs")
        self.strength = self._strength()
        self.pairs = self._pairs()

    def show_applied(self, regularisation: Regularisation) -> None:
        """Draw the curve that training uses."""
        self.applied.data = _data(regularisation)

    def show_chosen(self, regularisation: Regularisation | None) -> None:
        """Draw the curve that is chosen but not applied; None where the pair is not allowed."""
        none = {"x": np.empty(0), "y": np.empty(0)}
        self.chosen.data = none if regularisation is None else _data(regularisation)
        self._chosen_item.visible = regularisation is not None

    def show_pairs(self, applied: tuple[float, float], chosen: tuple[float, float]) -> None:
        """Mark the pairs (λ, ε) on the map."""
        λ, ε = zip(applied, chosen, strict=True)
        self.pair.data = {"x": list(λ), "y": list(ε), "which": ["applied", "chosen"]}

    def show_point(self, Λ2: float, r: float) -> None:
        """Mark where training stands."""
        known = np.isfinite([Λ2, r]).all() and Λ2 > 0
        self.point.data = {"x": [Λ2] if known else [], "y": [r] if known else []}
        self._now_item.visible = bool(known)

    def _strength(self):
        made = new_figure("Λ2", "strength r", x_axis_type="log", y_axis_type="linear")
        made.title.text = "Strength of the regularisation"
        made.xaxis.ticker = FixedTicker(ticks=[1e-4, 1e-2, 1, 1e2])
        chosen = made.line("x", "y", source=self.chosen, **line_look(style(1)))
        applied = made.line("x", "y", source=self.applied, **line_look(style(0)))
        now = made.scatter("x", "y", source=self.point, size=9, color=style(2).colour)
        made.add_tools(HoverTool(renderers=[now], tooltips=[("Λ2", "@x{%.4g}"), ("r", "@y{%.4g}")],
                                 formatters={"@x": "printf", "@y": "printf"}))  # fmt: skip
        items = [("applied", [applied]), ("chosen", [chosen]), ("now", [now])]
        legend = _legend(items)
        self._chosen_item, self._now_item = legend.items[1:]
        made.add_layout(legend, "above")
        return made

    def _pairs(self):
        allowed = allowed_pairs(Λ_RANGE, floor=E_RANGE[0])
        made = new_figure(
            "λ", EPSILON, x_axis_type="log", y_axis_type="log",
            x_range=Range1d(*Λ_RANGE), y_range=Range1d(*E_RANGE),
        )  # fmt: skip
        made.title.text = "Which pairs are allowed"
        high = np.minimum(allowed.highest, 2 * E_RANGE[1])
        shade = {"fill_color": FORBIDDEN, "fill_alpha": 0.18, "line_color": None}
        above = made.varea(allowed.λ, high, np.full_like(high, 2 * E_RANGE[1]), **_area(shade))
        made.varea(allowed.λ, np.full_like(high, E_RANGE[0] / 2), allowed.lowest, **_area(shade))
        made.line(allowed.λ, allowed.highest, line_color=FORBIDDEN)
        made.line(allowed.λ, allowed.lowest, line_color=FORBIDDEN)
        marks = made.scatter(
            "x", "y", source=self.pair, size=10, line_color=NEUTRAL, marker="circle",
            fill_color=style(0).colour,
        )  # fmt: skip
        made.add_tools(
            HoverTool(renderers=[marks], tooltips=[("", "@which"), ("λ", "@x"), (EPSILON, "@y")])
        )
        made.add_layout(_legend([("forbidden", [above]), ("pair", [marks])]), "above")
        return made


def _area(shade: dict) -> dict:
    return {name: value for name, value in shade.items() if name != "line_color"}


def _legend(items: list) -> Legend:
    return Legend(
        items=items, orientation="horizontal", label_text_font_size="9pt", padding=0, margin=0,
        border_line_alpha=0, background_fill_alpha=0,
    )  # fmt: skip


def _data(regularisation: Regularisation) -> dict[str, np.ndarray]:
    curve = strength_curve(regularisation)
    return {"x": curve.Λ2, "y": curve.r}
