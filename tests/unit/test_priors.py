"""Priors of every kind give the same numbers as their own libraries."""

import contextlib
import sys
import types
import warnings

import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI
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


NEW = stats.__dict__.get("Normal") is None and "SciPy before 1.15 has none"


@pytest.mark.skipif(bool(NEW), reason=str(NEW))
@pytest.mark.parametrize(
    ("make", "expected", "bounds"),
    [
        (lambda: stats.Uniform(a=0.0, b=2.0), stats.uniform(0, 2), (0, 2)),
        (lambda: stats.Normal(mu=1.0, sigma=2.0), stats.norm(1, 2), (-np.inf, np.inf)),
        (
            lambda: stats.truncate(stats.Normal(mu=0.0, sigma=1.0), lb=-1, ub=1),
            stats.truncnorm(-1, 1),
            (-1, 1),
        ),
        (
            lambda: stats.Mixture([stats.Normal(mu=0.0, sigma=1.0)] * 2),
            stats.norm(0, 1),
            (-np.inf, np.inf),
        ),
    ],
)
def test_new_scipy_distributions_are_priors(make, expected, bounds):
    prior = as_prior([make(), make()], 2)
    np.testing.assert_allclose(prior.log_prob(θ), expected.logpdf(θ).sum(axis=1))
    np.testing.assert_array_equal((prior.low, prior.high), np.repeat(bounds, 2).reshape(2, 2))
    np.testing.assert_array_equal(prior.sample(5, 3), prior.sample(5, 3))
    assert not np.array_equal(prior.sample(5, 3), prior.sample(5, 4))
    assert as_prior(make(), 1).sample(5, 3).shape == (5, 1)


@pytest.mark.skipif(bool(NEW), reason=str(NEW))
def test_new_scipy_distributions_with_arrays_are_priors():
    prior = as_prior(stats.Uniform(a=[-1.0, -2.0], b=[1.0, 2.0]), 2)
    np.testing.assert_allclose(prior.log_prob(θ), np.full(3, -np.log(8.0)))
    np.testing.assert_array_equal((prior.low, prior.high), ([-1, -2], [1, 2]))
    assert prior.sample(7, 3).shape == (7, 2)


class Tensor:
    """What is used of a tensor of PyTorch; it is no array and does not mix with them."""

    def __init__(self, values, dtype=np.float32):
        self.values = np.asarray(values, dtype)

    def detach(self):
        return self

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def new_tensor(self, values):
        return Tensor(values, self.values.dtype)


class Torch(types.ModuleType):
    """The random numbers of PyTorch: global ones."""

    def __init__(self):
        super().__init__("torch")
        self.random, self.generator = self, np.random.default_rng(0)

    @contextlib.contextmanager
    def fork_rng(self):
        before = self.generator
        yield
        self.generator = before

    def manual_seed(self, seed):
        self.generator = np.random.default_rng(seed)


def torch_normal(torch):
    """Return a class like torch.distributions.HalfNormal, of two scales."""

    class HalfNormal:
        __module__ = "torch.distributions.half_normal"
        event_shape = ()

        def __init__(self, scale):
            self.scale, self.support = np.array(scale), self

        def sample(self, sample_shape=()):
            assert isinstance(sample_shape, tuple)
            drawn = torch.generator.normal(size=(*sample_shape, len(self.scale)))
            return Tensor(np.abs(drawn) * self.scale)

        def check(self, value):
            return Tensor(value.values >= 0, bool)

        def log_prob(self, value):
            assert isinstance(value, Tensor)
            if not (value.values >= 0).all():
                raise ValueError("Expected value argument to be within the support")
            return Tensor(stats.halfnorm(0, self.scale).logpdf(value.values))

    return HalfNormal


def test_torch_distributions_are_priors(monkeypatch):
    torch = Torch()
    monkeypatch.setitem(sys.modules, "torch", torch)

    class Derived(torch_normal(torch)):
        """As sbi's BoxUniform derives from a distribution of PyTorch."""

    before = torch.generator
    prior = as_prior(Derived([1.0, 2.0]), 2)
    expected = np.where((θ >= 0).all(axis=1), stats.halfnorm(0, [1, 2]).logpdf(θ).sum(1), -np.inf)
    np.testing.assert_allclose(prior.log_prob(θ), expected, rtol=1e-6)
    np.testing.assert_allclose((prior.low, prior.high), ([0, 0], [np.inf] * 2), atol=1e-6)
    np.testing.assert_array_equal(prior.sample(5, 3), prior.sample(5, 3))
    assert not np.array_equal(prior.sample(5, 3), prior.sample(5, 4))
    assert torch.generator is before


class NumPyroUniform:
    """Like numpyro.distributions.Uniform: a key first, and the same density everywhere."""

    event_shape = ()

    def __init__(self, low, high):
        self.minimum, self.maximum = np.array(low), np.array(high)
        self.support = self

    def __call__(self, *arguments, rng_key):
        return self.sample(rng_key)

    def sample(self, key, sample_shape=()):
        assert key.shape == (2,)
        assert key.dtype == np.uint32
        unit = np.random.default_rng(key).random((*sample_shape, len(self.minimum)))
        return self.minimum + unit * (self.maximum - self.minimum)

    def check(self, value):
        return (value >= self.minimum) & (value <= self.maximum)

    def log_prob(self, value):
        return np.broadcast_to(-np.log(self.maximum - self.minimum), value.shape)


def test_numpyro_distributions_are_priors():
    prior = as_prior(NumPyroUniform([-0.95, 0], [1, 2]), 2)
    np.testing.assert_allclose(prior.log_prob(θ), [-np.log(1.95 * 2), -np.log(1.95 * 2), -np.inf])
    np.testing.assert_allclose((prior.low, prior.high), ([-0.95, 0], [1, 2]), atol=1e-6)
    np.testing.assert_array_equal(prior.sample(5, 3), prior.sample(5, 3))
    assert not np.array_equal(prior.sample(5, 3), prior.sample(5, 4))


def test_distributions_by_name_are_priors():
    named = {"b": stats.uniform(0, 2), "a": Uniform(-1, 1)}
    assert as_prior(named, 2).high.tolist() == [2, 1]
    assert as_prior(named, 2, labels=["a", "b"]).high.tolist() == [1, 2]
    arguments = (np.zeros((1, 2)), named, np.eye(2), lambda d: d)
    GA = LFI.GaussianApproximation(*arguments)
    assert (GA.labels, GA.prior.high.tolist()) == (("b", "a"), [2, 1])
    GA = LFI.GaussianApproximation(*arguments, labels=["a", "b"])
    assert (GA.labels, GA.prior.high.tolist()) == (("a", "b"), [1, 2])
    with pytest.raises(ValueError, match="a distribution for each of the labels"):
        LFI.GaussianApproximation(*arguments, labels=["a", "c"])


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        (stats.norm, TypeError, r"with its parameters.*stats.norm\(0, 1\) instead of"),
        ([stats.norm, stats.norm], TypeError, "with its parameters"),
        (stats.multivariate_normal, TypeError, "with its parameters"),
        (Uniform, TypeError, "with its parameters"),
        (stats.poisson(3), TypeError, "be continuous"),
        ([stats.randint(0, 5), stats.norm(0, 1)], TypeError, "be continuous"),
        (stats.multinomial(3, [0.5, 0.5]), TypeError, "be continuous"),
        (stats.dirichlet([1, 2]), ValueError, "not bound to one another"),
        (stats.vonmises_fisher([0, 1], 1), ValueError, "not bound to one another"),
        (stats.wishart(3, np.eye(2)), ValueError, "not bound to one another"),
        ({}, TypeError, "`prior` must"),
    ],
)
def test_distributions_without_a_density_are_refused_with_the_reason(prior, error, words):
    with pytest.raises(error, match=words):
        as_prior(prior, 2)


def test_new_discrete_distributions_are_refused():
    if not hasattr(stats, "Binomial"):
        pytest.skip("SciPy before 1.16 has none")
    with pytest.raises(TypeError, match="be continuous"):
        as_prior(stats.Binomial(n=10, p=0.3), 1)


def test_tensorflow_distributions_without_a_density_are_refused():
    tfd = pytest.importorskip("tensorflow_probability").distributions
    with pytest.raises(TypeError, match="be continuous"):
        as_prior(tfd.Poisson([3.0, 4.0]), 2)
    with pytest.raises(ValueError, match="not bound to one another"):
        as_prior(tfd.Dirichlet([1.0, 2.0, 3.0]), 3)


def test_the_bounds_of_a_transformed_distribution_are_its_own():
    tfp = pytest.importorskip("tensorflow_probability")
    stretched = tfp.bijectors.Scale(5.0)(tfp.distributions.Uniform([0.0, 0.0], [1.0, 2.0]))
    np.testing.assert_allclose(as_prior(stretched, 2).high, [5, 10], rtol=1e-6)


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


def test_a_prior_without_a_seed_says_so_once():
    first, second = Plain(), Plain()
    with pytest.warns(UserWarning, match=r"`prior.sample` .* takes no seed"):
        as_prior(first, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_prior(first, 2)
        as_prior(stats.norm(0, 1), 1)
        as_prior(NumPyroUniform([0, 0], [1, 2]), 2)
    with pytest.warns(UserWarning, match="takes no seed"):
        as_prior(second, 2)


def test_a_histogram_of_scipy_is_a_prior():
    histogram = stats.rv_histogram((np.array([1, 3]), np.array([0.0, 1.0, 3.0])), density=False)
    for prior in (as_prior(histogram, 1), as_prior(histogram(), 1)):
        np.testing.assert_array_equal(prior.bounds, [[0], [3]])
        expected = [np.log(1 / 4), np.log(3 / 8), -np.inf]  # 1 : 3, over the widths 1 and 2
        np.testing.assert_allclose(prior.log_prob([[0.5], [2.0], [3.5]]), expected)
        assert ((prior.sample(100, 1) > 0) & (prior.sample(100, 1) < 3)).all()


class Validating:
    """Like a distribution of PyTorch that does not know its support, as those of zuko."""

    __module__ = "torch.distributions.exponential"
    event_shape = ()
    _validate_args = True
    asked = 0

    def __init__(self, inner=None):
        self.inner = inner

    @property
    def support(self):
        raise NotImplementedError

    def sample(self, shape=()):
        assert isinstance(shape, tuple)
        return Tensor(sys.modules["torch"].generator.uniform(1, 2, size=(*shape, 1)))

    def log_prob(self, value):
        if self.inner is not None:
            return self.inner.log_prob(value)
        inside = (value.values >= 1) & (value.values <= 2)
        if self._validate_args and not inside.all():
            raise ValueError("Expected value argument to be within the support")
        return Tensor(np.where(inside, 0.0, -np.inf))


class Transformed:
    """Like TransformedDistribution of PyTorch: its own support is that of the transform alone."""

    __module__ = "torch.distributions.transformed_distribution"
    event_shape = ()

    def __init__(self, base):
        self.base_dist, self.transforms, self.support = base, [self], self

    def check(self, value):
        return Tensor(np.isfinite(value.values), bool)

    def inv(self, value):
        return Tensor(value.values - 3)

    def sample(self, sample_shape=()):
        return Tensor(self.base_dist.sample(sample_shape).values + 3)

    def log_prob(self, value):  # as where nothing is validated: the formula goes on
        return Tensor(stats.expon.logpdf(np.abs(value.values - 3)) + 2 * (value.values < 3))


@pytest.mark.parametrize("validates", [True, False])
def test_torch_is_asked_outside_supports_whether_it_validates_or_not(monkeypatch, validates):
    torch = Torch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(Validating, "_validate_args", validates)
    user = Validating(Validating())
    prior = as_prior(user, 1)
    np.testing.assert_allclose(prior.bounds, [[1], [2]], rtol=1e-6)
    np.testing.assert_array_equal(prior.log_prob([[0.5], [1.5], [2.5]]), [-np.inf, 0, -np.inf])
    assert user._validate_args is validates
    assert "_validate_args" not in vars(user)
    prior = as_prior(Transformed(torch_normal(torch)([1.0, 2.0])), 2)
    np.testing.assert_allclose(prior.bounds, [[3, 3], [np.inf] * 2], rtol=1e-6)
    values = prior.log_prob([[4.0, 5.0], [4.0, 2.0]])
    np.testing.assert_allclose(values, [-3, -np.inf], rtol=1e-6)


def test_a_prior_that_refuses_values_has_no_density_there():
    class Refusing(Plain):
        def sample(self, n, rng):
            return rng.uniform(0, 1, (n, 2))

        def log_prob(self, x):
            if not ((x > 0) & (x < 1)).all():
                raise ValueError("outside")
            return np.zeros(len(x))

    prior = as_prior(Refusing(), 2)
    np.testing.assert_allclose(prior.bounds, [[0, 0], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(prior.log_prob(θ), [0, -np.inf, -np.inf])


def test_a_prior_without_a_density_at_some_of_its_draws_says_so():
    class Halved(Plain):
        def log_prob(self, x):
            return np.where(x[:, 0] < 0.2, super().log_prob(x), np.nan)

    with pytest.warns(UserWarning, match="−∞ or NaN at .* of 256 draws"):
        prior = as_prior(Halved(), 2)
    assert prior.high[0] == np.inf  # the density ends at 0.2, but there are draws beyond


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
    "bounds",
    [(1, 0), ([], []), ([0, 0], [1]), (0, np.inf), (np.nan, 1), ("a", "b"), ([[0]], [[1]])],
)
def test_bad_bounds_are_rejected(bounds):
    with pytest.raises((TypeError, ValueError), match=r"must"):
        Uniform(*bounds)
    with pytest.raises(ValueError, match="`sd` must be positive"):
        TruncatedNormal([0, 0], [1, -1])
