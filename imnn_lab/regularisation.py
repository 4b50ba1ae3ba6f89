r"""The regulariser that sets the scale of the summaries.

With Λ2 = ½(‖C − 1‖² + ‖C⁻¹ − 1‖²) the loss is −ln det F + r Λ2, where

    r = λ Λ2 / (Λ2 + exp(−α Λ2)),        α = −ln[ε(λ − 1) + ε²/(1 + ε)] / ε

(Charnock, Lavaux & Wandelt 2018, equations 20 and 21). α exists only where the bracket is positive
and is positive only where the bracket is below one; any other pair is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imnn_lab import checks

EPSILON = "\N{GREEK LUNATE EPSILON SYMBOL}"  # as it is printed; Python writes ε in names


@dataclass(frozen=True)
class Regularisation:
    """A valid pair of strength and closeness.

    Parameters
    ----------
    λ : float
        Strength of the regularisation, above 1/(1 + ε).
    ε : float
        Distance of the covariance and its inverse from the identity at which the regularisation
        switches off; positive and below `largest_closeness(λ)`.

    Raises
    ------
    TypeError, ValueError
        If λ or ε is not a positive finite number, or the pair gives no positive rate α.

    Examples
    --------
    >>> from imnn_lab import Regularisation
    >>> pair = Regularisation(λ=10, ε=0.1)
    >>> round(pair.α, 6)
    0.953102
    >>> float(pair.strength(0.9336734694).round(6))
    6.945032
    """

    λ: float
    ε: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "λ", checks.number("λ", self.λ, above=0))
        object.__setattr__(self, "ε", checks.number(EPSILON, self.ε, above=0, below=1e100))
        if not 0 < self._bracket < 1:
            raise ValueError(self._refusal())

    @property
    def _bracket(self) -> float:
        return self.ε * (self.λ - 1) + self.ε**2 / (1 + self.ε)

    @property
    def α(self) -> float:
        """Rate of the regularisation, positive."""
        return float(-np.log(self._bracket) / self.ε)

    def strength(self, Λ2: np.ndarray | float) -> np.ndarray:
        """Return the coupling r(Λ2), in the shape of `Λ2`.

        Parameters
        ----------
        Λ2 : float or ndarray of any shape
            ½(‖C − 1‖² + ‖C⁻¹ − 1‖²).
        """
        Λ2 = np.asarray(Λ2, dtype=np.float64)
        return self.λ * Λ2 / (Λ2 + np.exp(-self.α * Λ2))

    def _refusal(self) -> str:
        if self._bracket <= 0:
            limit = 1 / (1 + self.ε)
            expected = f"satisfy λ > 1/(1 + {EPSILON}) = {limit:.6g}, or the rate α is undefined"
            remedy = "Choose a larger λ."
        else:
            limit = largest_closeness(self.λ)
            expected = (
                f"satisfy {EPSILON} < {limit:.6g} for λ = {self.λ:g}, or the rate α is not positive"
            )
            remedy = f"Choose a smaller {EPSILON} (say {limit / 1.1:.3g}) or a smaller λ."
        received = f"λ = {self.λ:g}, {EPSILON} = {self.ε:g}"
        return checks.wording(f"The pair (λ, {EPSILON})", expected, received, remedy)


def largest_closeness(λ: float) -> float:
    """Return the ε at which the rate α of the regularisation becomes zero.

    It solves ε(λ − 1) + ε²/(1 + ε) = 1; every valid ε is smaller.

    Parameters
    ----------
    λ : float
        Strength of the regularisation, positive.
    """
    return float((2 - λ + np.hypot(λ, 2)) / (2 * λ))
