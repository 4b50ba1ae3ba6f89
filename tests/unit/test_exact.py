import numpy as np
import pytest
from scipy import stats

from imnn_lab import problems
from imnn_lab.inference import Uniform
from imnn_lab.inference.exact import exact_posterior

# Ten values of mean zero: under a flat prior the variance follows an inverse gamma distribution.
PROBLEM = problems.variance()
PRIOR = Uniform([1e-3], [1e3])


def inverse_gamma(data):
    return stats.invgamma(a=len(data) / 2 - 1, scale=data @ data / 2)


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_quantiles_are_those_of_the_known_posterior(scale):
    data = np.full(10, scale)
    posterior = exact_posterior(PROBLEM, data, PRIOR, seed=1)
    levels = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
    # The share of 40,000 samples below a quantile q has standard deviation sqrt(q(1 − q)/40,000);
    # five of them. The grid's cells are far narrower than the steps between these quantiles.
    below = [(posterior.parameters < q).mean() for q in inverse_gamma(data).ppf(levels)]
    assert np.all(np.abs(below - levels) < 5 * np.sqrt(levels * (1 - levels) / 40_000) + 1e-3)


def test_far_from_the_fiducial_parameters_five_of_their_deviations_are_too_few():
    known = inverse_gamma(np.full(10, 2.0))
    sd = 1 / np.sqrt(PROBLEM.F[0, 0])
    assert known.sf(4.0 + 5 * sd) > 0.3
    posterior = exact_posterior(PROBLEM, np.full(10, 2.0), PRIOR)
    assert posterior.parameters.max() > known.ppf(0.99)


def test_the_exact_posterior_stays_inside_the_prior_and_refuses_one_that_excludes_it():
    posterior = exact_posterior(PROBLEM, np.full(10, 2.0), Uniform([0.5], [5.0]))
    assert posterior.parameters.min() >= 0.5
    assert posterior.parameters.max() <= 5.0
    with pytest.raises(ValueError, match="hold the maximum of the likelihood"):
        exact_posterior(PROBLEM, np.full(10, 2.0), Uniform([100.0], [200.0]))


def test_of_more_than_three_parameters_it_is_the_known_posterior():
    p, n = 5, 40_000
    A, θ = np.random.default_rng(1).normal(size=(20, p)), np.zeros(p)
    problem = problems.linear_gaussian(A, np.eye(20), θ, np.full(p, 0.1))
    data = problem.simulations(1, 3)[0] + 0.5
    posterior = exact_posterior(problem, data, Uniform([-9] * p, [9] * p), n=n)
    inverse = np.linalg.inv(problem.F)
    z = np.linalg.solve(
        np.linalg.cholesky(inverse), (posterior.parameters - inverse @ A.T @ data).T
    )
    # 20,000 draws by a Student distribution of five degrees of freedom are worth 15,000 or so, and
    # choosing 40,000 of them costs a third of that: means err by 1/sqrt(10,000), products of two by
    # up to sqrt(2) of it; five of those, and the control: the spread before it was adapted.
    np.testing.assert_allclose(z.mean(1), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(z), np.eye(p), atol=0.07)
    assert np.abs(np.cov(1.1 * z) - np.eye(p)).max() > 0.07
