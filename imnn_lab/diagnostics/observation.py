"""Whether an observation is like the simulations at the fiducial parameters.

The squared Mahalanobis distance of summaries x from their mean has two parts, d² = a + r:

    a = Δθ·F Δθ, Δθ = F⁻¹ ∂μ C⁻¹ (x − μ),        r = (x − μ)·C⁻¹ (x − μ) − a

a says how far the estimate is from the fiducial, which other parameters explain; r is what no
change of the parameters explains, to first order. The p-values of both are fractions of the
simulations that are as far, each by the moments of the others (leave-one-out, by the formula of
Sherman & Morrison).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.pairs import refuse_other
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict
from imnn_lab.results import pseudo_inverse

ALARM = 0.01  # probability that an observation that is like the simulations raises any alarm
TOO_OFTEN = 0.05  # probability of an alarm among observations that are like the simulations
EACH = 5  # simulations for each direction in which features are looked at
FLAT = 1e-6  # fraction of the largest variance, below which a direction is rounding
LEAST = 30  # simulations


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of observations and of simulations from the mean of simulations.

    Attributes
    ----------
    name : str
        "estimate", "summaries" or "features".
    observed : ndarray, shape (n_observations,)
        In standard deviations: of the estimate from θ_fid, or of what parameters do not explain.
    simulated : ndarray, shape (n,)
        The same of each simulation, by the moments of the others.
    """

    name: str
    observed: np.ndarray
    simulated: np.ndarray

    @cached_property
    def p_values(self) -> np.ndarray:
        """Fraction of the simulations and the observation as far as it, (n_observations,)."""
        below = np.searchsorted(np.sort(self.simulated), self.observed)
        n = len(self.simulated)
        return (n - below + 1) / (n + 1)


@dataclass(frozen=True, eq=False)
class Novelty:
    """Whether observations are like the simulations.

    Attributes
    ----------
    parts : tuple of Distances
        Of the estimate, and of summaries and features beyond what the parameters explain.
    """

    parts: tuple[Distances, ...]

    def __len__(self) -> int:
        return len(self.parts[0].observed)

    @property
    def n(self) -> int:
        """Number of simulations."""
        return len(self.parts[0].simulated)

    @property
    def threshold(self) -> float:
        """The p-value from which on an alarm is raised; no less than 1/(n + 1)."""
        return max(ALARM / self._n_tests, 1 / (self.n + 1)) * (1 + 1e-9)

    @property
    def _n_tests(self) -> int:
        return len(self.parts) * len(self)

    @property
    def is_far(self) -> np.ndarray:
        """Whether each estimate is farther from θ_fid than simulations are, (n_observations,)."""
        return self.parts[0].p_values <= self.threshold

    @property
    def is_novel(self) -> np.ndarray:
        """Whether each differs in what parameters do not explain, shape (n_observations,)."""
        found = [part.p_values <= self.threshold for part in self.parts[1:]]
        return np.any(found, axis=0) if found else np.zeros(len(self), bool)

    @property
    def verdict(self) -> Verdict:
        """What this says, in words, of the worst of the observations."""
        worst = int(np.lexsort((self.parts[0].observed, self.is_far, self.is_novel))[-1])
        which = f"Observation {worst} of {len(self)}" if len(self) > 1 else "The observation"
        words = "; ".join(self._in_words(part, worst) for part in self.parts)
        words = f"{which}: {words}."
        if self.is_novel[worst]:
            return self._of_novel(words, bool(self.is_far[worst]))
        if self.is_far[worst]:
            remedy = "Train anew there: `imnn.retrain_at_estimate`."
            if len(self.parts) == 1:
                remedy += (
                    " These summaries cannot tell other parameters from data that are not like the "
                    "simulations; features can."
                )
            return Verdict(Light.AMBER, words, remedy)
        return Verdict(Light.GREEN, words)

    def __str__(self) -> str:
        return str(self.verdict)

    def _of_novel(self, words: str, is_far: bool) -> Verdict:
        if self.threshold * self._n_tests > TOO_OFTEN:
            remedy = f"One of {len(self)} may be by chance: give more simulations to be sure."
            return Verdict(Light.AMBER, words, remedy)
        remedy = (
            "It is not like the simulations: look for what they leave out (masks, noise, units) "
            "before any number is quoted."
        )
        if is_far:
            remedy = (
                "It is not like the simulations at θ_fid. Train anew at its estimate "
                "(`imnn.retrain_at_estimate`) and ask again: if it is not like those either, look "
                "for what they leave out (masks, noise, units)."
            )
        return Verdict(Light.RED, words, remedy)

    def _in_words(self, part: Distances, i: int) -> str:
        distance, p = part.observed[i], part.p_values[i]
        among = f"p = {p:.2g} among {self.n} simulations"
        if part.name == "estimate":
            return f"its estimate lies {distance:.2g} σ from θ_fid ({among})"
        usual = f"{np.median(part.simulated):.3g} σ is usual"
        return f"its {part.name} {distance:.3g} σ from what any parameters give ({usual}; {among})"


def novelty(
    observed: Any,
    simulated: SummarySet,
    observed_features: Any = None,
    simulated_features: SummarySet | None = None,
) -> Novelty:
    """Compare observations with the simulations, by their summaries and by further features.

    Parameters
    ----------
    observed : array-like, shape (n_summaries,) or (n_observations, n_summaries)
        Summaries of one observation or of several.
    simulated : SummarySet
        Summaries of simulations that the network was not trained with.
    observed_features : array-like, shape (n_features,) or (n_observations, n_features), optional
        Any other numbers of the same observations.
    simulated_features : SummarySet, optional
        The same numbers of simulations. Of many, those directions are looked at in which the
        simulations vary most, a fifth as many as there are simulations.

    Returns
    -------
    Novelty

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or there are fewer than 30 simulations.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.diagnostics import SummarySet, novelty
    >>> rng = np.random.default_rng(1)
    >>> at_fiducial = rng.normal(size=(500, 3))  # of which the parameter moves the first
    >>> steps = np.array([[[-0.05, 0, 0]], [[0.05, 0, 0]]])
    >>> derivative = at_fiducial[:, None, None] + steps
    >>> simulated = SummarySet(at_fiducial, derivative, np.zeros(1), np.array([0.1]))
    >>> novelty([0.5, 0.1, -0.4], simulated).verdict.light.name
    'GREEN'
    >>> novelty([0.5, 0.1, 6.0], simulated).verdict.light.name
    'RED'
    """
    along, across = _distances("summaries", observed, simulated)
    parts = [along, *([across] if simulated.n_summaries > simulated.n_params else [])]
    if (observed_features is None) != (simulated_features is None):
        expected = "come together: of the observations and of simulations"
        raise ValueError(checks.wording("Features", expected, "one of the two"))
    if simulated_features is not None:
        parts.append(_distances("features", observed_features, simulated_features)[1])
        if len(parts[-1].observed) != len(along.observed):
            expected = f"be of as many observations, {len(along.observed)}"
            received = len(parts[-1].observed)
            raise ValueError(checks.wording("`observed_features`", expected, received))
    return Novelty(tuple(parts))


def _distances(name: str, observed: Any, simulated: SummarySet) -> tuple[Distances, Distances]:
    """Return distances along and across the directions in which parameters move the summaries."""
    refuse_other(f"simulated {name}", simulated, SummarySet, "a SummarySet, as `summary_set` gives")
    if simulated.n_s < LEAST:
        expected = f"have at least {LEAST} fiducial simulations"
        raise ValueError(checks.wording(f"The simulated {name}", expected, simulated.n_s))
    x = np.atleast_2d(checks.finite("observed", checks.real_array("observed", observed)))
    if x.ndim != 2 or x.shape[1] != simulated.n_summaries or not len(x):
        expected = f"have shape (n_observations, {simulated.n_summaries})"
        raise ValueError(checks.wording(f"The observed {name}", expected, f"shape {x.shape}"))
    axes = _directions(simulated.fiducial.astype(np.float64))
    y, D = simulated.fiducial @ axes, simulated.statistics.dμ_dθ @ axes
    D = D[np.linalg.norm(D, axis=1) > 0]
    n, μ = len(y), y.mean(axis=0)
    A = (y - μ).T @ (y - μ)
    of_observed = _parts((x @ axes - μ), A, D) * (n - 1)
    total, along = _parts(y - μ, A, D)
    c = n / (n - 1)  # what one leaves of mean and scatter
    rest = 1 - c * total
    scale = (n - 2) * c**2
    left_out = np.stack([total / rest, along / rest**2 / (1 + c * along / rest)]) * scale
    along_of, across_of = zip(_split(of_observed), _split(left_out), strict=True)
    return Distances("estimate", *along_of), Distances(name, *across_of)


def _parts(Δ: np.ndarray, A: np.ndarray, D: np.ndarray) -> np.ndarray:
    """Return Δ·A⁻¹Δ and the part of it along the rows of D, for each row of Δ, shape (2, n)."""
    weighted = np.linalg.solve(A, Δ.T)  # (s, n)
    total = np.einsum("ns,sn->n", Δ, weighted)
    g = D @ weighted
    M = D @ np.linalg.solve(A, D.T)
    return np.stack([total, np.einsum("pn,pn->n", g, pseudo_inverse(M) @ g)])


def _split(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total, along = squares
    return np.sqrt(np.maximum(along, 0)), np.sqrt(np.maximum(total - along, 0))


def _directions(y: np.ndarray) -> np.ndarray:
    """Return standardised directions (n_features, k) in which there is enough to be seen."""
    spread = y.std(axis=0)
    unit = np.where(spread > FLAT * spread.max(), 1 / np.where(spread > 0, spread, 1), 0.0)
    centred = (y - y.mean(axis=0)) * unit
    if len(unit) <= len(y):
        variances, vectors = np.linalg.eigh(centred.T @ centred)
    else:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        variances, vectors = singular**2, rows.T
    order = np.argsort(variances)[::-1][: max(1, len(y) // EACH)]
    kept = order[variances[order] > FLAT * variances.max()]
    return unit[:, None] * vectors[:, kept]
