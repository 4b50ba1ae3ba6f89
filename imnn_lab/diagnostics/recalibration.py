"""Widen the ellipse of the Gaussian approximation until it holds the truth as often as it says.

The radius is the ⌈(n + 1) mass⌉-th smallest of the distances ρ = sqrt(Δ·F Δ), Δ = θ̂ − θ, of n
pairs: the ellipse of this radius holds a further truth from the prior with at least that
probability, whatever the estimator (split conformal prediction: Vovk, Gammerman & Shafer 2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.diagnostics.pairs import Pairs, refuse_other
from imnn_lab.diagnostics.verdict import Light, Verdict, percent

NEAR = 0.1  # difference of coverages that needs no widening


@dataclass(frozen=True, eq=False)
class Recalibration:
    """An ellipse about the estimate that holds the truth as often as it says.

    Attributes
    ----------
    mass : float
        The probability that it holds the truth.
    radius : float
        Its radius ρ, in the metric of F.
    factor : float
        What the error bars of the Gaussian approximation are multiplied by.
    F : ndarray, shape (n_params, n_params)
        F / factor², whose ellipse of this mass it is: for `LFI.GaussianApproximation`.
    before : float
        How often the ellipse of the F given holds the truth.
    bracket : pair of float
        68 % of such tables have a radius whose true coverage lies in this interval.
    n : int
        Number of pairs.
    """

    mass: float
    radius: float
    factor: float
    F: np.ndarray
    before: float
    bracket: tuple[float, float]
    n: int

    @property
    def verdict(self) -> Verdict:
        """What this says, in words."""
        low, high = self.bracket
        words = (
            f"The {percent(self.mass)} ellipse of F holds the truth in {percent(self.before)} of "
            f"{self.n} simulations from the prior; with its axes times {self.factor:.2f} it holds "
            f"it in {percent(low)} to {percent(high)}."
        )
        remedy = (
            "This holds on average over the prior, for the ellipse of this mass. It does not move "
            "the estimate: a bias is paid for by width."
        )
        is_near = abs(self.before - self.mass) < NEAR
        return Verdict(Light.GREEN if is_near else Light.AMBER, words, remedy)

    def __str__(self) -> str:
        return str(self.verdict)


def recalibrate(pairs: Pairs, mass: float = 0.68) -> Recalibration:
    """Widen the ellipse of the Gaussian approximation by conformal prediction.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs`, or from the draws of ABC by `pairs_of`.
    mass : float
        Probability that the ellipse is to hold the truth.

    Returns
    -------
    Recalibration

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or the pairs are too few for this mass.
    """
    refuse_other("pairs", pairs, Pairs, "a table of `draw_pairs` or `pairs_of`")
    mass = checks.number("mass", mass, above=0, below=1)
    n, k = len(pairs), int(np.ceil((len(pairs) + 1) * mass))
    if k > n:
        expected = f"be at most {n / (n + 1):.4f} with {n} pairs"
        raise ValueError(checks.wording("`mass`", expected, mass, "Make more pairs."))
    Δ = pairs.estimates - pairs.θ
    ρ = np.sqrt(np.einsum("np,pq,nq->n", Δ, pairs.Fisher, Δ))
    radius, nominal = float(np.sort(ρ)[k - 1]), float(np.sqrt(stats.chi2.ppf(mass, pairs.n_params)))
    factor = radius / nominal
    low, high = (float(stats.beta.ppf(tail, k, n + 1 - k)) for tail in (0.16, 0.84))
    before = float((ρ <= nominal).mean())
    F = pairs.Fisher / factor**2
    return Recalibration(mass, radius, factor, F, before, (low, high), n)
