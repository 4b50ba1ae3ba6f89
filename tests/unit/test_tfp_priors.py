"""Every continuous distribution of TensorFlow Probability is a right prior, or refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import as_prior

tf = pytest.importorskip("tensorflow")
tfp = pytest.importorskip("tensorflow_probability")
tfd, tfb = tfp.distributions, tfp.bijectors
FINE = 2e-5  # relative; the densities are float32, and some are differences of large numbers

ONE = {  # how to make one of a parameter, and the same of SciPy
    "Uniform": (lambda: tfd.Uniform(-1.0, 3.0), stats.uniform(-1, 4)),
    "Normal": (lambda: tfd.Normal(1.0, 2.0), stats.norm(1, 2)),
    "log-uniform": (
        lambda: tfd.TransformedDistribution(tfd.Uniform(0.0, np.float32(np.log(100))), tfb.Exp()),
        stats.loguniform(1, 100),
    ),
    "Weibull": (lambda: tfd.Weibull(2.0, 1.0), stats.weibull_min(2)),
    "Gumbel": (lambda: tfd.Gumbel(0.0, 1.0), stats.gumbel_r()),
    "Exponential": (lambda: tfd.Exponential(1.0), stats.expon()),
    "Gamma": (lambda: tfd.Gamma(2.0, 1.0), stats.gamma(2)),
    "TruncatedNormal": (lambda: tfd.TruncatedNormal(0.0, 1.0, -1.0, 2.0), stats.truncnorm(-1, 2)),
    "LogNormal": (lambda: tfd.LogNormal(0.0, 1.0), stats.lognorm(1)),
    "Beta": (lambda: tfd.Beta(2.0, 3.0), stats.beta(2, 3)),
    "Cauchy": (lambda: tfd.Cauchy(0.0, 1.0), stats.cauchy()),
    "Chi": (lambda: tfd.Chi(3.0), stats.chi(3)),
    "Chi2": (lambda: tfd.Chi2(3.0), stats.chi2(3)),
    "ExpGamma": (lambda: tfd.ExpGamma(2.0, 1.0), stats.loggamma(2)),
    "GeneralizedNormal": (lambda: tfd.GeneralizedNormal(0.0, 1.0, 1.5), stats.gennorm(1.5, 0, 1)),
    "GeneralizedPareto": (
        lambda: tfd.GeneralizedPareto(1.0, 1.0, -0.5),
        stats.genpareto(-0.5, loc=1),
    ),
    "HalfCauchy": (lambda: tfd.HalfCauchy(1.0, 1.0), stats.halfcauchy(1)),
    "HalfNormal": (lambda: tfd.HalfNormal(1.0), stats.halfnorm()),
    "InverseGamma": (lambda: tfd.InverseGamma(3.0, 1.0), stats.invgamma(3)),
    "InverseGaussian": (lambda: tfd.InverseGaussian(1.0, 1.0), stats.invgauss(1)),
    "JohnsonSU": (lambda: tfd.JohnsonSU(0.0, 1.0, 0.0, 1.0), stats.johnsonsu(0, 1)),
    "Laplace": (lambda: tfd.Laplace(0.0, 1.0), stats.laplace()),
    "Logistic": (lambda: tfd.Logistic(0.0, 1.0), stats.logistic()),
    "LogLogistic": (lambda: tfd.LogLogistic(0.0, 0.25), stats.fisk(4)),
    "Moyal": (lambda: tfd.Moyal(0.0, 1.0), stats.moyal()),
    "Pareto": (lambda: tfd.Pareto(3.0, 1.0), stats.pareto(3)),
    "PERT": (lambda: tfd.PERT(0.0, 1.0, 4.0), stats.beta(2, 4, scale=4)),
    "SinhArcsinh": (lambda: tfd.SinhArcsinh(0.0, 1.0), stats.norm()),
    "StudentT": (lambda: tfd.StudentT(3.0, 0.0, 1.0), stats.t(3)),
    "Triangular": (lambda: tfd.Triangular(0.0, 2.0, 1.0), stats.triang(0.5, 0, 2)),
    "VonMises": (lambda: tfd.VonMises(0.0, 1.0), stats.vonmises_line(1)),
    "minus Exponential": (
        lambda: tfb.Scale(-1.0)(tfd.Exponential(1.0)),
        stats.expon(),  # of -θ
    ),
    "shifted Gamma": (lambda: tfb.Shift(3.0)(tfd.Gamma(2.0, 1.0)), stats.gamma(2, loc=3)),
    "that validates": (lambda: tfd.Uniform(0.0, 1.0, validate_args=True), stats.uniform()),
}


def agree(prior, reference, sign=1):
    """Compare bounds, draws and log density, inside and outside, with a distribution of SciPy."""
    low, high = np.sort(sign * np.array(reference.support()))
    np.testing.assert_allclose(prior.bounds, [[low], [high]], rtol=1e-6, atol=1e-9)
    draws = prior.sample(500, 1)
    assert (draws >= prior.low).all()
    assert (draws <= prior.high).all()
    # the largest distance of 500 draws from their distribution exceeds 0.087 once in a thousand
    distance = stats.kstest(sign * draws[:, 0], reference.cdf).statistic
    assert distance < 0.087
    inside = sign * reference.ppf(np.linspace(0.01, 0.99, 20))[:, None]
    expected = reference.logpdf(sign * inside[:, 0])
    np.testing.assert_allclose(prior.log_prob(inside), expected, rtol=FINE, atol=FINE)
    width = np.ptp(inside)
    outside = np.array([[low - 0.01 * width], [high + 0.01 * width], [low - 5], [high + 5]])
    outside = outside[np.isfinite(outside)][:, None]
    np.testing.assert_array_equal(prior.log_prob(outside), np.full(len(outside), -np.inf))


@pytest.mark.parametrize("kind", ONE)
def test_a_prior_of_one_parameter_is_that_of_scipy(kind):
    make, reference = ONE[kind]
    agree(as_prior(make(), 1), reference, sign=-1 if kind == "minus Exponential" else 1)


def test_a_density_that_continues_outside_its_support_does_not_agree():
    """The control of the tests above: the distribution as it is."""

    class AsItIs:
        low, high, bounds = np.zeros(1), np.full(1, np.inf), np.array([[0.0], [np.inf]])
        distribution = tfd.Exponential(1.0)

        def sample(self, n, rng):
            return self.distribution.sample((n, 1), seed=rng).numpy()

        def log_prob(self, θ):
            return self.distribution.log_prob(θ.astype(np.float32)).numpy()[:, 0]

    with pytest.raises(AssertionError, match=r"-inf"):
        agree(AsItIs(), stats.expon())


def mixture(*parts):
    return tfd.Mixture(tfd.Categorical(probs=[1 / len(parts)] * len(parts)), list(parts))


def family(parts):
    return tfd.MixtureSameFamily(tfd.Categorical(probs=[0.5, 0.5]), parts)


def half(a, b):
    return lambda x: np.log((a.pdf(x) + b.pdf(x)) / 2)


HALF_LINE, LINE = (0, np.inf), (-np.inf, np.inf)
EXPON, NORMAL, UNIT = stats.expon(), stats.norm(), stats.uniform()
SEVERAL = {  # how to make one of several parameters, each one's log density and bounds
    "batch": (lambda: tfd.Exponential([1.0, 1.0]), [EXPON.logpdf] * 2, [HALF_LINE] * 2),
    "Independent": (
        lambda: tfd.Independent(tfd.Exponential([1.0, 1.0]), 1),
        [EXPON.logpdf] * 2,
        [HALF_LINE] * 2,
    ),
    "Sample": (lambda: tfd.Sample(tfd.Exponential(1.0), 2), [EXPON.logpdf] * 2, [HALF_LINE] * 2),
    "Masked": (
        lambda: tfd.Masked(tfd.Exponential([1.0, 1.0]), [True, True]),
        [EXPON.logpdf] * 2,
        [HALF_LINE] * 2,
    ),
    "BatchBroadcast": (
        lambda: tfd.BatchBroadcast(tfd.Exponential(1.0), 2),
        [EXPON.logpdf] * 2,
        [HALF_LINE] * 2,
    ),
    "BatchReshape": (
        lambda: tfd.BatchReshape(tfd.Exponential([1.0, 1.0]), [2]),
        [EXPON.logpdf] * 2,
        [HALF_LINE] * 2,
    ),
    "Blockwise": (
        lambda: tfd.Blockwise([tfd.Normal(0.0, 1.0), tfd.Exponential(1.0)]),
        [NORMAL.logpdf, EXPON.logpdf],
        [LINE, HALF_LINE],
    ),
    "JointDistributionSequential": (
        lambda: tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), tfd.Exponential(1.0)]),
        [NORMAL.logpdf, EXPON.logpdf],
        [LINE, HALF_LINE],
    ),
    "JointDistributionNamed": (
        lambda: tfd.JointDistributionNamed({"b": tfd.Exponential(1.0), "a": tfd.Normal(0.0, 1.0)}),
        [EXPON.logpdf, NORMAL.logpdf],
        [HALF_LINE, LINE],
    ),
    "list": (
        lambda: [tfd.Exponential(1.0), tfd.Uniform(0.0, 1.0)],
        [EXPON.logpdf, UNIT.logpdf],
        [HALF_LINE, (0, 1)],
    ),
    "Mixture": (
        lambda: mixture(tfd.Exponential(1.0), tfd.Normal(0.0, 1.0)),
        [half(EXPON, NORMAL)],
        [LINE],
    ),
    "Mixture, NaN outside one part": (
        lambda: mixture(tfd.Gamma(2.0, 1.0), tfd.Normal(0.0, 1.0)),
        [half(stats.gamma(2), NORMAL)],
        [LINE],
    ),
    "MixtureSameFamily": (
        lambda: family(tfd.Exponential([1.0, 2.0])),
        [half(EXPON, stats.expon(scale=0.5))],
        [HALF_LINE],
    ),
    "MixtureSameFamily with a gap": (
        lambda: family(tfd.Uniform([0.0, 2.0], [1.0, 3.0])),
        [half(UNIT, stats.uniform(2, 1))],
        [(0, 3)],
    ),
    "joint, of a mixture": (
        lambda: tfd.JointDistributionSequential(
            [mixture(tfd.Exponential(1.0), tfd.Normal(0.0, 1.0)), tfd.Exponential(1.0)]
        ),
        [half(EXPON, NORMAL), EXPON.logpdf],
        [LINE, HALF_LINE],
    ),
    "MultivariateNormalDiag": (
        lambda: tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]),
        [NORMAL.logpdf] * 2,
        [LINE] * 2,
    ),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_each_parameter_has_its_own_support(kind):
    make, log_densities, bounds = SEVERAL[kind]
    prior = as_prior(make(), len(bounds))
    np.testing.assert_allclose(prior.bounds.T, bounds, atol=1e-6)
    draws = prior.sample(500, 1)
    assert (draws >= prior.low).all()
    assert (draws <= prior.high).all()
    values = np.array([-3.0, -0.01, 0.01, 0.7, 1.5, 2.5, 4.0])
    points = np.stack(np.meshgrid(*[values] * len(bounds)), axis=-1).reshape(-1, len(bounds))
    with np.errstate(divide="ignore"):
        expected = sum(log_densities[i](points[:, i]) for i in range(len(bounds)))
    np.testing.assert_allclose(prior.log_prob(points), expected, rtol=FINE, atol=FINE)


def test_a_bound_that_depends_on_another_parameter_is_not_used():
    def ordered():
        a = yield tfd.JointDistributionCoroutine.Root(tfd.Uniform(0.0, 1.0))
        yield tfd.Uniform(a, 2.0)

    prior = as_prior(tfd.JointDistributionCoroutine(ordered), 2)
    np.testing.assert_allclose(prior.bounds, [[0, -np.inf], [1, 2]], rtol=1e-6)
    values = prior.log_prob([[0.5, 1.0], [0.5, 0.4], [0.5, 2.1], [-0.1, 1.0]])
    np.testing.assert_allclose(values, [-np.log(1.5), -np.inf, -np.inf, -np.inf], rtol=1e-6)


def test_bounds_of_a_false_bijector_are_not_used():
    class Shifted(tfd.Normal):
        def _default_event_space_bijector(self):
            return tfb.Sigmoid(low=0.0, high=10.0)

    prior = as_prior(Shifted(0.0, 1.0), 1)
    np.testing.assert_array_equal(prior.bounds, [[-np.inf], [np.inf]])
    np.testing.assert_allclose(prior.log_prob([[-1.0], [1.0]]), NORMAL.logpdf([-1, 1]), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tfd.Dirichlet([1.0, 2.0, 3.0]), ValueError, "not bound to one another"),
        (lambda: tfd.RelaxedOneHotCategorical(1.0, [0.0, 1.0]), ValueError, "not bound"),
        (lambda: tfd.ExpRelaxedOneHotCategorical(1.0, [0.0, 1.0]), ValueError, "not bound"),
        (lambda: tfd.SphericalUniform(2), ValueError, "not bound to one another"),
        (lambda: tfd.VonMisesFisher([1.0, 0.0], 1.0), ValueError, "not bound to one another"),
        (lambda: tfd.PowerSpherical([1.0, 0.0], 1.0), ValueError, "not bound to one another"),
        (lambda: tfd.WishartTriL(3.0, np.eye(2, dtype="f")), ValueError, "not bound"),
        (lambda: tfd.WishartLinearOperator(3.0, EYE(2)), ValueError, "not bound"),
        (lambda: tfd.CholeskyLKJ(3, 1.0), TypeError, "be continuous"),
        (lambda: tfd.LKJ(3, 1.0), TypeError, "be continuous"),
        (lambda: tfd.Deterministic(1.5), TypeError, "be continuous"),
        (lambda: tfd.VectorDeterministic([1.5, 2.5]), TypeError, "be continuous"),
        (lambda: tfd.Empirical([0.0, 1.0, 2.5]), TypeError, "be continuous"),
        (lambda: tfd.Inflated(tfd.Normal(0.0, 1.0), 0.3), TypeError, "be continuous"),
        (lambda: tfd.QuantizedDistribution(tfd.Uniform(0.0, 9.0)), TypeError, "be continuous"),
        (lambda: tfd.Bernoulli(0.0), TypeError, "be continuous"),
        (lambda: tfd.NormalInverseGaussian(0.0, 1.0, 0.0, 1.0), ValueError, "finite numbers"),
    ],
)
def test_distributions_without_a_density_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        as_prior(make())


SD = 0.1**0.5
EXACT = stats.truncnorm(0.2 / SD, np.inf, loc=-0.2, scale=SD)  # e^(-θ) times the likelihood


def estimates(prior):
    arguments = (np.array([[-0.1]]), prior, np.eye(1) / SD**2, lambda d: d)
    approximation = LFI.GaussianApproximation(*arguments).samples(20_000)[0].mean[0]
    PMC = LFI.PopulationMonteCarlo(
        *arguments,
        lambda θ, seed: θ + np.random.default_rng(seed).normal(0, SD, θ.shape),
        seed=1,
        verbose=False,
    )
    PMC(draws=1000, initial_draws=2000, criterion=0.05)
    return approximation, PMC.samples()[0]


def test_an_estimate_outside_the_support_gives_the_posterior_of_scipys_prior():
    ours, ours_pmc = estimates(tfd.Exponential(1.0))
    theirs, theirs_pmc = estimates(stats.expon())
    # five standard errors of the mean of 20,000 samples, drawn from 400,000 by their weights
    error = 5 * EXACT.std() / np.sqrt(20_000)
    np.testing.assert_allclose([ours, theirs], EXACT.mean(), atol=error)
    n = min(ours_pmc.effective_samples, theirs_pmc.effective_samples)
    np.testing.assert_allclose(
        ours_pmc.mean[0], theirs_pmc.mean[0], atol=5 * EXACT.std() * np.sqrt(2 / n)
    )

    class AsItIs:  # the control: the density that continues below zero
        def sample(self, n, rng):
            return rng.exponential(size=(n, 1))

        def log_prob(self, θ):
            return -θ[:, 0]

    wrong, wrong_pmc = estimates(AsItIs())
    assert abs(wrong - EXACT.mean()) > 10 * error
    assert wrong_pmc.parameters.min() < 0


def test_marginals_of_a_log_uniform_prior_lie_within_its_bounds():
    prior = ONE["log-uniform"][0]()
    arguments = (np.array([[0.5]]), prior, np.eye(1), lambda d: d)
    GA = LFI.GaussianApproximation(*arguments)
    np.testing.assert_allclose(GA.grid_ranges, [[1, 100]], rtol=1e-6)
    marginal = GA.marginal(0)[0]
    assert marginal.axes[0][0] > 1
    assert np.isfinite(marginal.values).all()


OTHERS = {  # abstract ones, and discrete ones, one of which is refused above
    *("AutoCompositeTensorDistribution", "Distribution", "JointDistribution", "BatchConcat"),
    *("BetaBinomial", "Binomial", "Categorical", "DeterminantalPointProcess"),
    *("DirichletMultinomial", "FiniteDiscrete", "Geometric", "HiddenMarkovModel", "Multinomial"),
    *("NegativeBinomial", "OneHotCategorical", "OrderedLogistic", "PixelCNN", "PlackettLuce"),
    *("Poisson", "PoissonLogNormalQuadratureCompound", "ProbitBernoulli", "Skellam"),
    *("StoppingRatioLogistic", "ZeroInflatedNegativeBinomial", "Zipf"),
}
KERNEL = tfp.math.psd_kernels.ExponentiatedQuadratic()
POINTS = np.array([[0.0], [1.0]], np.float32)
EYE = tf.linalg.LinearOperatorIdentity
GAUSSIAN = tfd.MultivariateNormalDiag(scale_diag=[1.0])
REST = {  # without a distribution of SciPy: how to make one, and its bounds
    "Autoregressive": (
        lambda: tfd.Autoregressive(
            lambda x: tfd.Independent(tfd.Normal(x[..., ::-1] * [0.0, 0.5], 1.0), 1),
            sample0=tf.zeros(2),
            num_steps=2,
        ),
        LINE,
    ),
    "Bates": (lambda: tfd.Bates(3.0, 0.0, 2.0), (0, 2)),
    "DoublesidedMaxwell": (lambda: tfd.DoublesidedMaxwell(0.0, 1.0), LINE),
    "ExpInverseGamma": (lambda: tfd.ExpInverseGamma(2.0, 1.0), LINE),
    "ExponentiallyModifiedGaussian": (
        lambda: tfd.ExponentiallyModifiedGaussian(0.0, 1.0, 1.0),
        LINE,
    ),
    "GammaGamma": (lambda: tfd.GammaGamma(2.0, 3.0, 1.0), HALF_LINE),
    "GaussianProcess": (lambda: tfd.GaussianProcess(KERNEL, POINTS), LINE),
    "GaussianProcessRegressionModel": (
        lambda: tfd.GaussianProcessRegressionModel(KERNEL, POINTS, POINTS[:1] + 0.5, [0.0]),
        LINE,
    ),
    "GeneralizedExtremeValue": (
        lambda: tfd.GeneralizedExtremeValue(0.0, 1.0, 0.5),
        (-1.786, np.inf),  # e^-87 of the probability lies below, down to -2
    ),
    "HalfStudentT": (lambda: tfd.HalfStudentT(3.0, 1.0, 1.0), (1, np.inf)),
    "Horseshoe": (lambda: tfd.Horseshoe(1.0), LINE),
    "ContinuousBernoulli": (lambda: tfd.ContinuousBernoulli(probs=0.3), (0, 1)),
    "Kumaraswamy": (lambda: tfd.Kumaraswamy(2.0, 3.0), (0, 1)),
    "LambertWNormal": (lambda: tfd.LambertWNormal(0.0, 1.0, 0.1), LINE),
    "LogitNormal": (lambda: tfd.LogitNormal(0.0, 1.0), (0, 1)),
    "MarkovChain": (
        lambda: tfd.MarkovChain(tfd.Normal(0.0, 1.0), lambda _, x: tfd.Normal(x, 1.0), 2),
        LINE,
    ),
    "MatrixNormalLinearOperator": (
        lambda: tfd.MatrixNormalLinearOperator(tf.zeros((2, 1)), EYE(2), EYE(1)),
        LINE,
    ),
    "MatrixTLinearOperator": (
        lambda: tfd.MatrixTLinearOperator(3.0, tf.zeros((2, 1)), EYE(2), EYE(1)),
        LINE,
    ),
    "MultivariateNormalTriL": (
        lambda: tfd.MultivariateNormalTriL([0.0, 0.0], [[1.0, 0.0], [0.5, 2.0]]),
        LINE,
    ),
    "MultivariateNormalFullCovariance": (
        lambda: tfd.MultivariateNormalFullCovariance([0.0, 0.0], np.eye(2, dtype="f")),
        LINE,
    ),
    "MultivariateNormalLinearOperator": (
        lambda: tfd.MultivariateNormalLinearOperator([0.0, 0.0], EYE(2)),
        LINE,
    ),
    "MultivariateNormalDiagPlusLowRank": (
        lambda: tfd.MultivariateNormalDiagPlusLowRank([0.0, 0.0], [1.0, 1.0]),
        LINE,
    ),
    "MultivariateNormalDiagPlusLowRankCovariance": (
        lambda: tfd.MultivariateNormalDiagPlusLowRankCovariance(
            [0.0, 0.0], [1.0, 1.0], [[1.0], [0.0]]
        ),
        LINE,
    ),
    "MultivariateStudentTLinearOperator": (
        lambda: tfd.MultivariateStudentTLinearOperator(3.0, [0.0, 0.0], EYE(2)),
        LINE,
    ),
    "RelaxedBernoulli": (lambda: tfd.RelaxedBernoulli(1.0, logits=0.0), (0, 1)),
    "SigmoidBeta": (lambda: tfd.SigmoidBeta(2.0, 3.0), LINE),
    "StudentTProcess": (lambda: tfd.StudentTProcess(3.0, KERNEL, POINTS), LINE),
    "TruncatedCauchy": (lambda: tfd.TruncatedCauchy(0.0, 1.0, -1.0, 2.0), (-1, 2)),
    "TwoPieceNormal": (lambda: tfd.TwoPieceNormal(0.0, 1.0, 2.0), LINE),
    "TwoPieceStudentT": (lambda: tfd.TwoPieceStudentT(3.0, 0.0, 1.0, 2.0), LINE),
}


def one_gamma():
    yield tfd.Gamma(2.0, 1.0)


SLOW = {  # minutes where the machine is busy: each call is traced anew, or sums a series
    "JointDistributionCoroutineAutoBatched": (
        lambda: tfd.JointDistributionCoroutineAutoBatched(one_gamma),
        HALF_LINE,
    ),
    "JointDistributionNamedAutoBatched": (
        lambda: tfd.JointDistributionNamedAutoBatched({"a": tfd.Gamma(2.0, 1.0)}),
        HALF_LINE,
    ),
    "JointDistributionSequentialAutoBatched": (
        lambda: tfd.JointDistributionSequentialAutoBatched([tfd.Gamma(2.0, 1.0)]),
        HALF_LINE,
    ),
    "LambertWDistribution": (
        lambda: tfd.LambertWDistribution(tfd.Normal(0.0, 1.0), 0.0, 1.0, 0.1),
        LINE,
    ),
    "LinearGaussianStateSpaceModel": (
        lambda: tfd.LinearGaussianStateSpaceModel(2, EYE(1), GAUSSIAN, EYE(1), GAUSSIAN, GAUSSIAN),
        LINE,
    ),
    "NoncentralChi2": (lambda: tfd.NoncentralChi2(3.0, 1.0), HALF_LINE),
    "NormalInverseGaussian": (lambda: tfd.NormalInverseGaussian(0.0, 1.0, 2.0, 1.0), LINE),
}
UNUSABLE = {  # in TensorFlow Probability 0.25 itself
    "BetaQuotient": "its density is NaN between 0.9 and 1.1",
    "FlatDirichlet": "cannot be made under NumPy 2; a Dirichlet, which is refused",
    "StudentTProcessRegressionModel": "as StudentTProcess, and slow",
    "VariationalGaussianProcess": "cannot be sampled without a kernel of noise",
}


def usable(make, bounds):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="`prior`")
        prior = as_prior(make())
    draws = prior.sample(500, 1)
    values = prior.log_prob(draws)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(prior.bounds.T, [bounds] * prior.n_params, rtol=1e-4, atol=1e-6)
    assert (draws >= prior.low).all()
    assert (draws <= prior.high).all()
    if prior.n_params == 1:  # what lies between two quantiles of the draws has that mass
        low, high = np.quantile(draws, [0.05, 0.95])
        θ = np.linspace(low, high, 2001)[:, None]
        mass = np.trapezoid(np.exp(prior.log_prob(θ)), θ[:, 0])
        assert abs(mass - 0.9) < 0.06  # 4.5 standard errors of a share of 500 draws
        outside = [[bound + step] for bound, step in zip(bounds, (-0.01, 0.01), strict=True)]
        beyond = np.isfinite(prior.log_prob(outside)) & np.isfinite(bounds)
        np.testing.assert_array_equal(beyond, [False, False])


@pytest.mark.parametrize("name", REST)
def test_every_other_distribution_is_a_prior(name):
    usable(*REST[name])


@pytest.mark.endurance
@pytest.mark.parametrize("name", SLOW)
def test_slow_distributions_are_priors(name):
    usable(*SLOW[name])


def test_every_distribution_of_the_package_is_tried():
    classes = {
        name
        for name in dir(tfd)
        if isinstance(getattr(tfd, name), type) and issubclass(getattr(tfd, name), tfd.Distribution)
    }
    text = Path(__file__).read_text(encoding="utf-8")
    tried = {name for name in classes if f"tfd.{name}(" in text}
    known = tried | OTHERS | set(UNUSABLE)
    assert classes - known == set()
