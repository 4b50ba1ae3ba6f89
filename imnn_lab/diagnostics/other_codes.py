"""What becomes of a network on simulations of another code.

Its estimates, θ̂ = θ_fid + F⁻¹ ∂μ C⁻¹ (x − μ) with the statistics of its own simulations, are
shifted on others by F⁻¹ ∂μ C⁻¹ (μ′ − μ), the Fisher bias, and scatter with the covariance that C′
gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.diagnostics.fisher import checked_labels, enough
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict
from imnn_lab.results import log_determinant
from imnn_lab.slopes import errors, mean

CHANCE = 0.01  # all tests of a report together
SHIFTED, FAR_OFF = 0.1, 0.5  # estimates, in units of their error
WIDER, MUCH_WIDER = 1.1, 1.5  # scatter of estimates over their error, or the inverse
MISSED, MUCH_MISSED = 0.1, 0.3  # of the change of a parameter by its error


@dataclass(frozen=True, eq=False)
class Transfer:
    """Estimates of a network on simulations of another code.

    Attributes
    ----------
    bias, bias_errors : ndarray, shape (n_params,)
        What estimates are shifted by on average, and its uncertainty, in the units of parameters.
    errors, scatter : ndarray, shape (n_params,)
        The marginal errors that its own F gives, and the standard deviation of the estimates.
    response : ndarray, shape (n_params, n_params)
        ∂⟨θ̂_α⟩/∂θ_β on the other simulations; the identity on its own.
    response_errors : ndarray, shape (n_params, n_params)
        Uncertainties of the difference from the identity.
    F, F_own : ndarray, shape (n_params, n_params)
        Fisher information of the summaries of the others, and of its own simulations.
    n_s : int
        Number of the others' fiducial simulations.
    labels : tuple of str
        Names of the parameters.
    """

    bias: np.ndarray
    bias_errors: np.ndarray
    errors: np.ndarray
    scatter: np.ndarray
    response: np.ndarray
    response_errors: np.ndarray
    F: np.ndarray
    F_own: np.ndarray
    n_s: int
    labels: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether the network may be used where the other code is right."""
        found = [self._shift(), self._width(), self._slope()]
        lights = [light for light, _ in found]
        words = [text for light, text in found if light is not Light.GREEN]
        ratio = np.exp(log_determinant(self.F) - log_determinant(self.F_own))
        end = f"det F is {ratio:.2g} times that of its own simulations."
        if not words:
            words = ["Estimates on the other simulations are what they are on its own."]
            return Verdict(Light.GREEN, " ".join([*words, end]))
        light = Light.RED if Light.RED in lights else Light.AMBER
        remedy = "Train on both codes together, or leave out what they do not agree on."
        return Verdict(light, " ".join([*words, end]), remedy)

    def __str__(self) -> str:
        return str(self.verdict)

    def _shift(self) -> tuple[Light, str]:
        seen = np.where(self._is_real(self.bias, self.bias_errors), np.abs(self.bias), 0)
        seen = seen / self.errors
        i = int(seen.argmax())
        amount = np.sign(self.bias[i]) * seen[i]
        words = f"Estimates of {self.labels[i]} are shifted by {amount:+.2g} of their error."
        return _light(seen[i], SHIFTED, FAR_OFF), words

    def _width(self) -> tuple[Light, str]:
        excess = np.log(self.scatter / self.errors)
        is_real = self._is_real(excess, np.full(len(excess), np.sqrt(1.0 / self.n_s)))
        seen = np.where(is_real, np.abs(excess), 0)
        i = int(seen.argmax())
        words = f"Those of {self.labels[i]} scatter by {np.exp(excess[i]):.2g} times their error."
        return _light(seen[i], np.log(WIDER), np.log(MUCH_WIDER)), words

    def _slope(self) -> tuple[Light, str]:
        difference = self.response - np.eye(len(self.response))
        units = np.outer(1 / self.errors, self.errors)
        seen = np.where(self._is_real(difference, self.response_errors), np.abs(difference), 0)
        seen = seen * units
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        words = (
            f"Where {self.labels[j]} moves by 1, the estimate of {self.labels[i]} moves by "
            f"{self.response[i, j]:.2g}."
        )
        return _light(seen[i, j], MISSED, MUCH_MISSED), words

    def _is_real(self, values: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """Whether values are larger than by chance, where all those of the report are tested."""
        p = len(self.labels)
        return np.abs(values) > stats.norm.isf(CHANCE / 2 / (p * (p + 2))) * errors


def _light(value: float, amber: float, red: float) -> Light:
    return Light.GREEN if value < amber else Light.AMBER if value < red else Light.RED


def transfer(
    own: SummarySet, other: SummarySet, *, labels: Sequence[str] | None = None
) -> Transfer:
    """Return what becomes of estimates on simulations of another code.

    Parameters
    ----------
    own, other : SummarySet
        Summaries of the same network, of its own simulations and of the others, both best of
        simulations that it was not trained on.
    labels : sequence of str, optional
        Names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, there are too few simulations, or the sets have different
        parameters or summaries.
    """
    for each in (own, other):
        enough(each)
    statistics = own.statistics
    near = 1e-8 * np.sqrt(np.diag(statistics.Finv)) + 1e-5 * np.abs(other.θ_fid)
    is_same = len(own.θ_fid) == len(other.θ_fid) and (np.abs(own.θ_fid - other.θ_fid) <= near).all()
    if own.n_summaries != other.n_summaries or not is_same:
        expected = f"have {own.n_summaries} summaries at θ_fid = {own.θ_fid.tolist()}"
        received = f"{other.n_summaries} at {other.θ_fid.tolist()}"
        raise ValueError(checks.wording("`other`", expected, received))
    names = checked_labels(labels, own.n_params, own.names)
    gain = statistics.Finv @ statistics.dμ_dθ @ statistics.Cinv

    def scatter(C: np.ndarray) -> np.ndarray:
        return np.diag(gain @ C @ gain.T)

    of_other = scatter(other.statistics.C)
    there = own.is_present, other.is_present
    responses = [each.slopes @ gain.T for each in (own, other)]  # (n_d, parameter, estimate)
    variances = [(errors(*each) ** 2).sum(axis=0) for each in zip(responses, there, strict=True)]
    return Transfer(
        gain @ (other.statistics.μ - statistics.μ),
        np.sqrt(scatter(statistics.C) / own.n_s + of_other / other.n_s),
        np.sqrt(np.diag(statistics.Finv)),
        np.sqrt(of_other),
        mean(responses[1], there[1]).T,
        np.sqrt(variances[0] + variances[1]).T,
        other.statistics.F,
        statistics.F,
        min(own.n_s, other.n_s),
        names,
    )
