"""Priors of every kind give the same numbers as their own libraries."""

import numpy as np
import pytest
from scipy import stats

from imnn_lab.inference import (
    Independent,
    TruncatedNormal,
    Uniform,
    as_prior,
)
from imnn_lab.inference.priors import is_flat

θ = np.array([[0.2, 0.3], [-0.9, 1.5], [0.7, -0.4]])


class Plain:
    """The least a prior can be: no seed, no bounds."""

    def sample(self, n):
        return np.random.default_rng(1).uniform(0, 1, (n, 2)) ** 2

    def log_prob(self, x):
        inside = ((x > 0) & (x < 1)).all(axis=1)
        return np.where(inside, 0.0, -np.inf)


SCIPY = {
    "several uniform": (
        [stats.uniform(-1, 2), stats.norm(0, 2)],
        stats.uniform(-1, 2).logpdf(θ[:, 0]) + stats.norm(0, 2).logpdf(θ[:, 1]),
        ([-1, -np.inf], [1, np.inf]),
    ),
    "array arguments": (
        stats.uniform([-1, -2], [2, 4]),
        stats.uniform([-1, -2], [2, 4]).logpdf(θ).sum(axis=1),
        ([-1, -2], [1, 2]),
    ),
    "multivariate": (
        stats.multivariate_normal([0, 1], [[1, 0.3], [0.3, 2]]),
        stats.multivariate_normal([0, 1], [[1, 0.3], [0.3, 2]]).logpdf(θ),
        ([-np.inf] * 2, [np.inf] * 2),
    ),
    "mixed": (
        [stats.norm(0, 1), Uniform(-1, 2)],
        stats.norm(0, 1).logpdf(θ[:, 0]) - np.log(3),
        ([-np.inf, -1], [np.inf, 2]),
    ),
}


@pytest.mark.parametrize("case", SCIPY)
def test_scipy_distributions_are_priors(case):
    distribution, expected, bounds = SCIPY[case]
    prior = as_prior(distribution, 2)
    np.testing.assert_allclose(prior.log_prob(θ), expected)
    np.testing.assert_array_equal((prior.low, prior.high), bounds)
    np.testing.assert_array_equal(prior.sample(5, 3), prior.sample(5, 3))
    assert prior.sample(5, 3).shape == (5, 2)


def tensorflow_priors():
    tfd = pytest.importorskip("tensorflow_probability").distributions
    normal = stats.norm(0.0, 2.0).logpdf(θ[:, 1])
    box, unbounded = ([-1, -2], [1, 2]), ([-1, -np.inf], [1, np.inf])
    flat = np.full(3, -np.log(8.0))
    return {
        "Independent": (tfd.Independent(tfd.Uniform([-1.0, -2.0], [1.0, 2.0]), 1), flat, box),
        "batch shape": (tfd.Uniform([-1.0, -2.0], [1.0, 2.0]), flat, box),
        "Blockwise": (
            tfd.Blockwise([tfd.Uniform(-1.0, 1.0), tfd.Normal(0.0, 2.0)]),
            normal - np.log(2),
            unbounded,
        ),
        "joint, sequential": (
            tfd.JointDistributionSequential([tfd.Uniform(-1.0, 1.0), tfd.Normal(0.0, 2.0)]),
            normal - np.log(2),
            unbounded,
        ),
        "joint, named": (
            tfd.JointDistributionNamed({"a": tfd.Uniform(-1.0, 1.0), "b": tfd.Normal(0.0, 2.0)}),
            normal - np.log(2),
            unbounded,
        ),
        "float64": (
            tfd.MultivariateNormalDiag(np.zeros(2), np.array([1.0, 2.0])),
            stats.norm(0, [1, 2]).logpdf(θ).sum(axis=1),
            ([-np.inf] * 2, [np.inf] * 2),
        ),
        "positive": (
            tfd.Independent(tfd.Gamma([2.0, 3.0], [1.0, 1.0]), 1),
            stats.gamma([2, 3]).logpdf(θ).sum(axis=1),
            ([0, 0], [np.inf] * 2),
        ),
    }


@pytest.mark.parametrize(
    "case",
    [
        "Independent",
        "batch shape",
        "Blockwise",
        "joint, sequential",
        "joint, named",
        "float64",
        "positive",
    ],
)
def test_tensorflow_probability_distributions_are_priors(case):
    distribution, expected, bounds = tensorflow_priors()[case]
    before = {k: v for k, v in vars(distribution).items() if not k.startswith("_")}
    prior = as_prior(distribution, 2)
    finite = prior.log_prob(np.repeat(θ, 2, axis=0))[::2]
    np.testing.assert_allclose(finite, expected, rtol=2e-6)  # most are float32
    np.testing.assert_allclose((prior.low, prior.high), bounds, atol=1e-6)
    np.testing.assert_array_equal(prior.sample(5, 3), prior.sample(5, 3))
    assert not np.array_equal(prior.sample(5, 3), prior.sample(5, 4))
    assert prior.sample(5, 3).shape == (5, 2)
    assert {k: v for k, v in vars(distribution).items() if not k.startswith("_")} == before


def test_a_scalar_distribution_is_one_parameter():
    tfd = pytest.importorskip("tensorflow_probability").distributions
    for distribution in (tfd.Uniform(0.0, 3.0), stats.uniform(0, 3)):
        prior = as_prior(distribution, 1)
        assert prior.sample(4, 0).shape == (4, 1)
        np.testing.assert_allclose(
            prior.log_prob(np.array([[1.0], [4.0]])), [-np.log(3), -np.inf], rtol=1e-6
        )
        np.testing.assert_array_equal((prior.low, prior.high), [[0], [3]])


def test_an_object_with_sample_and_log_prob_is_a_prior():
    prior = as_prior(Plain(), 2)
    np.testing.assert_allclose((prior.low, prior.high), [[0, 0], [1, 1]], atol=1e-9)
    np.testing.assert_array_equal(prior.log_prob(θ), [0, -np.inf, -np.inf])


def test_a_truncated_normal_agrees_with_scipy():
    prior = TruncatedNormal([0, 1], [1, 2], [-1, -np.inf], [1, 2])
    expected = stats.truncnorm(-1, 1).logpdf(θ[:, 0]) + stats.truncnorm(
        -np.inf, 0.5, loc=1, scale=2
    ).logpdf(θ[:, 1])
    np.testing.assert_allclose(prior.log_prob(θ), expected)
    draws = prior.sample(1000, 0)
    assert (draws >= prior.low).all()
    assert (draws <= prior.high).all()
    assert "TruncatedNormal" in repr(prior)
    assert repr(Uniform(0, 1)) == "Uniform(low=[0.0], high=[1.0])"
    np.testing.assert_array_equal(Uniform(0, 1).log_prob([[0.0], [1.0], [1.01]]), [0, 0, -np.inf])


def test_flat_priors():
    assert is_flat(Uniform([0, 0], [1, 2]))
    assert is_flat(as_prior(stats.uniform([0, 0], [1, 2])))
    assert not is_flat(TruncatedNormal([0.0], [1.0], -1, 1))
    assert not is_flat(as_prior(stats.norm(0, 1)))
    assert is_flat(Independent([Uniform(0, 1), Uniform(0, 1)]))


@pytest.mark.parametrize(
    ("prior", "error"),
    [
        (object(), TypeError),
        (None, TypeError),
        ([], TypeError),
        (Uniform([0, 0, 0], [1, 1, 1]), ValueError),
        (stats.norm(0, 1), ValueError),
    ],
)
def test_unusable_priors_are_rejected(prior, error):
    with pytest.raises(error, match="`prior` must"):
        as_prior(prior, 2)


@pytest.mark.parametrize(
    "bounds", [(1, 0), ([0, 0], [1]), (0, np.inf), (np.nan, 1), ("a", "b"), ([[0]], [[1]])]
)
def test_bad_bounds_are_rejected(bounds):
    with pytest.raises((TypeError, ValueError), match=r"must"):
        Uniform(*bounds)
    with pytest.raises(ValueError, match="`sd` must be positive"):
        TruncatedNormal([0, 0], [1, -1])
