"""Posteriors that are exact, too wide, too narrow or shifted are told apart."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from imnn_lab import LFI, problems
from imnn_lab.diagnostics import (
    Light,
    Pairs,
    Posteriors,
    calibration,
    calibration_of,
    calibration_of_rejection,
    draw_pairs,
    gaussian_posteriors,
    pairs_of,
    population_posteriors,
    recalibrate,
    rejection_posteriors,
)
from imnn_lab.diagnostics.rank_band import rank_band
from imnn_lab.figures import diagnostics as figures
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.inference import TruncatedNormal, Uniform

N = 300
PRIOR = TruncatedNormal([0, 1], [3, 2])
F = np.array([[4.0, 1.0], [1.0, 2.0]])
PROBLEM = problems.gaussian()


def linear_pairs(n=N, seed=1, shift=0.0, scale=1.0, F=F):
    """Return pairs of a linear Gaussian problem, with estimates that are shifted or F changed."""
    rng = np.random.default_rng(seed)
    sd = np.array([3.0, 2.0])[: len(F)]
    prior = TruncatedNormal([0, 1][: len(F)], sd)
    θ = prior.sample(n, rng)
    noise = rng.normal(size=θ.shape) @ np.linalg.cholesky(np.linalg.inv(F)).T
    return Pairs(θ, θ + noise + shift, prior, F / scale**2, ("a", "b")[: len(F)])


def exact_posteriors(rng, n=N, shift=0.0, scale=1.0, samples=100):
    """Return samples of normal posteriors, shifted and widened in units of their errors."""
    Σ = np.linalg.inv(F + np.diag([1 / 9, 1 / 4]))
    root = np.linalg.cholesky(Σ)
    mean = rng.normal(size=(n, 2))
    θ = mean + rng.normal(size=(n, 2)) @ root.T
    drawn = mean[:, None] + scale * rng.normal(size=(n, samples, 2)) @ root.T
    drawn += shift * np.sqrt(np.diag(Σ))
    weights = np.full((n, samples), 1 / samples)
    return Posteriors("exact", θ, drawn, weights, PRIOR, ("a", "b"))


def mean_and_variance(data):
    return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)


def test_a_band_holds_all_of_the_distribution_of_uniform_ranks_as_often_as_it_says():
    band = rank_band(N, 0.9)
    uniform = np.random.default_rng(5).random((4000, N))
    # four standard errors of a fraction of 4,000; the discrete ranks may only raise it
    assert 0.9 - 4 * 0.0047 < band.contains(uniform).mean() < 0.93
    pointwise = stats.binom.interval(0.9, N, band.points)
    assert (band.high * N >= pointwise[1]).all()
    assert not band.contains(uniform[0] ** 1.5)


@pytest.mark.parametrize(
    ("changed", "expected", "light"),
    [
        ({}, ((), ()), Light.GREEN),
        ({"scale": 1.6}, (("under-confident",),) * 2, Light.AMBER),
        ({"scale": 1 / 1.6}, (("over-confident",),) * 2, Light.RED),
        ({"shift": 0.5}, (("biased",),) * 2, Light.RED),
    ],
)
def test_what_is_wrong_is_named(changed, expected, light):
    report = calibration_of(exact_posteriors(np.random.default_rng(3), **changed))
    assert report.findings == expected
    assert report.verdict.light is light
    assert str(report.verdict) in str(report)


@pytest.mark.statistical
def test_kinds_are_told_apart_with_300_pairs():
    kinds = {
        "over-confident": {"scale": 1 / 1.5}, "under-confident": {"scale": 1.5},
        "biased": {"shift": 0.5},
    }  # fmt: skip
    for name, changed in kinds.items():
        alone = 0
        for seed in range(40):
            report = calibration_of(exact_posteriors(np.random.default_rng(seed), **changed))
            assert name in report.findings[0] + report.findings[1], (name, seed)
            alone += set(report.findings[0]) == {name}
        assert alone >= 36, (name, alone)


@pytest.mark.statistical
def test_calibrated_posteriors_rarely_raise_an_alarm():
    alarms = {"exact": 0, "ABC": 0}
    for seed in range(200):
        posteriors = exact_posteriors(np.random.default_rng(seed), samples=50)
        alarms["exact"] += calibration_of(posteriors).verdict.light is not Light.GREEN
        pairs = linear_pairs(1000, seed, F=np.eye(1) * 4)
        report = calibration_of_rejection(pairs, 20, most=200)
        alarms["ABC"] += report.verdict.light is not Light.GREEN
    assert all(count <= 10 for count in alarms.values()), alarms


def test_the_gaussian_approximation_of_a_linear_problem():
    assert calibration(linear_pairs()).verdict.light is Light.GREEN
    narrow = calibration(linear_pairs(scale=0.5))
    assert "over-confident" in narrow.findings[0]
    assert "times too small" in str(narrow)
    assert narrow.coverage(0.68) < 0.4
    assert narrow.scale[0] == pytest.approx(2, rel=0.2)
    high = calibration(linear_pairs(shift=[1.0, 0.0]))
    assert "a is biased, too high" in str(high)
    assert not high.is_calibrated[2]
    assert "biased" not in high.findings[1]


def test_a_wrong_correlation_alone_is_noticed():
    pairs = linear_pairs()
    strong = np.array([[1.0, 0.95], [0.95, 1.0]])
    rng = np.random.default_rng(1)
    estimates = pairs.θ + rng.normal(size=(N, 2)) @ np.linalg.cholesky(strong).T
    report = calibration(Pairs(pairs.θ, estimates, PRIOR, np.eye(2), pairs.labels))
    assert report.findings == ((), ())
    assert "correlation" in str(report.verdict)


def test_posteriors_at_the_edges_of_a_prior():
    prior = Uniform([-0.2, 0.5], [0.2, 1.5])  # narrower than the errors
    θ = prior.sample(N, 1)
    noise = np.random.default_rng(2).normal(size=θ.shape) @ np.linalg.cholesky(np.linalg.inv(F)).T
    pairs = Pairs(θ, θ + noise, prior, F, ("a", "b"))
    posteriors = gaussian_posteriors(pairs)
    counted = posteriors.samples[posteriors.weights > 0]
    assert (counted >= prior.low).all()
    assert (counted <= prior.high).all()
    np.testing.assert_allclose(posteriors.weights.sum(axis=1), 1)
    assert calibration_of(posteriors).verdict.light is Light.GREEN


def test_ABC_takes_the_other_pairs_and_never_its_own():
    pairs = linear_pairs()
    posteriors = rejection_posteriors(pairs, 25, most=50)
    assert posteriors.samples.shape == (50, 25, 2)
    for i in range(50):
        assert not (posteriors.samples[i] == pairs.θ[i]).all(axis=1).any()
        assert np.isin(posteriors.samples[i, :, 0], pairs.θ[:, 0]).all()
    adjusted = calibration_of_rejection(linear_pairs(1000), 200, adjust=True)
    wide = calibration_of_rejection(linear_pairs(1000), 400)
    assert adjusted.verdict.light is Light.GREEN
    assert wide.findings == (("under-confident",),) * 2
    assert "accept nearer draws" in wide.verdict.remedy


def test_far_from_the_fiducial_the_gaussian_approximation_is_flagged_and_ABC_is_not():
    problem = problems.exponential()
    near, far = Uniform([1.8], [2.2]), Uniform([0.2], [8.0])

    def pairs(prior):
        def get_estimate(data):
            return data.mean(axis=1)

        simulated = problem.simulator, prior, get_estimate, problem.F
        return draw_pairs(*simulated, 300, seed=2, verbose=False)

    flagged = calibration(pairs(far))
    assert flagged.verdict.light is Light.RED
    assert "train anew" in flagged.verdict.remedy
    assert calibration(pairs(near)).verdict.light is Light.GREEN
    assert calibration_of_rejection(pairs(far), 20).verdict.light is Light.GREEN


def test_draws_of_ABC_are_pairs():
    ABC = LFI.ApproximateBayesianComputation(
        PROBLEM.simulations(1, 3), Uniform([-1, 0.5], [1, 2]), PROBLEM.F, mean_and_variance,
        PROBLEM.simulator, ["μ", "Σ"], seed=1, verbose=False,
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="No draws yet"):
        pairs_of(ABC)
    ABC(200)
    pairs = pairs_of(ABC)
    np.testing.assert_array_equal(pairs.θ, ABC.parameters)
    assert pairs.labels == ("μ", "Σ")
    ABC(pairs.θ, predrawn=True)
    with pytest.raises(ValueError, match="draws from its prior"):
        pairs_of(ABC)
    with pytest.raises(TypeError, match="must be an LFI"):
        pairs_of(pairs)


def test_pmc_states_its_cost_first(capsys):
    def simulator(parameters, seed):
        noise = np.random.default_rng(seed).normal(size=parameters.shape)
        return parameters + noise @ np.linalg.cholesky(np.linalg.inv(F)).T

    made = []

    def get_estimate(data):
        made.append(len(data))
        return data

    pairs = linear_pairs(200)
    posteriors = population_posteriors(
        pairs, simulator, get_estimate, 100, most=20, draws=30, seed=1
    )
    assert "at most 20 × 100 = 2,000 simulations" in capsys.readouterr().out
    assert 0 < sum(made) <= 2000
    assert posteriors.samples.shape == (20, 30, 2)
    report = calibration_of(posteriors)
    assert report.is_calibrated.all()
    assert report.verdict.light is Light.GREY
    assert "100 pairs" in report.verdict.remedy


def test_the_ellipse_is_widened_until_it_holds_the_truth():
    narrow, fresh = linear_pairs(1000, scale=0.5), linear_pairs(4000, seed=9, scale=0.5)
    widened = recalibrate(narrow, 0.68)
    assert widened.factor == pytest.approx(2, rel=0.1)
    again = recalibrate(Pairs(fresh.θ, fresh.estimates, PRIOR, widened.F, fresh.labels), 0.68)
    # four standard errors of the coverage of a radius from 1,000 pairs
    assert again.before == pytest.approx(0.68, abs=4 * 0.0165)
    assert widened.before < 0.4
    assert widened.verdict.light is Light.AMBER
    honest = recalibrate(linear_pairs(1000))
    assert honest.factor == pytest.approx(1, abs=0.1)
    assert honest.verdict.light is Light.GREEN
    with pytest.raises(ValueError, match="Make more pairs"):
        recalibrate(linear_pairs(50), 0.99)


def test_both_renderers_draw_it():
    described = figures.calibration(calibration(linear_pairs(100)))
    assert (described.rows, described.columns) == (3, 3)
    (band, curve) = described.panel(0, 0).layers
    assert ((band.low <= curve.y + 1e-9) & (curve.y <= band.high + 1e-9)).all()
    draw(described, figure=Figure(layout="constrained"))
    Drawing(described, "calibration")


def test_what_is_no_table_is_refused():
    for function in (calibration, calibration_of_rejection, recalibrate):
        with pytest.raises(TypeError, match="draw_pairs"):
            function(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least 20"):
        calibration(linear_pairs(10))
