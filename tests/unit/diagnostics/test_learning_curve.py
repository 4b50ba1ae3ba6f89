"""F against the number of simulations that the last layer is solved on."""

import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import problems
from imnn_lab.diagnostics import LearningCurve, SummarySet, honest_fisher
from imnn_lab.figures import diagnostics as figures
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.history import History
from imnn_lab.subsets import halves, learning_curve

D, SEEDS = 20, (1, 3, 5)
CURVE = LearningCurve(
    np.array([20, 40]),
    np.array([10, 20]),
    np.array([[1.0, 2.0], [2.25, np.nan]]),
    np.array([[4.0, np.nan], [3.0, np.nan]]),
    (2.0, 2.5),
    0.95,
)


def correlated():
    """Return a line in noise whose optimal weights are far from those without correlations."""
    rng = np.random.default_rng(0)
    L = np.linalg.qr(rng.normal(size=(D, D)))[0] * np.logspace(-1, 1, D)
    N = L @ L.T
    return problems.linear_gaussian(L @ rng.normal(size=(D, 1)), (N + N.T) / 2, [0.0], [0.1])


def test_what_few_simulations_lose_is_what_adaptive_filters_lose():
    """F / F_exact of weights from n samples of D values has the mean (n − D + 1) / n.

    (Reed, Mallett & Brennan 1974.) With n = 100 it is a beta variable of standard deviation 0.055,
    that is 0.07 in ln F, and 0.02 over 12 parts; 0.08 is four times that. The control: a loss of
    nothing, as with all 3,200 simulations, is out of it.
    """
    problem = correlated()
    exact, losses, all_of_them, own = np.log(problem.F[0, 0]), [], [], []
    for seed in SEEDS:
        sets = [
            SummarySet(*problem.training_set(n, n, at), problem.θ_fid, problem.δθ)
            for n, at in ((3200, seed), (20_000, seed + 1))
        ]
        curve = learning_curve(*sets, 1)
        assert curve.n_s.tolist() == [50, 100, 200, 400, 800, 1600, 3200]
        losses.append(np.nanmean(curve.held_out[1]) - exact)
        all_of_them.append(curve.held_out[-1, 0] - exact)
        own.append(np.nanmean(curve.own[1] - curve.held_out[1]))
        low, high = curve.log_det_bracket
        assert low < curve.held_out[-1, 0] < high
    expected = np.log((100 - D + 1) / 100)
    assert np.mean(losses) == pytest.approx(expected, abs=0.08)
    assert np.mean(all_of_them) != pytest.approx(expected, abs=0.08)
    assert np.mean(own) > 0.1, "on their own simulations they seem to lose less than nothing"


def test_what_the_last_doubling_brought_and_the_bias():
    assert CURVE.gain == pytest.approx(2.25 - 1.5)
    assert CURVE.bias == pytest.approx(3.0 - 2.25)
    assert str(CURVE).splitlines()[-1].split() == ["40", "20", "2.250", "3.000"]


def test_the_figure_has_means_parts_and_the_bracket():
    described = figures.learning_curve(CURVE, np.diag([2.0, 4.0]))
    (panel,) = described.panels
    assert panel.x_label == "fiducial simulations; derivative in proportion"
    assert panel.y_truth == pytest.approx((np.log(8),))
    band, held_out, parts, own, _ = panel.layers
    assert (band.low[0], band.high[0]) == (2.0, 2.5)
    np.testing.assert_array_equal(held_out.y, [1.5, 2.25])
    np.testing.assert_array_equal(parts.y, [1.0, 2.0, 2.25])
    np.testing.assert_array_equal(own.y, [4.0, 3.0])
    Drawing(described, "Simulations")
    draw(described)


def test_of_a_network_and_of_one_without_validation_or_a_linear_end():
    imnn, shares = plain_imnn(), []
    curve = imnn.learning_curve(shares.append)
    assert (shares[0], shares[-1]) == (0, 1)
    assert shares == sorted(shares)
    assert curve.n_s.tolist() == [25, 50, 100, 200]
    # The same features with the same number of simulations: apart by the choice of ridges.
    assert curve.held_out[-1, 0] == pytest.approx(imnn.validation.log_det_F, abs=0.5)
    alone = plain_imnn(validation_fiducial=None, validation_derivative=None)
    assert alone.learning_curve().n_s.tolist() == [25, 50, 100]
    with pytest.raises(TypeError, match="progress"):
        imnn.learning_curve(progress=3)


def test_halves_hold_every_simulation_once():
    rng = np.random.default_rng(1)
    whole = SummarySet(rng.normal(size=(7, 2)), rng.normal(size=(5, 1, 2)), np.zeros(1), None)
    first, second = halves(whole)
    assert (first.n_s, second.n_s, first.n_d, second.n_d) == (4, 3, 3, 2)
    together = np.concatenate([first.fiducial, second.fiducial])
    assert sorted(together[:, 0]) == sorted(whole.fiducial[:, 0])


def test_the_bracket_stands_on_the_curve_of_training():
    problem = problems.gaussian()
    fiducial, derivative = problem.training_set(n_s=500, n_d=500, seed=1)
    known = [np.stack([x.mean(-1), (x**2).mean(-1)], -1) for x in (fiducial, derivative)]
    report = honest_fisher(SummarySet(*known, problem.θ_fid, problem.δθ), repetitions=50)
    history = History()
    i = np.arange(6)
    history.append({"iteration": i, "seconds": i / 2, "det_F": 40.0 + i, "val_det_F": 45 - i}, {})
    described = figures.det_fisher(history, report, problem.F, "seconds")
    (panel,) = described.panels
    band, line, training, validation = panel.layers
    assert (band.low[0], band.high[0]) == report.det_bracket
    assert line.y[0] == report.det_F
    np.testing.assert_array_equal(band.x, [0, 2.5])
    np.testing.assert_array_equal((training.y, validation.y), (40 + i, 45 - i))
    assert panel.y_truth == pytest.approx((50,))
    assert described.series[2] == "bracket, 95 %"
    low, high = panel.y_range
    assert low < min(40, band.low[0])
    assert high > max(50, band.high[0])
    for shown in (described, figures.det_fisher(History(), report)):
        Drawing(shown, "det F")
        draw(shown)
