"""Exact identities that hold for any network (estimators and Fisher matrices)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imnn_lab import networks
from imnn_lab.estimator import Estimator, Summariser
from imnn_lab.fisher import fisher_statistics

SEEDS = st.integers(0, 2**31 - 1)
# float32 sums over 300 summaries lose about 1e-5 and F⁻¹ multiplies this by its condition number.
TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


def random_summaries(seed, n_params=2, n_summaries=3, n_s=60, n_d=40):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n_s, n_summaries)) @ random.normal(size=(n_summaries, n_summaries))
    d = random.normal(size=(n_d, 2, n_params, n_summaries))
    return x, d, random.uniform(0.1, 1, n_params), random


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["float32", "float64"]), st.integers(2, 3))
def test_estimates_on_their_own_set(seed, dtype, n_summaries):
    random = np.random.default_rng(seed)
    model = networks.dense((6,), n_summaries, hidden=(8,), dtype=dtype, seed=seed)
    fiducial = random.normal(size=(300, 6))
    shift = random.normal(size=(2, 6))
    δθ, θ_fid = np.array([0.4, 0.7]), np.array([1.0, -2.0])
    noise = random.normal(size=(200, 1, 1, 6))
    signs = np.array([-0.5, 0.5])[:, None, None]
    derivative = noise + signs * (δθ[:, None] * shift)
    summariser = Summariser(model, dtype)
    x = summariser(fiducial)
    d = summariser(derivative.reshape(-1, 6)).reshape(200, 2, 2, n_summaries)
    estimator = Estimator(summariser, fisher_statistics(x, d, δθ), θ_fid, (6,))
    F, Finv = estimator.statistics.F, estimator.statistics.Finv
    close = TOLERANCE[dtype] * max(1.0, np.linalg.cond(F) ** 0.5)
    scale = np.sqrt(np.diag(Finv))
    estimates = estimator(fiducial)
    np.testing.assert_allclose((estimates.mean(0) - θ_fid) / scale, 0, atol=close)
    np.testing.assert_allclose(
        np.cov(estimates.T) / np.outer(scale, scale), Finv / np.outer(scale, scale), atol=close
    )
    lower, upper = (estimator(derivative[:, k].reshape(-1, 6)).reshape(200, 2, 2) for k in (0, 1))
    response = ((upper - lower) / δθ[:, None]).mean(0).T
    weight = np.sqrt(np.diag(F))
    np.testing.assert_allclose(
        weight[:, None] * (response - np.eye(2)) / weight, 0, atol=100 * close
    )


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_affine_maps_of_the_summaries_change_nothing(seed):
    x, d, δθ, random = random_summaries(seed)
    A, b = random.normal(size=(3, 3)) + 3 * np.eye(3), random.normal(size=3)
    F, mapped = (fisher_statistics(a, c, δθ).F for a, c in ((x, d), (x @ A.T + b, d @ A.T + b)))
    # Rounding grows with the condition number of A and C, below 1e6 here.
    np.testing.assert_allclose(mapped, F, rtol=1e-7, atol=1e-7 * np.abs(F).max())


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_new_parameters_transform_the_fisher_matrix(seed):
    x, d, δθ, random = random_summaries(seed)
    J = random.normal(size=(2, 2)) + 3 * np.eye(2)
    F = fisher_statistics(x, d, δθ).F
    # ∂x/∂θ' = J⁻ᵀ ∂x/∂θ when θ' = Jθ.
    tangents = np.einsum("ba,nbs->nas", np.linalg.inv(J), (d[:, 1] - d[:, 0]) / δθ[:, None])
    inverse = np.linalg.inv(J)
    np.testing.assert_allclose(
        fisher_statistics(x, tangents, None).F, inverse.T @ F @ inverse, rtol=1e-8, atol=1e-9
    )


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_the_order_of_simulations_is_no_matter(seed):
    x, d, δθ, random = random_summaries(seed)
    shuffled = fisher_statistics(random.permutation(x), random.permutation(d), δθ).F
    # Sums in another order differ by rounding, which C⁻¹ multiplies by the condition number of C.
    rounding = 10 * np.finfo(float).eps * np.linalg.cond(np.cov(x, rowvar=False))
    np.testing.assert_allclose(
        shuffled, fisher_statistics(x, d, δθ).F, rtol=max(1e-10, rounding), atol=0
    )


def test_control_unequal_shuffles_of_a_pair_are_noticed():
    x, d, δθ, _ = random_summaries(3)
    d[:, 1] += x[:40, None, :]
    d[:, 0] += x[:40, None, :]
    broken = d.copy()
    broken[:20, 1] = 0
    assert pytest.approx(fisher_statistics(x, d, δθ).F) != fisher_statistics(x, broken, δθ).F
