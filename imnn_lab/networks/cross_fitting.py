"""Summaries whose last layer was never solved on the simulations that they are of.

The last layer is solved on one half of the seeds and applied to the other, both ways, so that the
noise that it fits in one half is not in the other. The summaries are the scores

    V Σ⁻¹ (x − μ)

of the network's summaries x, with Σ and V their covariance and derivative given the external ones,
so that those of both halves are alike and can be put together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab import checks
from imnn_lab.networks.last_layer import Pooled, same_ridge, solve, unexplained
from imnn_lab.results import FisherStatistics
from imnn_lab.slopes import dealt, mean

FEWEST = 8  # simulations whose quarters have a covariance each


def cross_fitted(
    fiducial: np.ndarray,
    slopes: np.ndarray,
    n_external: int,
    n_summaries: int,
    widths: Sequence[int] = (),
    is_present: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return summaries, n_params of them after the external ones, and their derivatives.

    Parameters
    ----------
    fiducial : ndarray, shape (n_s, n_external + D)
        External summaries and features of fiducial simulations.
    slopes : ndarray, shape (n_d, n_params, n_external + D)
        Derivatives of those of single simulations.
    n_external : int
    n_summaries : int
        Of the last layer, at least n_params.
    widths : sequence of int
        Numbers of features in groups with a ridge each.
    is_present : ndarray of bool, shape (n_d, n_params), optional
        Which derivatives there are; all by default.

    Returns
    -------
    ndarray, shape (n_s, n_external + n_params)
    ndarray, shape (n_d, n_params, n_external + n_params)

    Raises
    ------
    ValueError
        If there are too few simulations to quarter them, or too few summaries.
    """
    n_s, n_params = len(fiducial), slopes.shape[1]
    if is_present is None:
        is_present = np.ones(slopes.shape[:2], bool)
    order = dealt(is_present)
    slopes, is_present = slopes[order], is_present[order]
    n_d = int(is_present.sum(axis=0).min())
    if min(n_s, n_d) < FEWEST:
        expected = f"be False for fewer than {FEWEST} simulations"
        received = f"True, and n_s = {n_s}, n_d = {n_d}"
        raise ValueError(checks.wording("`cross_fit`", expected, received))
    if n_summaries < n_params:
        expected = "be False for fewer summaries than parameters"
        raise ValueError(checks.wording("`cross_fit`", expected, f"True, {n_summaries} summaries"))
    halves = [(fiducial[i::2], slopes[i::2], is_present[i::2]) for i in (0, 1)]
    parts = []
    for own, (x, derivative, _) in (halves, halves[::-1]):
        W = scores(*own, n_external, n_summaries, widths)
        parts.append(
            [
                np.concatenate([each[..., :n_external], each[..., n_external:] @ W], axis=-1)
                for each in (x - x.mean(0), derivative)
            ]
        )
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def scores(
    fiducial: np.ndarray,
    slopes: np.ndarray,
    is_present: np.ndarray,
    n_external: int,
    n_summaries: int,
    widths: Sequence[int] = (),
) -> np.ndarray:
    """Return the map of features to scores, shape (D, n_params), solved on these simulations.

    The ridges are those that generalise best from one half of them to the other.

    Parameters
    ----------
    fiducial, slopes, is_present, n_external, n_summaries, widths
        As for `cross_fitted`.

    Raises
    ------
    ValueError
        If F is singular for every ridge.
    """
    whole = _statistics(fiducial, slopes, is_present, n_external)
    first, second = (
        _pooled(fiducial[i::2], slopes[i::2], is_present[i::2], n_external) for i in (0, 1)
    )
    choice = solve(first, second, n_summaries, widths)
    W = (same_ridge(choice, whole, n_summaries) or choice).W
    Σ, V, _ = unexplained(whole)
    return W @ np.linalg.solve(W.T @ Σ @ W, (V @ W).T)


def _statistics(
    fiducial: np.ndarray, slopes: np.ndarray, is_present: np.ndarray, n_external: int
) -> FisherStatistics:
    C = np.atleast_2d(np.cov(fiducial, rowvar=False))
    counts = len(fiducial), len(slopes), n_external
    return FisherStatistics(fiducial.mean(0), C, mean(slopes, is_present), *counts)


def _pooled(
    fiducial: np.ndarray, slopes: np.ndarray, is_present: np.ndarray, n_external: int
) -> Pooled:
    statistics = _statistics(fiducial, slopes, is_present, n_external)
    first, second = (mean(slopes[i::2], is_present[i::2]) for i in (0, 1))
    return Pooled(statistics, (first, second))
