"""Simulation-based calibration of neural posteriors on five problems (Talts et al. 2018)."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from scipy import stats

from imnn_lab import LFI, problems
from imnn_lab.diagnostics.rank_band import rank_band
from imnn_lab.inference import Uniform, as_prior

pytestmark = pytest.mark.statistical

N, DRAWS = 300, 199  # observations, and draws of the posterior of each
CONFIDENCE = 0.95  # that all ranks of all parameters of all problems lie inside their bands


def linear():
    problem = LinearGaussian(2, seed=2, reach=3)
    return problem.prior, lambda θ, seed: problem.estimate(problem.simulate(θ, seed))


def mean_and_variance():
    problem = problems.gaussian()

    def estimates(θ, seed):
        data = problem.simulator(θ, seed)
        return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)

    return Uniform([-3, 0.1], [3, 5]), estimates


def two_moons():
    """Return the benchmark's (Lueckmann et al. 2021): two crescents."""

    def estimates(θ, seed):
        rng, n = np.random.default_rng(seed), len(θ)
        angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
        moon = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
        return moon + np.stack([-np.abs(θ.sum(axis=1)), θ[:, 1] - θ[:, 0]], axis=1) / np.sqrt(2)

    return Uniform([-1, -1], [1, 1]), estimates


def rate():
    """Return the mean of five exponential numbers, whose rate has one bound."""

    def estimates(θ, seed):
        return np.random.default_rng(seed).gamma(5, 1 / (5 * θ))

    return as_prior([stats.gamma(2)]), estimates


def twelve():
    """Return twelve parameters seen in noise of correlation 0.9."""
    root = 0.5 * np.linalg.cholesky(0.1 * np.eye(12) + 0.9)

    def estimates(θ, seed):
        return θ + np.random.default_rng(seed).standard_normal(θ.shape) @ root.T

    return as_prior([stats.norm(0, 1)] * 12), estimates


PROBLEMS = {f.__name__: f for f in (linear, mean_and_variance, two_moons, rate, twelve)}


@pytest.mark.filterwarnings("ignore:The estimate of target")
@pytest.mark.parametrize("name", PROBLEMS)
def test_ranks_lie_in_the_simultaneous_band(name):
    prior, estimates = PROBLEMS[name]()
    p = prior.n_params
    θ = prior.sample(N, 11)
    arguments = (estimates(θ, 12), prior, np.eye(p), lambda data: data, estimates)
    NP = LFI.NeuralPosterior(*arguments, seed=1, verbose=False)
    NP.train(5000, members=2, epochs=30)
    drawn = NP.sample(DRAWS, rng=1)
    # 95 % for the 19 parameters of five problems together.
    band = rank_band(N, 1 - (1 - CONFIDENCE) / 19)
    assert band.contains(ranks(θ, drawn)).all()
    # Control: posteriors that are too narrow by a third fail in some parameter.
    middle = drawn.mean(axis=1, keepdims=True)
    assert not band.contains(ranks(θ, middle + (drawn - middle) / 1.5)).all()


def ranks(θ, drawn):
    """Return the rank of each true parameter, from 0 to 1, made continuous; (n_params, N)."""
    below = (drawn < θ[:, None]).sum(axis=1).T
    return (below + np.random.default_rng(2).random(below.shape)) / (DRAWS + 1)
