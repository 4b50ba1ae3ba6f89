import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from imnn_lab.fisher import Moments, fisher_statistics, moments
from imnn_lab.loss import loss_and_information, non_gaussianity
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics

C = np.array([[2, 0.5], [0.5, 1]])
dμ_dθ = np.array([[1.0, 2.0], [0.0, 1.0]])


def constants(λ=10.0, ε=0.1):
    pair = Regularisation(λ, ε)
    return tf.constant(pair.λ, tf.float64), tf.constant(pair.α, tf.float64)


def terms(C, dμ_dθ, *pair):
    tensors = (tf.constant(value, tf.float64) for value in (np.zeros(len(C)), C, dμ_dθ))
    return loss_and_information(Moments(*tensors), *constants(*pair))


def test_known_fisher_information():
    found = terms(C, dμ_dθ)
    np.testing.assert_allclose(found.F, [[4, 2], [2, 8 / 7]], rtol=1e-14)
    assert float(found.log_det_F) == pytest.approx(np.log(4 / 7), rel=1e-13)
    assert float(found.Λ2) == pytest.approx(0.9336734694, rel=1e-9)


def test_frozen_statistics_agree_with_the_graph():
    found = FisherStatistics(np.zeros(2), C, dμ_dθ)
    np.testing.assert_allclose(found.F, [[4, 2], [2, 8 / 7]], rtol=1e-14)
    assert found.det_F == pytest.approx(4 / 7, rel=1e-13)
    assert pytest.approx(0.9336734694, rel=1e-9) == found.Λ2
    assert found.det_C * found.det_Cinv == pytest.approx(1)
    np.testing.assert_allclose(found.F @ found.Finv, np.eye(2), atol=1e-14)


@pytest.mark.parametrize(
    ("C", "dμ_dθ", "λ", "ε", "expected"),
    [
        (C, dμ_dθ, 10, 0.01, 9.8963504818),
        (C, dμ_dθ, 10, 0.1, 7.0440076928),
        (2 * np.eye(2), np.diag(np.sqrt([20.0, 10.0])), 10, 0.01, 8.5879769946),
        (2 * np.eye(2), np.diag(np.sqrt([20.0, 10.0])), 10, 0.1, 6.1439521598),
    ],
)
def test_known_losses(C, dμ_dθ, λ, ε, expected):
    # The last case has Λ2 = 2 (2 − 1)²/2 + 2 (1/2 − 1)²/2 = 1.25 and F = diag(10, 5).
    assert float(terms(C, dμ_dθ, λ, ε).loss) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("λ", "ε"), [(10.0, 0.1), (2.0, 0.3), (10.0, 0.01)])
def test_gradient_of_the_loss_agrees_with_finite_differences(λ, ε):
    random = np.random.default_rng(2)
    x = tf.Variable(random.normal(size=(30, 2)) @ np.array([[1.3, 0.2], [0, 0.8]]))
    d = tf.Variable(random.normal(size=(20, 2, 2, 2)))

    def value():
        found = moments(x, d, tf.constant([0.1, 0.2], tf.float64))
        return loss_and_information(found, *constants(λ, ε)).loss

    with tf.GradientTape() as tape:
        at = value()
    for variable, gradient in zip((x, d), tape.gradient(at, (x, d)), strict=True):
        direction = random.normal(size=variable.shape)
        step = 1e-6
        variable.assign_add(step * direction)
        above = value()
        variable.assign_sub(2 * step * direction)
        below = value()
        variable.assign_add(step * direction)
        # Central differences err by step² f''' ~ 1e-12 and by rounding ~ 1e-16/1e-6 = 1e-10.
        expected = float(above - below) / (2 * step)
        assert float(np.sum(gradient * direction)) == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_gradient_at_unit_covariance_is_finite():
    random = np.random.default_rng(0)
    z = random.normal(size=(50, 2))
    z -= z.mean(0)
    z = tf.Variable(z @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T))).T)
    with tf.GradientTape() as tape:
        found = moments(z, tf.constant(np.tile(np.eye(2), (3, 1, 1))), None)
        value = loss_and_information(found, *constants()).loss
    assert np.isfinite(tape.gradient(value, z)).all()


def test_singular_covariance_gives_nan_and_no_exception():
    found = terms(np.ones((2, 2)), dμ_dθ)
    assert np.isnan(found.log_det_F)
    assert np.isnan(FisherStatistics(np.zeros(2), np.ones((2, 2)), dμ_dθ).log_det_F)


def test_huge_and_tiny_determinants_neither_overflow_nor_underflow():
    for scale in (1e-30, 1e30):
        found = fisher_statistics(
            np.random.default_rng(1).normal(size=(100, 3)).astype("float32"),
            np.stack([np.zeros((5, 3, 3)), np.tile(scale * np.eye(3), (5, 1, 1))], 1),
            np.ones(3),
        )
        assert np.isfinite(found.log_det_F)


def test_covariance_divides_by_one_less_than_the_number():
    x = np.random.default_rng(3).normal(size=(7, 2))
    found = fisher_statistics(x, np.zeros((2, 2, 1, 2)), np.ones(1))
    np.testing.assert_allclose(found.C, np.cov(x.T), rtol=1e-12)


def test_derivative_is_upper_minus_lower_over_the_full_width():
    d = np.zeros((4, 2, 2, 3))
    d[:, 1, 0], d[:, 0, 1] = 0.5, 0.3
    found = fisher_statistics(np.random.default_rng(0).normal(size=(9, 3)), d, np.array([0.1, 0.2]))
    np.testing.assert_allclose(found.dμ_dθ, [[5, 5, 5], [-1.5, -1.5, -1.5]])


def skewed(n=40):
    return np.random.default_rng(5).exponential(size=(n, 3)) @ [[1, 0, 0], [0.3, 1, 0], [2, 1, 9]]


def test_non_gaussianity_is_that_of_whitened_summaries():
    x = skewed()
    L = np.linalg.cholesky(np.cov(x.T, bias=True))
    y = np.linalg.solve(L, (x - x.mean(0)).T).T
    expected = (stats.skew(y) ** 2 + stats.kurtosis(y) ** 2).sum()
    assert float(non_gaussianity(x)) == pytest.approx(expected, rel=1e-10)
    assert float(non_gaussianity(1e3 * x - 7)) == pytest.approx(expected, rel=1e-6)
    # The control: without whitening it is another.
    assert abs(expected - (stats.skew(x) ** 2 + stats.kurtosis(x) ** 2).sum()) > 0.01 * expected


def test_the_gradient_of_non_gaussianity_agrees_with_finite_differences():
    x = tf.constant(skewed())
    direction = np.random.default_rng(6).normal(size=x.shape)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = non_gaussianity(x)
    by_tape = (tape.gradient(value, x).numpy() * direction).sum()
    h = 1e-6
    above, below = (float(non_gaussianity(x + sign * h * direction)) for sign in (1, -1))
    assert by_tape == pytest.approx((above - below) / (2 * h), rel=1e-6)  # of h² and 1e-16/h


def test_non_gaussianity_of_gaussian_summaries_is_the_noise_of_their_number():
    n, s, random = 200, 2, np.random.default_rng(7)
    values = [float(non_gaussianity(random.normal(size=(n, s)))) for _ in range(500)]
    skewness = 6 * (n - 2) / ((n + 1) * (n + 3))  # exact, of n Gaussian values: 6/n and 24/n
    kurtosis = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5)) + 36 / (n + 1) ** 2
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - s * (skewness + kurtosis)) < 4 * error
    assert s * (skewness + kurtosis) == pytest.approx(30 * s / n, rel=0.1)
    # The control: values with tails as those of a logistic distribution have far more.
    assert float(non_gaussianity(random.logistic(size=(n, s)))) > 4 * s * 30 / n
