"""What the Gaussian approximation assumes of summaries, and whether these do.

Summaries are taken as Gaussian, of a covariance C that does not depend on the parameters and a mean
that is linear in them over an error bar. What is not so is measured in units that say whether it
matters, and is called so only if it is larger than by chance.

    covariance    F_C = ½ Tr(C⁻¹ ∂C C⁻¹ ∂C), beside F, and the change of C over an error
    Gaussian      the largest difference of the distribution function from the normal one
    linear        the curvature of the mean over an error, relative to its slope
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import linalg, stats

from imnn_lab import checks
from imnn_lab.diagnostics.fisher import checked_labels, enough
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict, percent, plain

CHANCE = 0.01  # all tests of a report together
REPETITIONS = 999
LARGE_CHANGE, HUGE_CHANGE = 0.2, 1.0  # of C over an error, relative
FAR, VERY_FAR = 0.02, 0.1  # of a distribution function from the normal one
CURVED, VERY_CURVED = 0.2, 1.0  # of the mean over an error, relative to its slope
MOST_ROWS, MOST_VALUES = 5000, 2 * 10**7
PAIRED = 0.5  # correlation of simulations that have the same seed


# Covariance ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CovarianceCheck:
    """Whether the covariance of summaries depends on the parameters.

    Attributes
    ----------
    information : ndarray, shape (n_params,)
        F_C of each parameter, without the share of chance, over F of the mean.
    changes : ndarray, shape (n_params,)
        The largest relative change of a variance over a marginal error.
    p_values : ndarray, shape (n_params,)
        How often F_C would be as large if C did not depend on the parameter.
    labels : tuple of str
        Names of the parameters.
    """

    information: np.ndarray
    changes: np.ndarray
    p_values: np.ndarray
    labels: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether C may be taken as constant."""
        is_real = self.p_values < CHANCE / len(self.labels)
        seen = np.where(is_real, self.changes, 0)
        if seen.max() < LARGE_CHANGE:
            return Verdict(
                Light.GREEN, "The covariance of the summaries may be taken as constant over errors."
            )
        i = int(seen.argmax())
        words = (
            f"The covariance of the summaries depends on {self.labels[i]}: a variance changes by "
            f"{percent(seen[i])} over its error, with {plain(self.information[i])} times the "
            "information of the mean, which F leaves out."
        )
        remedy = (
            "The Gaussian approximation is off by as much: use approximate Bayesian computation, "
            "or more data for smaller errors."
        )
        light = Light.RED if seen[i] > HUGE_CHANGE else Light.AMBER
        return Verdict(light, words, remedy)

    def __str__(self) -> str:
        return str(self.verdict)


def covariance_check(
    summaries: SummarySet, *, labels: Sequence[str] | None = None, seed: int = 0
) -> CovarianceCheck:
    """Return whether C depends on the parameters, from simulations below and above.

    Exact derivatives must be those of the first n_d fiducial simulations.

    Parameters
    ----------
    summaries : SummarySet
        Of simulations at the fiducial parameters, below and above.
    labels : sequence of str, optional
        Names of the parameters.
    seed : int
        Of the draws of what chance gives: below and above are swapped at random.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or there are too few simulations.
    """
    enough(summaries)
    _refuse_stencils(summaries)
    names = checked_labels(labels, summaries.n_params, summaries.names)
    rng = checks.generator("seed", seed)
    signs = 2.0 * rng.integers(2, size=(REPETITIONS, summaries.n_d)) - 1
    errors = np.sqrt(np.diag(summaries.statistics.Finv))
    rows = []
    for α in range(summaries.n_params):
        changes = _changes_of_products(summaries, α)
        mean = changes.mean(0)
        s = summaries.n_summaries
        by_chance = 0.5 * ((signs @ changes / len(changes)) ** 2).sum(1)
        found = 0.5 * (mean**2).sum()
        largest = np.abs(np.linalg.eigvalsh(mean.reshape(s, s))).max() * errors[α]
        p_value = (1 + (by_chance >= found).sum()) / (1 + REPETITIONS)
        share = max(found - by_chance.mean(), 0.0) / summaries.statistics.F[α, α]
        rows.append((share, largest, p_value))
    information, changes, p_values = np.array(rows).T
    return CovarianceCheck(information, changes, p_values, names)


def _changes_of_products(summaries: SummarySet, α: int) -> np.ndarray:
    """Return ∂(x xᵀ)/∂θ_α of each simulation about the means, with C = 1; (n_d, s²)."""
    L = linalg.cholesky(summaries.statistics.C, lower=True)

    def white(x: np.ndarray) -> np.ndarray:
        return linalg.solve_triangular(L, (x - x.mean(0)).T, lower=True).T

    def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)

    if summaries.δθ is None:
        x, slope = white(summaries.fiducial[: summaries.n_d]), white(summaries.derivative[:, α])
        return products(x, slope[: len(x)]) + products(slope[: len(x)], x)
    below, above = white(summaries.derivative[:, 0, α]), white(summaries.derivative[:, 1, α])
    return (products(above, above) - products(below, below)) / summaries.δθ[α]


# Distribution -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gaussianity:
    """Whether summaries are Gaussian.

    Attributes
    ----------
    distances : ndarray, shape (n_summaries + 1,)
        The largest difference of the distribution function of each summary from the normal one
        (Kolmogorov & Smirnov), and that of the squared Mahalanobis distance from χ².
    p_values : ndarray, shape (n_summaries + 1,)
        How often they are as large for Gaussian summaries, whose mean and covariance are estimated
        as well (Lilliefors 1967), from simulations.
    skewness, kurtosis : ndarray, shape (n_summaries,)
        Of each summary; the kurtosis is 0 for Gaussian ones.
    """

    distances: np.ndarray
    p_values: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray

    @property
    def verdict(self) -> Verdict:
        """Whether they may be taken as Gaussian."""
        is_real = self.p_values < CHANCE / len(self.p_values)
        seen = np.where(is_real, self.distances, 0)
        if seen.max() < FAR:
            return Verdict(Light.GREEN, "The summaries are as Gaussian as can be told.")
        i, of_each = int(seen.argmax()), len(self.skewness)
        what = (
            "Together the summaries are"
            if i == of_each
            else f"Summary {i + 1} is (skewness {self.skewness[i]:.2g}, "
            f"kurtosis {self.kurtosis[i]:.2g})"
        )
        words = (
            f"{what} not Gaussian: probabilities are wrong by up to {percent(seen[i], 2)} under "
            "the Gaussian approximation."
        )
        remedy = (
            "Use approximate Bayesian computation for intervals, or compress more data together."
        )
        return Verdict(Light.RED if seen[i] > VERY_FAR else Light.AMBER, words, remedy)

    def __str__(self) -> str:
        return str(self.verdict)


def gaussianity(summaries: SummarySet) -> Gaussianity:
    """Return whether the summaries of fiducial simulations are Gaussian.

    Parameters
    ----------
    summaries : SummarySet
        Of the fiducial simulations, the first 5,000 are tested.

    Raises
    ------
    TypeError, ValueError
        If it is no SummarySet, or holds too few.
    """
    enough(summaries)
    x = summaries.fiducial[:MOST_ROWS]
    n, s = x.shape
    distances = np.append(_from_normal(x), _from_chi2(x[None]))
    by_chance = [_normal_by_chance(n)] * s + [_chi2_by_chance(n, s)]
    p_values = [
        (1 + (chance >= found).sum()) / (1 + len(chance))
        for found, chance in zip(distances, by_chance, strict=True)
    ]
    return Gaussianity(distances, np.array(p_values), stats.skew(x), stats.kurtosis(x))


def _from_normal(x: np.ndarray) -> np.ndarray:
    """Return the largest distance of each column (n, k) from a normal distribution."""
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    return _largest_distance(stats.norm.cdf(np.sort(z, axis=0)))


def _from_chi2(x: np.ndarray) -> np.ndarray:
    """Return the largest distance of Mahalanobis distances in each set (k, n, s) from χ²."""
    centred = x - x.mean(1, keepdims=True)
    n, s = x.shape[1:]
    C = np.swapaxes(centred, 1, 2) @ centred / (n - 1)
    squared = ((centred @ np.linalg.inv(C)) * centred).sum(-1)
    return _largest_distance(stats.chi2.cdf(np.sort(squared, axis=1).T, s))


def _largest_distance(cdf: np.ndarray) -> np.ndarray:
    """Return the largest distance of sorted values of a distribution function from a line."""
    n = len(cdf)
    i = np.arange(n)[:, None]
    return np.maximum((i + 1) / n - cdf, cdf - i / n).max(0)


@lru_cache(maxsize=16)
def _normal_by_chance(n: int) -> np.ndarray:
    return _from_normal(np.random.default_rng(0).normal(size=(n, REPETITIONS)))


@lru_cache(maxsize=16)
def _chi2_by_chance(n: int, s: int) -> np.ndarray:
    repetitions = min(REPETITIONS, max(199, MOST_VALUES // (n * s)))
    rng = np.random.default_rng(1)
    return np.concatenate([_from_chi2(rng.normal(size=(1, n, s))) for _ in range(repetitions)])


# Mean ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Linearity:
    """Whether the mean of summaries is linear in the parameters.

    Attributes
    ----------
    curvatures : ndarray, shape (n_params,)
        What the mean departs from its slope over a marginal error, relative to the slope: the
        change of the estimate's slope, to first order.
    uncertainties : ndarray, shape (n_params,)
        How large they would be by chance.
    p_values : ndarray, shape (n_params,)
        How often chance gives as much curvature.
    is_paired : bool
        Whether fiducial simulations have the seeds of the others, which makes this precise.
    labels : tuple of str
        Names of the parameters.
    """

    curvatures: np.ndarray
    uncertainties: np.ndarray
    p_values: np.ndarray
    is_paired: bool
    labels: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Whether it may be taken as linear over an error bar."""
        is_real = self.p_values < CHANCE / len(self.labels)
        seen = np.where(is_real, self.curvatures, 0)
        i = int(seen.argmax())
        if seen[i] > CURVED:
            words = (
                f"The mean of the summaries is curved in {self.labels[i]}: over an error it "
                f"departs from its slope by {percent(seen[i])}."
            )
            remedy = (
                "Move the fiducial parameters to the estimate, or use approximate Bayesian "
                "computation."
            )
            return Verdict(Light.RED if seen[i] > VERY_CURVED else Light.AMBER, words, remedy)
        if np.isnan(self.uncertainties).any():
            words = "Exact derivatives do not tell whether the mean of the summaries is curved."
            return Verdict(Light.GREY, words)
        i = int(self.uncertainties.argmax())
        if self.uncertainties[i] > 2 * CURVED:
            words = (
                f"Whether the mean of the summaries is curved in {self.labels[i]} cannot be told: "
                f"chance alone gives {percent(self.uncertainties[i])} over an error."
            )
            remedy = "Use the seeds of fiducial simulations for those below and above as well."
            return Verdict(Light.GREY, words, remedy)
        return Verdict(Light.GREEN, "The mean of the summaries is linear over the errors.")

    def __str__(self) -> str:
        return str(self.verdict)


def linearity(summaries: SummarySet, *, labels: Sequence[str] | None = None) -> Linearity:
    """Return whether the mean is linear: below and above against the fiducial mean.

    Parameters
    ----------
    summaries : SummarySet
        Of simulations at the fiducial parameters, below and above.
    labels : sequence of str, optional
        Names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or there are too few simulations.
    """
    enough(summaries)
    _refuse_stencils(summaries)
    names = checked_labels(labels, summaries.n_params, summaries.names)
    nothing = np.full(summaries.n_params, np.nan)
    if summaries.δθ is None:
        return Linearity(np.zeros(summaries.n_params), nothing, nothing + 1, False, names)
    middle = summaries.derivative.mean(1)
    is_paired = _have_same_seeds(summaries.fiducial, middle[:, 0])
    errors = np.sqrt(np.diag(summaries.statistics.Finv))
    rows = [
        _curvature(summaries, α, middle[:, α], is_paired, errors[α])
        for α in range(summaries.n_params)
    ]
    curvatures, uncertainties, p_values = np.array(rows).T
    return Linearity(curvatures, uncertainties, p_values, is_paired, names)


def _curvature(
    summaries: SummarySet, α: int, middle: np.ndarray, is_paired: bool, error: float
) -> tuple[float, float, float]:
    """Return the curvature over an error, what chance gives, and the probability of as much.

    With c = (μ⁺ + μ⁻)/2 − μ, half the second derivative is 4c/δθ².
    """
    n = min(summaries.n_s, len(middle))
    if is_paired:
        differences = middle[:n] - summaries.fiducial[:n]
        c, V = differences.mean(0), np.atleast_2d(np.cov(differences.T)) / n
    else:
        c = middle.mean(0) - summaries.statistics.μ
        V = summaries.statistics.C / summaries.n_s + np.atleast_2d(np.cov(middle.T)) / len(middle)
    Cinv = summaries.statistics.Cinv
    scale = 4 * error**2 / summaries.δθ[α] ** 2  # type: ignore[index]
    slope = error * np.sqrt(summaries.statistics.F[α, α])
    s = len(c)
    T2 = float(c @ np.linalg.pinv(V, hermitian=True) @ c)
    p_value = stats.f.sf(T2 * (n - s) / (s * (n - 1)), s, n - s)
    by_chance = scale * np.sqrt(np.trace(Cinv @ V)) / slope
    return scale * float(np.sqrt(c @ Cinv @ c)) / slope, by_chance, float(p_value)


def _refuse_stencils(summaries: SummarySet) -> None:
    """Refuse derivatives of stencils, which do not tell the summaries of their points."""
    if summaries.is_stencil:
        expected = "hold simulations below and above the fiducial parameters"
        raise ValueError(checks.wording("`summaries`", expected, "derivatives of stencils"))


def _have_same_seeds(x: np.ndarray, y: np.ndarray) -> bool:
    n = min(len(x), len(y))
    centred = [each[:n] - each[:n].mean(0) for each in (x, y)]
    first, second = (each / np.maximum(each.std(0), np.finfo(float).tiny) for each in centred)
    return bool((first * second).mean() > PAIRED)
