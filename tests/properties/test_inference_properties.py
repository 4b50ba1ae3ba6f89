"""Identities that hold for any numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imnn_lab.inference import (
    Density,
    Draws,
    Posterior,
    Target,
    accept,
)
from imnn_lab.inference.proposal import Proposal
from imnn_lab.simulate import spawn_seeds

sizes = st.tuples(st.integers(1, 40), st.integers(1, 4))
seeds = st.integers(0, 2**31 - 1)


def problem(shape, seed):
    n, p = shape
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(p, p)) + 2 * np.eye(p)
    return rng.normal(size=(n, p)), root @ root.T + 0.1 * np.eye(p), rng


@given(sizes, seeds)
@settings(deadline=None)
def test_distance_does_not_depend_on_the_parametrisation(shape, seed):
    """θ → Jθ, with the Fisher matrix transformed likewise, leaves ρ as it is."""
    estimates, F, rng = problem(shape, seed)
    J = rng.normal(size=F.shape) + 3 * np.eye(len(F))
    inverse = np.linalg.inv(J)
    there = Target(J @ estimates[0], inverse.T @ F @ inverse).distances(estimates @ J.T)
    here = Target(estimates[0], F).distances(estimates)
    np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-6 * (1 + here.max()))


@given(sizes, seeds, st.floats(0.01, 10))
@settings(deadline=None)
def test_every_draw_is_accepted_or_rejected(shape, seed, ε):
    estimates, F, rng = problem(shape, seed)
    failed = rng.normal(size=(3, shape[1]))
    draws, target = Draws(estimates, estimates, failed), Target(np.zeros(shape[1]), F)
    one, two = accept(draws, target, ε=ε), accept(draws, target, ε=2 * ε)
    assert one.num_accepted + one.num_rejected + draws.num_failed == draws.num_draws
    assert (two.accepted | ~one.accepted).all()  # a larger ball holds the smaller
    for k in range(1, len(estimates) + 1):
        assert accept(draws, target, nearest=k).num_accepted == k


@given(sizes, seeds)
@settings(deadline=None)
def test_moments_follow_affine_maps(shape, seed):
    θ, _, rng = problem((shape[0] + 1, shape[1]), seed)
    weights = rng.random(len(θ)) + 0.1
    labels = tuple("abcd"[: shape[1]])
    plain, mapped = Posterior(θ, weights, labels), Posterior(3 * θ - 1, 7 * weights, labels)
    np.testing.assert_allclose(mapped.mean, 3 * plain.mean - 1, atol=1e-9)
    np.testing.assert_allclose(mapped.covariance, 9 * plain.covariance, atol=1e-9)
    np.testing.assert_allclose(mapped.quantile(0.3), 3 * plain.quantile(0.3) - 1, atol=1e-9)
    assert plain.effective_samples * (1 + 1e-12) >= 1
    assert plain.effective_samples <= len(θ) * (1 + 1e-12)


@given(arrays(np.float64, (6, 7), elements=st.floats(0, 1)).filter(lambda a: a.sum() > 0.1))
def test_levels_enclose_at_least_their_mass(values):
    axes = (np.arange(6.0), np.arange(7.0))
    density = Density(axes, values).normalised()
    masses = (0.95, 0.68, 0.1)
    levels = density.levels(masses)
    assert (np.diff(levels) >= 0).all()
    for level, mass in zip(levels, masses, strict=True):
        assert density.values[density.values >= level].sum() >= mass - 1e-9
        assert density.values[density.values > level].sum() <= mass + 1e-9


@given(st.integers(1, 5), seeds)
@settings(deadline=None, max_examples=20)
def test_mixture_density_is_that_of_its_kernels(p, seed):
    θ, F, rng = problem((9, p), seed)
    weights = rng.random(9)
    widths = rng.uniform(0.3, 3, 9)
    roots = widths[:, None, None] * np.linalg.cholesky(np.linalg.inv(F))
    q = Proposal(θ, weights / weights.sum(), roots)
    there = rng.normal(size=(4, p))
    Δ = (there[:, None] - θ) / widths[:, None]
    exponent = -0.5 * np.einsum("nmi,ij,nmj->nm", Δ, F, Δ)
    norms = np.sqrt(np.linalg.det(F / (2 * np.pi))) / widths**p
    expected = np.exp(exponent) @ (q.weights * norms)
    np.testing.assert_allclose(q.density(there), expected, rtol=1e-6, atol=1e-12)


@given(seeds, st.integers(1, 300), st.integers(0, 300))
def test_seeds_do_not_depend_on_how_many(seed, n, more):
    drawn = spawn_seeds(seed, n + more)
    np.testing.assert_array_equal(drawn[:n], spawn_seeds(seed, n))
    assert len(set(drawn.tolist())) == n + more
