"""Observations that are not like the simulations, and an ε that is too large, are noticed."""

import numpy as np
import pytest
from makers import plain_imnn
from matplotlib.figure import Figure

from imnn_lab import LFI, problems
from imnn_lab.diagnostics import Light, SummarySet, epsilon_advisor, novelty
from imnn_lab.diagnostics.epsilon import advice
from imnn_lab.figures import diagnostics as figures
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.inference import Uniform

A = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.5, 0.5]])
LINEAR = problems.linear_gaussian(A, np.diag([1.0, 2.0, 0.5, 1.0]), [0, 0], [0.1, 0.1])
PROBLEM = problems.gaussian()


def summaries(n=300, seed=1):
    fiducial, derivative = LINEAR.training_set(n, 50, seed)
    return SummarySet(fiducial, derivative, LINEAR.θ_fid, LINEAR.δθ)


def features(data, rng=None):
    """Return many features of linear data, some of them copies, one constant."""
    mixed = data @ np.random.default_rng(0).normal(size=(4, 40))
    return np.concatenate([mixed, np.tanh(mixed), np.zeros((*mixed.shape[:-1], 1))], axis=-1)


def mean_and_variance(data):
    return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)


def test_leaving_one_out_is_what_the_formula_gives():
    simulated = summaries(60)
    found = novelty(np.zeros(4), simulated)
    D = simulated.slopes.mean(axis=0)
    for i in (0, 7):
        others = np.delete(simulated.fiducial, i, axis=0)
        Δ = simulated.fiducial[i] - others.mean(axis=0)
        weighted = np.linalg.solve(np.cov(others, rowvar=False), np.stack([Δ, *D], axis=1))
        g, F = D @ weighted[:, 0], D @ weighted[:, 1:]
        along = g @ np.linalg.solve(F, g)
        expected = np.sqrt([along, Δ @ weighted[:, 0] - along])
        got = [part.simulated[i] for part in found.parts]
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_other_parameters_are_told_from_other_data():
    simulated, at = summaries(), np.array([[0.3, -0.2], [12.0, 3.0], [0.0, 0.0]])
    observed = at @ A.T + [[0, 0, 0, 0], [0, 0, 0, 0], [7, -4, 3, 0]]
    report = novelty(observed, simulated)
    np.testing.assert_array_equal(report.is_far[:2], [False, True])
    np.testing.assert_array_equal(report.is_novel, [False, False, True])
    lights = [novelty(one, simulated).verdict.light for one in observed]
    assert lights == [Light.GREEN, Light.AMBER, Light.RED]
    assert report.verdict.light is Light.RED
    assert str(report).startswith("Observation 2 of 3")
    assert "retrain_at_estimate" in novelty(observed[1], simulated).verdict.remedy
    np.testing.assert_allclose(report.parts[0].p_values[1], 1 / 301)
    both = novelty(observed[1] + observed[2], simulated).verdict
    assert both.light is Light.RED
    assert "ask again" in both.remedy
    crowd = novelty(np.repeat(observed[2:], 30, axis=0), simulated).verdict
    assert crowd.light is Light.AMBER
    assert "by chance" in crowd.remedy


def test_features_see_what_estimates_do_not():
    fiducial, derivative = LINEAR.training_set(400, 100, 3)
    known = LINEAR.θ_fid, LINEAR.δθ
    W = np.linalg.solve(np.diag([1.0, 2.0, 0.5, 1.0]), A)
    estimates = SummarySet(fiducial @ W, derivative @ W, *known)
    further = SummarySet(features(fiducial), features(derivative), *known)
    odd = np.array([3.0, -3.0, 0.5, 4.0])
    odd -= A @ np.linalg.solve(LINEAR.F, W.T @ odd)  # the estimate is θ_fid
    alone = novelty(odd @ W, estimates)
    assert len(alone.parts) == 1
    assert alone.verdict.light is Light.GREEN
    report = novelty(odd @ W, estimates, features(odd), further)
    assert report.verdict.light is Light.RED
    like = LINEAR.simulations(1, 77)[0]
    assert novelty(like @ W, estimates, features(like), further).verdict.light is Light.GREEN


@pytest.mark.statistical
def test_observations_like_the_simulations_rarely_raise_an_alarm():
    data, alarms = LINEAR.simulations(200, 999), 0
    for seed in range(200):
        simulated = summaries(100 if seed % 2 else 400, seed)
        fiducial, derivative = simulated.fiducial, simulated.derivative
        known = LINEAR.θ_fid, LINEAR.δθ
        further = SummarySet(features(fiducial), features(derivative), *known)
        one = data[seed]
        alarms += novelty(one, simulated, features(one), further).verdict.light is not Light.GREEN
    assert alarms <= 10


@pytest.fixture(scope="module")
def imnn():
    return plain_imnn()


def test_of_a_network(imnn):
    like = PROBLEM.simulations(3, 50)
    report = imnn.novelty(like)
    assert [part.name for part in report.parts] == ["estimate", "features"]
    assert report.verdict.light is Light.GREEN
    Δ = imnn.get_estimate(like) - imnn.θ_fid
    expected = np.sqrt(np.einsum("np,pq,nq->n", Δ, imnn.F, Δ))
    np.testing.assert_allclose(report.parts[0].observed, expected, rtol=1e-3)
    striped = np.where(np.arange(10) % 2, 1.0, -1.0) * 2.0
    assert imnn.novelty(striped).verdict.light is not Light.GREEN


def ABC_at(ε, n=20_000, seed=1, F=LINEAR.F):
    def get_estimate(data):
        weighted = data @ np.linalg.solve(np.diag([1.0, 2.0, 0.5, 1.0]), A)
        return weighted @ np.linalg.inv(F)

    ABC = LFI.ApproximateBayesianComputation(
        np.zeros((1, 4)), Uniform([-5, -5], [5, 5]), F, get_estimate, LINEAR.simulator, ["a", "b"],
        seed=seed, verbose=False,
    )  # fmt: skip
    ABC(n)
    if ε is not None:
        ABC.accept_reject(ε)
    return ABC


def test_an_ε_is_suggested_and_the_limit_is_right():
    report = epsilon_advisor(ABC_at(None))
    truth = np.sqrt(np.diag(np.linalg.inv(LINEAR.F)))
    assert (np.abs(report.sd_at_0 - truth) < 4 * report.sd_at_0_error).all()
    assert (np.abs(report.mean_at_0) < 4 * report.mean_at_0_error).all()
    assert (report.sd_at_0_error < 0.1 * truth).all()
    assert 0.2 < report.suggested < 1.5
    assert report.verdict.light is Light.GREEN
    assert report.present is None


def test_a_large_ε_is_noticed_and_a_small_one_is_not():
    large, small = epsilon_advisor(ABC_at(3.0)), epsilon_advisor(ABC_at(0.5))
    assert large.verdict.light is Light.RED
    # a ball of radius ε widens F⁻¹ by 1 + ε²/(p + 2)
    surplus, error = large.present_excess[1], large.present_excess_error[1]
    assert (np.abs(surplus - (np.sqrt(1 + 9 / 4) - 1)) < 4 * error).all()
    assert (error < 0.25).all()
    assert "present ε = 3" in str(large)
    assert small.verdict.light is Light.GREEN
    few = epsilon_advisor(ABC_at(None, n=200))
    assert few.verdict.light is Light.GREY
    assert "too large to extrapolate" in str(few)


@pytest.mark.statistical
def test_a_small_ε_rarely_raises_an_alarm():
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        θ = rng.uniform(-5, 5, (2000, 1))
        ρ = np.abs(θ[:, 0] + rng.normal(size=2000))
        report = advice(θ, ρ, ("a",), 0.5, rng)
        alarms += report.verdict.light is not Light.GREEN
    assert alarms <= 10


def test_both_renderers_draw_them():
    for described in (
        figures.novelty(novelty(np.zeros((2, 4)), summaries())),
        figures.epsilon(epsilon_advisor(ABC_at(1.0, n=4000))),
    ):
        draw(described, figure=Figure(layout="constrained"))
        Drawing(described, "observation")


def test_what_cannot_be_compared_is_refused():
    simulated = summaries()
    for observed, other, words in (
        (np.zeros(3), simulated, "have shape"),
        (np.zeros(4), summaries(20), "at least 30"),
        (np.full(4, np.nan), simulated, "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            novelty(observed, other)
    with pytest.raises(TypeError, match="SummarySet"):
        novelty(np.zeros(4), np.zeros((100, 4)))
    with pytest.raises(ValueError, match="come together"):
        novelty(np.zeros(4), simulated, np.zeros(4))
    with pytest.raises(TypeError, match="must be an LFI"):
        epsilon_advisor(simulated)
