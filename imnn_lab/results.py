"""Frozen Fisher statistics of summaries.

    F = ∂μ C⁻¹ ∂μᵀ,        Λ2 = ½(‖C − 1‖² + ‖C⁻¹ − 1‖²)

(Charnock, Lavaux & Wandelt 2018, equations 13 and 19).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import linalg

from imnn_lab.parameters import shown


@dataclass(frozen=True, eq=False)
class FisherStatistics:
    """Mean, covariance and mean derivative of summaries, and the Fisher information they give.

    Attributes
    ----------
    μ : ndarray, shape (n_summaries,)
        Mean of the summaries of the fiducial simulations.
    C : ndarray, shape (n_summaries, n_summaries)
        Covariance of the summaries (divisor n_s − 1).
    dμ_dθ : ndarray, shape (n_params, n_summaries)
        Derivative of the mean with respect to the parameters.
    F : ndarray, shape (n_params, n_params)
        Fisher information, in the inverse units of the parameters squared.
    n_s, n_d : int
        How many fiducial and derivative simulations they were estimated from.
    n_external : int
        How many summaries, the first ones, are external: not the network's.
    names : tuple of str, optional
        Names of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import FisherStatistics
    >>> C = np.array([[2, 0.5], [0.5, 1]])
    >>> statistics = FisherStatistics(μ=np.zeros(2), C=C, dμ_dθ=np.array([[1, 2], [0, 1]]))
    >>> np.round(statistics.F, 6)
    array([[4.      , 2.      ],
           [2.      , 1.142857]])
    >>> round(statistics.det_F, 6), round(statistics.Λ2, 6)
    (0.571429, 0.933673)
    """

    μ: np.ndarray
    C: np.ndarray
    dμ_dθ: np.ndarray
    n_s: int = 0
    n_d: int = 0
    n_external: int = 0
    names: tuple[str, ...] | None = field(default=None, kw_only=True)

    @cached_property
    def F(self) -> np.ndarray:
        """Fisher information, shape (n_params, n_params); NaN if C is singular."""
        try:
            # SciPy's solve_triangular leaves a thread spinning for 0.1 s on a core of training's
            whitened = np.linalg.solve(np.linalg.cholesky(self.C), self.dμ_dθ.T)
        except (linalg.LinAlgError, ValueError):
            return np.full((len(self.dμ_dθ),) * 2, np.nan)
        return whitened.T @ whitened

    @property
    def hartlap_factor(self) -> float:
        """What makes C⁻¹ unbiased: (n_s − n_summaries − 2)/(n_s − 1), NaN if it is not above 0.

        The inverse of a covariance that is estimated from n_s simulations of Gaussian summaries is
        larger on average than that of their true covariance, and F with it (Hartlap, Simon &
        Schneider 2007, A&A 464, 399, equation 17).
        """
        left = self.n_s - len(self.μ) - 2
        return left / (self.n_s - 1) if left > 0 else float("nan")

    @property
    def F_hartlap(self) -> np.ndarray:
        """F without the bias of few simulations: F times `hartlap_factor`, (n_params, n_params).

        (Hartlap, Simon & Schneider 2007, A&A 464, 399.) NaN where the factor is.
        """
        return self.hartlap_factor * self.F

    @cached_property
    def Finv(self) -> np.ndarray:
        """Inverse Fisher information, the covariance of estimates, shape (n_params, n_params)."""
        return inverse(self.F)

    @cached_property
    def Cinv(self) -> np.ndarray:
        """Inverse covariance of the summaries, shape (n_summaries, n_summaries)."""
        return inverse(self.C)

    @cached_property
    def log_det_F(self) -> float:
        """Ln det F, or NaN if F is singular."""
        return log_determinant(self.F)

    @property
    def det_F(self) -> float:
        """Determinant of the Fisher information."""
        return float(np.exp(self.log_det_F))

    @property
    def network_C(self) -> np.ndarray:
        """Covariance of the network's summaries alone, shape (n_network, n_network)."""
        return self.C[self.n_external :, self.n_external :]

    @property
    def without_network(self) -> FisherStatistics | None:
        """Statistics of the external summaries alone, None without any."""
        n = self.n_external
        if not n:
            return None
        parts = self.μ[:n], self.C[:n, :n], self.dμ_dθ[:, :n]
        return FisherStatistics(*parts, self.n_s, self.n_d, names=self.names)

    @property
    def det_C(self) -> float:
        """Determinant of the covariance of the network's summaries."""
        return float(np.exp(log_determinant(self.network_C)))

    @property
    def det_Cinv(self) -> float:
        """Determinant of the inverse covariance of the network's summaries."""
        return float(np.exp(-log_determinant(self.network_C)))

    @property
    def Λ2(self) -> float:
        """Distance of the covariance of the network's summaries, and of its inverse, from 1."""
        C = self.network_C
        identity = np.eye(len(C))
        return 0.5 * float(np.sum((C - identity) ** 2) + np.sum((inverse(C) - identity) ** 2))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` needs to make the same statistics again."""
        return {name: np.asarray(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FisherStatistics:
        """Make statistics from the arrays of `arrays()`.

        Parameters
        ----------
        arrays : mapping from str to ndarray
            What `arrays` returned.
        """
        μ, C, dμ_dθ, *counts = (arrays[name] for name in _FIELDS if name in arrays)
        return cls(μ, C, dμ_dθ, *(int(n) for n in counts))

    def __str__(self) -> str:
        alone = self.without_network
        beside = f", {alone.det_F:.6g} without the network" if alone else ""
        return (
            f"det F = {self.det_F:.6g}{beside}, det C = {self.det_C:.4g} "
            f"(from {self.n_s} fiducial and {self.n_d} derivative simulations){self._errors()}"
        )

    def _errors(self) -> str:
        """Return the marginal errors of named parameters, behind a line break."""
        if self.names is None:
            return ""
        errors = zip(self.names, np.sqrt(np.diag(self.Finv)), strict=True)
        return "\nerrors: " + ", ".join(f"{shown(name)} ± {error:.3g}" for name, error in errors)


_FIELDS = ("μ", "C", "dμ_dθ", "n_s", "n_d", "n_external")


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert a symmetric positive matrix; NaN if it is not positive."""
    try:
        factor = linalg.cho_factor(matrix, lower=True)
    except (linalg.LinAlgError, ValueError):
        return np.full_like(matrix, np.nan)
    return linalg.cho_solve(factor, np.eye(len(matrix)))


def pseudo_inverse(matrix: np.ndarray) -> np.ndarray:
    """Return a generalised inverse of matrices (…, n, n) that are symmetric and not negative.

    Their units have no part in which directions count as empty.
    """
    size = np.sqrt(np.diagonal(matrix, axis1=-2, axis2=-1))
    size = np.where(size > 0, size, 1.0)
    units = size[..., :, None] * size[..., None, :]
    return np.linalg.pinv(matrix / units, hermitian=True) / units


def log_determinant(matrix: np.ndarray) -> float:
    """Ln det of a symmetric positive matrix; NaN if it is not positive."""
    if not np.isfinite(matrix).all():
        return float("nan")
    sign, value = np.linalg.slogdet(matrix)
    return float(value) if sign > 0 else float("nan")
