"""The prior cut off where a learned posterior has no mass."""

import numpy as np
import pytest
from scipy import stats

from imnn_lab.inference import Draws, Uniform, as_prior
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.truncation import (
    Region,
    TruncatedPrior,
    as_from_the_prior,
    mass_of,
    regions_of,
)
from imnn_lab.neural_density import training
from imnn_lab.neural_density.mixture import ConditionalMixture, Standardisation, orders_of
from imnn_lab.neural_density.stacking import Stacked

COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.5]])
ESTIMATE = np.array([[0.5, -0.3]])


def gaussian_posterior(prior, covariance=COVARIANCE):
    """Return the posterior N(estimate, covariance) under a flat prior far wider than it."""
    weights = training.initial_weights(2, 2, 1, training.Architecture(), np.random.default_rng(0))
    root = np.linalg.cholesky(covariance)
    regression = Standardisation(np.zeros(2), np.ones(2), np.zeros(2), np.eye(2), root)
    unbounded = Coordinates(np.full(2, -np.inf), np.full(2, np.inf), np.ones(2))
    density = ConditionalMixture(regression, tuple(weights), orders_of(1, 2))
    stacked = Stacked((density,), np.ones(1))
    return AmortisedPosterior(stacked, unbounded, prior, prior.bounds)


def region_in(prior, **options):
    learned = gaussian_posterior(prior, **options)
    return Region.of(learned, ESTIMATE, np.random.default_rng(1))


def test_a_region_is_the_ellipse_of_the_mass():
    region = region_in(Uniform([-20, -20], [20, 20]))
    Δ = np.random.default_rng(2).uniform(-6, 6, (20_000, 2))
    mahalanobis = np.einsum("ni,ij,nj->n", Δ, np.linalg.inv(COVARIANCE), Δ)
    radius = stats.chi2(2).ppf(1 - 1e-4)
    # The edge is the fifth least of 50,000 draws: ln q within about 0.5 of it, so a tenth in |x|²
    # to either side is left out.
    inside = region.contains(ESTIMATE + Δ)
    assert inside[mahalanobis < 0.9 * radius].all()
    assert not inside[mahalanobis > 1.1 * radius].any()


@pytest.mark.parametrize("half", [4, 400], ids=["from the prior", "from the ellipsoid"])
def test_draws_are_those_of_the_prior_inside(half):
    prior = Uniform([-half, -half], [half, half])
    truncated = TruncatedPrior(prior, region_in(prior))
    θ = truncated.sample(4000, 3)
    assert truncated.region.contains(θ).all()
    # Uniform in an ellipse: |x|²/r² is uniform from 0 to 1.
    Δ = θ - ESTIMATE
    mahalanobis = np.einsum("ni,ij,nj->n", Δ, np.linalg.inv(COVARIANCE), Δ)
    inside = (np.abs(ESTIMATE + Δ) < half).all(axis=1)
    assert inside.all()
    if half == 400:
        assert stats.kstest(mahalanobis / mahalanobis.max(), "uniform").pvalue > 1e-3
        # Control: draws of the posterior are not.
        wrong = np.random.default_rng(1).chisquare(2, 4000)
        assert stats.kstest(wrong / wrong.max(), "uniform").pvalue < 1e-3
        area = np.pi * mahalanobis.max() * np.sqrt(np.linalg.det(COVARIANCE))
        # the ellipsoid accepts about 0.8 of 20,000: 0.4 %, beside that of the largest |x|²
        assert truncated.mass == pytest.approx(area / 800**2, rel=0.03)


def test_the_shape_of_the_prior_stays():
    prior = as_prior([stats.norm(0, 0.5), stats.norm(0, 0.5)])
    truncated = TruncatedPrior(prior, region_in(prior))
    drawn = truncated.sample(4000, 4)
    whole = prior.sample(40_000, 5)
    expected = whole[truncated.region.contains(whole)]
    # Two samples of one distribution, at a level of 0.1 %.
    for i in range(2):
        assert stats.ks_2samp(drawn[:, i], expected[:, i]).pvalue > 1e-3
    assert truncated.mass == pytest.approx(len(expected) / len(whole), rel=0.05)
    # the same by the other way
    other = truncated._from_ellipsoid(40_000, np.random.default_rng(6))
    for i in range(2):
        assert stats.ks_2samp(other[:4000, i], expected[:, i]).pvalue > 1e-3


def test_weights_make_all_rounds_draws_of_the_prior():
    prior = Uniform([-6, -6], [6, 6])
    first = TruncatedPrior(prior, region_in(prior))
    second = TruncatedPrior(first, region_in(first, covariance=0.2 * COVARIANCE))
    assert regions_of(second) == [first.region, second.region]
    priors = (prior, first, second)
    parts = [p.sample(3000, i) for i, p in enumerate(priors)]
    draws = as_from_the_prior([Draws(θ, θ, θ[:0]) for θ in parts], priors)
    share = draws.weights / draws.weights.sum()
    # Means and variances of U(−6, 6), 0 and 12, from 9,000 draws worth 5,000: 3 · 3.5/sqrt(5000)
    # = 0.15, and 3 · 12 · 0.9/sqrt(5000) = 0.45.
    np.testing.assert_allclose(share @ draws.parameters, 0, atol=0.15)
    np.testing.assert_allclose(share @ draws.parameters**2, 12, atol=0.5)
    assert np.mean(draws.parameters**2) < 10  # Control: without weights.
    assert mass_of(second) < mass_of(first) < mass_of(prior) == 1
