"""Neural posteriors are calibrated: the truth lies anywhere among their draws alike."""

from dataclasses import replace

import numpy as np
import pytest
from linear_gaussian import LinearGaussian
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import Draws, truncation
from imnn_lab.neural_density import training

pytestmark = pytest.mark.statistical

N = 1000  # observations
DRAWS = 199


@pytest.fixture(scope="module")
def case():
    """A linear Gaussian problem whose posteriors reach the bounds of the prior."""
    problem = LinearGaussian(2, seed=2, reach=3)
    NP = problem.inference(LFI.NeuralPosterior, seed=5)
    NP.train(5000)
    θ = problem.prior.sample(N, 7)
    return problem, NP.at(problem.simulate(θ, 8)), θ


def probabilities(θ, drawn):
    """Return the p-value of uniform ranks of each parameter (Talts et al. 2018), by χ²."""
    ranks = (drawn < θ[:, None]).sum(axis=1)
    counts = [np.histogram(r, bins=20, range=(0, DRAWS + 1))[0] for r in ranks.T]
    return np.array([stats.chisquare(count).pvalue for count in counts])


def test_ranks_of_the_truth_are_uniform(case):
    _, NP, θ = case
    drawn = NP.sample(DRAWS, rng=1)
    # Two tests at a fixed seed, at a level of 0.1 %.
    assert probabilities(θ, drawn).min() > 1e-3
    # Controls: posteriors that are a fifth narrower, or wider, are found out.
    middle = drawn.mean(axis=1, keepdims=True)
    for factor in (0.8, 1.25):
        assert probabilities(θ, middle + factor * (drawn - middle)).max() < 1e-3


def test_weighted_draws_serve_as_those_from_the_prior_do():
    # θ from N(0, 1) and θ̂ from N(θ, 1): the posterior of θ̂ = 1 is N(1/2, 1/2).
    rng = np.random.default_rng(1)
    θ = rng.normal(1, 1, (3000, 1))
    weights = np.exp(0.5 * (θ[:, 0] - 1) ** 2 - 0.5 * θ[:, 0] ** 2)
    drawn = Draws(θ, θ + rng.standard_normal(θ.shape), θ[:0], weights=weights)

    def learned(draws):
        arguments = (np.ones((1, 1)), [stats.norm(0, 1)], np.eye(1), as_is, refuse)
        NP = LFI.NeuralPosterior(*arguments, seed=1, verbose=False)
        NP.train(draws, members=2, epochs=15)
        return NP.sample(10_000, rng=2)[0]

    posterior = learned(drawn)
    # 3,000 draws are worth 1,100 from the prior: the regression's mean is known within
    # sqrt(1/2/1100) (1 + 1) = 0.04, the standard deviation within 2 %; four times as much.
    assert drawn.effective_number == pytest.approx(3000 / np.e, rel=0.2)
    assert posterior.mean() == pytest.approx(0.5, abs=0.16)
    assert posterior.std() == pytest.approx(np.sqrt(0.5), rel=0.1)
    # Control: without weights it is the posterior of another prior, N(1, 1/2).
    assert learned(replace(drawn, weights=None)).mean() > 0.84


def test_draws_of_population_monte_carlo_serve_as_well():
    problem = LinearGaussian(1, seed=2)
    PMC = problem.inference(LFI.PopulationMonteCarlo, seed=3)
    PMC(max_simulations=4000)

    def width(draws):
        NP = problem.inference(LFI.NeuralPosterior, seed=4)
        NP.train(draws, members=2, epochs=20)
        whitened = (NP.sample(10_000, rng=2)[0] - problem.estimate_of_target) * problem.F[0] ** 0.5
        # The draws near the target are worth hundreds: the mean is known within 0.06.
        assert whitened.mean() == pytest.approx(0, abs=0.2)
        return whitened.std()

    assert width(PMC.draws) == pytest.approx(1, abs=0.12)
    # Control: without weights they are a second prior, which is about the posterior itself.
    assert width(replace(PMC.draws, weights=None)) < 0.88


def test_rounds_end_at_the_exact_posterior(monkeypatch):
    # θ from N(0, 1) and θ̂ from N(θ, 0.3²): the posterior of θ̂ = 1 is N(1/1.09, 0.09/1.09).
    def simulator(parameters, seed):
        return parameters + 0.3 * np.random.default_rng(seed).normal(size=parameters.shape)

    def drawn(**options):
        arguments = (np.ones((1, 1)), [stats.norm(0, 1)], np.eye(1) / 0.09, as_is, simulator)
        NP = LFI.NeuralPosterior(*arguments, seed=1, verbose=False)
        NP.train(2000, members=2, epochs=20, **options)
        return (NP.sample(10_000, rng=2)[0, :, 0] - 1 / 1.09) * np.sqrt(1.09 / 0.09)

    whitened = drawn(rounds=3)
    # About 1,500 draws have told it: the mean within 0.03, the standard deviation within 2 %.
    assert whitened.mean() == pytest.approx(0, abs=0.12)
    assert whitened.std() == pytest.approx(1, abs=0.08)
    # Control: a region that has 70 % of the mass cuts both tails off.
    monkeypatch.setattr(truncation, "OUTSIDE", 0.3)
    assert drawn(rounds=3).std() < 0.85


def test_averaged_weights_tell_more_of_ten_parameters(monkeypatch):
    # θ from N(0, 1), and estimates whose noise grows with θ: far from what a regression tells.
    def pairs(n, seed):
        rng = np.random.default_rng(seed)
        θ, noise = rng.standard_normal((2, n, 10))
        return θ + 0.5 * np.exp(0.5 * θ) * noise, θ

    unseen, truth = pairs(4000, 2)

    def log_probs():
        seeds, options = np.random.SeedSequence(1), {"members": 1, "epochs": 12}
        *_, last = training.train(*pairs(2000, 1), seeds, **options)
        return last.density.log_prob(unseen, truth[:, None])[:, 0]

    averaged = log_probs()
    monkeypatch.setattr(training, "averaging_shares", lambda n: np.ones(n, np.float32))
    gain = averaged - log_probs()  # over the weights of the last update, the control
    # 0.31 and 0.33 in two trainings, known within 0.02 from 4,000 pairs: half of it.
    assert gain.mean() > 0.15
    assert gain.std() / np.sqrt(len(gain)) < 0.03


def as_is(data):
    return data


def refuse(parameters):
    raise AssertionError


def test_the_posterior_is_the_exact_one(case):
    problem, NP, _ = case
    middle = NP.at(problem.target)
    drawn = middle.sample(20_000, rng=2)[0]
    whitened = (drawn - problem.estimate_of_target) @ np.linalg.cholesky(problem.F)
    # Three standard deviations from all bounds it is N(θ̂, F⁻¹) but for 0.3 %. The network has
    # learned from 5,000 pairs: means within 0.1 standard deviations, which themselves within 7 %.
    assert np.abs(whitened.mean(axis=0)).max() < 0.1
    assert whitened.std(axis=0) == pytest.approx(1, abs=0.07)
    # The mean of −ln q of exact draws exceeds their entropy by the divergence of q from the exact
    # posterior; 2,000 draws tell it within 3/sqrt(2000) = 0.07.
    exact = np.random.default_rng(3).multivariate_normal(
        problem.estimate_of_target, np.linalg.inv(problem.F), 2000
    )
    entropy = np.log(2 * np.pi * np.e) - 0.5 * np.linalg.slogdet(problem.F)[1]
    loss = -middle.log_prob(exact)[0]
    assert loss[np.isfinite(loss)].mean() == pytest.approx(entropy, abs=0.1)
