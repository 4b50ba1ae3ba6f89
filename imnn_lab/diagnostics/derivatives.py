"""Whether ∂μ/∂θ can be trusted: noise, step, dtype, seeds, single rows.

The mean of n_d slopes has noise, and F = ∂μ C⁻¹ ∂μᵀ counts it as information,

    B_αβ = Tr(C⁻¹ Σ_αβ)/n_d,

with Σ_αβ the covariance of the slopes of single simulations (Coulton & Wandelt 2023,
arXiv:2305.08994; Wilson & Bean 2024, arXiv:2406.06067): forecasts are too tight. Where parameters
have n_α and n_β of them, n_αβ from the same seeds, 1/n_d is n_αβ/(n_α n_β). A central difference
over a step δθ has an error of third order. Its second order, which cancels, is seen in
(μ⁺ + μ⁻)/2 − μ; where it is ρ times the first, the third is about ⅔ρ² of the first, as in an
exponential response. A response with no second order, as of a sine at 0, is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import linalg, stats

from imnn_lab import checks
from imnn_lab import slopes as of_seeds
from imnn_lab.diagnostics.fisher import checked_labels
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict, plain, worst
from imnn_lab.matched.pairing import FEWEST, REMEDY, Pairing, pairing

MEASURED = 3.0  # signal to noise from which on a derivative is known at all
TIGHT, TOO_TIGHT = 0.97, 0.9  # errors, in units of those without the noise of the derivative
BENT, TOO_BENT = 0.27, 0.7  # second order over first: a bias of 5 and of 33 %
AIM, SIGNIFICANT = 0.12, 1e-4  # second order that is aimed at, a bias of 1 %; chance of less
COARSE, TOO_COARSE = 0.1, 0.5  # rounding over difference, rms
FINE = 0.01  # that is aimed at
FAR = 20.0  # times the scatter of the others of an outlying slope, or √n_d if that is more
NOISE_AIM = 0.02  # of F, that n_d is recommended for: 1 % of an error


@dataclass(frozen=True, eq=False)
class DerivativeReport:
    """What `derivative_doctor` finds; arrays are in the order of the parameters.

    Attributes
    ----------
    labels : tuple of str
        Names of the parameters.
    δθ : ndarray, shape (n_params,), or None
        Full width of the central difference.
    n_d : int
        Number of rows of derivative simulations, the smallest of all parameters.
    signal_to_noise : ndarray, shape (n_params,)
        Of ∂μ/∂θ, √((F − B)_αα / B_αα); infinite without noise.
    noise_in_errors : ndarray, shape (n_params,)
        Noise of ∂μ/∂θ times the marginal error of the parameter, in standard deviations of the
        summaries; far below 1 if the derivative is known as well as forecasts need.
    noise : ndarray, shape (n_params, n_params)
        B, what noise adds to F.
    tightening : ndarray, shape (n_params,)
        Marginal errors from F over those from F − B; NaN if nothing is left of F.
    step_in_errors : ndarray, shape (n_params,)
        δθ over the marginal error; NaN, as `curvature`, for exact derivatives.
    curvature, curvature_sd : ndarray, shape (n_params,)
        Second over first order of the response at half a step, without what chance adds; its sd.
    curvature_p : ndarray, shape (n_params,)
        Probability of as much by chance.
    rounding : ndarray, shape (n_params,)
        Rounding of the simulations over their difference, rms; NaN without `simulations`.
    pairing : Pairing or None
        Of the summaries, in the combinations that are paired worst; None for exact derivatives, or
        fewer than 12 rows.
    outliers : tuple of ndarray of int, shape (n_outliers,) each, length n_params
        Rows whose slope lies so far out that it moves the mean by more than its error.
    recommended_δθ : ndarray, shape (n_params,), or None
        δθ, smaller where the response bends, wider where numbers are rounded.
    recommended_n_d : int or None
        Rows for which noise tightens the errors by 1 %, of the parameter with fewest; None if noise
        is all that is seen.
    counts : ndarray of int, shape (n_params,)
        Number of rows of each parameter.
    is_stencil : bool
        Whether derivatives are those of `imnn_lab.Stencils`.
    """

    labels: tuple[str, ...]
    δθ: np.ndarray | None
    n_d: int
    signal_to_noise: np.ndarray
    noise_in_errors: np.ndarray
    noise: np.ndarray = field(repr=False)
    tightening: np.ndarray
    step_in_errors: np.ndarray
    curvature: np.ndarray
    curvature_sd: np.ndarray
    curvature_p: np.ndarray
    rounding: np.ndarray
    pairing: Pairing | None
    outliers: tuple[np.ndarray, ...]
    recommended_δθ: np.ndarray | None
    recommended_n_d: int | None
    counts: np.ndarray
    is_stencil: bool = False

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """A verdict for each question: noise, seeds, step, dtype, rows."""
        return {
            "noise": self._of_noise(),
            "seeds": self._of_seeds(),
            "step": self._of_step(),
            "dtype": self._of_dtype(),
            "rows": self._of_rows(),
        }

    @property
    def verdict(self) -> Verdict:
        """The worst light, with all that is found at it and beyond green."""
        all_of_them = list(self.verdicts.values())
        light = worst(one.light for one in all_of_them)
        bad = [one for one in all_of_them if one.light in (Light.RED, Light.AMBER)]
        if not bad:
            return Verdict(Light.GREEN, self._of_noise().words)
        remedies = dict.fromkeys(one.remedy for one in bad if one.remedy)
        return Verdict(light, " ".join(one.words for one in bad), " ".join(remedies))

    def __str__(self) -> str:
        return "\n".join(f"{name}: {one}" for name, one in self.verdicts.items())

    def _named(self, which: np.ndarray, values: np.ndarray) -> str:
        return ", ".join(f"{self.labels[α]} ({values[α]:.2g})" for α in np.flatnonzero(which))

    def _of_noise(self) -> Verdict:
        lost = ~(self.signal_to_noise >= MEASURED)
        tight = ~(self.tightening >= TIGHT)
        rows = f"{self.n_d} rows"
        if (self.counts != self.n_d).any():
            each = zip(self.labels, self.counts, strict=True)
            rows = f"{', '.join(f'{n} ({label})' for label, n in each)} rows"
        more = (
            f"About {self.recommended_n_d:,} rows would tighten errors by 1 %."
            if self.recommended_n_d
            else "Many more rows, or matched seeds, are needed."
        )
        if lost.any():
            words = f"Signal to noise of ∂μ/∂θ is below {MEASURED:.0f} from {rows}"
            return Verdict(Light.RED, f"{words}: {self._named(lost, self.signal_to_noise)}.", more)
        if tight.any():
            bad = ~(self.tightening >= TOO_TIGHT)
            words = "Noise of ∂μ/∂θ makes errors too small, by the factors"
            words = f"{words} {self._named(tight, self.tightening)}, from {rows}."
            return Verdict(Light.RED if bad.any() else Light.AMBER, words, more)
        least = self.signal_to_noise.min()
        words = f"Signal to noise of ∂μ/∂θ is {plain(min(least, 1000))} or better from {rows}."
        return Verdict(Light.GREEN, words if np.isfinite(least) else f"No noise in {rows}.")

    def _of_seeds(self) -> Verdict:
        if self.pairing is None:
            return Verdict(Light.GREY, "Pairs cannot be compared.")
        if self.pairing.ok:
            return Verdict(Light.GREEN, "The two sides of every parameter are paired.")
        unmatched = np.flatnonzero(~self.pairing.is_paired)
        words = "; ".join(
            self.pairing.describe(int(α)).replace(f"parameter {α}", self.labels[α], 1)
            for α in unmatched
        )
        return Verdict(Light.RED, f"Summaries of the two sides: {words}.", REMEDY)

    def _of_step(self) -> Verdict:
        if self.is_stencil:
            words = "Whether the response bends between the points of stencils is not known."
            return Verdict(Light.GREY, words)
        if self.δθ is None or self.recommended_δθ is None:
            return Verdict(Light.GREEN, "The derivatives are exact: there is no step.")
        bent = (self.curvature_p < SIGNIFICANT) & (self.curvature > BENT)
        if not bent.any():
            return Verdict(Light.GREEN, "The response is straight enough over every step.")
        light = Light.RED if (self.curvature[bent] > TOO_BENT).any() else Light.AMBER
        words = (
            "The response bends within the step, by its second over its first order: "
            f"{self._named(bent, self.curvature)}."
        )
        return Verdict(light, words, f"Take δθ of about {self._named(bent, self.recommended_δθ)}.")

    def _of_dtype(self) -> Verdict:
        if np.isnan(self.rounding).all():
            return Verdict(Light.GREY, "Rounding is not known without the simulations.")
        coarse = self.rounding > COARSE
        if not coarse.any() or self.recommended_δθ is None:
            return Verdict(Light.GREEN, "Rounding is far below the differences.")
        light = Light.RED if (self.rounding > TOO_COARSE).any() else Light.AMBER
        words = f"Rounding, relative to the difference: {self._named(coarse, self.rounding)}."
        remedy = (
            "Subtract a constant from the data, use dtype='float64', or take δθ of about "
            f"{self._named(coarse, self.recommended_δθ)}."
        )
        return Verdict(light, words, remedy)

    def _of_rows(self) -> Verdict:
        found = {α: rows for α, rows in zip(self.labels, self.outliers, strict=True) if len(rows)}
        if not found:
            return Verdict(Light.GREEN, "No row lies far out.")
        words = "; ".join(
            f"{α}: {', '.join(map(str, rows[:10]))}{' and more' if len(rows) > 10 else ''}"
            for α, rows in found.items()
        )
        remedy = "Look at these simulations, and make them again where they failed."
        return Verdict(Light.AMBER, f"Rows with an outlying difference: {words}.", remedy)


@checks.greek_keywords
def derivative_doctor(
    summaries: SummarySet,
    simulations: Any = None,
    *,
    labels: Sequence[str] | None = None,
) -> DerivativeReport:
    """Return whether the derivative of the mean of summaries can be trusted, and what to change.

    Parameters
    ----------
    summaries : SummarySet
        Of fiducial and derivative simulations, as `IMNN.summary_set` returns.
    simulations : array, shape (n, 2, n_params) + input_shape, optional
        Some derivative simulations, in the dtype that the network gets: for the question whether
        it rounds their difference away.
    labels : sequence of str, optional
        Names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If `summaries` is no SummarySet, has fewer than 4 rows of derivative simulations or too few
        fiducial ones for a covariance, or `simulations` have another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.diagnostics import SummarySet, derivative_doctor
    >>> rng = np.random.default_rng(1)
    >>> fiducial, low, other = rng.normal(size=(3, 1000, 1, 1))
    >>> def doctor(high):
    ...     derivative = np.stack([low, high], axis=1)
    ...     made = SummarySet(fiducial[:, 0], derivative, np.zeros(1), np.full(1, 0.1))
    ...     return derivative_doctor(made)
    >>> doctor(low + 0.1).verdict.light.name, doctor(other + 0.1).verdict.light.name
    ('GREEN', 'RED')
    """
    whitened = _whitened(summaries)
    n_params, there = summaries.n_params, whitened.is_present
    names = checked_labels(labels, n_params, summaries.names)
    mean = of_seeds.mean(whitened.slopes, there)
    ε = of_seeds.errors(whitened.slopes, there)
    F, B = mean @ mean.T, np.einsum("ias,ibs->ab", ε, ε)
    signal = np.maximum(np.diag(F - B), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        signal_to_noise = np.where(np.diag(F) > 0, np.sqrt(signal / np.diag(B)), 0.0)
    errors = _errors(F)
    tightening, n_d = _tightening(F, B), _enough_rows(F, B, summaries.n_d)
    step = np.full(n_params, np.nan) if summaries.δθ is None else summaries.δθ / errors
    curvature, sd, p = _curvature(whitened, signal)
    rounding = _rounding(simulations, n_params)
    recommended = None if summaries.δθ is None else _steps(summaries.δθ, curvature, p, rounding)
    return DerivativeReport(
        names, summaries.δθ, summaries.n_d, signal_to_noise, errors * np.sqrt(np.diag(B)), B,
        tightening, step, curvature, sd, p, rounding, _pairing(whitened), _outliers(whitened),
        recommended, n_d, summaries.counts, summaries.is_stencil,
    )  # fmt: skip


def _whitened(summaries: SummarySet) -> SummarySet:
    """Return the summaries in units of their covariance, C = 1."""
    if not isinstance(summaries, SummarySet):
        received = checks.describe(summaries)
        raise TypeError(checks.wording("`summaries`", "be a SummarySet", received))
    least = summaries.n_summaries + 3
    if summaries.n_s < least or summaries.n_d < 4:
        expected = f"have {least} fiducial simulations and 4 rows of derivative ones, or more"
        received = f"{summaries.n_s} and {summaries.n_d}"
        raise ValueError(checks.wording("`summaries`", expected, received))
    try:
        L = np.linalg.cholesky(summaries.statistics.C)
    except np.linalg.LinAlgError:
        expected, received = "have a regular covariance", "summaries that are linearly dependent"
        raise ValueError(checks.wording("`summaries`", expected, received)) from None

    def white(x: np.ndarray) -> np.ndarray:
        return np.linalg.solve(L, x.reshape(-1, x.shape[-1]).astype(float).T).T.reshape(x.shape)

    sides = white(summaries.fiducial), white(summaries.derivative)
    return replace(summaries, fiducial=sides[0], derivative=sides[1])


def _errors(F: np.ndarray) -> np.ndarray:
    """Return marginal errors (n_params,); NaN if F is singular."""
    try:
        np.linalg.cholesky(F)
        return np.sqrt(np.diag(np.linalg.inv(F)))
    except np.linalg.LinAlgError:
        return np.full(len(F), np.nan)


def _tightening(F: np.ndarray, B: np.ndarray) -> np.ndarray:
    return _errors(F) / _errors(F - B)


def _enough_rows(F: np.ndarray, B: np.ndarray, n_d: int) -> int | None:
    """Return the number of rows with which B is 2 % of F − B in its worst direction."""
    if np.isnan(_errors(F - B)).any():
        return None
    worst = float(linalg.eigh(B, F - B, eigvals_only=True)[-1])
    rows = max(12.0, n_d * worst / NOISE_AIM)
    unit = 10 ** max(0, int(np.log10(rows)) - 1)
    return int(np.ceil(rows / unit) * unit)


def _curvature(
    whitened: SummarySet, signal: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return second over first order at half a step, its sd, and the probability of as much."""
    if whitened.δθ is None:
        nothing = np.full(whitened.n_params, np.nan)
        return nothing, nothing, nothing
    second = whitened.derivative.mean(axis=(0, 1)) - whitened.fiducial.mean(axis=0)
    chance = 1 / whitened.n_d + 1 / whitened.n_s  # less if they share seeds
    square = np.sum(second**2, axis=-1)
    first = 0.5 * whitened.δθ * np.sqrt(signal)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(np.maximum(square - whitened.n_summaries * chance, 0)) / first
        sd = np.sqrt(chance) / first
    p = stats.chi2.sf(square / chance, whitened.n_summaries)
    return ratio, sd, p


def _rounding(simulations: Any, n_params: int) -> np.ndarray:
    """Return rounding over difference, rms, where values change; each in units of its scatter."""
    if simulations is None:
        return np.full(n_params, np.nan)
    x = checks.real_array("simulations", simulations)
    if x.ndim < 3 or x.shape[1:3] != (2, n_params) or len(x) < 2 or not x.size:
        expected = f"have shape (n, 2, {n_params}) + input_shape, n of 2 or more"
        raise ValueError(checks.wording("`simulations`", expected, f"shape {x.shape}"))
    if x.dtype.kind != "f":
        return np.zeros(n_params)  # integers are exact
    x = x[:200].reshape(len(x[:200]), 2, n_params, -1)
    lower, upper = (x[:, side].astype(float) for side in (0, 1))
    step = np.spacing(np.maximum(np.abs(x[:, 0]), np.abs(x[:, 1]))).astype(float)
    scatter = lower.var(axis=0)
    weight = np.where(scatter > 0, 1 / np.where(scatter > 0, scatter, 1), 0.0)
    weight = np.where(weight.any(axis=-1, keepdims=True), weight, 1.0)
    squares = np.mean((upper - lower) ** 2, axis=0)
    lost = np.sum(weight * np.mean(step**2, axis=0) / 6 * (squares > 0), axis=-1)
    kept = np.sum(weight * squares, axis=-1)
    return np.where(kept > 0, np.sqrt(lost / np.where(kept > 0, kept, 1)), np.inf)


def _pairing(whitened: SummarySet) -> Pairing | None:
    """Return the pairing of combinations of summaries, from those with the noisiest difference."""
    if whitened.δθ is None or whitened.n_d < FEWEST:
        return None
    sides, s = whitened.derivative, whitened.n_summaries
    turned = []
    for α in range(whitened.n_params):
        lower, upper = sides[:, 0, α], sides[:, 1, α]
        of_difference, low, high = (
            np.atleast_2d(np.cov(x, rowvar=False)) for x in (upper - lower, lower, upper)
        )
        scatter = low + high
        scatter += 1e-9 * np.trace(scatter) / s * np.eye(s)
        is_known = whitened.n_d >= 10 * s and np.trace(scatter) > 0
        directions = linalg.eigh(of_difference, scatter)[1] if is_known else np.eye(s)
        turned.append(sides[:, :, α] @ directions)
    return pairing(np.stack(turned, axis=2))


def _outliers(whitened: SummarySet) -> tuple[np.ndarray, ...]:
    """Return the rows whose slope is far from the others', for each parameter."""
    found = []
    for α in range(whitened.n_params):
        rows = np.flatnonzero(whitened.is_present[:, α])
        slopes, n = whitened.slopes[rows, α], len(rows)
        middle = np.median(slopes, axis=0)
        away = np.abs(slopes - middle)
        others = np.sort(away, axis=0)[: -max(3, n // 50)]  # counts differ in few rows
        typical = np.abs(middle) if whitened.δθ is None else 1 / whitened.δθ[α]
        scale = np.maximum(np.sqrt(np.mean(others**2, axis=0)), typical / FAR)  # by C or more
        scale = np.where(scale > 0, scale, np.inf)
        found.append(rows[(away / scale).max(axis=-1) > max(FAR, np.sqrt(n))])
    return tuple(found)


def _steps(
    δθ: np.ndarray, curvature: np.ndarray, p: np.ndarray, rounding: np.ndarray
) -> np.ndarray:
    """Return the steps that are recommended, (n_params,)."""
    is_bent = (p < SIGNIFICANT) & (curvature > BENT)
    steps = np.where(is_bent, δθ * AIM / np.where(is_bent, curvature, 1.0), δθ)
    coarse = rounding > COARSE
    factor = np.where(coarse, np.minimum(rounding, 1.0) / FINE, 1.0)
    return steps * factor
