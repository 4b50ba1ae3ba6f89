"""Problems to try, each with a prior that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imnn_lab import problems
from imnn_lab.inference.priors import Uniform
from imnn_lab.problems import Problem


@dataclass(frozen=True)
class Case:
    """A problem and what surrounds it.

    Attributes
    ----------
    words : str
        What it is, for people.
    make : callable
        Returns the problem.
    prior : Uniform
    observed : callable, optional
        Returns real data, shape input_shape.
    """

    words: str
    make: Callable[[], Problem]
    prior: Uniform
    observed: Callable[[], np.ndarray] | None = None


def _nile() -> np.ndarray:
    return problems.nile_flow()[1][:, None]


CASES = {
    "gaussian": Case(
        "mean and variance of ten Gaussian values", problems.gaussian, Uniform([-3, 0.1], [3, 5])
    ),
    "slope": Case("slope of a line in noise", problems.slope, Uniform([3], [5])),
    "field": Case(
        "power spectrum of a 16 × 16 Gaussian field",
        problems.field_2d,
        Uniform([0.3, -0.5], [2, 1.5]),
    ),
    "nile": Case(
        "annual flow of the Nile 1871-1970, a real observation",
        problems.autoregressive,
        Uniform([600, 0, 80], [1200, 0.95, 250]),
        _nile,
    ),
}
