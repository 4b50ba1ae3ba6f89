"""The exact posterior of a problem whose likelihood is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.problems import Problem, maximum_likelihood

WIDTH = 5.0
NEGLIGIBLE = 10.0  # how far below its maximum the log density must be at the sides of the grid
COARSE, WIDENINGS = 3000, 20
MOST_AXES = 3  # of a grid
ROUNDS, DRAWS, TAILS = 4, 20_000, 5  # of importance sampling; degrees of freedom of its proposal


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
    and further where the density is not negligible there yet, within the prior; a sample is spread
    evenly over its cell. With more than three parameters the samples are draws of a Student
    distribution, adapted to the posterior and chosen by importance.

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
        Approximate number of cells of the grid.

    Raises
    ------
    ValueError
        If the prior excludes the maximum of the likelihood and its neighbourhood.
    """

    def log_density(points: np.ndarray) -> np.ndarray:
        values = np.array([problem.log_likelihood(observation, θ) for θ in points])
        return values + prior.log_prob(points.copy())

    centre = maximum_likelihood(problem, observation)
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    low = np.maximum(centre - WIDTH * sd, prior.low)
    high = np.minimum(centre + WIDTH * sd, prior.high)
    if not (low < high).all():
        expected = "hold the maximum of the likelihood"
        raise ValueError(checks.wording("`prior`", expected, repr(prior)))
    random = np.random.default_rng(seed)
    if problem.n_params > MOST_AXES:
        samples = _by_importance(log_density, centre, np.linalg.inv(problem.F), random, n)
        return Posterior(samples, np.ones(n), problem.labels, prior.bounds)
    points, cell, _ = _cells(*_widened(log_density, low, high, prior), cells)
    log_values = log_density(points)
    weight = np.exp(log_values - log_values.max())
    chosen = points[random.choice(len(points), n, p=weight / weight.sum())]
    spread = (random.random(chosen.shape) - 0.5) * cell
    return Posterior(chosen + spread, np.ones(n), problem.labels, prior.bounds)


def _by_importance(
    log_density: Callable[[np.ndarray], np.ndarray],
    mean: np.ndarray,
    covariance: np.ndarray,
    random: np.random.Generator,
    n: int,
) -> np.ndarray:
    """Return n samples of a density, shape (n, n_params).

    They are chosen from draws of a Student distribution, whose mean and covariance are those of the
    samples before, from a first guess on.
    """
    for _ in range(ROUNDS):
        shape = covariance * (TAILS - 2) / TAILS
        proposal = stats.multivariate_t(mean, shape, df=TAILS, seed=random)
        draws = proposal.rvs(DRAWS)
        log_weight = log_density(draws) - proposal.logpdf(draws)
        weight = np.exp(log_weight - log_weight.max())
        mean = np.average(draws, axis=0, weights=weight)
        covariance = np.cov(draws.T, aweights=weight)
    return draws[random.choice(DRAWS, n, p=weight / weight.sum())]


def _cells(low: np.ndarray, high: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the centres (n, n_params) of about `cells` cells, their sides, the number per side."""
    p = len(low)
    side = int(cells ** (1 / p))
    cell = (high - low) / side
    axes = [low[i] + cell[i] * (np.arange(side) + 0.5) for i in range(p)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, p), cell, side


def _widened(
    log_density: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    prior: Prior,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a box, wider on the sides where the density is not negligible within the prior.

    A likelihood far from the fiducial parameters may be wider than F⁻¹ says.
    """
    p = len(low)
    for _ in range(WIDENINGS):
        points, _, side = _cells(low, high, COARSE)
        values = log_density(points).reshape((side,) * p)
        least = values.max() - NEGLIGIBLE
        step = 0.25 * (high - low)
        below = np.array([values.take(0, axis=i).max() > least for i in range(p)])
        above = np.array([values.take(-1, axis=i).max() > least for i in range(p)])
        wider = (
            np.where(below, np.maximum(low - step, prior.low), low),
            np.where(above, np.minimum(high + step, prior.high), high),
        )
        if np.array_equal(wider, (low, high)):
            break
        low, high = wider
    return low, high
