"""The exact posterior of a problem whose likelihood is known."""

from __future__ import annotations

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.problems import Problem, maximum_likelihood

WIDTH = 5.0


def exact_posterior(
    problem: Problem,
    observation: np.ndarray,
    prior: Prior,
    seed: int = 0,
    n: int = 40_000,
    cells: int = 30_000,
) -> Posterior:
    """Return samples of the exact posterior, from the likelihood on a grid of cells.

    The grid spans five standard deviations of F⁻¹ to both sides of the maximum of the likelihood,
    within the prior; a sample is spread evenly over its cell.

    Parameters
    ----------
    problem : Problem
    observation : ndarray, shape input_shape
    prior : Prior
    seed : int
        Seed of the samples.
    n : int
        Number of samples.
    cells : int
        About how many cells the grid has.

    Raises
    ------
    ValueError
        If the prior excludes the maximum of the likelihood and all that is near it.
    """
    centre = maximum_likelihood(problem, observation)
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    low = np.maximum(centre - WIDTH * sd, prior.low)
    high = np.minimum(centre + WIDTH * sd, prior.high)
    if not (low < high).all():
        expected = "hold the maximum of the likelihood"
        raise ValueError(checks.wording("`prior`", expected, repr(prior)))
    side = int(cells ** (1 / problem.n_params))
    cell = (high - low) / side
    axes = [low[i] + cell[i] * (np.arange(side) + 0.5) for i in range(problem.n_params)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, problem.n_params)
    log_density = np.array([problem.log_likelihood(observation, θ) for θ in points])
    log_density += prior.log_prob(points)
    weight = np.exp(log_density - log_density.max())
    random = np.random.default_rng(seed)
    chosen = points[random.choice(len(points), n, p=weight / weight.sum())]
    spread = (random.random(chosen.shape) - 0.5) * cell
    return Posterior(chosen + spread, np.ones(n), problem.labels, np.stack([prior.low, prior.high]))
