"""What the regulariser's figures show: r(Λ2), and which pairs (λ, ε) are allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imnn_lab.regularisation import Regularisation, largest_closeness


@dataclass(frozen=True)
class StrengthCurve:
    """The dynamic strength r as a function of the distance Λ2 of the covariance from the identity.

    Attributes
    ----------
    Λ2, r : ndarray, shape (n,)
    """

    Λ2: np.ndarray
    r: np.ndarray


def strength_curve(regularisation: Regularisation, points: int = 241) -> StrengthCurve:
    """Describe r(Λ2) over ten decades around the bend of the curve."""
    bend = np.log10(1 / regularisation.α)
    Λ2 = np.logspace(bend - 4, bend + 4, points)
    return StrengthCurve(Λ2, regularisation.strength(Λ2))


@dataclass(frozen=True)
class AllowedPairs:
    """For each λ, the open interval of ε in which the rate α exists and is positive.

    Attributes
    ----------
    λ, lowest, highest : ndarray, shape (n,)
    """

    λ: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


def allowed_pairs(
    λ_range: tuple[float, float], floor: float = 1e-6, points: int = 161
) -> AllowedPairs:
    """Describe the allowed pairs for λ in a range; `floor` stands for zero on a log axis."""
    λ = np.geomspace(*λ_range, points)
    highest = np.array([largest_closeness(value) for value in λ])
    return AllowedPairs(λ, np.maximum(1 / λ - 1, floor), highest)
