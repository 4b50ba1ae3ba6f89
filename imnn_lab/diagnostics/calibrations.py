"""Whether posteriors hold the true parameters as often as they say.

For parameters from the prior and a simulation at each, three ranks of the truth are uniform if the
posteriors are those of Bayes' theorem: that of each parameter among the samples (simulation-based
calibration: Talts et al. 2018), that of its distance from the posterior's mean, in the posterior's
covariance (expected coverage of the ellipse), and that of its distance from a random point (TARP:
Lemos et al. 2023). Each is compared with a simultaneous band (`imnn_lab.diagnostics.rank_band`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.pairs import LEAST, Pairs, refuse_other
from imnn_lab.diagnostics.posteriors import (
    MOST,
    Posteriors,
    gaussian_posteriors,
    rejection_posteriors,
)
from imnn_lab.diagnostics.rank_band import RankBand, rank_band
from imnn_lab.diagnostics.verdict import Light, Verdict, percent
from imnn_lab.results import pseudo_inverse

CONFIDENCE = 0.98  # that all ranks of calibrated posteriors lie inside their bands
SURE, LIKELY = 3.0, 1.5  # standard errors from which a bias or a width is named, the larger one
FEW = 100  # posteriors, with fewer only gross faults are seen
LARGE_BIAS, LARGE_SCALE = 0.3, 1.2  # error bars; ratio of widths


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far posteriors hold the true parameters as often as they say.

    Attributes
    ----------
    method : str
        What made the posteriors.
    labels : tuple of str
        Names of the parameters.
    θ : ndarray, shape (n, n_params)
        True parameters.
    mean, sd : ndarray, shape (n, n_params)
        Of the posteriors.
    ranks : ndarray, shape (n_params, n)
        Rank of each true parameter, from 0 to 1.
    ellipse_ranks, tarp_ranks : ndarray, shape (n,)
        Rank of the distance from the posterior's mean, and from a random point.
    band : RankBand
        Where the distribution of each of these n_params + 2 ranks lies if all are uniform.
    """

    method: str
    labels: tuple[str, ...]
    θ: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    ranks: np.ndarray
    ellipse_ranks: np.ndarray
    tarp_ranks: np.ndarray
    band: RankBand

    def __len__(self) -> int:
        return len(self.θ)

    @cached_property
    def z_scores(self) -> np.ndarray:
        """Posterior mean minus truth in posterior standard deviations, shape (n, n_params)."""
        return (self.mean - self.θ) / self.sd

    @cached_property
    def contraction(self) -> np.ndarray:
        """1 − posterior variance / prior variance, shape (n, n_params)."""
        return 1 - self.sd**2 / self.θ.var(axis=0)

    @cached_property
    def bias(self) -> np.ndarray:
        """Median of the z-scores, shape (n_params,): 0 if calibrated, positive if too high."""
        return np.median(self.z_scores, axis=0)

    @cached_property
    def scale(self) -> np.ndarray:
        """Half the central 68 % of the z-scores, shape (n_params,): above 1 if over-confident."""
        low, high = np.quantile(self.z_scores, [0.1587, 0.8413], axis=0)
        return (high - low) / 2

    @cached_property
    def is_calibrated(self) -> np.ndarray:
        """Whether ranks of parameters, ellipse and TARP are in the band, shape (n_params + 2,)."""
        return self.band.contains(np.stack([*self.ranks, self.ellipse_ranks, self.tarp_ranks]))

    @cached_property
    def findings(self) -> tuple[tuple[str, ...], ...]:
        """What is wrong with the posterior of each parameter, empty if nothing is.

        Of "biased", "over-confident", "under-confident"; or "misshapen".
        """
        return tuple(self._finding(i) for i in range(len(self.labels)))

    def coverage(self, mass: float) -> float:
        """Return how often the ellipse of a probability mass holds the truth.

        Parameters
        ----------
        mass : float
            Between 0 and 1.
        """
        mass = checks.number("mass", mass, above=0, below=1)
        return float((self.ellipse_ranks <= mass).mean())

    @cached_property
    def verdict(self) -> Verdict:
        """What this says, in words."""
        if self.is_calibrated.all():
            words = (
                f"{self.method}: calibrated as far as {len(self)} posteriors can tell; the 68 % "
                f"ellipse holds the truth in {percent(self.coverage(0.68))} of them."
            )
            if len(self) < FEW:
                return Verdict(Light.GREY, words, f"Take {FEW} pairs or more to be sure.")
            return Verdict(Light.GREEN, words)
        words = f"{self.method}: {'; '.join(self._faults())} ({len(self)} posteriors)."
        return Verdict(Light.RED if self._is_grave() else Light.AMBER, words, self._remedy())

    def __str__(self) -> str:
        rows = [f"{'':12s}{'bias/sd':>10s}{'z spread':>10s}{'contraction':>13s}  verdict"]
        for i, label in enumerate(self.labels):
            numbers = f"{self.bias[i]:10.2f}{self.scale[i]:10.2f}"
            contraction = np.median(self.contraction[:, i])
            finding = " and ".join(self.findings[i]) or "calibrated"
            rows.append(f"{label:12s}{numbers}{contraction:13.2f}  {finding}")
        return "\n".join([*rows, str(self.verdict)])

    def _finding(self, i: int) -> tuple[str, ...]:
        if self.is_calibrated[i]:
            return ()
        error = self.scale[i] / np.sqrt(len(self))  # of a mean; the factors are for normal scores
        width = "over-confident" if self.scale[i] > 1 else "under-confident"
        sizes = {
            "biased": abs(self.bias[i]) / (1.25 * error),
            width: abs(self.scale[i] - 1) / (0.96 * error),
        }
        found = tuple(name for name, size in sizes.items() if size > SURE)
        likely = max(sizes, key=sizes.__getitem__)
        return found or ((likely,) if sizes[likely] > LIKELY else ("misshapen",))

    def _faults(self) -> list[str]:
        """Describe what is outside its band."""
        faults = []
        for i, label in enumerate(self.labels):
            faults += [f"{label} {self._in_words(i, finding)}" for finding in self.findings[i]]
        if not faults:
            faults.append(
                "each parameter is calibrated, all together are not: their correlation, or the "
                "size of the ellipse, is wrong"
            )
        faults.append(f"the 68 % ellipse holds the truth in {percent(self.coverage(0.68))}")
        return faults

    def _in_words(self, i: int, finding: str) -> str:
        side = "high" if self.bias[i] > 0 else "low"
        return {
            "biased": f"is biased, too {side} by {abs(self.bias[i]):.2g} of its error bars",
            "over-confident": f"is over-confident, error bars {self.scale[i]:.2g} times too small",
            "under-confident": f"is under-confident, error bars {1 / self.scale[i]:.2g} times too "
            "large",
            "misshapen": "has a posterior of another shape",
        }[finding]

    def _is_grave(self) -> bool:
        kinds = {(kind, i) for i, found in enumerate(self.findings) for kind in found}
        biased = any(k == "biased" and abs(self.bias[i]) > LARGE_BIAS for k, i in kinds)
        narrow = any(k == "over-confident" and self.scale[i] > LARGE_SCALE for k, i in kinds)
        return biased or narrow or self.coverage(0.68) < 0.68 / LARGE_SCALE

    def _remedy(self) -> str:
        kinds = {kind for found in self.findings for kind in found}
        if kinds <= {"under-confident"} and kinds:
            return "Quoted errors are safe but larger than needed: accept nearer draws in ABC."
        if self.method.startswith("Gaussian"):
            return (
                "The estimate is linear about θ_fid and F is that at θ_fid: use ABC, or train "
                "anew at the estimate; `recalibrate` widens the ellipse."
            )
        return "Accept nearer draws, with more simulations."


def calibration(pairs: Pairs, *, most: int = MOST, seed: int = 0) -> Calibration:
    """Check the Gaussian approximation against a table of pairs.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs`, or from the draws of ABC by `pairs_of`.
    most : int
        How many pairs to take, the first ones.
    seed : int
        Seed of the samples and random points.

    Returns
    -------
    Calibration

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.

    Examples
    --------
    >>> from imnn_lab import diagnostics, problems
    >>> from imnn_lab.inference import Uniform
    >>> problem, prior = problems.exponential(), Uniform([0.2], [8])  # F is that at scale = 2
    >>> pairs = diagnostics.draw_pairs(
    ...     problem.simulator, prior, lambda data: data.mean(axis=1), problem.F, 300, seed=1,
    ...     verbose=False,
    ... )
    >>> report = diagnostics.calibration(pairs)
    >>> report.verdict.light.name, report.findings
    ('RED', (('over-confident',),))
    >>> round(diagnostics.recalibrate(pairs).factor, 1)  # what the errors are multiplied by
    1.8
    """
    return calibration_of(gaussian_posteriors(pairs, most=most, seed=seed), seed=seed)


def calibration_of_rejection(
    pairs: Pairs,
    nearest: int | None = None,
    *,
    adjust: bool = False,
    most: int = MOST,
    seed: int = 0,
) -> Calibration:
    """Check ABC against a table of pairs, with the others as draws for each.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs`, or from the draws of ABC by `pairs_of`.
    nearest : int, optional
        How many of the others to accept; by default a fiftieth of all, at least 20.
    adjust : bool
        Apply the linear regression adjustment.
    most : int
        How many posteriors to take, those of the first pairs.
    seed : int
        Seed of the random points.

    Returns
    -------
    Calibration

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.
    """
    posteriors = rejection_posteriors(pairs, nearest, adjust=adjust, most=most)
    return calibration_of(posteriors, seed=seed)


def calibration_of(posteriors: Posteriors, *, seed: int = 0) -> Calibration:
    """Check any posteriors against the parameters that their simulations were made at.

    Parameters
    ----------
    posteriors : Posteriors
        From `gaussian_posteriors`, `rejection_posteriors` or `population_posteriors`, or those of
        another method.
    seed : int
        Seed of the random points.

    Returns
    -------
    Calibration

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or there are fewer than 20 posteriors.
    """
    refuse_other("posteriors", posteriors, Posteriors, "the `Posteriors` of pairs")
    if len(posteriors) < LEAST:
        expected = f"be at least {LEAST}"
        raise ValueError(checks.wording("`posteriors`", expected, len(posteriors)))
    rng = np.random.default_rng(checks.seed_or_none("seed", seed))
    θ, samples = posteriors.θ, posteriors.samples
    ranks = [_ranks(samples[..., i], θ[:, i], posteriors, rng) for i in range(θ.shape[1])]
    ellipse = _ranks(*_ellipse_distances(posteriors), posteriors, rng)
    points, unit = posteriors.prior.sample(len(θ), rng), θ.std(axis=0)
    from_point = np.linalg.norm((samples - points[:, None]) / unit, axis=-1)
    tarp = _ranks(from_point, np.linalg.norm((θ - points) / unit, axis=-1), posteriors, rng)
    band = rank_band(len(θ), 1 - (1 - CONFIDENCE) / (len(ranks) + 2))
    moments = posteriors.mean, posteriors.sd
    names = posteriors.method, posteriors.labels
    return Calibration(*names, θ, *moments, np.stack(ranks), ellipse, tarp, band)


def _ranks(
    of_samples: np.ndarray, of_truth: np.ndarray, posteriors: Posteriors, rng: np.random.Generator
) -> np.ndarray:
    """Return the rank of the truth (n,) among samples (n, n_samples), as a fraction."""
    below = np.sum(posteriors.weights * (of_samples < of_truth[:, None]), axis=1)
    m = posteriors.effective_samples
    return (below * m + rng.random(len(below))) / (m + 1)


def _ellipse_distances(posteriors: Posteriors) -> tuple[np.ndarray, np.ndarray]:
    """Return squared distances from the mean of samples and truth together: (n, n_samples), (n,).

    Samples and truth are exchangeable then, as they must be for few samples.
    """
    m = posteriors.effective_samples[:, None]
    weights = np.concatenate([posteriors.weights * m, np.ones_like(m)], axis=1) / (m + 1)
    points = np.concatenate([posteriors.samples, posteriors.θ[:, None]], axis=1)
    Δ = points - np.einsum("nl,nlp->np", weights, points)[:, None]
    covariance = np.einsum("nl,nlp,nlq->npq", weights, Δ, Δ, optimize=True)
    distances = np.einsum("nlp,npq,nlq->nl", Δ, pseudo_inverse(covariance), Δ, optimize=True)
    return distances[:, :-1], distances[:, -1]
