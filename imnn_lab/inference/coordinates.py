"""Coordinates of the parameters in which a prior has no bounds.

Far from the bounds they are the parameters, u = θ, so that what is Gaussian stays Gaussian; within
about a scale s of a bound they stretch:

    u = low + s ln(e^((θ − low)/s) − 1) − s ln(1 − e^((θ − high)/s)),
    θ = low + s ln(1 + e^((u − low)/s)) − s ln(1 + e^((u − high)/s)),

without the term of a bound that is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imnn_lab.inference.priors import Prior
from imnn_lab.neural_density.mixture import Standardisation

EDGE = 1e-12  # distance from a bound, in units of s, of a point on it
MARGIN = 0.1  # the same of the estimates whose coordinates are features
LARGEST = 0.25  # of s, in units of the width between two bounds


@dataclass(frozen=True)
class Coordinates:
    """Unbounded coordinates of parameters.

    Attributes
    ----------
    low, high : ndarray, shape (n_params,)
        Bounds of the parameters, possibly infinite.
    scale : ndarray, shape (n_params,)
        How far from a bound they begin to stretch.
    """

    low: np.ndarray
    high: np.ndarray
    scale: np.ndarray

    @staticmethod
    def fitted(
        prior: Prior,
        parameters: np.ndarray,
        estimates: np.ndarray,
        weights: np.ndarray | None = None,
    ) -> Coordinates:
        """Return those for a posterior as wide as what a regression on the estimates leaves.

        Parameters
        ----------
        prior : Prior
            Has the bounds.
        parameters, estimates : ndarray, shape (n, n_params)
        weights : ndarray, shape (n,), optional
            Of the draws, up to a factor.
        """
        weights = np.ones(len(parameters)) if weights is None else weights
        regression = Standardisation.fitted(estimates, parameters, weights)
        spread = np.sqrt((regression.root**2).sum(axis=1))
        middle = np.average(parameters, axis=0, weights=weights)
        variance = np.average((parameters - middle) ** 2, axis=0, weights=weights)
        floor, width = 1e-6 * np.sqrt(variance), prior.high - prior.low
        return Coordinates(prior.low, prior.high, np.clip(spread, floor, LARGEST * width))

    def from_parameters(self, θ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return u, shape (..., n_params), and ln |du/dθ|, shape (...).

        Parameters
        ----------
        θ : ndarray, shape (..., n_params)
            Within the bounds; what lies outside is moved there.
        """
        above = np.maximum((θ - self.low) / self.scale, EDGE)
        below = np.maximum((self.high - θ) / self.scale, EDGE)
        # ln(e^x − 1) = x + ln(1 − e^−x)
        u = θ + self.scale * (_log_complement(above) - _log_complement(below))
        with np.errstate(over="ignore"):
            slope = -1 / np.expm1(-above) + 1 / np.expm1(below)
        return u, np.log(slope).sum(axis=-1)

    def parameters(self, u: np.ndarray) -> np.ndarray:
        """Return θ at coordinates u, shape (..., n_params), never beyond a bound."""
        # from the nearer bound, beyond which nothing is subtracted that is large
        above, below = (u - self.low) / self.scale, (self.high - u) / self.scale
        with np.errstate(invalid="ignore"):
            from_low = self.low + self.scale * (_softplus(above) - _softplus(-below))
            from_high = self.high - self.scale * (_softplus(below) - _softplus(-above))
        has_low, has_high = np.isfinite(self.low), np.isfinite(self.high)
        near_low = has_low & (~has_high | (above < below))
        θ = np.where(near_low, from_low, np.where(has_high, from_high, u))
        return np.clip(θ, self.low, self.high)

    def features(self, estimates: np.ndarray) -> np.ndarray:
        """Return estimates beside their own coordinates, shape (m, n_features).

        Coordinates follow those of the estimates more simply than the estimates: both stretch near
        a bound. An estimate beyond it is moved to a tenth of the scale before it.

        Parameters
        ----------
        estimates : ndarray, shape (m, n_params)
        """
        margin = MARGIN * self.scale
        inside = np.clip(estimates, self.low + margin, self.high - margin)
        bounded = np.isfinite(self.low) | np.isfinite(self.high)
        return np.concatenate([estimates, self.from_parameters(inside)[0][:, bounded]], axis=1)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _log_complement(x: np.ndarray) -> np.ndarray:
    """Return ln(1 − e^−x) of x > 0, zero at infinity."""
    return np.log(-np.expm1(-x))
