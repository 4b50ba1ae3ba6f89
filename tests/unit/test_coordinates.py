"""Coordinates without bounds."""

import numpy as np
import pytest

from imnn_lab.inference import Uniform
from imnn_lab.inference.coordinates import Coordinates

INF = np.inf
COORDINATES = Coordinates(
    np.array([-1, 0, -INF, -INF]), np.array([2, INF, 3, INF]), np.array([0.3, 0.5, 0.2, 1.0])
)
POINTS = np.array([[-0.999, 1e-3, 2.99, 5], [1.9, 40, -30, 2], [0.2, 0.3, 0.4, -0.5]])


def test_there_and_back():
    u, _ = COORDINATES.from_parameters(POINTS)
    np.testing.assert_allclose(COORDINATES.parameters(u), POINTS, rtol=1e-12, atol=1e-12)


def test_the_slope_is_that_of_finite_differences():
    step = 1e-6
    _, log_slope = COORDINATES.from_parameters(POINTS)
    above, below = (COORDINATES.from_parameters(POINTS + s)[0] for s in (step, -step))
    # Central differences: a relative error of (step/distance from a bound)² = 1e-6.
    np.testing.assert_allclose(
        log_slope, np.log((above - below) / (2 * step)).sum(axis=1), atol=1e-5
    )


def test_no_number_lies_beyond_a_bound():
    for far in (1e3, 1e300):
        θ = COORDINATES.parameters(np.array([[-far] * 4, [far] * 4]))
        assert (θ >= COORDINATES.low).all()
        assert (θ <= COORDINATES.high).all()
        np.testing.assert_array_equal([θ[0, 0], θ[1, 0], θ[0, 1], θ[1, 2]], [-1, 2, 0, 3])


def test_points_on_a_bound_have_finite_coordinates():
    u, log_slope = COORDINATES.from_parameters(np.array([[-1.0, 0, 3, 0], [2.0, 0, 3, 0]]))
    assert np.isfinite(u).all()
    assert np.isfinite(log_slope).all()


def test_the_scale_is_what_a_regression_leaves():
    rng = np.random.default_rng(0)
    prior = Uniform([-10, 0], [10, 1])
    θ = prior.sample(5000, rng)
    estimates = θ + rng.normal(0, [0.3, 5.0], θ.shape)
    scale = Coordinates.fitted(prior, θ, estimates).scale
    # Five standard errors 1/sqrt(2·5000); a quarter of the width bounds it.
    assert scale == pytest.approx([0.3, 0.25], rel=0.05)
