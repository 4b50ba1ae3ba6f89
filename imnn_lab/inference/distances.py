"""What counts as near: distances between estimates, of differences Δ = θ̂ − θ̂_target.

"fisher": ρ = sqrt(Δ·F Δ), in standard deviations of the estimate if F is right.
"mad": ρ = sqrt(Σ_i (Δ_i/m_i)²), with m_i the median absolute deviation of the i-th estimate among
simulations, which needs no F (Prangle 2017, Adapting the ABC distance function).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imnn_lab import checks

Distance = str | Callable[[np.ndarray], Any]
NAMES = ("fisher", "mad")
MAPPING = "differences of shape (n, n_params) to distances of shape (n,)"


def as_distance(value: Any, Fisher: np.ndarray) -> Distance:
    """Return the name of a distance, or a function that was tried.

    It is tried at the target itself, and one standard deviation from it along each parameter.

    Parameters
    ----------
    value : "fisher", "mad" or callable
    Fisher : ndarray, shape (n_params, n_params)

    Raises
    ------
    TypeError, ValueError
        If it is neither, or what the function returns is not of shape (n,), finite and ≥ 0.
    """
    if not callable(value):
        return checks.one_of("distance", value, NAMES, f"A function from {MAPPING} works too.")
    along = np.diag(1 / np.sqrt(np.diag(Fisher)))
    distances_by(value, np.concatenate([np.zeros((1, len(Fisher))), along]))
    return value


def distances_by(function: Callable[[np.ndarray], Any], differences: np.ndarray) -> np.ndarray:
    """Return the distances (n,) that a function of differences (n, n_params) gives.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers of shape (n,), finite and not negative.
    """
    n, remedy = len(differences), f"It is a function from {MAPPING}."
    found = np.array(
        checks.real_array("distance(differences)", function(differences), remedy), float
    )
    if found.shape != (n,):
        expected, received = f"have the shape ({n},)", f"the shape {found.shape}"
        raise ValueError(checks.wording("`distance(differences)`", expected, received, remedy))
    checks.finite("distance(differences)", found)
    if n and found.min() < 0:
        expected = "be at least 0"
        raise ValueError(
            checks.wording("`distance(differences)`", expected, float(found.min()), remedy)
        )
    return found


def deviations(estimates: np.ndarray) -> np.ndarray:
    """Return the median absolute deviation of each column, shape (n_params,).

    Parameters
    ----------
    estimates : ndarray, shape (n, n_params)

    Raises
    ------
    ValueError
        If one of them is 0.
    """
    found = np.zeros(estimates.shape[1])
    if len(estimates):
        found = np.median(np.abs(estimates - np.median(estimates, axis=0)), axis=0)
    if not found.all():
        expected = "have estimates of which no parameter has the same value in half of simulations"
        received = f"{len(estimates)} simulations, median absolute deviations {found.tolist()}"
        remedy = 'distance="fisher" has no such need.'
        raise ValueError(checks.wording('distance="mad"', expected, received, remedy))
    return found
