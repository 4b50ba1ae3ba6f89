"""The posteriors of the demonstration: three without the likelihood, and the exact one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imnn_lab import LFI
from imnn_lab.figures import corner
from imnn_lab.figures.data import Panels
from imnn_lab.imnn import IMNN
from imnn_lab.inference import Uniform
from imnn_lab.inference.exact import exact_posterior
from imnn_lab.inference.posterior import Posterior
from imnn_lab.problems import Problem


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
