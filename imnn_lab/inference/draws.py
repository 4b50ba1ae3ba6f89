"""Draws of parameters with the estimates that simulations made there give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

SAME = 1e-6  # standard deviations of an estimate, within which distances are equal


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
    weights : ndarray, shape (n,), or None
        π(θ)/q(θ) of draws from a density q other than the prior π, up to a factor; None if they
        are from the prior.
    """

    parameters: np.ndarray
    estimates: np.ndarray
    failed_parameters: np.ndarray
    failure: str | None = None
    weights: np.ndarray | None = None

    def __repr__(self) -> str:
        n, n_params = self.parameters.shape
        failed = f", {self.num_failed:,} failed" if self.num_failed else ""
        return f"Draws({n:,} of {n_params} parameters{failed})"

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return len(self.failed_parameters)

    @property
    def num_draws(self) -> int:
        """Number of simulations asked for, failed ones included."""
        return len(self.parameters) + self.num_failed

    @property
    def effective_number(self) -> float:
        """How many draws from the prior tell as much, (Σ w)²/Σ w²."""
        if self.weights is None or not self.weights.any():
            return float(len(self.parameters) if self.weights is None else 0)
        w = self.weights / self.weights.max()
        return float(w.sum() ** 2 / (w**2).sum())

    def where(self, mask: np.ndarray) -> Draws:
        """Return some of the draws; the failed ones stay.

        Parameters
        ----------
        mask : ndarray of bool, shape (n,)
            Which.
        """
        weights = None if self.weights is None else self.weights[mask]
        return replace(
            self,
            parameters=self.parameters[mask],
            estimates=self.estimates[mask],
            weights=weights,
        )

    @staticmethod
    def joined(parts: Sequence[Draws]) -> Draws:
        """Return several draws as one, in order.

        Weights of different parts are known up to different factors: each part counts as much
        as its effective number of draws.

        Parameters
        ----------
        parts : sequence of Draws
            At least one.
        """
        failures = [part.failure for part in parts if part.failure is not None]
        weights = None
        if any(part.weights is not None for part in parts):
            weights = np.concatenate([part._absolute_weights() for part in parts])
        return Draws(
            np.concatenate([part.parameters for part in parts]),
            np.concatenate([part.estimates for part in parts]),
            np.concatenate([part.failed_parameters for part in parts]),
            failures[0] if failures else None,
            weights,
        )

    def _absolute_weights(self) -> np.ndarray:
        """Return weights that sum to the effective number."""
        if self.weights is None:
            return np.ones(len(self.parameters))
        return self.weights * (self.effective_number / (self.weights.sum() or 1.0))


@dataclass(frozen=True)
class Target:
    """The estimate from observed data, and the metric in which others are near to it.

    The distance is ρ = sqrt(Δ·F Δ) with Δ = θ̂ − θ̂_target, the Mahalanobis distance with
    the Fisher matrix as inverse covariance.

    Parameters
    ----------
    estimate : ndarray, shape (n_params,)
        The estimate θ̂_target.
    Fisher : ndarray, shape (n_params, n_params)
        Symmetric and positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.inference import Target
    >>> target = Target(estimate=np.array([0.0, 1.0]), Fisher=np.diag([10.0, 5.0]))
    >>> target.distances(np.array([[0.0, 1.0], [1.0, 1.0]])).round(4)
    array([0.    , 3.1623])
    """

    estimate: np.ndarray
    Fisher: np.ndarray

    def differences(self, estimates: np.ndarray) -> np.ndarray:
        """Return θ̂ − θ̂_target, shape (n, n_params).

        Parameters
        ----------
        estimates : ndarray, shape (n, n_params)
            Estimates θ̂.
        """
        return estimates - self.estimate

    def distances(self, estimates: np.ndarray) -> np.ndarray:
        """Return the distances ρ, shape (n,).

        Parameters
        ----------
        estimates : ndarray, shape (n, n_params)
            Estimates θ̂.
        """
        whitened = self.differences(estimates) @ np.linalg.cholesky(self.Fisher)
        return np.sqrt(np.einsum("ni,ni->n", whitened, whitened))

    def tells_nothing(self, draws: Draws) -> bool:
        """Return whether all draws are equally far though they were made at different parameters.

        Parameters
        ----------
        draws : Draws
            Of which at least two must have succeeded to tell.
        """
        if len(draws.parameters) < 2 or not np.ptp(draws.parameters, axis=0).any():
            return False
        return bool(np.ptp(self.distances(draws.estimates)) < SAME)
