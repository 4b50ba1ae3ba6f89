"""The seed-compatible façade of the Gaussian approximation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference import Density, Posterior, Summary
from imnn_lab.inference.arguments import as_grid, as_sizes, regular_mesh
from imnn_lab.inference.density import Marginals, common_ranges
from imnn_lab.lfi import plots
from imnn_lab.lfi.base import Inference


class GaussianApproximation(Inference):
    """Gaussian approximation of the posterior: mean θ̂, covariance F⁻¹, times the prior.

    Parameters
    ----------
    target_data : array-like, shape (n_targets,) + input_shape
        Observed data.
    prior : TFP or scipy.stats distribution, list of those, or any object with sample and log_prob
        See `imnn_lab.inference.as_prior`.
    Fisher : array-like, shape (n_params, n_params)
        Symmetric and positive definite.
    get_estimate : callable
        Data (n,) + input_shape → estimates (n, n_params).
    labels : sequence of str, optional
        A name for each parameter.
    seed : int, optional, keyword only
        Seed of `sample`.

    Attributes
    ----------
    target_estimates : ndarray, shape (n_targets, n_params)
        Estimates of the target data.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or sign, or they do not fit one another.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import LFI, problems
    >>> from imnn_lab.inference import Uniform
    >>> problem = problems.gaussian()  # ten values, of mean μ and variance Σ
    >>> def get_estimate(data):  # or that of a trained IMNN
    ...     return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)
    >>> observed, prior = problem.simulations(1, seed=3), Uniform([-3, 0.1], [3, 5])
    >>> GA = LFI.GaussianApproximation(
    ...     observed, prior, problem.F, get_estimate, labels=["μ", "Σ"], seed=1
    ... )
    >>> GA.posterior(gridsize=(30, 40)).shape
    (1, 30, 40)
    >>> GA.interval(0.68).shape  # the lower and the upper ends
    (1, 2, 2)
    """

    def log_prob(self, grid: Any = None, gridsize: Any = None) -> np.ndarray:
        """Return the log likelihood, −½ Δ·FΔ − ½ ln((2π)^n_params det F⁻¹).

        Parameters
        ----------
        grid : meshgrid, array of shape (n, n_params), or one point, optional
            Where to evaluate.
        gridsize : int or sequence of int, optional
            Points along each parameter of a meshgrid over `grid_ranges` (20 each by default), when
            no grid is given.

        Returns
        -------
        ndarray, shape (n_targets,) + shape of the mesh, (n_targets, n) or (n_targets,)

        Raises
        ------
        ValueError
            If the grid has another shape, or more than 10⁷ points.
        """
        where = as_grid(self.grid(gridsize) if grid is None else grid, self.n_params)
        values = [target.log_likelihood(where.points) for target in self.gaussian]
        return np.stack([value.reshape(where.shape) for value in values])

    def prob(self, grid: Any = None, gridsize: Any = None) -> np.ndarray:
        """Return the likelihood.

        Parameters
        ----------
        grid, gridsize
            As for `log_prob`.

        Returns
        -------
        ndarray, shape as for `log_prob`
        """
        return np.exp(self.log_prob(grid, gridsize))

    def log_posterior(self, grid: Any = None, gridsize: Any = None) -> np.ndarray:
        """Return the log posterior, ln likelihood + ln prior − ln evidence.

        On a meshgrid of cells v it is normalised there, Σ posterior · v = 1; at an array of points
        or at one point by the integral over the prior.

        Parameters
        ----------
        grid, gridsize
            As for `log_prob`.

        Returns
        -------
        ndarray, shape as for `log_prob`
        """
        where = as_grid(self.grid(gridsize) if grid is None else grid, self.n_params)
        values = []
        for target in self.gaussian:
            value = target.log_unnormalised(where.points)
            if where.cells is None:
                value = value - target.log_evidence
            elif np.isfinite(value).any():
                largest = value.max()
                value = value - largest - np.log(np.exp(value - largest) @ where.cells)
            values.append(value.reshape(where.shape))
        return np.stack(values)

    def posterior(self, grid: Any = None, gridsize: Any = None) -> np.ndarray:
        """Return the posterior density; see `log_posterior`.

        Parameters
        ----------
        grid, gridsize
            As for `log_prob`.

        Returns
        -------
        ndarray, shape as for `log_prob`
        """
        return np.exp(self.log_posterior(grid, gridsize))

    def grid(self, gridsize: Any = None) -> list[np.ndarray]:
        """Return the meshgrid (indexing "ij") over `grid_ranges`, n_params arrays of its shape.

        Parameters
        ----------
        gridsize : int or sequence of int, optional
            Points along each parameter, 20 by default.
        """
        return regular_mesh(self.grid_ranges, as_sizes("gridsize", gridsize, self.n_params, 20))

    @property
    def grid_ranges(self) -> list[tuple[float, float]]:
        """The prior's bounds; where infinite, θ̂ ± 5 standard deviations of all targets."""
        automatic = common_ranges(self.gaussian)
        bounds = self.prior.bounds.T
        sides = np.where(np.isfinite(bounds), bounds, automatic)
        return [(float(low), float(high)) for low, high in sides]

    def marginal(
        self, i: int, j: int | None = None, *, bins: int | None = None, ranges: Any = None
    ) -> list[Density]:
        """Return each target's posterior of one parameter or of two, without any larger grid.

        Parameters
        ----------
        i, j : int
            Indices of the parameters; without `j` that of one.
        bins : int, optional
            Points along each, 200 for one parameter and 50 for two.
        ranges : sequence of pairs, optional
            Range of every parameter.

        Raises
        ------
        ValueError
            If there are no such parameters.
        """
        return [target.marginal(i, j, bins=bins, ranges=ranges) for target in self.gaussian]

    def interval(self, mass: float = 0.68) -> np.ndarray:
        """Return equal-tailed credible intervals, shape (n_targets, 2, n_params).

        Parameters
        ----------
        mass : float
            Their probability mass, between 0 and 1.
        """
        return np.stack([target.interval(mass) for target in self.gaussian])

    def samples(self, n: int = 10_000) -> list[Posterior]:
        """Return equally weighted samples of each target's posterior.

        Parameters
        ----------
        n : int
            How many.
        """
        seeds = self._next_seeds().spawn(self.n_targets)
        return [t.samples(n, s) for t, s in zip(self.gaussian, seeds, strict=True)]

    def sample(self, n: int) -> np.ndarray:
        """Draw from each target's posterior, shape (n_targets, n, n_params).

        Parameters
        ----------
        n : int
            How many.
        """
        return np.stack([p.parameters for p in self.samples(checks.integer("n", n, 1))])

    def summary(self, mass: float = 0.68) -> list[Summary]:
        """Return the table of each target: mean, sd, median, credible interval.

        Parameters
        ----------
        mass : float
            Probability mass of the interval, between 0 and 1.
        """
        mass = checks.number("mass", mass, above=0, below=1)
        return [posterior.summary(mass) for posterior in self.samples(100_000)]

    def plot_Fisher(self, figsize: tuple[float, float] | None = None, **kwargs: Any) -> Any:
        """Draw the inverse Fisher matrix, and its ellipses around the targets' estimates.

        Parameters
        ----------
        figsize : tuple of float, optional
            Width and height in inches.
        **kwargs
            figure, and properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        options = {"figsize": figsize, **kwargs}
        return plots.fisher_plot(self.Fisher, self.target_estimates, self.labels, **options)

    def plot(
        self,
        grid: Any = None,
        gridsize: Any = None,
        *,
        truth: Any = None,
        overlay: Mapping[str, Marginals] | None = None,
        masses: Sequence[float] = (0.68, 0.95),
        **kwargs: Any,
    ) -> Any:
        """Draw the posterior as a corner plot and return the figure.

        Parameters
        ----------
        grid : meshgrid, optional
            The marginals then have its extent and size.
        gridsize : int or sequence of int, optional
            Points of the marginals along each parameter.
        truth : parameter vector or sequence of those, optional
            Where to draw lines.
        overlay : mapping from name to posterior, optional
            Drawn over this one, for example ``{"ABC": ABC.samples()[0]}``.
        masses : sequence of float
            Probability masses that the contours enclose.
        **kwargs
            figure, figsize, and properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        ranges: Any = None
        if grid is not None:
            where = as_grid(grid, self.n_params)
            ranges = list(zip(where.points.min(axis=0), where.points.max(axis=0), strict=True))
            gridsize = gridsize or (where.shape if where.cells is not None else None)
        bins = None if gridsize is None else as_sizes("gridsize", gridsize, self.n_params, 20)
        options = {"truth": truth, "overlay": overlay, "masses": masses, **kwargs}
        name = "Gaussian approximation"
        return plots.corner_plot(
            name, self.gaussian, self.labels, bins=bins, ranges=ranges, **options
        )

    def explore(
        self,
        simulator: Callable[..., Any] | None = None,
        *,
        exact: Callable[[Any], Posterior] | None = None,
    ) -> Any:
        """Return an `InferenceDashboard` of these targets.

        Parameters
        ----------
        simulator : callable, optional
            With one, ABC and PMC can be run on the page.
        exact : callable, optional, keyword only
            ``exact(data)``: samples of the exact posterior for data of shape input_shape.

        Returns
        -------
        imnn_lab.dashboards.InferenceDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        return self._dashboard(simulator, exact=exact)
