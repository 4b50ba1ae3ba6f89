"""Regression adjustment: the mean's order, bounds, weights, too few draws."""

import numpy as np
import pytest

from imnn_lab.inference import Uniform
from imnn_lab.inference.adjustment import as_order, regression_adjusted


def curved(n=2000):
    """Return parameters whose mean is 1 + Δ₁ + Δ₁Δ₂, differences within a unit disc, distances."""
    rng = np.random.default_rng(1)
    Δ = rng.uniform(-1, 1, (n, 2))
    Δ = Δ[np.linalg.norm(Δ, axis=1) < 1]
    mean = np.column_stack([1 + Δ[:, 0] + Δ[:, 0] * Δ[:, 1], Δ[:, 1] ** 2])
    return mean + 1e-3 * rng.standard_normal(Δ.shape), Δ, np.linalg.norm(Δ, axis=1)


def test_a_quadratic_mean_needs_the_second_order():
    quadratic, _ = regression_adjusted(*curved(), 1.0, order=2)
    np.testing.assert_allclose(quadratic.mean(axis=0), [1, 0], atol=1e-3)
    np.testing.assert_allclose(quadratic.std(axis=0), 1e-3, rtol=0.1)
    linear, _ = regression_adjusted(*curved(), 1.0, order=1)
    assert linear.std(axis=0).min() > 0.1


def test_no_draw_leaves_the_prior():
    θ, Δ, ρ = curved()
    prior = Uniform([0.9, 0], [1.1, 1])
    inside = (θ[:, 0] > 0.9) & (θ[:, 0] < 1.1) & (θ[:, 1] > 0)
    within, _ = regression_adjusted(θ[inside], Δ[inside], ρ[inside], 1.0, prior=prior)
    assert (within >= prior.low).all()
    assert (within <= prior.high).all()
    anywhere, _ = regression_adjusted(θ[inside], Δ[inside], ρ[inside], 1.0)
    assert (anywhere < prior.low).any()


def test_importance_weights_count_in_the_regression_and_after_it():
    θ, Δ, ρ = curved()
    weights = (Δ[:, 0] > 0).astype(float)
    adjusted, kernel = regression_adjusted(θ, Δ, ρ, 1.0, weights=weights)
    half = weights > 0
    alone, kernel_alone = regression_adjusted(θ[half], Δ[half], ρ[half], 1.0)
    np.testing.assert_allclose(adjusted[half], alone)
    np.testing.assert_allclose(kernel[half], kernel_alone)
    assert not kernel[~half].any()


@pytest.mark.parametrize(
    ("value", "order"), [(False, 0), (True, 1), ("linear", 1), ("quadratic", 2)]
)
def test_orders(value, order):
    assert as_order(value) == order


@pytest.mark.parametrize("value", ["cubic", 2, None])
def test_other_orders_are_refused(value):
    with pytest.raises((TypeError, ValueError), match="`adjust` must"):
        as_order(value)


def test_a_quadratic_mean_needs_more_draws():
    θ, Δ, ρ = curved(10)
    with pytest.raises(ValueError, match="must have at least 7 accepted draws"):
        regression_adjusted(θ[:6], Δ[:6], ρ[:6], 2.0, order=2)
    with pytest.raises(ValueError, match=r"must have at least 4 accepted .* Received 0"):
        regression_adjusted(θ[:0], Δ[:0], ρ[:0], 2.0)
