"""The posteriors of the demonstration: three without the likelihood, and the exact one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tqdm.auto import tqdm

from imnn_lab import LFI, checks
from imnn_lab.figures import corner
from imnn_lab.figures.data import Panels
from imnn_lab.imnn import IMNN
from imnn_lab.inference import Uniform
from imnn_lab.inference.posterior import Posterior
from imnn_lab.problems import Problem, maximum_likelihood

GRID_POINTS = 30_000
WIDTH = 5.0


def posteriors(
    imnn: IMNN, problem: Problem, observation: np.ndarray, prior: Uniform, seed: int
) -> dict[str, Posterior]:
    """Return the posteriors of an observation by Gaussian approximation, ABC, PMC and exactly."""

    def get_estimate(data: np.ndarray) -> np.ndarray:
        return imnn.get_estimate(data.astype(imnn.settings.dtype))

    arguments = (observation[None], prior, imnn.F, get_estimate)
    GA = LFI.GaussianApproximation(*arguments, problem.labels, seed=seed)
    ABC = LFI.ApproximateBayesianComputation(
        *arguments, problem.simulator, problem.labels, seed=seed
    )
    ABC.ABC(40_000)
    ABC.accept_reject(nearest=500)
    PMC = LFI.PopulationMonteCarlo(*arguments, problem.simulator, problem.labels, seed=seed)
    PMC.PMC(1000, 4000, 0.05, max_simulations=60_000)
    exact = exact_posterior(problem, observation, prior, seed)
    return {
        "Gaussian approximation": GA.samples(20_000)[0],
        "ABC, adjusted": ABC.samples(adjust=True)[0],
        "PMC": PMC.samples()[0],
        "exact": exact,
    }


def exact_posterior(
    problem: Problem, observation: np.ndarray, prior: Uniform, seed: int = 0, n: int = 40_000
) -> Posterior:
    """Return samples of the exact posterior, from the likelihood on a grid of cells.

    The grid spans five standard deviations of F⁻¹ to both sides of the maximum of the likelihood,
    within the prior; a sample is spread evenly over its cell.
    """
    centre = maximum_likelihood(problem, observation)
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    low = np.maximum(centre - WIDTH * sd, prior.low)
    high = np.minimum(centre + WIDTH * sd, prior.high)
    if not (low < high).all():
        expected = "hold the maximum of the likelihood"
        raise ValueError(checks.wording("`prior`", expected, repr(prior)))
    side = int(GRID_POINTS ** (1 / problem.n_params))
    cell = (high - low) / side
    axes = [low[i] + cell[i] * (np.arange(side) + 0.5) for i in range(problem.n_params)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, problem.n_params)
    bar = tqdm(points, desc="exact likelihood", unit="point", leave=False)
    log_likelihood = np.array([problem.log_likelihood(observation, θ) for θ in bar])
    weight = np.exp(log_likelihood - log_likelihood.max())
    random = np.random.default_rng(seed)
    chosen = points[random.choice(len(points), n, p=weight / weight.sum())]
    spread = (random.random(chosen.shape) - 0.5) * cell
    return Posterior(chosen + spread, np.ones(n), problem.labels, np.stack([prior.low, prior.high]))


def table(found: Mapping[str, Posterior]) -> str:
    """Return mean ± standard deviation of each parameter by each method, as text."""
    labels = next(iter(found.values())).labels
    rows = [f"{'posterior':24}" + "".join(f"{label:>24}" for label in labels)]
    for name, posterior in found.items():
        cells = [f"{m:.4g} ± {s:.2g}" for m, s in zip(posterior.mean, posterior.sd, strict=True)]
        note = f"   ({posterior.effective_samples:.0f} effective samples)"
        rows.append(f"{name:24}" + "".join(f"{cell:>24}" for cell in cells) + note)
    return "\n".join(rows)


def description(found: Mapping[str, Posterior]) -> Panels:
    """Describe a corner figure of the posteriors over each other."""
    exact = found["exact"]
    spread = [(m - 4.5 * s, m + 4.5 * s) for m, s in zip(exact.mean, exact.sd, strict=True)]
    return corner.corner(found, exact.labels, ranges=spread, bins=30, smoothing=1.0)
