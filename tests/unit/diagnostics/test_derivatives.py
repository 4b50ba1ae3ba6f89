"""The derivative doctor: each finding with a control, three published problems, false alarms."""

import numpy as np
import pytest
from scipy import stats

from imnn_lab import matched, problems
from imnn_lab.diagnostics import Light, SummarySet, derivative_doctor

# Three problems with known answers -----------------------------------------------------------

K = 10 ** np.linspace(-4, 0, 100)
SHAPES = np.stack([np.ones(100), K, np.sqrt(K)])  # μ = α + βk + γ√k
TRUTH = {1: [0.026, 0.388, 0.273], 2: [0.115, 1.735, 1.219], 3: [0.172, 2.046, 1.584]}


def at(θ):
    return np.asarray(θ, float) @ SHAPES


def score(x, row):
    """Compress to the score at θ = (1, 1, 1), as Coulton & Wandelt do."""
    μ = at([1, 1, 1])
    if row == 1:
        return (x - μ) / (0.02 * μ**2) @ SHAPES.T
    if row == 3:
        return (x - μ) / μ @ SHAPES.T
    z = (x - μ) / μ
    return ((z + z**2 - 1) / (2 * μ) + (z**2 / 2 - 1) / μ) @ SHAPES.T


def simulated(θ, n, row, rng):
    μ = at(θ)
    if row == 3:
        return rng.poisson(μ, size=(n, 100))
    sd = np.sqrt(0.02) * at([1, 1, 1]) if row == 1 else np.sqrt(2) * μ
    return μ + sd * rng.normal(size=(n, 100))


def published(row, n_d, seed=0, is_matched=False, score=score):
    """Return the summaries of one of the problems."""
    step = {1: 0.05, 2: 0.1, 3: 0.05}[row]
    fiducial = score(simulated([1, 1, 1], 20_000, row, np.random.default_rng([seed, 1])), row)
    sides = np.empty((n_d, 2, 3, fiducial.shape[1]))
    for side, sign in enumerate((-1, 1)):
        for α in range(3):
            own = [seed, 2] if is_matched else [seed, 3, side, α]
            θ = np.ones(3)
            θ[α] += sign * step
            made = simulated(θ, n_d, row, np.random.default_rng(own))
            sides[:, side, α] = score(made, row)
    return SummarySet(fiducial, sides, np.ones(3), np.full(3, 2 * step))


def test_unmatched_seeds_of_gaussian_data_make_errors_too_small_and_are_noticed():
    data = published(1, 2000, score=lambda x, row: x)  # all 100 values, as published
    report = derivative_doctor(data)
    assert report.verdicts["seeds"].light is Light.RED
    assert not report.pairing.is_paired.any()
    assert report.verdicts["noise"].light is Light.RED
    errors = 1 / report.tightening  # without the noise of the derivative
    standard = np.sqrt(np.diag(np.linalg.inv(data.statistics.F)))
    # its standard errors are 20 to 50 % too small; the noise that is subtracted has its own
    np.testing.assert_allclose(errors * standard, TRUTH[1], rtol=0.2)
    assert (standard < 0.9 * np.array(TRUTH[1])).all()


def test_matched_seeds_raise_no_alarm():
    report = derivative_doctor(published(2, 300, is_matched=True))
    assert report.verdicts["seeds"].light is Light.GREEN
    unmatched = derivative_doctor(published(2, 300))
    assert unmatched.verdicts["seeds"].light is Light.RED


def test_unmatched_seeds_of_counts_are_noticed():
    report = derivative_doctor(published(3, 2000))
    assert report.verdicts["seeds"].light is Light.RED
    assert "imnn_lab.matched" in report.verdicts["seeds"].remedy


# Each finding, and what does not find it -----------------------------------------------------


def linear(n_s=1000, n_d=400, noise=0.05, seed=1, δθ=(0.1, 0.2), s=3):
    """Return summaries A θ + n, whose slopes have some noise of their own."""
    rng = np.random.default_rng(seed)
    A, δθ = rng.normal(size=(2, s)), np.array(δθ)
    L = np.eye(s) + 0.3 * np.tril(rng.normal(size=(s, s)))
    base = rng.normal(size=(n_d, s)) @ L.T
    slopes = A * (1 + noise * rng.normal(size=(n_d, 2, s)))
    half = 0.5 * slopes * δθ[:, None]
    sides = np.stack([base[:, None] - half, base[:, None] + half], axis=1)
    return SummarySet(rng.normal(size=(n_s, s)) @ L.T, sides, np.zeros(2), δθ)


def with_sides(summaries, sides):
    return SummarySet(summaries.fiducial, sides, summaries.θ_fid, summaries.δθ)


def test_an_honest_derivative_is_green_in_all():
    report = derivative_doctor(linear(), np.random.default_rng(1).normal(size=(20, 2, 2, 5)))
    assert {name: one.light for name, one in report.verdicts.items()} == dict.fromkeys(
        ("noise", "seeds", "step", "dtype", "rows"), Light.GREEN
    )
    assert report.verdict.light is Light.GREEN
    assert "seeds: The two sides of every parameter are paired." in str(report)


def test_noise_that_tightens_forecasts_is_told_with_enough_rows():
    few = derivative_doctor(linear(n_d=60, noise=4.0))
    assert few.verdicts["noise"].light in (Light.RED, Light.AMBER)
    assert few.recommended_n_d > 60
    enough = derivative_doctor(linear(n_d=few.recommended_n_d * 2, noise=4.0))
    assert enough.verdicts["noise"].light is Light.GREEN
    assert (enough.tightening > 0.97).all()


def test_the_noise_is_that_of_unmatched_seeds_as_derived():
    """B has 2s/(δθ² n_d) on its diagonal: 0.4 for two summaries (mathematics of the tests)."""
    rng = np.random.default_rng(2)
    sides = rng.normal(size=(1000, 2, 1, 2))
    report = derivative_doctor(
        SummarySet(rng.normal(size=(100_000, 2)), sides, np.zeros(1), np.full(1, 0.1))
    )
    # its sd is √(2/(s n_d)) of it, 3 %
    np.testing.assert_allclose(report.noise, 0.4, rtol=0.13)
    assert report.signal_to_noise[0] < 3
    assert report.verdicts["noise"].light is Light.RED


def test_half_of_the_rows_or_one_summary_unmatched_are_noticed():
    honest = linear()
    rows = honest.derivative.copy()
    rows[::2, 1] = np.roll(rows[::2, 1], 1, axis=0)
    one = honest.derivative.copy()
    one[:, 1, 0, 2] = np.roll(one[:, 1, 0, 2], 1, axis=0)
    loud = one.copy()
    loud[..., 0] *= 1e6
    mixed = loud @ np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    for sides, parameters in ((rows, [0, 1]), (one, [0]), (loud, [0]), (mixed, [0])):
        changed = with_sides(honest, sides)
        report = derivative_doctor(changed)
        assert np.flatnonzero(~report.pairing.is_paired).tolist() == parameters
        assert report.verdicts["seeds"].light is Light.RED


def test_a_step_that_is_too_wide_is_told_with_a_better_one():
    def exponential(width, n=1000):
        rng = np.random.default_rng(5)
        n_s, n_d = rng.normal(size=(2, n, 1))
        sides = np.stack([n_d + np.exp(2 * sign * width / 2) for sign in (-1, 1)], axis=1)
        return SummarySet(1 + n_s, sides[:, :, None], np.zeros(1), np.full(1, width))

    wide = derivative_doctor(exponential(1.0))  # second over first order: 0.5 · 2 · 0.5
    assert wide.verdicts["step"].light is Light.AMBER
    np.testing.assert_allclose(wide.curvature, 0.46, atol=3 * wide.curvature_sd[0])
    better = derivative_doctor(exponential(wide.recommended_δθ[0]))
    assert better.verdicts["step"].light is Light.GREEN
    assert derivative_doctor(exponential(2.0)).verdicts["step"].light is Light.RED


@pytest.mark.parametrize(("offset", "light"), [(0, "GREEN"), (1e5, "AMBER"), (1e7, "RED")])
def test_a_step_that_the_dtype_rounds_away_is_told(offset, light):
    rng = np.random.default_rng(6)
    low = offset + rng.normal(size=(200, 4))
    both = np.stack([np.stack([low, low], 1), np.stack([low + 0.02, low + 0.02], 1)], axis=1)
    report = derivative_doctor(linear(), both.astype(np.float32))
    assert report.verdicts["dtype"].light.name == light
    assert derivative_doctor(linear(), both).verdicts["dtype"].light is Light.GREEN
    if light == "RED":
        assert (report.recommended_δθ > linear().δθ).all()
    assert derivative_doctor(linear()).verdicts["dtype"].light is Light.GREY


def test_rows_with_outlying_differences_are_named():
    honest = linear()
    sides = honest.derivative.copy()
    sides[[17, 230], 1, 1] += 30
    report = derivative_doctor(with_sides(honest, sides), labels=("A", "B"))
    assert [rows.tolist() for rows in report.outliers] == [[], [17, 230]]
    assert "B: 17, 230" in report.verdicts["rows"].words
    assert not any(len(rows) for rows in derivative_doctor(honest).outliers)


def test_exact_derivatives_have_noise_but_no_step():
    honest = linear()
    exact = SummarySet(honest.fiducial, honest.slopes, honest.θ_fid, None)
    report = derivative_doctor(exact)
    assert report.recommended_δθ is None
    assert report.pairing is None
    np.testing.assert_allclose(report.noise, derivative_doctor(honest).noise)
    assert report.verdict.light is Light.GREEN


def test_without_noise_nothing_is_infinite_but_the_ratio():
    report = derivative_doctor(linear(noise=0.0))
    assert (report.signal_to_noise > 1e6).all()
    np.testing.assert_allclose(report.tightening, 1)
    assert report.verdict.light is Light.GREEN


def test_too_few_and_other_things_are_refused():
    with pytest.raises(TypeError, match="SummarySet"):
        derivative_doctor(np.ones((3, 3)))
    with pytest.raises(ValueError, match="4 rows"):
        derivative_doctor(linear(n_d=3))
    with pytest.raises(ValueError, match="`simulations`"):
        derivative_doctor(linear(), np.ones((3, 2)))
    with pytest.raises(ValueError, match="`labels`"):
        derivative_doctor(linear(), labels=("A",))
    same = linear()
    doubled = np.concatenate([same.fiducial, same.fiducial], axis=1)
    sides = np.concatenate([same.derivative, same.derivative], axis=-1)
    with pytest.raises(ValueError, match="linearly dependent"):
        derivative_doctor(SummarySet(doubled, sides, same.θ_fid, same.δθ))


# False alarms --------------------------------------------------------------------------------


def moments(x):
    return np.stack([x.mean(axis=-1), np.mean(x**2, axis=-1)], axis=-1)


def of_problem(problem, summary, seed):
    fiducial, derivative = problem.training_set(500, 300, seed)
    return SummarySet(summary(fiducial), summary(derivative), problem.θ_fid, problem.δθ)


def of_counts(seed, rates=None):
    rates = np.linspace(1, 20, 20) if rates is None else np.array(rates)

    def total(θ, n, part):
        size = n, len(rates)
        return matched.poisson(2 * seed + part, θ * rates, size).sum(1, keepdims=True)

    sides = np.stack([total(1 - 0.025, 300, 1), total(1 + 0.025, 300, 1)], axis=1)
    return SummarySet(total(1, 500, 0), sides[:, :, None], np.ones(1), np.full(1, 0.05))


HONEST = {
    "mean and variance": lambda seed: of_problem(problems.gaussian(), moments, seed),
    "scale": lambda seed: of_problem(
        problems.exponential(), lambda x: x.mean(axis=-1, keepdims=True), seed
    ),
    "slope": lambda seed: of_problem(
        problems.slope(), lambda x: x @ np.linspace(0, 10, 100)[:, None], seed
    ),
    "linear": lambda seed: linear(seed=seed, s=2 + seed % 5),
    "counts": of_counts,
    "few counts": lambda seed: of_counts(seed, [0.3, 1, 3]),  # most rows do not differ
}


@pytest.mark.statistical
def test_false_alarms_are_at_most_one_in_twenty_of_honest_problems():
    """204 problems with matched seeds and narrow steps; a control with unmatched seeds."""
    alarms, found = [], 0
    for name, make in HONEST.items():
        for seed in range(34):
            honest = make(seed)
            report = derivative_doctor(honest)
            if report.verdict.light is not Light.GREEN:
                alarms.append((name, seed, str(report.verdict)))
            sides = honest.derivative.copy()
            sides[:, 1] = np.roll(sides[:, 1], 1, axis=0)
            found += not derivative_doctor(with_sides(honest, sides)).pairing.ok
    assert len(alarms) <= 10, alarms
    assert found == 204


def test_p_values_of_the_curvature_are_uniform_for_a_straight_response():
    p = np.concatenate([derivative_doctor(linear(seed=seed)).curvature_p for seed in range(100)])
    # two parameters of one problem share their noise: one of each
    assert stats.kstest(p[::2], "uniform").pvalue > 1e-3
