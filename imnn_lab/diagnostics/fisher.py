"""The Fisher information of summaries, with its own uncertainty.

With n_d simulations the derivative of the mean has the noise Σ_αβ/n_d, Σ the covariance of the
derivatives of single simulations, which adds to F on average

    B_αβ = h Tr(C⁻¹ Σ_αβ) / n_d,        h = (n_s − s − 2)/(n_s − 1)

where h is Hartlap's factor for s summaries. F from all simulations ("standard") is too large
therefore. Coulton & Wandelt (2023, arXiv:2305.08994) compress with the scores of one half of the
derivative simulations and take the derivative from the other, on average over random halves
("compressed"), which errs low where s > n_params, and combine both in their geometric mean

    F_combined = F_standard (F_standard⁻¹ F_compressed)^½

The bracket needs none of the three. It inverts a test: of the matrices F(F + tB)⁻¹F along a path,
t ≥ 0, and of F enlarged beyond it, it holds those for which a bootstrap over seeds would find what
was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from imnn_lab import checks
from imnn_lab import slopes as of_seeds
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict, percent
from imnn_lab.parameters import shown
from imnn_lab.progress import told
from imnn_lab.results import inverse, log_determinant

MOST_GROUPS, MOST_PRODUCTS = 1000, 2 * 10**7
SHRUNK, ENLARGED = np.logspace(4, -2, 25), np.linspace(0, 2.5, 9)  # t, ln of a factor of ∂μ
UNSURE, UNKNOWN = 1.5, 3.0  # ends of a bracket of a marginal error: upper over lower
AT_ONCE = 20  # repetitions between two looks at whether to go on
SINGULAR = 1e-12  # least eigenvalue of F in units of its diagonal
NEEDS_MORE_THAN = 2  # fiducial simulations beside one for each summary
TEST = "Give simulations that took part in no choice: `test=(fiducial, derivative)`."
ROLES = {
    "test": (Light.GREEN, "They took part in no choice.", ""),
    "validation": (
        Light.AMBER,
        "The ridge of the last layer and the best iteration were chosen by F of these simulations, "
        "and the network may have been, so that it may still be too large.",
        TEST,
    ),
    "training": (
        Light.RED,
        "The network was trained on these simulations, so that F is too large, by an amount that "
        "they do not tell.",
        TEST,
    ),
    "cross-fitted": (
        Light.AMBER,
        "The last layer was solved on one half of them and F is that of the other, both ways; the "
        "layers before it were not solved again.",
        TEST,
    ),
}


@dataclass(frozen=True, eq=False)
class HonestFisher:
    """Fisher information with a bracket.

    Attributes
    ----------
    F : ndarray, shape (n_params, n_params)
        The estimate without bias in ln det F.
    standard, compressed, combined : ndarray, shape (n_params, n_params)
        The estimates of Coulton & Wandelt (2023).
    noise : ndarray, shape (n_params, n_params)
        B, what the noise of the derivative is expected to add to `standard`.
    log_det_bracket : pair of float
        Of ln det F; −∞ below if a combination of parameters may not be measured at all.
    error_brackets : ndarray, shape (n_params, 2)
        Of the marginal errors, in the units of the parameters.
    level : float
        The probability with which brackets hold what is true of these summaries.
    n_s, n_d, n_summaries : int
        Numbers of fiducial and derivative simulations, and of their summaries.
    labels : tuple of str
        Names of the parameters.
    role : str
        Of these simulations: one of `ROLES`.
    """

    F: np.ndarray
    standard: np.ndarray
    compressed: np.ndarray
    combined: np.ndarray
    noise: np.ndarray
    log_det_bracket: tuple[float, float]
    error_brackets: np.ndarray
    level: float
    n_s: int
    n_d: int
    n_summaries: int
    labels: tuple[str, ...]
    role: str = "test"

    @property
    def log_det_F(self) -> float:
        """Ln det F."""
        return log_determinant(self.F)

    @property
    def det_F(self) -> float:
        """Determinant of F."""
        return float(np.exp(self.log_det_F))

    @property
    def det_bracket(self) -> tuple[float, float]:
        """The bracket of det F."""
        low, high = np.exp(self.log_det_bracket)
        return float(low), float(high)

    @property
    def errors(self) -> np.ndarray:
        """Marginal errors, shape (n_params,), in the units of the parameters.

        Those of `F`, or the end of the bracket where F is so degenerate that they lie outside.
        """
        return np.clip(np.sqrt(np.diag(inverse(self.F))), *self.error_brackets.T)

    @property
    def hartlap_factor(self) -> float:
        """The factor h that the three estimates have."""
        return _hartlap(self.n_s, self.n_summaries)

    @property
    def noise_share(self) -> float:
        """The largest share of noise in `standard`, of all combinations of parameters."""
        return float(linalg.eigh(self.noise, self.standard, eigvals_only=True)[-1])

    def extrapolated(self, factor: float) -> tuple[float, float]:
        """Return the bracket of det F expected of more simulations.

        Parameters
        ----------
        factor : float
            How many times as many simulations, of each kind.

        Raises
        ------
        ValueError
            If it is not positive.
        """
        size = np.sqrt(checks.number("factor", factor, above=0))
        low, high = self.log_det_F + (np.array(self.log_det_bracket) - self.log_det_F) / size
        return float(np.exp(low)), float(np.exp(high))

    @property
    def verdict(self) -> Verdict:
        """Whether F can be quoted."""
        low, high = self.error_brackets.T
        worst = int(np.argmax(high / low))
        spread = high[worst] / low[worst]
        light, role, remedy = ROLES[self.role]
        parts = [self._found(), role]
        if not np.isfinite(self.log_det_bracket[0]) or spread > UNKNOWN:
            parts.append(
                f"The error of {self.labels[worst]} is not known to a factor of {UNKNOWN:g}."
            )
            return Verdict(Light.RED, " ".join(parts), self._more())
        if spread > UNSURE and light is not Light.RED:
            parts.append(
                f"The error of {self.labels[worst]} is known to a factor of {spread:.2g} only."
            )
            return Verdict(Light.AMBER, " ".join(parts), self._more())
        return Verdict(light, " ".join(parts), remedy)

    def __str__(self) -> str:
        rows = [
            f"  {shown(label)}: error {error:.3g} ({low:.3g} to {high:.3g})"
            for label, error, (low, high) in zip(
                self.labels, self.errors, self.error_brackets, strict=True
            )
        ]
        estimates = ", ".join(
            f"{np.exp(log_determinant(getattr(self, name))):.4g} {name}"
            for name in ("standard", "compressed", "combined")
        )
        return "\n".join([str(self.verdict), *rows, f"  det F: {estimates}"])

    def _found(self) -> str:
        low, high = self.det_bracket
        least, most = self.extrapolated(4)
        noise = percent(float(np.clip(self.noise_share, 1e-4, 1)), 2)
        return (
            f"det F = {self.det_F:.3g}, between {low:.3g} and {high:.3g} "
            f"({100 * self.level:.3g} %), from {self.n_s:,} fiducial and {self.n_d:,} derivative "
            f"simulations; four times as many would say {least:.3g} to {most:.3g}. Of F without "
            f"correction, up to {noise} are noise of the derivative."
        )

    def _more(self) -> str:
        kind = "derivative" if self.noise_share > (self.n_summaries + 2) / self.n_s else "fiducial"
        matched = ", with the same seed below and above" if kind == "derivative" else ""
        return f"Make more {kind} simulations{matched}."


class Estimates(NamedTuple):
    """F of Coulton & Wandelt (2023), and the noise B, each of shape (n_params, n_params)."""

    standard: np.ndarray
    compressed: np.ndarray
    combined: np.ndarray
    noise: np.ndarray


def honest_fisher(
    summaries: SummarySet,
    *,
    level: float = 0.95,
    labels: Sequence[str] | None = None,
    role: str = "test",
    repetitions: int = 400,
    seed: int = 0,
    progress: Callable[[float], Any] | None = None,
) -> HonestFisher:
    """Return the Fisher information of summaries with a bracket, for few or many simulations.

    Parameters
    ----------
    summaries : SummarySet
        Best of simulations on which nothing was trained or chosen.
    level : float
        The probability of the brackets.
    labels : sequence of str, optional
        Names of the parameters.
    role : {"test", "validation", "training", "cross-fitted"}
        What these simulations were used for: nothing, the choice of a network and its iteration,
        its training; or `cross_fit`.
    repetitions : int
        How often seeds are drawn again.
    seed : int
        Of these draws.
    progress : callable, optional
        Is told the share that is done, from 0 to 1, as it goes on; what it raises ends it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or there are too few simulations for the summaries.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import problems
    >>> from imnn_lab.diagnostics import SummarySet, honest_fisher
    >>> problem = problems.gaussian()
    >>> fiducial, derivative = problem.training_set(n_s=1000, n_d=1000, seed=1)
    >>> known = [np.stack([x.mean(-1), (x**2).mean(-1)], -1) for x in (fiducial, derivative)]
    >>> found = honest_fisher(SummarySet(*known, problem.θ_fid, problem.δθ))
    >>> low, high = found.det_bracket
    >>> bool(low < 50 < high), found.verdict.light.name
    (True, 'GREEN')
    """
    level = checks.number("level", level, above=0, below=1)
    repetitions = checks.integer("repetitions", repetitions, 50, maximum=10**5)
    rng = checks.generator("seed", seed)
    role, tell = checks.one_of("role", role, tuple(ROLES)), told(progress)
    enough(summaries)
    fewest = 2 * summaries.n_summaries + 4  # from fewer, inverses of C have no bracket
    if summaries.n_s < fewest:
        expected = f"hold at least {fewest} fiducial simulations"
        raise ValueError(checks.wording("`summaries`", expected, summaries.n_s))
    names = checked_labels(labels, summaries.n_params, summaries.names)
    tell(0.0)
    estimates = fisher_estimates(summaries, seed=rng)
    F, log_det, errors = _bracketed(summaries, level, repetitions, rng, tell)
    tell(1.0)
    counts = summaries.n_s, summaries.n_d, summaries.n_summaries
    return HonestFisher(F, *estimates, log_det, errors, level, *counts, names, role)


def fisher_estimates(summaries: SummarySet, *, halves: int = 50, seed: Any = 0) -> Estimates:
    """Return standard, compressed and combined Fisher information, and the noise.

    Parameters
    ----------
    summaries : SummarySet
        Of any simulations.
    halves : int
        How many random halves the compressed one is an average over.
    seed : int or numpy.random.Generator
        Of the halves.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or there are too few simulations.
    """
    halves = checks.integer("halves", halves, 1, maximum=10**5)
    rng = checks.generator("seed", seed)
    enough(summaries)
    white = _whitened(summaries)
    h = _hartlap(summaries.n_s, summaries.n_summaries)
    standard = h * white.mean @ white.mean.T
    compressed = h * np.mean([_compressed(white, rng) for _ in range(halves)], axis=0)
    ratio = np.linalg.solve(standard, compressed)
    combined = standard @ np.real(linalg.sqrtm(ratio))
    return Estimates(standard, compressed, (combined + combined.T) / 2, h * white.noise)


class _Whitened(NamedTuple):
    """Derivatives of single simulations in units in which C = 1, added up by groups.

    mean (p, s) of all; residuals (groups, p, s), sums over each group about it; counts (groups, p).
    """

    mean: np.ndarray
    residuals: np.ndarray
    counts: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """What each group adds to the error of the mean, (groups, p, s)."""
        n = (self.counts > 0).sum(0)[:, None]
        return self.residuals / self.counts.sum(0)[:, None] * np.sqrt(n / np.maximum(n - 1, 1))

    @property
    def noise(self) -> np.ndarray:
        """B without h: the covariance of the mean, summed over the summaries."""
        return np.einsum("gas,gbs->ab", self.scaled, self.scaled)


def _whitened(summaries: SummarySet) -> _Whitened:
    L = linalg.cholesky(summaries.statistics.C, lower=True)
    there = summaries.is_present
    counts, sums = _grouped(of_seeds.total(summaries.slopes, there), there)
    white = linalg.solve_triangular(L, sums.reshape(-1, len(L)).T, lower=True).T
    white = white.reshape(sums.shape)
    mean = white.sum(0) / counts.sum(0)[:, None]
    return _Whitened(mean, white - counts[:, :, None] * mean, counts)


def _compressed(white: _Whitened, rng: np.random.Generator) -> np.ndarray:
    """Return F of scores from one random half, with the derivative of the other."""
    order = rng.permutation(len(white.counts))
    halves = np.array_split(order, 2)
    if (white.counts == 0).any():  # each parameter is to have half of its own
        order = order[of_seeds.dealt(white.counts[order] > 0)]
        halves = [order[0::2], order[1::2]]
    first, second = (
        white.mean + white.residuals[half].sum(0) / white.counts[half].sum(0)[:, None]
        for half in halves
    )
    slope = second @ first.T
    return slope @ np.linalg.solve(first @ first.T, slope.T)


def _grouped(rows: np.ndarray, is_present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers (groups, p) and sums of rows, in their order, in at most MOST_GROUPS."""
    n = min(len(rows), MOST_GROUPS)
    starts = np.arange(n) * len(rows) // n
    return np.add.reduceat(is_present.astype(int), starts), np.add.reduceat(rows, starts)


# The bracket --------------------------------------------------------------------------------


def _bracketed(
    summaries: SummarySet,
    level: float,
    repetitions: int,
    rng: np.random.Generator,
    tell: Callable[[float], Any],
) -> tuple[np.ndarray, tuple[float, float], np.ndarray]:
    """Return F, the bracket of ln det F, and those of the marginal errors.

    The derivative of the mean is M ∂μ along the path; with its noise N and the inverse covariance
    K of each repetition, F there is (M ∂μ + N) K (M ∂μ + N)ᵀ.
    """
    white = _whitened(summaries)
    F = white.mean @ white.mean.T
    M = _path(F, white.noise + F / summaries.n_s)
    true = _statistics(M @ F @ np.swapaxes(M, 1, 2))
    N = _resampled(white.scaled, repetitions, rng)
    K = _precisions(summaries, repetitions, rng, tell)
    signal = white.mean @ K @ white.mean.T
    cross, noise = white.mean @ K @ np.swapaxes(N, 1, 2), N @ K @ np.swapaxes(N, 1, 2)
    tails = (1 - level) / 2, 0.5, (1 + level) / 2
    quantiles = []
    for i, m in enumerate(M):
        tell(0.8 + 0.2 * i / len(M))
        crossed = m @ cross
        found = m @ signal @ m.T + crossed + np.swapaxes(crossed, 1, 2) + noise
        quantiles.append(np.quantile(_statistics(found), tails, axis=0))
    observed = _statistics(F)
    limits = [
        _inverted(observed[i], np.array(quantiles)[:, :, i], true[:, i])
        for i in range(len(observed))
    ]
    low, middle, high = limits[0]
    m = _at(M, true[:, 0], middle)
    best = m @ F @ m.T
    errors = np.exp([[-high, -low] for low, _, high in limits[1:]])
    return best, (float(low), float(high)), errors


def _path(F: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return M (steps, p, p) with M F Mᵀ from nothing, through F, to more."""
    shares, V = linalg.eigh(B, F)
    factors = [1 / (1 + t * np.clip(shares, 0, None)) for t in SHRUNK]
    factors += [np.full(len(F), np.exp(2 * u)) for u in ENLARGED]
    outer = np.linalg.inv(V).T
    return np.array([outer @ (np.sqrt(factor)[:, None] * V.T) for factor in factors])


def _statistics(F: np.ndarray) -> np.ndarray:
    """Return ln det F and −ln of the marginal errors, shape (..., 1 + n_params)."""
    size = np.sqrt(np.diagonal(F, axis1=-2, axis2=-1))
    correlation = F / (size[..., :, None] * size[..., None, :])
    log_det = np.linalg.slogdet(correlation)[1] + 2 * np.log(size).sum(-1)
    variance = np.maximum(np.diagonal(np.linalg.inv(correlation), axis1=-2, axis2=-1), 1)
    return np.concatenate([log_det[..., None], np.log(size) - 0.5 * np.log(variance)], axis=-1)


def _inverted(
    observed: float, quantiles: np.ndarray, true: np.ndarray
) -> tuple[float, float, float]:
    """Return the least, the median and the largest truth that agree with what was observed.

    Parameters
    ----------
    observed : float
    quantiles : ndarray, shape (steps, 3)
        Lower, median and upper ones of what is found where `true` is the truth.
    true : ndarray, shape (steps,)
    """
    lower, median, upper = np.maximum.accumulate(quantiles, axis=0).T
    low = np.interp(observed, upper, true, left=-np.inf)
    high = np.interp(observed, lower, true, right=np.inf)
    return float(low), float(np.interp(observed, median, true)), float(high)


def _at(M: np.ndarray, true: np.ndarray, value: float) -> np.ndarray:
    """Return M where ln det F has a value."""
    place = np.interp(value, true, np.arange(len(true)))
    before = min(int(place), len(M) - 2)
    share = place - before
    return (1 - share) * M[before] + share * M[before + 1]


def _resampled(scaled: np.ndarray, repetitions: int, rng: np.random.Generator) -> np.ndarray:
    """Return errors of the mean, shape (repetitions, ...), for seeds drawn again."""
    n = len(scaled)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=repetitions)
    return (weights @ scaled.reshape(n, -1)).reshape(repetitions, *scaled.shape[1:])


def _precisions(
    summaries: SummarySet, repetitions: int, rng: np.random.Generator, tell: Callable[[float], Any]
) -> np.ndarray:
    """Return inverse covariances of seeds drawn again, in units in which C = 1."""
    L = linalg.cholesky(summaries.statistics.C, lower=True)
    centred = (summaries.fiducial - summaries.statistics.μ).T
    white = linalg.solve_triangular(L, centred, lower=True).T
    n, s = white.shape
    groups = min(n, MOST_GROUPS, max(s + 50, MOST_PRODUCTS // s**2))
    parts = np.array_split(white, groups)
    products = np.array([(part.T @ part).ravel() for part in parts])
    sums, counts = (
        np.array([part.sum(0) for part in parts]),
        np.array([len(part) for part in parts]),
    )
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=repetitions)
    found = []
    for i in range(0, repetitions, AT_ONCE):  # most of the time is spent here
        tell(0.1 + 0.7 * i / repetitions)
        drawn = weights[i : i + AT_ONCE]
        total = (drawn @ counts)[:, None, None]
        mean = (drawn @ sums)[:, :, None] / total
        C = (drawn @ products).reshape(-1, s, s) / total - mean * np.swapaxes(mean, 1, 2)
        found.append(np.linalg.inv(C * n / (n - 1)))
    return np.concatenate(found)


# Checks -------------------------------------------------------------------------------------


def _hartlap(n_s: int, n_summaries: int) -> float:
    return (n_s - n_summaries - 2) / (n_s - 1)


def enough(summaries: SummarySet) -> None:
    """Refuse fewer simulations than C, its inverse and the noise of the derivative need.

    Parameters
    ----------
    summaries : SummarySet

    Raises
    ------
    TypeError, ValueError
        If it is no SummarySet, or holds too few.
    """
    if not isinstance(summaries, SummarySet):
        raise TypeError(
            checks.wording(
                "`summaries`", "be a SummarySet", checks.describe(summaries),
                "`imnn.summary_set()` returns one.",
            )
        )  # fmt: skip
    least = summaries.n_summaries + NEEDS_MORE_THAN + 1
    for name, n, fewest in (("fiducial", summaries.n_s, least), ("derivative", summaries.n_d, 4)):
        if n < fewest:
            expected = f"hold at least {fewest} {name} simulations"
            raise ValueError(checks.wording("`summaries`", expected, n))
    if not _is_independent(summaries.fiducial):
        expected = "not be functions of one another"
        remedy = "Leave one of two copies out."
        received = "a singular covariance"
        raise ValueError(checks.wording("`summaries`", expected, received, remedy))
    if not tells_apart(summaries):
        expected = "tell all parameters apart"
        remedy = "Check that they respond to every parameter, and are not functions of one another."
        raise ValueError(checks.wording("`summaries`", expected, "a singular F", remedy))


def _is_independent(rows: np.ndarray) -> bool:
    """Whether the covariance of rows (n, s) is regular, but for rounding."""
    scatter = rows.std(axis=0)
    if not (scatter > 0).all():
        return False
    white = (rows - rows.mean(axis=0)) / scatter
    return bool(np.linalg.eigvalsh(white.T @ white / len(rows))[0] > SINGULAR)


def tells_apart(summaries: SummarySet) -> bool:
    """Return whether F is that of all parameters, not singular but for rounding.

    Parameters
    ----------
    summaries : SummarySet
    """
    F = summaries.statistics.F
    if not np.isfinite(F).all() or not (np.diag(F) > 0).all():
        return False
    size = np.sqrt(np.diag(F))
    return bool(np.linalg.eigvalsh(F / np.outer(size, size))[0] > SINGULAR)


def checked_labels(
    labels: Any, n_params: int, names: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Return the labels given, otherwise names that are known; θ₁, θ₂, … by default.

    Parameters
    ----------
    labels : sequence of str, or None
    n_params : int
    names : tuple of str, optional
        Known names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If they are no names, or of another number.
    """
    if labels is None:
        return names or checks.default_labels(n_params)
    names = tuple(checks.text("labels", each) for each in checks.entries("labels", labels, "names"))
    if len(names) != n_params or len(set(names)) != n_params:
        expected = f"hold {n_params} different names, one for each parameter"
        raise ValueError(checks.wording("`labels`", expected, repr(names)))
    return names
