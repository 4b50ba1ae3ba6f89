"""Rejection ABC has the counts, means and covariances it must have."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from scipy import special, stats

from imnn_lab import LFI
from imnn_lab.inference import Target, Uniform

pytestmark = pytest.mark.statistical


def ball(p, radius):
    return np.pi ** (p / 2) / special.gamma(p / 2 + 1) * radius**p


@pytest.fixture(scope="module", params=[(1, 0.6), (2, 1.0), (3, 1.6)], ids=["1", "2", "3"])
def case(request):
    p, ε = request.param
    problem = LinearGaussian(p, seed=p, reach=6)
    ABC = problem.inference(LFI.ApproximateBayesianComputation, seed=5)
    ABC(1_000_000)
    ABC.accept_reject(ε)
    return problem, ABC, ε


def test_number_accepted(case):
    problem, ABC, ε = case
    p = len(problem.F)
    volume = np.prod(problem.prior.high - problem.prior.low)
    expected = 1e6 * ball(p, ε) / (volume * np.sqrt(np.linalg.det(problem.F)))
    # A Poisson count: four standard deviations (probability 6e-5).
    assert abs(ABC.num_accepted[0] - expected) < 4 * np.sqrt(expected)
    # Control: distances without the Fisher matrix accept another number.
    wrong = (np.linalg.norm(ABC.differences[0], axis=1) < ε).sum()
    assert abs(wrong - expected) > 4 * np.sqrt(expected)


def test_mean_and_covariance_of_the_accepted(case):
    problem, ABC, ε = case
    p, (posterior,) = len(problem.F), ABC.samples()
    n = len(posterior)
    # Whitened means have standard error sqrt((1 + ε²/(p+2))/n); five of them, p at a time.
    whitened = np.linalg.cholesky(problem.F).T @ (posterior.mean - problem.estimate_of_target)
    assert np.abs(whitened).max() < 5 * np.sqrt((1 + ε**2 / (p + 2)) / n)
    # Tr(FΣ)/p of n Gaussian samples has relative error sqrt(2/(pn)); five of them.
    tolerance = 5 * np.sqrt(2 / (p * n))
    assert problem.whitened_variance(posterior.covariance, ε) == pytest.approx(1, abs=tolerance)
    # Control: without the widening by the ε-ball the variance does not fit.
    assert abs(problem.whitened_variance(posterior.covariance, 0.0) - 1) > tolerance


def test_regression_adjustment_takes_the_widening_away(case):
    problem, ABC, _ = case
    p = len(problem.F)
    ABC.accept_reject(quantile=0.02)
    ε = ABC.acceptances[0].ε
    (adjusted,), (plain,) = ABC.samples(adjust=True), ABC.samples()
    # Weighted samples: relative error of the variance sqrt(2/(p ESS)); five of them.
    tolerance = 5 * np.sqrt(2 / (p * adjusted.effective_samples))
    assert problem.whitened_variance(adjusted.covariance, 0.0) == pytest.approx(1, abs=tolerance)
    assert ε > 1 or p == 1
    if p > 1:  # control: unadjusted samples of such a wide ball are too wide
        assert problem.whitened_variance(plain.covariance, 0.0) > 1 + tolerance


def test_gaussian_mean_and_variance():
    """Ten values N(μ, Σ): under p(μ, Σ) ∝ 1 the posterior of Σ is inverse gamma, of μ Student t."""
    n, data = 10, np.random.default_rng(0).normal(size=(1, 10))
    m, S = data.mean(), ((data - data.mean()) ** 2).sum()

    def simulate(θ, seed):
        z = np.random.default_rng(seed).standard_normal((len(θ), n))
        return θ[:, :1] + np.sqrt(θ[:, 1:]) * z

    def estimate(d):
        return np.stack([d.mean(axis=1), d.var(axis=1)], axis=1)

    Σ̂ = S / n
    F = np.diag([n / Σ̂, n / (2 * Σ̂**2)])
    prior = Uniform([-5, 1e-3], [5, 10])
    ABC = LFI.ApproximateBayesianComputation(
        data, prior, F, estimate, simulate, seed=1, verbose=False
    )
    ABC(2_000_000)
    ABC.accept_reject(0.3)
    (posterior,) = ABC.samples()
    # p(Σ) ∝ Σ^−(n−1)/2 exp(−S/2Σ) = inverse gamma (n−3)/2, S/2; μ = m + t sqrt(S/(n(n−3)))
    exact_Σ = stats.invgamma((n - 3) / 2, scale=S / 2)
    exact_μ = stats.t(n - 3, loc=m, scale=np.sqrt(S / (n * (n - 3))))
    # Kolmogorov–Smirnov at n accepted: 1.95/sqrt(n) is the 0.1 % point. The ball of radius 0.3
    # widens by 0.3²/4 = 2 % in variance, and the prior cuts 0.3 % off Σ: less than 0.01 in a CDF.
    limit = 1.95 / np.sqrt(len(posterior)) + 0.01
    μ, variance = posterior.parameters.T
    below = exact_Σ.cdf(10)
    assert stats.kstest(μ, exact_μ.cdf).statistic < limit
    assert stats.kstest(variance, lambda x: exact_Σ.cdf(x) / below).statistic < limit
    # Controls: the Gaussian approximation, and the posterior of a known mean, are told apart.
    assert stats.kstest(variance, stats.norm(Σ̂, np.sqrt(2 * Σ̂**2 / n)).cdf).statistic > limit
    assert stats.kstest(variance, stats.invgamma(n / 2 - 1, scale=S / 2).cdf).statistic > limit


def test_nearest_are_samples_too():
    problem = LinearGaussian(2)
    ABC = problem.inference(LFI.ApproximateBayesianComputation, seed=2)
    ABC(500_000)
    ABC.accept_reject(nearest=1000)
    ε = ABC.acceptances[0].ε
    # relative error sqrt(2/(2·1000)) = 0.032; five of them
    variance = problem.whitened_variance(ABC.samples()[0].covariance, ε)
    assert variance == pytest.approx(1, abs=0.16)
    far = Target(problem.estimate_of_target, np.eye(2)).distances(ABC.estimates)
    assert np.sort(far)[999] != pytest.approx(ε, rel=0.05)  # control: another metric
