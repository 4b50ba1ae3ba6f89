"""The problems of the demonstration, each with a prior and an observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imnn_lab import problems
from imnn_lab.demo import PROBLEMS
from imnn_lab.inference.priors import Uniform
from imnn_lab.parameters import Label
from imnn_lab.problems import Problem

FLOW = "10⁸ m³/year"


@dataclass(frozen=True)
class Case:
    """A problem, its prior and its observation.

    Attributes
    ----------
    make : callable
        Returns the problem.
    prior : Uniform
    words : str
        Description in a line.
    observed : callable, optional
        Returns real data, shape input_shape.
    n_s : int
        Number of simulations that the demonstration trains with.
    """

    make: Callable[[], Problem]
    prior: Uniform
    words: str
    observed: Callable[[], np.ndarray] | None = None
    n_s: int = 1000

    def observation(self, problem: Problem, seed: int) -> np.ndarray:
        """Return the real data, else a simulation of the problem, shape input_shape."""
        return self.observed() if self.observed else problem.simulations(1, 10_000 + seed)[0]


def _nile_problem() -> Problem:
    """Return the autoregressive problem about the flow of the Nile, with its unit."""
    problem = problems.autoregressive()
    mean, φ, sd = problem.labels
    return replace(problem, labels=(Label(mean, FLOW), φ, Label(sd, FLOW)))


def _nile() -> np.ndarray:
    return problems.nile_flow()[1][:, None]


CASES = {
    "gaussian": Case(problems.gaussian, Uniform([-3, 0.1], [3, 5]), PROBLEMS["gaussian"]),
    "slope": Case(problems.slope, Uniform([3], [5]), PROBLEMS["slope"]),
    "field": Case(problems.field_2d, Uniform([0.3, -0.5], [2, 1.5]), PROBLEMS["field"], n_s=2000),
    "nile": Case(
        _nile_problem,
        Uniform([600, 0, 80], [1200, 0.95, 250]),
        PROBLEMS["nile"],
        _nile,
    ),
    "sine": Case(problems.sine, Uniform([0, 1.5, -1], [2, 2.5, 2]), PROBLEMS["sine"]),
    "blob": Case(problems.blob, Uniform([0, -4, 0.5], [8, 4, 6]), PROBLEMS["blob"]),
    "poisson_blob": Case(
        problems.poisson_blob, Uniform([1, -4, 0.5], [30, 4, 6]), PROBLEMS["poisson_blob"]
    ),
    "bivariate_normal": Case(
        problems.bivariate_normal,
        Uniform([-2, -3, 0.2, 0.4, -2], [2, 3, 4, 8, 3]),
        PROBLEMS["bivariate_normal"],
    ),
    "mixture": Case(problems.mixture, Uniform([0.05, 0.5], [0.95, 4]), PROBLEMS["mixture"]),
    "gaussian_process": Case(
        problems.gaussian_process, Uniform([0.2, 1], [3, 12]), PROBLEMS["gaussian_process"]
    ),
    "lognormal_field": Case(
        problems.lognormal_field,
        Uniform([0.3, 0.3], [2, 1.5]),
        PROBLEMS["lognormal_field"],
        n_s=2000,
    ),
}
