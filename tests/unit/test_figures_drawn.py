"""What is described is what is drawn: on paper, on pages, and live."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from bokeh.models import Legend
from matplotlib.figure import Figure

from imnn_lab.figures import Panels, corner, draw, fisher, scatter, training_curves
from imnn_lab.figures.bokeh import LETTER, Brush, Drawing
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.data import Contours, Curve, Panel, Points
from imnn_lab.figures.live_curves import CurvesFigure
from imnn_lab.figures.regulariser import regulariser
from imnn_lab.history import History, SteeringMark
from imnn_lab.inference import GaussianPosterior, Posterior, Uniform
from imnn_lab.regularisation import Regularisation

LABELS = ("a", "b")
F = np.array([[4.0, 1.0], [1.0, 2.0]])


def on_paper(description):
    return draw(description, figure=Figure(layout="constrained"))


def source(drawing, name):
    found = [f.select_one({"name": name}) for row in drawing.figures for f in row if f is not None]
    return next(one for one in found if one is not None).data


def legend_of(figure):
    return next(part for part in figure.above + figure.center if isinstance(part, Legend))


def gaussian():
    return GaussianPosterior(np.zeros(2), F, Uniform([-9, -9], [9, 9]), LABELS)


def cloud(n, rejected=False, weights=None):
    θ = np.random.default_rng(n).normal(size=(n, 2))
    rows = np.arange(n) + (1000 if rejected else 0)
    return Cloud(θ, θ + 1, np.linalg.norm(θ, axis=1), weights, rejected, rows=rows)


def test_describing_needs_no_library_that_draws():
    code = (
        "import sys, imnn_lab.figures\n"
        "assert not {'matplotlib', 'bokeh', 'panel'} & set(sys.modules)\n"
        "imnn_lab.figures.draw\n"
        "assert 'matplotlib' in sys.modules, 'the control'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_renderers_say_what_contours_enclose():
    described = corner({"one": gaussian(), "two": None}, LABELS)
    assert described.caption == "contours enclose 68 % and 95 %"
    assert on_paper(described).legends[0].get_title().get_text() == described.caption
    assert legend_of(Drawing(described, "corner").legend).title == described.caption
    alone = corner({"one": gaussian()}, LABELS[:1])
    assert alone.caption == "", "a single parameter has no contours"


def test_both_renderers_label_the_same_axes_and_share_ranges():
    described = fisher({"F": F}, [np.zeros(2)], LABELS)
    axes = on_paper(described).subfigs[1].axes
    drawing = Drawing(described, "fisher")
    ranges = described.ranges()
    for panel, drawn in zip(described.panels, axes, strict=True):
        bokeh = drawing.figures[panel.row][panel.column]
        x_label, y_label = described.has_labels(panel)
        assert drawn.get_xlabel() == (panel.x_label if x_label else "")
        assert (bokeh.xaxis.axis_label or "") == drawn.get_xlabel()
        if panel.y_label:
            assert drawn.get_ylabel() == (panel.y_label if y_label else "")
            assert (bokeh.yaxis.axis_label or "") == drawn.get_ylabel()
        assert drawn.get_xlim() == pytest.approx(ranges[panel.x_label])
        assert (bokeh.x_range.start, bokeh.x_range.end) == pytest.approx(ranges[panel.x_label])


def test_the_legend_names_what_is_drawn():
    def named(drawing):
        return [item.label.value for item in legend_of(drawing.legend).items]

    drawing = Drawing(corner({"one": gaussian(), "two": None}, LABELS), "corner")
    assert named(drawing) == ["one"]
    drawing.update(corner({"one": gaussian(), "two": gaussian()}, LABELS))
    assert named(drawing) == ["one", "two"]
    lines = Panels((Panel(0, 0, "a", "b", y_truth=(2.0,)),), ("one",), truth="known")
    assert named(Drawing(lines, "lines")) == ["known"]
    assert [text.get_text() for text in on_paper(lines).legends[0].get_texts()] == ["known"]
    assert named(Drawing(replace(lines, truth=""), "lines")) == [], "the control"


def test_panels_of_a_column_lie_below_each_other_and_are_as_high():
    long = "the standard deviation of the innovations of the river"
    names = ("a", long, "c")
    panels = [Panel(i, j, names[j], "" if i == j else names[i]) for i in range(3) for j in range(i)]
    panels += [Panel(i, i, names[i], "") for i in range(3)]
    drawing = Drawing(Panels(tuple(panels), ("one",)), "corner", height=180)
    rows = drawing.figures
    for figures in zip(*rows, strict=True):
        assert len({shown.min_border_left for shown in figures if shown is not None}) == 1
    insides = {f.height - f.min_border_bottom for row in rows for f in row if f is not None}
    assert len(insides) == 1
    assert rows[2][0].height > rows[1][0].height, "the control: only one of them has an axis"
    lines = rows[1][0].yaxis.axis_label.split("\n")
    assert " ".join(lines) == long
    assert max(map(len, lines)) * LETTER <= insides.pop()


@pytest.mark.parametrize(("n", "has_contours"), [(190, False), (210, True)])
def test_few_draws_are_points_without_contours(n, has_contours):
    few = Posterior(cloud(n).parameters, np.ones(n), LABELS)
    described = corner({"one": gaussian(), "few": few}, LABELS, bins=30)
    layers = [layer for layer in described.panel(1, 0).layers if layer.series == 1]
    points, contours = ([x for x in layers if isinstance(x, t)] for t in (Points, Contours))
    assert bool(contours) == has_contours != bool(points)
    assert sum(len(each.x) for each in points) == (0 if has_contours else n)
    assert len(described.panel(0, 0).layers[1].x) == 30, "their densities are drawn"


def test_leftmost_is_the_first_panel_with_a_vertical_axis():
    density, plain = Panel(0, 0, "a", ""), Panel(0, 1, "b", "c")
    other, same = Panel(0, 2, "b", "d"), Panel(0, 3, "b", "c")
    described = Panels((density, plain, other, same))
    assert described.has_labels(other) == (True, True), "another quantity"
    assert described.has_labels(same) == (True, False)
    assert described.has_labels(density) == (True, False)
    assert described.has_labels(plain) == (True, True)


def test_ranges_on_logarithmic_axes_have_their_margin_in_decades():
    points = Points(0, np.array([1.0, 100.0, 0.0]), np.array([-1.0, 1.0, 0.0]), np.ones(3))
    ranges = Panels((Panel(0, 0, "x", "y", (points,), x_log=True),)).ranges()
    assert ranges["x"] == pytest.approx((10**-0.1, 10**2.1)), "5 % of two decades"
    assert ranges["y"] == pytest.approx((-1.1, 1.1))


@pytest.mark.parametrize(
    ("low", "high"), [(0.00686, 0.0179), (1, 1.003), (0.97, 1.04), (6.1, 18), (2, 7.9), (0.8, 30)]
)
def test_logarithmic_axes_of_any_length_have_two_labels(low, high):
    x = np.geomspace(low, high, 9)
    panels = [Panel(row, 0, "x", str(row), (Curve(0, x, x),), y_log=True) for row in range(3)]
    figure = Figure(figsize=(7, 7), layout="constrained")
    draw(Panels(tuple(panels)), figure=figure)
    figure.draw_without_rendering()
    for axes in figure.axes:
        bottom, top = axes.get_ylim()
        ticks = axes.yaxis.get_major_ticks() + axes.yaxis.get_minor_ticks()
        labels = [t.label1.get_text() for t in ticks if bottom <= t.get_loc() <= top]
        assert len([label for label in labels if label]) >= 2


def test_the_brush_holds_the_described_points():
    clouds = [cloud(30, rejected=True), cloud(20, weights=np.linspace(0.0, 2.0, 20))]
    shown = corner({"ABC": gaussian()}, LABELS, clouds=clouds[1:])
    described = scatter(clouds, ["ABC"], LABELS)
    brush = Brush(["ABC"])
    brush.update([shown, described])
    Drawing(shown, "corner", brush=brush)
    drawing = Drawing(described, "scatter", brush=brush)
    data = brush.source.data
    for panel in described.panels:
        for layer in panel.layers:
            group = "ABC, rejected" if layer.rejected else "ABC"
            chosen = data["group"] == group
            np.testing.assert_array_equal(data[panel.x_label][chosen], layer.x)
            np.testing.assert_array_equal(data[panel.y_label][chosen], layer.y)
            np.testing.assert_array_equal(data["alpha"][chosen], layer.opacity)
            np.testing.assert_array_equal(data["row"][chosen], layer.rows)
    glyphs = drawing.figures[0][0].renderers
    assert all(
        r.data_source is brush.source for r in glyphs if r.glyph.__class__.__name__ == "Scatter"
    )


def test_other_axes_keep_the_columns_that_are_still_drawn():
    brush, clouds = Brush(["ABC"]), [cloud(20)]
    brush.update([scatter(clouds, ["ABC"], LABELS)])
    brush.source.selected.indices = [3, 5]
    brush.update(
        [scatter([clouds[0].select(np.arange(4, 20))], ["ABC"], LABELS, "parameter_parameter")]
    )
    assert np.isnan(brush.source.data["estimate of a"]).all()
    assert len(brush.source.data["a"]) == 16
    assert brush.rows.tolist() == [5]


def test_the_regulariser_is_drawn_as_described():
    applied, chosen = Regularisation(10, 0.1), Regularisation(5, 0.1)
    described = regulariser(applied, chosen, (5.0, 0.1), (2.0, 7.0))
    drawing = Drawing(described, "regulariser")
    assert len(on_paper(described).axes) == 2
    (x,), (y,) = (source(drawing, "regulariser 0 0 lines chosen")[k] for k in ("xs", "ys"))
    np.testing.assert_array_equal(y, chosen.strength(x))
    assert source(drawing, "regulariser 0 0 points now")["x"].tolist() == [2.0]
    below, above = described.panel(0, 1).layers[:2]
    for band in (below, above):
        for λ, low, high in zip(band.x, band.low, band.high, strict=True):
            if low < high:
                with pytest.raises(ValueError, match="The pair"):
                    Regularisation(λ, np.sqrt(low * high))
    for λ, low, high in zip(below.x, below.high, above.low, strict=True):
        assert Regularisation(λ, np.sqrt(low * high)).α > 0, "the control: between the bands"
    drawing.update(regulariser(applied, None, (1000.0, 0.1), (np.nan, np.nan)))
    assert source(drawing, "regulariser 0 0 lines chosen")["xs"] == []
    assert len(source(drawing, "regulariser 0 0 points now")["x"]) == 0
    assert source(drawing, "regulariser 0 1 points chosen")["x"].tolist() == [1000.0]


def test_live_curves_have_the_lines_and_names_of_the_description():
    history, i = History(), np.arange(50)
    names = ("det_F", "val_det_F", "det_C", "det_Cinv", "val_det_C", "val_det_Cinv", "reg", "r")
    history.append(dict.fromkeys([*names, "val_reg"], 1.0 + i) | {"iteration": i}, {})
    history.mark(SteeringMark(4, "λ", 5.0, 10.0, 3))
    described = training_curves(history, known_det_fisher=50.0)
    live, paper = CurvesFigure(described), on_paper(described)
    for panel, figure, axes in zip(described.panels, live.figures, paper.axes, strict=True):
        named = [*panel.names, *(name for name, _ in panel.references if name)]
        assert [item.label.value for item in legend_of(figure).items] == named
        assert [text.get_text() for text in axes.get_legend().get_texts()] == named
        assert figure.yaxis.axis_label == axes.get_ylabel() == panel.y_label
        is_log = figure.y_scale.__class__.__name__ == "LogScale"
        assert (axes.get_yscale() == "log") == is_log == panel.y_log
    live.show_marks([4], ["λ 10 → 5"])
    marks = zip(live.marks.data["at"], live.marks.data["label"], strict=True)
    assert tuple(marks) == described.panels[0].marks
    assert [text.get_text() for text in paper.axes[0].texts] == ["λ 10 → 5"]
