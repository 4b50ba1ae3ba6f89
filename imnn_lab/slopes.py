"""Derivatives of single simulations, of which parameters may have different numbers.

They are an array (rows, n_params, s), a row for each seed, with a mask (rows, n_params) of those
that there are.
"""

from __future__ import annotations

import numpy as np


def mean(slopes: np.ndarray, is_present: np.ndarray) -> np.ndarray:
    """Return the mean over the rows that each parameter has, (n_params, s)."""
    if is_present.all():
        return slopes.mean(axis=0)
    return total(slopes, is_present).sum(axis=0) / is_present.sum(axis=0)[:, None]


def total(slopes: np.ndarray, is_present: np.ndarray) -> np.ndarray:
    """Return the slopes, 0 where there are none."""
    return np.where(is_present[..., None], slopes, 0.0)


def errors(slopes: np.ndarray, is_present: np.ndarray) -> np.ndarray:
    """Return ε (rows, n_params, s), for which Σ_i ε_i ε_iᵀ is the covariance of the means.

    That of two parameters comes from the seeds that both have.
    """
    n = is_present.sum(axis=0)[:, None]
    return total(slopes - mean(slopes, is_present), is_present) / np.sqrt(n * (n - 1.0))


def dealt(is_present: np.ndarray) -> np.ndarray:
    """Return an order of the rows of which every k-th is a fair share for all parameters.

    Rows that the same parameters have stand together; complete rows stay as they are.
    """
    if is_present.all():
        return np.arange(len(is_present))
    return np.argsort(patterns(is_present), kind="stable")


def patterns(is_present: np.ndarray) -> np.ndarray:
    """Return numbers (rows,), the same for rows that the same parameters have."""
    return np.unique(is_present, axis=0, return_inverse=True)[1].reshape(-1)
