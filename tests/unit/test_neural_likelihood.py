"""Neural likelihoods: products over observations, priors, and files."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import Draws, Prior, Uniform
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.tempering import tempered
from imnn_lab.lfi.learned import _warn_of_outliers

F = np.diag([25.0, 4.0])
TARGETS = np.array([[0.3, -0.2], [0.5, 0.4], [0.1, 0.0]])


def simulator(parameters, seed):
    noise = np.random.default_rng(seed).standard_normal(parameters.shape)
    return parameters + noise @ np.linalg.cholesky(np.linalg.inv(F)).T


def estimate(data):
    return data


def make(targets=TARGETS, **options):
    options = {"seed": 1, "verbose": False} | options
    prior = Uniform([-1, -1], [1, 1])
    return LFI.NeuralLikelihood(targets, prior, F, estimate, simulator, **options)


@pytest.fixture(scope="module")
def NL():
    made = make()
    made.train(1000, epochs=3, members=2)
    return made


def test_likelihoods_of_observations_are_multiplied(NL):
    θ = np.random.default_rng(1).uniform(-1, 1, (7, 2))
    each = [NL.at(target[None]).log_likelihood(θ) for target in TARGETS]
    # Products of float32 depend on the number of rows: 1e-4.
    np.testing.assert_allclose(NL.log_likelihood(θ), np.sum(each, axis=0), rtol=1e-4, atol=1e-4)


def test_shapes_of_all_results(NL):
    mesh = np.meshgrid(*[np.linspace(-1, 1, 5)] * 2, indexing="ij")
    assert NL.log_likelihood(mesh).shape == (5, 5)
    assert NL.log_likelihood([0.1, 0.2]).shape == ()
    θ = NL.sample(100, rng=1)
    assert θ.shape == (1, 100, 2)
    assert (np.abs(θ) <= 1).all()
    np.testing.assert_array_equal(NL.sample(100, rng=1), θ)
    posterior = NL.samples(100)[0]
    assert len(posterior) == 100
    assert 0 < posterior.properties["effective_number"] <= 100
    assert NL.curves["held_out"].shape == (3, 2)


def test_samples_are_made_once_for_the_same_targets_and_prior(NL, monkeypatch):
    before = NL.samples(100)[0].parameters
    before[:] = 7  # what a reader does with them changes nothing
    made = []
    sampled = type(NL)._sampled
    monkeypatch.setattr(type(NL), "_sampled", lambda *a: made.append(a) or sampled(*a))
    first = NL.samples(100)[0].parameters
    assert not made
    assert (first != 7).all()
    others = [NL.at(TARGETS[:1]), NL.with_prior(Uniform([-1, -1], [1, 0.5]))]
    again = [other.samples(100)[0].parameters for other in others]
    assert len(made) == 2
    assert all((each != first).any() for each in again)
    NL.samples(200)
    assert len(made) == 3


def test_what_is_saved_is_loaded(tmp_path, NL):
    NL.save(tmp_path)
    loaded = make(targets=TARGETS[:1]).load(tmp_path)
    np.testing.assert_array_equal(loaded.draws.estimates, NL.draws.estimates)
    one = NL.at(TARGETS[:1]).log_likelihood([0.1, 0.2])
    assert loaded.log_likelihood([0.1, 0.2]) == pytest.approx(one, rel=1e-5)
    posterior = LFI.NeuralPosterior(TARGETS, NL.prior, F, estimate, simulator, verbose=False)
    with pytest.raises(ValueError, match="must be saved by a NeuralPosterior"):
        posterior.load(tmp_path)


def test_a_prior_beyond_the_draws_is_warned_of(NL):
    with pytest.warns(UserWarning, match="of the prior lies outside all draws"):
        NL.with_prior(Uniform([-3, -3], [3, 3]))
    assert NL.with_prior([stats.norm(0, 0.1)] * 2).prior is not NL.prior


def test_nothing_is_told_before_training():
    for call in (lambda: make().log_likelihood([0, 0]), lambda: make().with_prior(make().prior)):
        with pytest.raises(RuntimeError, match="Nothing is trained yet"):
            call()


def test_tempering_samples_two_modes_and_their_evidence():
    prior = Uniform([-5], [5])
    coordinates = Coordinates(prior.low, prior.high, np.array([0.1]))

    def log_likelihood(θ):
        modes = [np.log(a) + stats.norm(m, 0.1).logpdf(θ[:, 0]) for a, m in ((0.3, -3), (0.7, 2))]
        return np.logaddexp(*modes)

    *_, last = tempered(log_likelihood, prior, coordinates, 4000, np.random.default_rng(1))
    θ = last.parameters[:, 0]
    # Shares of about six drawings by weight of 4,000 particles: 6 · 0.46/sqrt(4000)
    # = 0.02 (rms), three times as much.
    assert (θ < 0).mean() == pytest.approx(0.3, abs=0.06)
    assert θ[θ > 0].mean() == pytest.approx(2, abs=0.02)
    assert θ[θ > 0].std() == pytest.approx(0.1, rel=0.1)
    assert last.log_evidence == pytest.approx(-np.log(10), abs=0.12)
    assert last.β == 1


def test_tempering_knows_the_prior():
    from imnn_lab.inference import as_prior

    prior = as_prior([stats.expon(0, 1)])
    coordinates = Coordinates(prior.low, prior.high, np.array([0.3]))

    def log_likelihood(θ):
        return -2 * θ[:, 0]  # e^−θ e^−2θ: exponential, of mean 1/3; evidence 1/3

    *_, last = tempered(log_likelihood, prior, coordinates, 4000, np.random.default_rng(2))
    # 1/3/sqrt(2000 effective ones) = 2 % of it, three times as much
    assert last.parameters.mean() == pytest.approx(1 / 3, rel=0.07)
    assert stats.kstest(last.parameters[::4, 0], stats.expon(0, 1 / 3).cdf).pvalue > 1e-3
    assert last.log_evidence == pytest.approx(-np.log(3), abs=0.06)
    # Control: the prior itself.
    assert prior.sample(4000, 1).mean() > 0.9


def test_particles_leave_a_bound_where_the_prior_is_infinite():
    class Arcsine(Prior):
        """Of infinite density at 0, where a tenth of its draws lies, as rounding may have it."""

        low, high = np.zeros(1), np.ones(1)

        def sample(self, n, rng=None):
            θ = np.random.default_rng(rng).beta(0.5, 0.5, (n, 1))
            θ[::10] = 0
            return θ

        def log_prob(self, θ):
            return stats.beta(0.5, 0.5).logpdf(θ[:, 0])

    prior = Arcsine()
    coordinates = Coordinates(prior.low, prior.high, np.array([0.1]))
    rng = np.random.default_rng(3)
    *_, last = tempered(lambda θ: -(θ[:, 0] ** 2), prior, coordinates, 1000, rng)
    assert np.isfinite(prior.log_prob(last.parameters)).all()


def noisy(draw, n=2000):
    """Return draws of the prior whose estimates have such noise."""
    rng = np.random.default_rng(1)
    θ = rng.uniform(-1, 1, (n, 2))
    return Draws(θ, θ + draw(rng, (n, 2)), np.empty((0, 2)))


def rare(rng, shape):
    """Return Gaussian noise, a hundred thousand times as large in 0.3 % of all draws."""
    factor = np.where(rng.random((shape[0], 1)) < 0.003, 1e5, 1)
    return 0.2 * factor * rng.standard_normal(shape)


@pytest.mark.parametrize("kind", [LFI.NeuralLikelihood, LFI.NeuralPosterior])
def test_few_estimates_that_hold_nearly_all_of_the_variance_are_warned_of(kind):
    prior = [stats.norm(0, 1)] * 2
    made = kind(TARGETS, prior, F, estimate, simulator, seed=1, verbose=False)
    with pytest.warns(
        UserWarning, match="Of 2,000 draws, [0-9] hold 99 % of the variance of the estimate of θ₁"
    ):
        made.train(noisy(rare), epochs=1, members=1)
    clipped = replace(made.draws, estimates=np.clip(made.draws.estimates, -2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_of_outliers(clipped, "ab")  # what the warning advises


@pytest.mark.parametrize("n", [50, 2000, 100_000])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.standard_t(3, shape),
        lambda rng, shape: rng.lognormal(0, 1, shape),
        lambda rng, shape: np.zeros(shape),  # what is left is rounding
        lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.2),
    ],
)
def test_tails_of_the_usual_kinds_are_not_warned_of(draw, n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_of_outliers(noisy(draw, n), "ab")


def test_far_draws_of_little_weight_are_not_warned_of():
    """As the first ones of a PMC in several rounds may be."""
    draws, is_far = noisy(lambda rng, shape: rng.standard_normal(shape)), np.arange(2000) < 40
    draws = replace(draws, estimates=draws.estimates * np.where(is_far, 1e3, 1)[:, None])
    with pytest.warns(UserWarning, match="29 hold"):
        _warn_of_outliers(draws, "ab")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_of_outliers(replace(draws, weights=np.where(is_far, 1e-9, 1.0)), "ab")


def test_between_two_bounds_a_posterior_does_not_suffer():
    """The noise is 0.2, and a posterior that does not see the estimates is 0.58 wide."""
    prior = Uniform([-1, -1], [1, 1])
    made = LFI.NeuralPosterior(
        np.zeros((1, 2)), prior, F, estimate, simulator, seed=1, verbose=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.train(noisy(rare), epochs=10, members=2)
    np.testing.assert_array_less(made.samples(2000)[0].parameters.std(axis=0), 0.3)
