"""How far to shrink ε: mean and width of the ABC posterior against ε, extrapolated to 0.

For small ε both go as a + b ε² (for a linear Gaussian model the covariance is F⁻¹(1 + ε²/(p + 2)));
the polynomial a + b ε² + c ε⁴ is fitted, weighted by the errors. These are from resampled draws, as
are those of the fit, so that what the same draws share between values of ε is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.pairs import refuse_other
from imnn_lab.diagnostics.verdict import Light, Verdict, percent
from imnn_lab.inference import Draws, Target

FEWEST, POINTS, MOST = 40, 14, 100_000  # draws within the smallest ε, values of ε, draws looked at
REACH = 1.5  # times sqrt(p + 2): up to this ε the polynomial is fitted
RESAMPLED = 100
SURE = 2.0  # errors
AMBER, RED = 0.1, 0.5  # widths at ε = 0 that the mean, or the width, may be off by


@runtime_checkable
class HasTargets(Protocol):
    """What has draws and targets: `LFI.ApproximateBayesianComputation`."""

    draws: Draws
    targets: list[Target]
    labels: tuple[str, ...]
    accepted_ε: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class EpsilonAdvice:
    """Mean and width of an ABC posterior against ε, and an ε to choose.

    Attributes
    ----------
    labels : tuple of str
        Names of the parameters.
    ε : ndarray, shape (k,)
        Increasing radii.
    accepted : ndarray of int, shape (k,)
        Draws within each.
    mean, mean_error, sd, sd_error : ndarray, shape (k, n_params)
        Of the accepted draws, with the errors of resampled draws.
    mean_at_0, mean_at_0_error, sd_at_0, sd_at_0_error : ndarray, shape (n_params,)
        Extrapolated to ε = 0.
    fit : ndarray, shape (2, 3, n_params)
        Coefficients of 1, ε², ε⁴ for mean and variance.
    suggested : float or None
        The largest ε whose systematic shift of mean and width is below its statistical error;
        None if even the smallest is not.
    present : float or None
        The ε in use, if any.
    present_excess, present_excess_error : ndarray, shape (2, n_params), or None
        Shift of the mean and surplus of the width at `present`, in widths at ε = 0.
    """

    labels: tuple[str, ...]
    ε: np.ndarray
    accepted: np.ndarray
    mean: np.ndarray
    mean_error: np.ndarray
    sd: np.ndarray
    sd_error: np.ndarray
    mean_at_0: np.ndarray
    mean_at_0_error: np.ndarray
    sd_at_0: np.ndarray
    sd_at_0_error: np.ndarray
    fit: np.ndarray
    suggested: float | None
    present: float | None
    present_excess: np.ndarray | None
    present_excess_error: np.ndarray | None

    @cached_property
    def is_far(self) -> bool:
        """Whether the smallest ε is too large to extrapolate from."""
        return bool(self.ε[0] > REACH * np.sqrt(len(self.labels) + 2))

    @property
    def verdict(self) -> Verdict:
        """What this says, in words."""
        p = len(self.labels)
        halved = f"Half as large an ε needs {2**p} times as many draws; PMC needs fewer."
        if self.is_far:
            words = f"The smallest ε with {self.accepted[0]} draws is {self.ε[0]:.3g}."
            return Verdict(Light.GREY, f"{words} That is too large to extrapolate from.", halved)
        advice = "No ε of these draws is small enough."
        if self.suggested is not None:
            advice = f"ε = {self.suggested:.3g} is small enough."
        widths = ", ".join(
            f"{label} ± {value:.3g}" for label, value in zip(self.labels, self.sd_at_0, strict=True)
        )
        words = f"{advice} At ε = 0 the widths would be {widths}."
        remedy = halved if self.suggested is None else ""
        if self.present_excess is None or self.present_excess_error is None:
            return Verdict(Light.GREY if self.suggested is None else Light.GREEN, words, remedy)
        at_least = np.abs(self.present_excess) - SURE * self.present_excess_error
        shift, surplus = (float(np.abs(self.present_excess[i]).max()) for i in (0, 1))
        words += (
            f" At the present ε = {self.present:.3g} the mean is off by up to {shift:.2g} and the "
            f"width by up to {percent(surplus, 2)} of them."
        )
        if at_least.max() <= AMBER:
            return Verdict(Light.GREEN, words)
        is_grave = max(shift, surplus) > RED
        return Verdict(Light.RED if is_grave else Light.AMBER, words, remedy or "Lower ε.")

    def __str__(self) -> str:
        return str(self.verdict)


def epsilon_advisor(ABC: HasTargets, target: int = 0, *, seed: int = 0) -> EpsilonAdvice:
    """Tell how mean and width of an ABC posterior depend on ε, from the draws at hand.

    Parameters
    ----------
    ABC : LFI.ApproximateBayesianComputation
        With draws; if it has accepted some, that ε is judged.
    target : int
        Which of its targets.
    seed : int
        Seed of the resampled draws.

    Returns
    -------
    EpsilonAdvice

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, ABC has another distance than that of F, or fewer
        than 160 draws.
    RuntimeError
        If it has no draws yet.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import LFI, diagnostics, problems
    >>> from imnn_lab.inference import Uniform
    >>> problem = problems.linear_gaussian(np.eye(2), np.eye(2), [0, 0], [0.1, 0.1])
    >>> ABC = LFI.ApproximateBayesianComputation(
    ...     np.zeros((1, 2)), Uniform([-6, -6], [6, 6]), problem.F, np.asarray, problem.simulator,
    ...     seed=1, verbose=False,
    ... )
    >>> _ = ABC(20_000), ABC.accept_reject(ε=3)
    >>> diagnostics.epsilon_advisor(ABC).verdict.light.name
    'RED'
    """
    refuse_other("ABC", ABC, HasTargets, "an LFI.ApproximateBayesianComputation")
    one = ABC.targets[checks.integer("target", target, 0, maximum=len(ABC.targets) - 1)]
    if one.distance != "fisher":
        expected = 'have distance="fisher", whose ε is in standard deviations'
        received = f"distance={one.distance!r}"
        raise ValueError(checks.wording("`ABC`", expected, received, "Compare two ε."))
    rng = np.random.default_rng(checks.seed_or_none("seed", seed))
    θ, ρ = ABC.draws.parameters, one.distances(ABC.draws.estimates)
    if len(θ) < 4 * FEWEST:
        expected = f"have at least {4 * FEWEST} draws"
        raise ValueError(checks.wording("`ABC`", expected, len(θ), "Call `ABC(draws=...)`."))
    present = None if ABC.accepted_ε is None else ABC.accepted_ε[target]
    return advice(θ, ρ, ABC.labels, present, rng)


def advice(
    θ: np.ndarray, ρ: np.ndarray, labels: tuple[str, ...], present: float | None, rng: Any
) -> EpsilonAdvice:
    """Return what `epsilon_advisor` does, of draws (n, n_params) and their distances (n,)."""
    half, order = len(ρ) // 2, np.argsort(ρ)[:MOST]
    θ, ρ, limit = θ[order], ρ[order], REACH * np.sqrt(len(labels) + 2)
    most = max(4 * FEWEST // 2, int(np.searchsorted(ρ, limit)))
    counts = np.unique(np.geomspace(FEWEST, min(most, half, len(ρ)), POINTS).astype(int))
    ε = ρ[counts - 1]
    n_present = 0 if present is None else int(np.searchsorted(ρ, present))
    has_present = n_present >= FEWEST
    stops = np.append(counts, n_present) if has_present else counts
    weights = np.concatenate([np.ones((1, len(ρ))), rng.poisson(1.0, (RESAMPLED, len(ρ)))])
    mean, variance = _moments(θ, weights, stops)  # (1 + resampled, k, n_params)
    k = len(counts)
    errors = mean[1:].std(axis=0), variance[1:].std(axis=0)
    fits = [_fit(ε, v[:, :k], e[:k]) for v, e in zip((mean, variance), errors, strict=True)]
    at_0 = fits[0][:, 0], np.sqrt(np.maximum(fits[1][:, 0], 1e-12 * variance[:, 0]))
    sd = np.sqrt(variance)
    excess = excess_error = None
    if has_present:
        both = np.stack([mean[:, k] - at_0[0], sd[:, k] - at_0[1]], axis=1) / at_0[1][0]
        excess, excess_error = both[0], both[1:].std(axis=0)
    fit = np.stack([fits[0][0], fits[1][0]])
    return EpsilonAdvice(
        labels, ε, counts,
        mean[0, :k], errors[0][:k], sd[0, :k], sd[1:, :k].std(axis=0),
        at_0[0][0], at_0[0][1:].std(axis=0), at_0[1][0], at_0[1][1:].std(axis=0),
        fit, _suggested(ε, fit, errors, k), present, excess, excess_error,
    )  # fmt: skip


def _moments(
    θ: np.ndarray, weights: np.ndarray, stops: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted means and variances of the first so many draws, (n_weights, k, n_params)."""
    centred = θ - θ.mean(axis=0)
    columns = np.concatenate([np.ones((len(θ), 1)), centred, centred**2], axis=1)
    edges = np.unique(stops)
    starts = np.concatenate([[0], edges[:-1]])
    blocks = [weights[:, a:b] @ columns[a:b] for a, b in zip(starts, edges, strict=True)]
    sums = np.cumsum(blocks, axis=0)[np.searchsorted(edges, stops)].swapaxes(0, 1)
    count, first, second = sums[..., :1], *np.split(sums[..., 1:], 2, axis=-1)
    mean = first / count
    return mean + θ.mean(axis=0), (second / count - mean**2) * count / np.maximum(count - 1, 1)


def _fit(ε: np.ndarray, values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Fit 1, ε², ε⁴ to values (n, k, n_params) with errors (k, n_params): (n, 3, n_params)."""
    powers = ε[:, None] ** np.array([0, 2, 4]) / np.array([1, ε[-1] ** 2, ε[-1] ** 4])
    fits = np.empty((len(values), 3, values.shape[2]))
    for i in range(values.shape[2]):
        inverse = np.linalg.pinv(powers / errors[:, i : i + 1])
        fits[..., i] = values[..., i] / errors[:, i] @ inverse.T
    return fits / np.array([1, ε[-1] ** 2, ε[-1] ** 4])[:, None]


def _suggested(
    ε: np.ndarray, fit: np.ndarray, errors: tuple[np.ndarray, np.ndarray], k: int
) -> float | None:
    """Return the largest ε whose systematic shift is below its statistical error."""
    shift = np.einsum("ka,map->mkp", ε[:, None] ** np.array([2, 4]), fit[:, 1:])
    small = np.abs(shift) <= np.stack(errors)[:, :k]
    good = small.all(axis=(0, 2))
    return float(ε[np.flatnonzero(good)[-1]]) if good.any() else None
