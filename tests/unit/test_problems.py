import pickle

import numpy as np
import pytest

from imnn_lab import problems

A = np.array([[1.0, 0.5], [0.2, 2.0], [0.0, 1.0]])
N = np.array([[1.0, 0.3, 0.0], [0.3, 2.0, 0.1], [0.0, 0.1, 0.5]])
ALL = {
    "gaussian": problems.gaussian(),
    "variance": problems.variance(),
    "slope": problems.slope(),
    "nuisance_slope": problems.nuisance_slope(),
    "linear_gaussian": problems.linear_gaussian(A, N, (1, -1), (0.1, 0.1)),
    "exponential": problems.exponential(),
    "field": problems.field_2d(8),
    "autoregressive": problems.autoregressive(),
    "sine": problems.sine(),
    "blob": problems.blob(),
    "poisson_blob": problems.poisson_blob(),
    "bivariate_normal": problems.bivariate_normal(),
    "mixture": problems.mixture(),
    "gaussian_process": problems.gaussian_process(),
    "lognormal_field": problems.lognormal_field(),
}


@pytest.mark.parametrize(
    ("problem", "det_F"),
    [
        (problems.gaussian(), 50),
        (problems.variance(), 5),
        (problems.slope(), 3350.16835),
        (problems.nuisance_slope(), 9.97024),
        (problems.exponential(), 2.5),
        (problems.field_2d(16), 3722.6916),
    ],
)
def test_fisher_information_has_the_known_value(problem, det_F):
    assert problem.det_F == pytest.approx(det_F, rel=1e-6)


def test_field_has_the_known_matrix():
    expected = [[127.5, -100.8021], [-100.8021, 108.8922]]
    np.testing.assert_allclose(problems.field_2d(16).F, expected, atol=5e-5)


def test_fisher_information_in_noise_is_that_of_the_known_derivatives():
    t = np.linspace(0, 10, 100)
    wave, slope = np.sin(2 * t + 0.5), np.cos(2 * t + 0.5)
    gradient = np.array([wave, t * slope, slope])
    np.testing.assert_allclose(problems.sine().F, gradient @ gradient.T, rtol=1e-9, atol=1e-8)
    y, x = np.meshgrid(*[np.arange(16) - 7.5] * 2, indexing="ij")
    shape = np.exp(-(x**2 + y**2) / 8)
    gradient = np.array([shape, 3 / 4 * x * shape, 3 / 8 * (x**2 + y**2) * shape]).reshape(3, -1)
    np.testing.assert_allclose(problems.blob().F, gradient @ gradient.T, rtol=1e-9, atol=1e-8)
    mean = 1 + 10 * shape.ravel()
    gradient *= np.array([[1], [10 / 3], [10 / 3]])
    F = gradient / mean @ gradient.T
    np.testing.assert_allclose(problems.poisson_blob().F, F, rtol=1e-9, atol=1e-8)


def test_fields_have_no_mean_and_the_power_asked_for_whatever_the_slope():
    problem = problems.field_2d(8)
    m = np.fft.fftfreq(8) * 8
    k = 2 * np.pi / 8 * np.hypot(m[:, None], m)
    for slope in (-0.5, 0.0, 1.5):
        fields = problem.simulator(np.tile([2.0, slope], (4000, 1)), 1)[..., 0]
        power = (np.abs(np.fft.fft2(fields)) ** 2).mean(axis=0) / 64
        assert power[0, 0] == pytest.approx(0, abs=1e-20)
        # A mode's power scatters by at most sqrt(2/4000) = 0.022; five of those, 63 modes
        expected = 2 * k.ravel()[1:] ** -slope
        np.testing.assert_allclose(power.ravel()[1:], expected, rtol=0.11)


@pytest.mark.parametrize("name", ALL)
def test_fisher_information_is_the_covariance_of_the_score(name):
    problem, n = ALL[name], 4000
    data = problem.simulations(n, seed=7)
    steps = 1e-4 / np.sqrt(np.diag(problem.F))

    def derivative(d, step):
        above, below = (problem.log_likelihood(d, problem.θ_fid + s * step) for s in (1, -1))
        return (above - below) / (2 * step.sum())

    score = np.array([[derivative(d, step) for step in np.diag(steps)] for d in data])
    scale = np.sqrt(np.diag(problem.F))
    # A covariance entry in units of F errs by at most sqrt((κ − 1)/n) with a kurtosis κ < 9 here:
    # 4.5 standard deviations are 0.2; the mean errs by 1/sqrt(n), 4.5 of them are 0.07.
    np.testing.assert_allclose(score.mean(0) / scale, 0, atol=0.07)
    expected = problem.F / np.outer(scale, scale)
    np.testing.assert_allclose(np.cov(score.T) / np.outer(scale, scale), expected, atol=0.2)
    # The control: a Fisher matrix half again as large is refused by the same test.
    assert np.abs(np.cov(score.T) / np.outer(scale, scale) - 1.5 * expected).max() > 0.2


@pytest.mark.parametrize("name", ALL)
def test_seeds_are_matched(name):
    problem = ALL[name]
    fiducial, derivative = problem.training_set(30, 20, seed=4)
    assert fiducial.shape == (30, *problem.input_shape)
    assert derivative.shape == (20, 2, problem.n_params, *problem.input_shape)
    scatter = np.var(derivative[:, 1] - derivative[:, 0], axis=0).sum()
    assert scatter < 0.2 * 2 * np.var(derivative[:, 0], axis=0).sum()
    again = problem.training_set(30, 20, seed=4)
    np.testing.assert_array_equal(again[1], derivative)


def test_autoregressive_fisher_agrees_with_the_gaussian_formula():
    φ, σ, n, h = 0.4, 1.5, 30, 1e-5
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))

    def covariance(φ, σ):
        return σ**2 / (1 - φ**2) * φ**lag

    inverse = np.linalg.inv(covariance(φ, σ))
    slopes = [
        (covariance(φ + h, σ) - covariance(φ - h, σ)) / (2 * h),
        (covariance(φ, σ + h) - covariance(φ, σ - h)) / (2 * h),
    ]
    expected = np.zeros((3, 3))
    expected[0, 0] = inverse.sum()
    for i in range(2):
        for j in range(2):
            expected[1 + i, 1 + j] = 0.5 * np.trace(inverse @ slopes[i] @ inverse @ slopes[j])
    np.testing.assert_allclose(
        problems.autoregressive_fisher((5, φ, σ), n), expected, rtol=1e-6, atol=1e-8
    )


def test_nile_flow_ships_with_the_package():
    years, flow = problems.nile_flow()
    assert (years[0], years[-1], len(flow)) == (1871, 1970, 100)
    assert (flow[0], flow[-1], flow.sum()) == (1120, 740, 91935)


def test_maximum_likelihood_finds_the_maximum():
    problem = problems.linear_gaussian(A, N, (1, -1), (0.1, 0.1))
    d = problem.simulations(1, 3)[0]
    inverse = np.linalg.inv(N)
    exact = np.linalg.solve(A.T @ inverse @ A, A.T @ inverse @ d)
    np.testing.assert_allclose(problems.maximum_likelihood(problem, d), exact, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_problems_can_be_pickled_and_sent(name):
    problem, (sent, again) = ALL[name], pickle.loads(pickle.dumps((ALL[name], ALL[name].simulator)))
    data = problem.simulations(3, 1)
    np.testing.assert_array_equal(sent.simulations(3, 1), data)
    np.testing.assert_array_equal(again(np.tile(problem.θ_fid, (3, 1)), seed=1), data)
    assert sent.log_likelihood(data[0], problem.θ_fid) == problem.log_likelihood(
        data[0], problem.θ_fid
    )


def test_seeds_as_long_as_those_of_numpy_are_taken():
    seed = np.random.SeedSequence(1).generate_state(4).astype(object) @ [1, 2**32, 2**64, 2**96]
    first, again = (problems.gaussian().training_set(3, 2, seed)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match="`seed` must be"):
        problems.gaussian().simulations(2, 2**128)
