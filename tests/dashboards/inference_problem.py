"""A problem whose posterior is known, with an estimator that needs no network."""

import numpy as np

from imnn_lab.inference import Posterior, Uniform

A = np.array([[1.0, 0.5], [0.0, 1.0], [1.0, -1.0]])
F = A.T @ A
LABELS = ("a", "b")
PRIOR = Uniform([-8, -8], [8, 8])
TRUTH = np.array([1.0, -0.5])


def simulator(parameters, seed):
    """Data A θ + n with unit noise."""
    return parameters @ A.T + np.random.default_rng(seed).standard_normal((len(parameters), 3))


def get_estimate(data):
    """Return the maximum of the likelihood, whose covariance is F⁻¹."""
    return data @ np.linalg.solve(F, A.T).T


def exact(data):
    """Return samples of the posterior, N(θ̂, F⁻¹) far from the prior's edges."""
    rng = np.random.default_rng(0)
    samples = rng.multivariate_normal(get_estimate(data), np.linalg.inv(F), 20_000)
    return Posterior(samples, np.ones(len(samples)), LABELS)


OBSERVED = simulator(TRUTH[None], 3)
