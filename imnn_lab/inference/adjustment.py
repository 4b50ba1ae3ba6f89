"""Regression adjustment: draws moved to where their estimates would be the target's.

With Δ = θ̂ − θ̂_target and u the coordinates of θ in which the prior has no bounds, a regression
weighted by the Epanechnikov kernel 1 − (ρ/ε)² gives the mean m(Δ), another of the logarithms of its
squared residuals their scale σ(Δ), and

    u* = m(0) + (u − m(Δ)) σ(0)/σ(Δ)

(Beaumont, Zhang & Balding 2002, equations 3 to 6; Blum & François 2010, equation 11). m is linear,
or has the squares and products of Δ as well; ln σ² is linear.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.priors import Prior

LARGEST_RATIO = 3.0  # of scales: beyond it the regression of residuals extrapolates
NEEDED_PER_FEATURE = 10  # draws for each feature of the scale's regression
ORDERS = {"linear": 1, "quadratic": 2}


def as_order(adjust: Any) -> int:
    """Return the order of the regression: 0 for none, 1 for linear, 2 for quadratic.

    Raises
    ------
    TypeError, ValueError
        If `adjust` is not False, True, "linear" or "quadratic".
    """
    if isinstance(adjust, str):
        return ORDERS[checks.one_of("adjust", adjust, tuple(ORDERS), "True means linear.")]
    return int(checks.boolean("adjust", adjust))


def regression_adjusted(
    parameters: np.ndarray,
    differences: np.ndarray,
    distances: np.ndarray,
    ε: float,
    *,
    weights: np.ndarray | None = None,
    prior: Prior | None = None,
    order: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters moved to where their estimates would be the target's, and their weights.

    Parameters
    ----------
    parameters, differences : ndarray, shape (n, n_params)
    distances : ndarray, shape (n,)
    ε : float
        Radius of the kernel.
    weights : ndarray, shape (n,), optional
        Importance weights of the draws; by default they are equal.
    prior : Prior, optional
        Supplies the bounds, which no draw then crosses.
    order : int
        1 for a linear mean, 2 for a quadratic one.

    Raises
    ------
    ValueError
        If there are too few draws to regress on.
    """
    kernel = np.clip(1 - (distances / ε) ** 2, 0, None)
    kernel = kernel if weights is None else kernel * weights
    size = np.abs(differences).max(axis=0, initial=0.0)
    design = _design(differences / np.where(size > 0, size, 1.0), order)
    if np.count_nonzero(kernel) < design.shape[1] + 1:
        received = f"{np.count_nonzero(kernel)}"
        expected = f"have at least {design.shape[1] + 1} accepted draws nearer than ε = {ε:.3g}"
        raise ValueError(
            checks.wording("The regression adjustment", expected, received, "Raise ε.")
        )
    if prior is None:
        return _moved(parameters, design, kernel), kernel
    coordinates = Coordinates.fitted(prior, parameters, differences)
    u, _ = coordinates.from_parameters(parameters)
    return coordinates.parameters(_moved(u, design, kernel)), kernel


def _design(Δ: np.ndarray, order: int) -> np.ndarray:
    """Return the features of a mean of that order; the first n_params + 1 are 1 and Δ."""
    features = [np.ones(len(Δ)), *Δ.T]
    if order == 2:
        i, j = np.triu_indices(Δ.shape[1])
        features += [*(Δ[:, i] * Δ[:, j]).T]
    return np.column_stack(features)


def _moved(u: np.ndarray, design: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return u moved to the origin of the design, residuals rescaled, shape (n, n_params)."""
    coefficients = _weighted_fit(design, u, kernel)
    residuals = u - design @ coefficients
    linear = design[:, : u.shape[1] + 1]
    if np.count_nonzero(kernel) < NEEDED_PER_FEATURE * linear.shape[1]:
        return coefficients[0] + residuals
    floor = 1e-12 * np.average(residuals**2, axis=0, weights=kernel) + np.finfo(float).tiny
    slopes = _weighted_fit(linear, np.log(residuals**2 + floor), kernel)[1:]
    ratios = np.exp(-0.5 * linear[:, 1:] @ slopes)
    return coefficients[0] + residuals * np.clip(ratios, 1 / LARGEST_RATIO, LARGEST_RATIO)


def _weighted_fit(design: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    root = np.sqrt(weights / weights.max())[:, None]
    coefficients, *_ = np.linalg.lstsq(root * design, root * values, rcond=None)
    return coefficients
