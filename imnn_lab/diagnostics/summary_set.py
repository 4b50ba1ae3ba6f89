"""Summaries of the simulations that F is estimated from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from imnn_lab import slopes
from imnn_lab.results import FisherStatistics


@dataclass(frozen=True, eq=False)
class SummarySet:
    """Summaries of fiducial simulations, and of those that the derivative is taken from.

    Attributes
    ----------
    fiducial : ndarray, shape (n_s, n_summaries)
        Summaries at the fiducial parameters; the first `n_external` are not the network's.
    derivative : ndarray, shape (n_d, 2, n_params, n_summaries)
        Summaries below and above the fiducial parameters, of the same seeds; or, with exact
        derivatives or stencils, ∂x/∂θ of shape (n_rows, n_params, n_summaries). Those of stencils
        are NaN where a parameter has no simulations of a seed.
    θ_fid : ndarray, shape (n_params,)
        Fiducial parameters.
    δθ : ndarray, shape (n_params,), or None
        Full width of the central difference; None for exact derivatives and stencils.
    n_external : int
        How many summaries, the first ones, are external.
    is_stencil : bool
        Whether the derivatives are those of `imnn_lab.Stencils`.
    names : tuple of str, optional
        Names of the parameters, which diagnostics use.
    """

    fiducial: np.ndarray
    derivative: np.ndarray
    θ_fid: np.ndarray
    δθ: np.ndarray | None
    n_external: int = 0
    is_stencil: bool = False
    names: tuple[str, ...] | None = None

    @property
    def n_s(self) -> int:
        """Number of fiducial simulations."""
        return len(self.fiducial)

    @property
    def n_d(self) -> int:
        """Number of simulations of each kind for the derivative, the smallest of all parameters."""
        return int(self.counts.min())

    @property
    def counts(self) -> np.ndarray:
        """Number of derivatives by each parameter, shape (n_params,)."""
        return self.is_present.sum(axis=0)

    @cached_property
    def is_present(self) -> np.ndarray:
        """Which derivatives there are, shape (n_rows, n_params); all but those of stencils."""
        if not self.is_stencil:
            return np.ones((len(self.derivative), self.n_params), bool)
        return ~np.isnan(self.derivative).all(axis=-1)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.θ_fid)

    @property
    def n_summaries(self) -> int:
        """Number of summaries."""
        return self.fiducial.shape[1]

    @cached_property
    def slopes(self) -> np.ndarray:
        """∂x/∂θ of each simulation, shape (n_rows, n_params, n_summaries)."""
        if self.δθ is None:
            return self.derivative
        return (self.derivative[:, 1] - self.derivative[:, 0]) / self.δθ[:, None]

    @cached_property
    def statistics(self) -> FisherStatistics:
        """Mean, covariance, mean derivative and F of the summaries."""
        C = np.atleast_2d(np.cov(self.fiducial, rowvar=False))
        dμ_dθ = slopes.mean(self.slopes, self.is_present)
        n = self.n_s, self.n_d, self.n_external
        return FisherStatistics(self.fiducial.mean(axis=0), C, dμ_dθ, *n, names=self.names)

    def part(self, fiducial: np.ndarray | slice, derivative: np.ndarray | slice) -> SummarySet:
        """Return the set of some of the simulations.

        Parameters
        ----------
        fiducial, derivative : ndarray of int, shape (n,), or slice
            Which; an index that stands twice counts twice.
        """
        chosen = self.fiducial[fiducial], self.derivative[derivative]
        return replace(self, fiducial=chosen[0], derivative=chosen[1])
