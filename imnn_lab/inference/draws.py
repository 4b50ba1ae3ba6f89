"""Draws of parameters with the estimates that simulations made there give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.distances import Distance, deviations, distances_by

SAME = 1e-6  # of a standard deviation, or of the distance: within it distances are equal


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
    """The estimate from observed data, and the distance ρ by which others are near to it.

    By default ρ = sqrt(Δ·F Δ) with Δ = θ̂ − θ̂_target, the Mahalanobis distance with the Fisher
    matrix as inverse covariance (see `imnn_lab.inference.distances` for others).

    Parameters
    ----------
    estimate : ndarray, shape (n_params,)
        The estimate θ̂_target.
    Fisher : ndarray, shape (n_params, n_params)
        Symmetric and positive definite.
    distance : "fisher", "mad" or callable
        A callable maps differences (n, n_params) to distances (n,).
    scales : ndarray, shape (n_params,), optional
        Units of the differences with "mad"; `measured` takes them from simulations.

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
    distance: Distance = "fisher"
    scales: np.ndarray | None = None

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

        Raises
        ------
        ValueError
            With "mad", if there are no scales yet.
        """
        differences = self.differences(estimates)
        if callable(self.distance):
            return distances_by(self.distance, differences)
        if self.distance == "fisher":
            whitened = differences @ np.linalg.cholesky(self.Fisher)
        elif self.scales is None:
            expected = "be measured from simulations first"
            remedy = "Make draws; then `target.measured(estimates)`, as `accept` does."
            raise ValueError(checks.wording('distance="mad"', expected, "no scales", remedy))
        else:
            whitened = differences / self.scales
        return np.sqrt(np.einsum("ni,ni->n", whitened, whitened))

    def measured(self, estimates: np.ndarray) -> Target:
        """Return the target with the scales of simulations, which only "mad" needs.

        Parameters
        ----------
        estimates : ndarray, shape (n, n_params)
            The estimates from all of them, near or not.

        Raises
        ------
        ValueError
            If half of the estimates of a parameter are the same.
        """
        return replace(self, scales=deviations(estimates)) if self.distance == "mad" else self

    def tells_nothing(self, draws: Draws) -> bool:
        """Return whether all draws are equally far though they were made at different parameters.

        Parameters
        ----------
        draws : Draws
            Of which at least two must have succeeded to tell.
        """
        if len(draws.parameters) < 2 or not np.ptp(draws.parameters, axis=0).any():
            return False
        distances = self.distances(draws.estimates)
        unit = 1.0 if self.distance == "fisher" else distances.max()
        return bool(np.ptp(distances) <= SAME * unit)
