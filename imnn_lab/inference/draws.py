"""Draws of parameters with the estimates that simulations made there give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Draws:
    """Parameters, and the estimates from one simulation at each.

    Attributes
    ----------
    parameters : ndarray, shape (n, n_params)
        Where simulations succeeded.
    estimates : ndarray, shape (n, n_params)
        Their estimates.
    failed_parameters : ndarray, shape (n_failed, n_params)
        Where they failed.
    failure : str or None
        What the first failure said.
    """

    parameters: np.ndarray
    estimates: np.ndarray
    failed_parameters: np.ndarray
    failure: str | None = None

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return len(self.failed_parameters)

    @property
    def num_draws(self) -> int:
        """Number of simulations asked for, failed ones included."""
        return len(self.parameters) + self.num_failed

    @staticmethod
    def joined(parts: Sequence[Draws]) -> Draws:
        """Return several draws as one, in order."""
        failures = [part.failure for part in parts if part.failure is not None]
        return Draws(
            np.concatenate([part.parameters for part in parts]),
            np.concatenate([part.estimates for part in parts]),
            np.concatenate([part.failed_parameters for part in parts]),
            failures[0] if failures else None,
        )


@dataclass(frozen=True)
class Target:
    """The estimate from observed data, and the metric in which others are near to it.

    The distance is ρ = sqrt(Δ·F Δ) with Δ = θ̂ − θ̂_target, the Mahalanobis distance with
    the Fisher matrix as inverse covariance.

    Parameters
    ----------
    estimate : ndarray, shape (n_params,)
    Fisher : ndarray, shape (n_params, n_params)
        Symmetric and positive definite.
    """

    estimate: np.ndarray
    Fisher: np.ndarray

    def differences(self, estimates: np.ndarray) -> np.ndarray:
        """Return θ̂ − θ̂_target, shape (n, n_params)."""
        return estimates - self.estimate

    def distances(self, estimates: np.ndarray) -> np.ndarray:
        """Return ρ, shape (n,)."""
        whitened = self.differences(estimates) @ np.linalg.cholesky(self.Fisher)
        return np.sqrt(np.einsum("ni,ni->n", whitened, whitened))
