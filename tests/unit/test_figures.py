"""What figures show, and that it can be drawn."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI, diagnostics
from imnn_lab.diagnostics import Posteriors
from imnn_lab.figures import corner, fisher, scatter
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.data import Contours, Curve
from imnn_lab.figures.diagnostics import rank_deviations
from imnn_lab.figures.ellipses import ellipse
from imnn_lab.figures.estimates import estimates_and_truth
from imnn_lab.figures.scatter import AXES
from imnn_lab.figures.style import earlier_style, style
from imnn_lab.inference import (
    Density,
    Draws,
    GaussianPosterior,
    Posterior,
    Uniform,
    as_prior,
)

mpl.use("Agg")
static = pytest.importorskip("imnn_lab.figures.matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def gaussian(p, centre=0.0):
    labels = tuple("abcdefghij"[:p])
    return GaussianPosterior(np.full(p, centre), np.eye(p) * 4, Uniform([-9] * p, [9] * p), labels)


def samples(p, n=4000, weighted=False):
    rng = np.random.default_rng(0)
    θ = rng.uniform(-3, 3, (n, p)) if weighted else rng.normal(0, 0.5, (n, p))
    weights = np.exp(-2 * (θ**2).sum(axis=1)) if weighted else np.ones(n)
    return Posterior(θ, weights, tuple("abcdefghij"[:p]))


@pytest.mark.parametrize("p", [1, 2, 3, 10])
def test_corner_has_a_panel_for_each_pair(p):
    described = corner({"GA": gaussian(p), "ABC": samples(p)}, gaussian(p).labels, bins=20)
    assert len(described.panels) == p * (p + 1) // 2
    assert described.series == ("GA", "ABC")
    for panel in described.panels:
        kind = Curve if panel.row == panel.column else Contours
        assert all(isinstance(layer, kind) for layer in panel.layers)
        assert [layer.series for layer in panel.layers] == [0, 1]
    assert static.draw(described).axes


def test_contours_hold_their_mass():
    described = corner({"GA": gaussian(2)}, ("a", "b"), bins=200)
    (contours,) = described.panel(1, 0).layers
    assert contours.masses == (0.95, 0.68)
    assert (np.diff(contours.levels) > 0).all()
    # a Gaussian's density falls to (1 − mass) of its peak where it encloses that mass
    relative = contours.levels / contours.values.max()
    np.testing.assert_allclose(relative, [0.05, 0.32], rtol=0.02)


def test_weights_are_honoured():
    weighted, ignored = samples(1, 20_000, weighted=True), samples(1, 20_000, weighted=True)
    ignored = Posterior(ignored.parameters, np.ones(len(ignored)), ignored.labels)
    ranges = [(-3.0, 3.0)]
    expected = stats.norm(0, 0.5).pdf
    for posterior, right in ((weighted, True), (ignored, False)):
        described = corner({"x": posterior}, ("a",), bins=30, ranges=ranges)
        (curve,) = described.panel(0, 0).layers
        # 20,000 samples in 30 bins of 0.2: relative error at the peak about 4 %; five of them
        close = np.abs(curve.y - expected(curve.x)).max() < 0.2 * expected(0)
        assert close == right


def test_truths_in_one_and_two_dimensions():
    described = corner({"GA": gaussian(2)}, ("a", "b"), truths=[[0.1, 0.2], [np.nan, 3]])
    assert described.panel(0, 0).x_truth == (0.1,)
    assert described.panel(1, 0).x_truth == (0.1,)
    assert described.panel(1, 0).y_truth == (0.2, 3.0)


def test_ranges_hold_all_posteriors():
    described = corner({"one": gaussian(1, -2.0), "two": gaussian(1, 2.0)}, ("a",))
    low, high = described.panel(0, 0).x_range
    assert low == pytest.approx(-4.5)
    assert high == pytest.approx(4.5)


def test_smoothing_keeps_the_norm_and_widens():
    x = np.linspace(-1, 1, 41)
    density = Density((x,), np.exp(-50 * x**2)).normalised()
    smooth = density.smoothed(3)
    assert smooth.values.sum() * smooth.cell == pytest.approx(1)
    assert (smooth.values * x**2).sum() > (density.values * x**2).sum()
    assert density.smoothed(None) is density


def test_negative_smoothing_is_refused_by_the_name_that_the_reader_gave():
    with pytest.raises(ValueError, match=r"`smoothing` must be at least 0. Received -1"):
        corner({"GA": gaussian(2)}, ("a", "b"), smoothing=-1.0)


def test_ellipses_are_paths_of_constant_distance():
    F = np.array([[10.0, 3.0], [3.0, 5.0]])
    x, y = ellipse(np.linalg.inv(F), np.array([1.0, 2.0]), 0.68)
    Δ = np.stack([x - 1, y - 2], axis=1)
    distance = np.einsum("ni,ij,nj->n", Δ, F, Δ)
    np.testing.assert_allclose(distance, stats.chi2.ppf(0.68, 2))
    assert (x[0], y[0]) == pytest.approx((x[-1], y[-1]))


def test_fisher_shows_the_matrix_and_its_ellipses():
    F = np.diag([4.0, 1.0, 2.0])
    described = fisher({"known": F, "trained": F / 2}, [np.zeros(3)] * 2, ("a", "b", "c"))
    np.testing.assert_allclose(described.matrix, np.linalg.inv(F))
    panel = described.panel(2, 0)
    assert [(curve.series, curve.mass) for curve in panel.layers] == [
        (0, 0.68),
        (0, 0.95),
        (1, 0.68),
        (1, 0.95),
    ]
    assert np.ptp(panel.layers[2].x) == pytest.approx(np.sqrt(2) * np.ptp(panel.layers[0].x))
    assert static.draw(described).subfigs


def cloud(p, n=100, rejected=False):
    θ = np.random.default_rng(0).normal(size=(n, p))
    return Cloud(θ, θ + 1, np.linalg.norm(θ, axis=1), rejected=rejected)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("axes", AXES)
def test_scatter(p, axes):
    clouds = [cloud(p, rejected=True), cloud(p)]
    described = scatter(clouds, ["x"], list("abc"[:p]), axes, targets=[np.ones(p)])
    number = p * p if axes == "parameter_estimate" else max(1, p * (p - 1) // 2)
    assert len(described.panels) == number
    last = described.panels[-1]
    assert [points.rejected for points in last.layers] == [True, False]
    if axes == "parameter_estimate":
        np.testing.assert_array_equal(last.layers[1].y, last.layers[1].x + 1)
        assert last.y_truth == (1.0,)
    if p == 1 and axes != "parameter_estimate":
        assert last.y_label == "distance ρ"
    assert static.draw(described).axes


def test_scatter_is_thinned_evenly():
    thin = cloud(1, 1000).thinned(0.1)
    assert len(thin.parameters) == 100
    assert len(cloud(1, 1000).thinned(0.0).parameters) == 0
    assert len(cloud(1, 0).thinned(0.5).parameters) == 0


@pytest.mark.parametrize("p", [1, 2])
def test_plots_of_none_and_one_accepted(p):
    ABC = LFI.ApproximateBayesianComputation(
        np.zeros((1, p)), Uniform([-4] * p, [4] * p), np.eye(p), lambda d: d, lambda q: q, seed=0
    )
    ABC(100)
    for ε in (1e-9, np.sort(ABC.distances[0])[0] * 1.001):
        ABC.accept_reject(ε)
        assert ABC.plot().axes
        for axes in AXES:
            assert ABC.scatter_plot(axes, 0.5).axes


def test_matplotlib_properties_pass_through():
    described = corner({"GA": gaussian(2)}, ("a", "b"))
    figure = static.draw(described, color="red", linewidths=3, figsize=(5, 4))
    (line,) = [line for line in figure.axes[0].lines if line.get_color() == "red"]
    assert line.get_linewidth() == 3
    assert figure.get_size_inches().tolist() == [5, 4]
    own = plt.figure()
    assert static.draw(described, figure=own) is own


def test_overlays_by_the_facade():
    GA = LFI.GaussianApproximation(
        np.zeros((2, 2)), Uniform([-4, -4], [4, 4]), np.eye(2), lambda d: d
    )
    figure = GA.plot(overlay={"samples": samples(2)}, truth=[0.1, 0.2], masses=[0.5])
    legend = figure.legends[0]
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "Gaussian approximation, target 0",
        "Gaussian approximation, target 1",
        "samples",
    ]
    assert legend.get_title().get_text() == "contours enclose 50 %"


def test_styles_differ_in_colour_and_dash():
    styles = [style(i) for i in range(6)]
    assert len({s.colour for s in styles}) == len({s.dashes for s in styles}) == 6
    assert style(6) == style(0)


def contrast(colour, other):
    """Return the ratio of luminances of the guidelines for accessible pages (WCAG 2, 1.4.11)."""
    lights = []
    for each in (colour, other):
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (int(each[k : k + 2], 16) / 255 for k in (1, 3, 5))
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


@pytest.mark.parametrize("page", ["#FFFFFF", "#121212"])
def test_curves_are_seen_on_light_and_dark_pages(page):
    live = [style(i).colour for i in range(4)]
    earlier = {earlier_style(i).colour for i in range(20)}
    assert all(contrast(colour, page) >= 3 for colour in (*live, *earlier))
    assert contrast(live[0], page) >= 4, "the first is as far from both"
    assert not earlier & set(live)
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21), "the control"


def test_nothing_to_show():
    with pytest.raises(ValueError, match="at least one posterior"):
        corner({}, ("a",))


def test_ranks_are_drawn_in_units_of_their_bands():
    rng = np.random.default_rng(1)
    θ = rng.uniform(-1, 1, (300, 1))
    # the truth and the samples are exchangeable given their centre: calibrated, and the control
    centre = θ + 0.1 * rng.standard_normal((300, 1))
    posteriors = [
        centre[:, None] + width * rng.standard_normal((300, 200, 1)) for width in (0.1, 0.05)
    ]
    weights, prior = np.full((300, 200), 1 / 200), as_prior(Uniform([-1], [1]), 1)
    right, narrow = (
        diagnostics.calibration_of(Posteriors("a method", θ, samples, weights, prior, ("θ",)))
        for samples in posteriors
    )
    described = rank_deviations({"right": right, "narrow": narrow, "later": None}, ("θ",))
    assert described.series == ("right", "narrow", "later", "calibrated")
    assert [panel.x_label for panel in described.panels] == ["rank of θ", "mass of the ellipse"]
    _, ours, theirs, none = described.panel(0, 0).layers
    assert np.abs(ours.y).max() <= 1 < np.abs(theirs.y).max()
    assert right.is_calibrated[0]
    assert not narrow.is_calibrated[0]
    assert len(none.x) == 0


def test_estimates_stand_against_the_truth():
    draws = Draws(np.arange(6.0).reshape(3, 2), np.ones((3, 2)), np.empty((0, 2)))
    first, second = estimates_and_truth(draws, ("a", "b")).panels
    points, line = second.layers
    assert points.x.tolist() == [1, 3, 5]
    assert points.y.tolist() == [1, 1, 1]
    assert line.x.tolist() == line.y.tolist() == [1, 5]
    assert (first.x_label, first.y_label) == ("true a", "estimate of a")
    nothing = Draws(*[np.empty((0, 2))] * 3)
    assert len(estimates_and_truth(nothing, ("a", "b")).panels[0].layers[0].x) == 0
