"""Whether simulations below and above the fiducial parameters share their random numbers.

The two sides of each value are compared by their ranks over the rows, so that a loud value counts
as much as a quiet one. For ranks from 0 to 1, 6 (rank⁺ − rank⁻)² is 1 on average without a relation
and near 0 with one. It is averaged over rows, which gives Spearman's correlation of a value, and
over values, which shows single rows without a partner; what the latter is without a relation is
measured with the upper side of the next row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.executors import Executor
from imnn_lab.simulate import Batch, SimulationError, leaves_of, simulate, spawn_seeds

FEWEST = 12  # rows that a judgement is made from
MOST_VALUES = 500  # of a simulation, chosen at random, that are compared
PAIRED = 0.7  # smallest |correlation| of the two sides of a paired value
UNPAIRED_VALUES = 0.05  # largest part of the values that may be less correlated
UNPAIRED_ROWS = 0.02  # largest part of the rows that may have no partner
MANY = 20  # independent values, about, from which on single rows are judged
INFORMATIVE = 5  # rows, at least, in which a value is not at its commonest
FIDUCIAL_SIDES = "below and above the fiducial parameters"
REMEDY = (
    "Make each pair from the same seed. If it is, one seed is not enough: NumPy's poisson, gamma, "
    "beta, standard_t, binomial and others are paired only if drawn with `imnn_lab.matched`."
)


@dataclass(frozen=True, eq=False)
class Pairing:
    """How well the simulations below and above the fiducial parameters are paired.

    Attributes
    ----------
    correlation : ndarray, shape (n_params,)
        Of the ranks of the lower and the upper side, the median over the values of a simulation.
        NaN, as all that follows, where no value varies on both sides.
    paired_values : ndarray, shape (n_params,)
        Share of the values whose sides correlate by 0.7 or more.
    paired_rows : ndarray, shape (n_params,)
        About the share of the rows that have a partner; NaN for simulations of a few values, where
        single rows tell nothing.
    noise : ndarray, shape (n_params,)
        Variance of the difference relative to unmatched seeds, the mean over values: 1 without
        pairing, near 0 with it.
    is_paired : ndarray of bool, shape (n_params,)
        Whether the pairs of each parameter are matched, all of them and in all values.
    n : int
        Number of pairs.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import matched
    >>> def counts(parameters, seed):
    ...     rates = np.linspace(1, 10, 20) * parameters
    ...     return np.random.default_rng(seed).poisson(rates)
    >>> def matched_counts(parameters, seed):
    ...     return matched.poisson(seed, np.linspace(1, 10, 20) * parameters)
    >>> [matched.check(one, [10], [0.5]).ok for one in (counts, matched_counts)]
    [False, True]
    """

    correlation: np.ndarray
    paired_values: np.ndarray
    paired_rows: np.ndarray
    noise: np.ndarray
    is_paired: np.ndarray
    n: int

    @property
    def ok(self) -> bool:
        """Whether the pairs of all parameters are matched."""
        return bool(self.is_paired.all())

    @property
    def words(self) -> str:
        """What was found, for each parameter, and what to do."""
        lines = [self.describe(α) for α in range(len(self.noise))]
        return "\n".join([*lines, *([] if self.ok else [REMEDY])])

    def describe(self, parameter: int) -> str:
        """Return what was found for one parameter.

        Parameters
        ----------
        parameter : int
            Its number.
        """
        if np.isnan(self.correlation[parameter]):
            return f"parameter {parameter}: the simulations do not vary, so nothing is to be paired"
        r, values, rows, noise = (
            field[parameter]
            for field in (self.correlation, self.paired_values, self.paired_rows, self.noise)
        )
        in_part = max(abs(r), values) > 0.3 or rows > 0.3
        verdict = "matched only in part" if in_part else "unmatched"
        share_of_rows = "" if np.isnan(rows) else f" and about {rows:.0%} of the rows"
        return (
            f"parameter {parameter}: {'paired' if self.is_paired[parameter] else verdict} "
            f"(median correlation {r:.2f}; {values:.0%} of the values{share_of_rows} are paired; "
            f"the noise of the derivative is {noise:.2g} of that of unmatched seeds, in variance)"
        )

    def __str__(self) -> str:
        return self.words


@checks.greek_keywords
def check(
    simulator: Callable[[np.ndarray, int], Any],
    θ_fid: Any,
    δθ: Any,
    n: int = 50,
    seed: int = 0,
    executor: Executor | None = None,
    *,
    max_failed: float = 0.5,
) -> Pairing:
    """Return how well a simulator pairs simulations of one seed, from 2 n n_params of them.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters, seed)``, as for `campaign.training_set`: one call for each
        simulation, with `parameters` of shape (1, n_params).
    θ_fid : array-like, shape (n_params,)
        Fiducial parameters.
    δθ : array-like, shape (n_params,)
        Full width of the central difference.
    n : int
        Number of pairs for each parameter, at least 12.
    seed : int
        Determines the seeds of the pairs.
    executor : concurrent.futures.Executor, optional
        As for `campaign.training_set`.
    max_failed : float
        Largest tolerated fraction of failures.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.
    SimulationError
        If more than `max_failed` of the simulations fail, or fewer than 12 pairs are left.
    """
    checks.function("simulator", simulator, "parameters (1, n_params) and a seed to a simulation")
    centre = np.atleast_1d(checks.real_array("θ_fid", θ_fid))
    centre = checks.vector("θ_fid", centre, centre.size)
    width = checks.vector("δθ", δθ, len(centre))
    if not (width > 0).all():
        raise ValueError(checks.wording("`δθ`", "be positive", width.tolist()))
    n = checks.integer("n", n, FEWEST, maximum=10**6)
    seed = checks.integer("seed", seed, 0, maximum=checks.LARGEST_SEED)
    max_failed = checks.fraction("max_failed", max_failed)
    steps = 0.5 * np.diag(width)
    parameters = np.concatenate([centre - steps, centre + steps])
    batches = [Batch(parameters, np.full(len(parameters), one)) for one in spawn_seeds(seed, n)]
    whole = [
        np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves_of(batch.simulations)], 1)
        for batch in simulate(simulator, batches, executor=executor, max_failed=max_failed)
        if batch.simulations is not None and batch.succeeded.all()
    ]
    if len(whole) < FEWEST:
        expected = f"succeed for both sides of {FEWEST} pairs"
        raise SimulationError(checks.wording("`simulator`", expected, f"{len(whole)} such pairs"))
    return pairing(np.reshape(whole, (len(whole), 2, len(centre), -1)))


def pairing(derivative: np.ndarray) -> Pairing:
    """Return how well derivative simulations are paired.

    Parameters
    ----------
    derivative : ndarray, shape (n, 2, n_params) + input_shape
        Simulations below and above the fiducial parameters; 12 at least.
    """
    n, _, n_params = derivative.shape[:3]
    values = derivative.reshape(n, 2, n_params, -1)
    if values.shape[-1] > MOST_VALUES:
        chosen = np.random.default_rng(0).choice(values.shape[-1], MOST_VALUES, replace=False)
        values = values[..., np.sort(chosen)]
    found = [_of_parameter(*values[:, :, α].swapaxes(0, 1).astype(float)) for α in range(n_params)]
    r, of_values, of_rows, noise, is_paired = map(np.array, zip(*found, strict=True))
    return Pairing(r, of_values, of_rows, noise, is_paired, n)


def warn_of_pairing(name: str, found: Pairing, where: str = FIDUCIAL_SIDES) -> None:
    """Warn of parameters whose pairs are not matched; `where` says what the two sides are."""
    if found.ok:
        return
    unmatched = [found.describe(int(α)) for α in np.flatnonzero(~found.is_paired)]
    if where != FIDUCIAL_SIDES:
        unmatched = [words.partition(": ")[2] for words in unmatched]
    checks.warn(
        f"{name}: the simulations {where} look as if they were "
        f"made from different seeds: {'; '.join(unmatched)}. The derivative is then mostly noise "
        f"and F is overestimated. {REMEDY}"
    )


def _of_parameter(lower: np.ndarray, upper: np.ndarray) -> tuple[float, float, float, float, bool]:
    """Return the fields of `Pairing` for the two sides (n, n_values) of one parameter."""
    n, both = len(lower), np.stack([lower, upper])
    ranks = np.stack([stats.rankdata(side, axis=0) - (n + 1) / 2 for side in both])
    spread = np.mean(ranks**2, axis=1)
    informative = (spread >= _least_spread(n)).all(axis=0)
    if informative.any():
        ranks, both, spread = (
            ranks[..., informative],
            both[..., informative],
            spread[:, informative],
        )
    elif spread.any(axis=1).all():  # rare events: all values together
        spread = spread.mean(axis=1, keepdims=True)
    else:
        return np.nan, np.nan, np.nan, np.nan, True
    low, high = ranks / np.sqrt(spread)[:, None]
    together = None if spread.shape[1] == 1 else 0
    correlation = np.atleast_1d(np.mean(low * high, axis=together))
    high = high * np.where(correlation < 0, -1, 1)  # opposite is paired, too
    unrelated = np.mean((low - np.roll(high, 1, axis=0)) ** 2, axis=1) / 2
    is_many = 2 * unrelated.mean() ** 2 > MANY * unrelated.var()
    noise_of_rows = np.mean((low - high) ** 2, axis=1) / 2
    rows = _paired_rows(noise_of_rows, unrelated) if is_many else np.nan
    sampling = 2 * (1 - PAIRED**2) / np.sqrt(n)
    size = np.abs(correlation)
    unpaired = np.mean(size < PAIRED - sampling)
    is_paired = (
        np.median(size) >= PAIRED - sampling / 2
        and unpaired <= UNPAIRED_VALUES
        and not 1 - rows > UNPAIRED_ROWS  # NaN says nothing
    )
    scatter = np.var(both, axis=1).sum(axis=0)
    noise = np.var(both[1] - both[0], axis=0) / np.where(scatter > 0, scatter, np.inf)
    if together is None:
        noise = noise.mean()
    return (
        float(np.median(correlation)), float(np.mean(size >= PAIRED)), rows, float(np.mean(noise)),
        bool(is_paired),
    )  # fmt: skip


def _least_spread(n: int) -> float:
    """Return the variance of ranks of which all but a few are tied."""
    tied = n - INFORMATIVE
    return (n**2 - 1 - tied * (tied**2 - 1) / n) / 12


def _paired_rows(noise: np.ndarray, unrelated: np.ndarray) -> float:
    """Return about the share of rows with a partner, from their noise (n,) and that without any.

    Noise is distributed as F = s M + (1 − s) U, with U that without partners, so that s is about
    F where U is small.
    """
    return float(np.mean(noise < np.quantile(unrelated, 0.02, method="lower")))
