"""The Gaussian approximation: constants, normalisation, grids, marginals."""

import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import (
    GaussianPosterior,
    TruncatedNormal,
    Uniform,
    as_prior,
)

MATRICES = {
    1: np.array([[4.0]]),
    2: np.array([[10.0, 3.0], [3.0, 5.0]]),
    3: np.array([[10.0, 3.0, 1.0], [3.0, 5.0, 0.0], [1.0, 0.0, 2.0]]),
}


def approximation(p, prior=None, target=None):
    target = np.full((1, p), 0.2) if target is None else np.asarray(target)
    prior = Uniform([-4] * p, [4] * p) if prior is None else prior
    return LFI.GaussianApproximation(target, prior, MATRICES[p], lambda d: d, seed=0)


def test_constant_at_the_peak():
    GA = LFI.GaussianApproximation(
        np.array([[0.0, 1.0]]), Uniform([-5, -5], [5, 5]), np.diag([10, 5]), lambda d: d
    )
    # ½ ln 50 − ln 2π
    np.testing.assert_allclose(GA.log_prob([0.0, 1.0]), [0.1181344], atol=5e-8)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_likelihood_is_the_normal_density(p):
    points = np.random.default_rng(0).normal(size=(7, p))
    expected = stats.multivariate_normal(np.full(p, 0.2), np.linalg.inv(MATRICES[p])).logpdf(points)
    np.testing.assert_allclose(approximation(p).log_prob(points), expected[None])
    np.testing.assert_allclose(approximation(p).prob(points), np.exp(expected)[None])


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("unbounded", [False, True])
def test_posterior_sums_to_one_on_its_grid(p, unbounded):
    prior = stats.multivariate_normal(np.zeros(p), 4 * np.eye(p)) if unbounded else None
    GA = approximation(p, prior)
    for gridsize in (None, 33, (11, 12, 13)[:p]):
        mesh = GA.grid(gridsize)
        cell = np.prod([np.ptp(axis) / (axis.shape[k] - 1) for k, axis in enumerate(mesh)])
        assert all(np.isfinite(piece).all() for piece in mesh)
        assert GA.posterior(gridsize=gridsize).sum() * cell == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(GA.posterior(mesh), GA.posterior(gridsize=gridsize))


@pytest.mark.parametrize("p", [1, 2, 3])
def test_posterior_at_points_is_normalised_over_the_prior(p):
    # The box cuts the Gaussian at +0.1 σ of the estimate or nearer; a fine mesh integrates it.
    prior = Uniform([-1.0] * p, [0.25] * p)
    GA = approximation(p, prior)
    axes = [np.linspace(-1, 0.25, 101)] * p
    centres = [(axis[1:] + axis[:-1]) / 2 for axis in axes]
    mesh = np.stack(np.meshgrid(*centres, indexing="ij"), -1).reshape(-1, p)
    # Midpoint rule with 100 cells: relative error of order (1.25 σ⁻¹/100)²; Genz to 1e-5 for p=3.
    total = GA.posterior(mesh).sum() * (1.25 / 100) ** p
    assert total == pytest.approx(1, abs=1e-3)
    unnormalised = GA.prob(mesh).sum() * (1.25 / 100) ** p / 1.25**p
    assert abs(unnormalised - 1) > 0.1  # without the prior's cut the integral is far from one


def test_layouts_of_grids_agree():
    GA = approximation(2)
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 2, 7)
    ij, xy = np.meshgrid(x, y, indexing="ij"), np.meshgrid(x, y)
    points = np.stack(ij, -1).reshape(-1, 2)
    expected = GA.log_prob(points).reshape(5, 7)
    np.testing.assert_array_equal(GA.log_prob(ij)[0], expected)
    np.testing.assert_array_equal(GA.log_prob(xy)[0], expected.T)
    np.testing.assert_array_equal(GA.log_prob(np.array(ij))[0], expected)
    np.testing.assert_array_equal(GA.log_prob([points[3].tolist()])[0], expected.flat[3:4])
    assert GA.log_prob(points[3]).shape == (1,)
    np.testing.assert_allclose(GA.posterior(xy)[0], GA.posterior(ij)[0].T)


def test_one_parameter_layouts():
    GA, x = approximation(1), np.linspace(-1, 1, 9)
    for grid in (x, x[:, None], np.meshgrid(x), x.tolist()):
        assert GA.log_prob(grid).shape == (1, 9)
    assert GA.log_prob([0.3]).shape == (1,)


@pytest.mark.parametrize("grid", [np.zeros((3, 3)), np.zeros(5), "a", np.zeros((2, 2, 2, 2))])
def test_bad_grids_are_rejected(grid):
    with pytest.raises((TypeError, ValueError), match="`grid` must"):
        approximation(2).log_prob(grid)


def test_large_grids_are_refused_with_advice():
    with pytest.raises(ValueError, match="marginal"):
        approximation(3).posterior(gridsize=1000)
    with pytest.raises(ValueError, match="`gridsize` must have 3 entries"):
        approximation(3).posterior(gridsize=(10, 10))


def test_another_grid_after_the_first():
    GA = approximation(2)
    assert GA.posterior(gridsize=5).shape == (1, 5, 5)
    assert GA.posterior(gridsize=(6, 7)).shape == (1, 6, 7)
    assert GA.posterior().shape == (1, 20, 20)


def exact_marginal(target, i, axis):
    """Integrate the posterior over the other parameter on a fine mesh."""
    other = np.linspace(*zip(*target.ranges(), strict=True), 2001)[:, 1 - i]
    points = np.stack(np.meshgrid(axis, other, indexing="ij"), -1)[
        ..., [0, 1] if i == 0 else [1, 0]
    ]
    values = np.exp(target.log_unnormalised(points.reshape(-1, 2))).reshape(len(axis), -1).sum(1)
    return values / values.sum() / (axis[1] - axis[0])


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize(
    "prior", [Uniform([-0.3, -1], [0.5, 0.2]), TruncatedNormal([0, 0], [0.3, 0.3], -1, 0.4)]
)
def test_marginals_under_a_cutting_prior(prior, i):
    target = GaussianPosterior(np.array([0.2, 0.1]), MATRICES[2], prior, ("a", "b"))
    marginal = target.marginal(i)
    expected = exact_marginal(target, i, marginal.axes[0])
    # 256 Sobol points average the prior over the other parameter: 1 in 256, twice over.
    np.testing.assert_allclose(marginal.values, expected, atol=0.01 * expected.max())
    gaussian = stats.norm(0.2 if i == 0 else 0.1, np.sqrt(np.linalg.inv(MATRICES[2])[i, i]))
    uncut = gaussian.pdf(marginal.axes[0])
    uncut /= uncut.sum() * marginal.cell
    assert np.abs(uncut - expected).max() > 0.03 * expected.max()  # the cut matters


def test_marginals_of_ten_parameters():
    root = np.random.default_rng(1).normal(size=(10, 10))
    F = root @ root.T + np.eye(10)
    target = GaussianPosterior(np.zeros(10), F, Uniform([-50] * 10, [50] * 10), tuple("abcdefghij"))
    Σ = np.linalg.inv(F)
    one, two = target.marginal(3), target.marginal(7, 2)
    expected = stats.norm(0, np.sqrt(Σ[3, 3])).pdf(one.axes[0])
    np.testing.assert_allclose(one.values, expected, atol=1e-3 * expected.max())
    x, y = np.meshgrid(*two.axes, indexing="ij")
    pair = stats.multivariate_normal([0, 0], Σ[np.ix_([7, 2], [7, 2])]).pdf(np.stack([x, y], -1))
    np.testing.assert_allclose(two.values, pair, atol=1e-3 * pair.max())
    # ±1 σ holds 68.27 %: bins of a 200th of 10 σ, interpolated
    np.testing.assert_allclose(
        target.interval(0.6827), np.outer([-1, 1], np.sqrt(np.diag(Σ))), rtol=2e-3
    )


def test_far_outside_the_prior():
    GA = approximation(2, Uniform([3, 3], [5, 5]), [[0.0, 0.0]])
    (sample,) = GA.samples(1000)
    assert (sample.parameters >= 3).all()
    assert GA.marginal(0)[0].values.argmax() == 0
    assert np.isfinite(GA.log_posterior([3.1, 3.2])).all()


def test_samples_and_summary():
    GA = approximation(2, target=[[0.2, 0.2], [1.0, -1.0]])
    assert GA.sample(100).shape == (2, 100, 2)
    table = GA.summary()[1].table
    sd = np.sqrt(np.diag(np.linalg.inv(MATRICES[2])))
    # 100,000 samples: standard errors σ/316 for means and σ/447 for σ; five of them
    np.testing.assert_allclose(table[:, 0], [1, -1], atol=5 * sd.max() / 316)
    np.testing.assert_allclose(table[:, 1], sd, rtol=5 / 447)


def test_evidence_is_the_same_by_every_route():
    """Boxes by Genz, by quadrature, and by importance sampling."""
    box = Uniform([-0.3, -1], [0.5, 0.2])
    target = GaussianPosterior(np.array([0.2, 0.1]), MATRICES[2], box, ("a", "b"))
    assert target._log_quadrature(400) == pytest.approx(target.log_evidence, abs=1e-4)
    _, weights = target._importance(2**16, np.random.default_rng(0))
    # 65,536 draws, about 40 % inside: standard error 0.005; four of them
    assert np.log(np.exp(weights).mean()) == pytest.approx(target.log_evidence, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Fisher": np.ones((2, 3))}, "`Fisher` must be a square matrix"),
        ({"Fisher": np.array([[1.0, 0.0], [0.0, -1.0]])}, "positive definite"),
        ({"Fisher": np.array([[1.0, 0.5], [0.0, 1.0]])}, "symmetric"),
        ({"Fisher": np.full((2, 2), np.nan)}, "finite"),
        ({"labels": ["a"]}, "`labels` must be 2 strings"),
        ({"get_estimate": 3}, "`get_estimate` must be a function"),
        ({"get_estimate": lambda d: d[:, :1]}, "`get_estimate` must return estimates of shape"),
        ({"get_estimate": lambda d: d * np.nan}, "finite"),
        ({"target_data": np.zeros((0, 2))}, "at least one target"),
        ({"target_data": "data"}, "`target_data` must be an array"),
        ({"target_data": np.array([[np.nan, 0]])}, "finite"),
        ({"prior": Uniform(0, 1)}, "2 parameters, as many as the Fisher"),
        ({"seed": -1}, "`seed` must"),
    ],
)
def test_bad_arguments_of_the_gaussian_approximation_are_rejected(changes, message):
    arguments = {
        "target_data": np.zeros((1, 2)),
        "prior": Uniform([-1, -1], [1, 1]),
        "Fisher": np.eye(2),
        "get_estimate": lambda d: d,
    }
    with pytest.raises((TypeError, ValueError), match=message):
        LFI.GaussianApproximation(**(arguments | changes))


def test_a_single_datum_needs_no_axis_of_its_own():
    data = np.array([0.2, 0.4, 0.6])
    GA = LFI.GaussianApproximation(
        data, Uniform(0, 1), 3.0, lambda d: np.atleast_2d(d).mean(axis=1, keepdims=True)
    )
    np.testing.assert_allclose(GA.target_estimates, [[0.4]])
    assert GA.input_shape == (3,)


def test_several_one_parameter_targets():
    GA = LFI.GaussianApproximation(np.array([0.2, 0.4, 0.6]), Uniform(0, 1), 3.0, lambda d: d)
    assert GA.n_targets == 3
    assert GA.input_shape == ()


def test_nothing_is_written_to_the_prior():
    frozen = stats.norm(0, 1)
    before = dict(vars(frozen))
    as_prior([frozen, frozen])
    assert vars(frozen) == before


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_samples_of_many_parameters_are_not_repeated(prior):
    """Ten parameters, and a prior as narrow as the likelihood or with an edge at the estimate."""
    p, n = 10, 4000
    normal = TruncatedNormal(np.zeros(p), np.ones(p))
    edge = Uniform(np.zeros(p), np.full(p, 8.0))
    estimate = np.linspace(-0.5, 0.5, p)
    prior = {"normal": normal, "uniform": edge}[prior]
    posterior = GaussianPosterior(estimate, np.eye(p), prior, tuple("abcdefghij"))
    θ = posterior.sample(n, 1)
    assert len(np.unique(θ, axis=0)) > 0.99 * n
    if prior is normal:
        mean, sd = estimate / 2, np.full(p, np.sqrt(0.5))
    else:
        exact = stats.truncnorm(-estimate, 8 - estimate, loc=estimate)
        mean, sd = exact.mean(), exact.std()
    # Standard errors sd/sqrt(n) and sd/sqrt(2n), of ten parameters; five of them, and half as much
    # again because few of the draws carry the weight before the moves.
    np.testing.assert_allclose(θ.mean(axis=0), mean, atol=7.5 * sd.max() / np.sqrt(n))
    np.testing.assert_allclose(θ.std(axis=0), sd, atol=7.5 * sd.max() / np.sqrt(2 * n))
