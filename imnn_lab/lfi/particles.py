"""What is read from populations: particles and weights, histogram, samples, figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud
from imnn_lab.inference.population import Population
from imnn_lab.inference.posterior import Posterior
from imnn_lab.lfi import views
from imnn_lab.lfi.arguments import refuse_unknown
from imnn_lab.lfi.base import SimulatedInference

RUNNING = ("max_simulations", "max_seconds", "callback", "kernel_scale")


class Particles(SimulatedInference):
    """A population for each target: entry i of every list belongs to target i."""

    PMC: Callable[..., Any]

    @cached_property
    def _populations(self) -> list[list[Population]]:
        return []

    @cached_property
    def _stopped(self) -> list[str]:
        return []

    @property
    def iterations(self) -> list[list[Population]]:
        """All populations of each target, thinned evenly to at most 500.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        if not self._populations:
            remedy = "Call it first: PMC(draws, initial_draws, criterion)."
            raise RuntimeError(checks.wording("The PMC", "have run", "none", remedy))
        return self._populations

    @property
    def populations(self) -> list[Population]:
        """The last population of each target."""
        return [populations[-1] for populations in self.iterations]

    @property
    def stopped(self) -> list[str]:
        """Why each target's run stopped: criterion, max_simulations, max_seconds or asked."""
        return self._stopped

    @property
    def parameters(self) -> list[np.ndarray]:
        """Particles of each target, shape (draws, n_params)."""
        return [population.parameters for population in self.populations]

    @property
    def estimates(self) -> list[np.ndarray]:
        """Their estimates, shape (draws, n_params)."""
        return [population.estimates for population in self.populations]

    @property
    def differences(self) -> list[np.ndarray]:
        """Estimates minus the target's, shape (draws, n_params)."""
        return [t.differences(e) for t, e in zip(self.targets, self.estimates, strict=True)]

    @property
    def distances(self) -> list[np.ndarray]:
        """Distances from the target, shape (draws,)."""
        return [population.distances for population in self.populations]

    @property
    def weights(self) -> list[np.ndarray]:
        """Normalised weights, shape (draws,)."""
        return [population.weights for population in self.populations]

    @property
    def ε(self) -> np.ndarray:
        """Distance of each target's farthest particle, shape (n_targets,)."""
        return np.array([population.ε for population in self.populations])

    @property
    def effective_samples(self) -> np.ndarray:
        """Effective sample size of each target, shape (n_targets,)."""
        return np.array([population.effective_samples for population in self.populations])

    @property
    def num_draws(self) -> np.ndarray:
        """Simulations of each target, the shared ones from the prior included, (n_targets,)."""
        return np.array([population.simulations for population in self.populations])

    @property
    def num_failed(self) -> np.ndarray:
        """How many of those failed, shape (n_targets,)."""
        return np.array([population.failed for population in self.populations])

    @property
    def failure(self) -> str | None:
        """What the first failure said."""
        return next((p.failure for p in self.populations if p.failure), None)

    def samples(self) -> list[Posterior]:
        """Return each target's particles as weighted samples of its posterior."""
        return [p.posterior(self.labels, self.prior) for p in self.populations]

    def posterior(
        self,
        bins: Any = None,
        ranges: Any = None,
        draws: int | None = None,
        initial_draws: int | None = None,
        criterion: float | None = None,
        percentile: float | None = 75.0,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        **options: Any,
    ) -> np.ndarray:
        """Return the weighted histogram of the particles, a density over all parameters.

        Parameters
        ----------
        bins : int or sequence of int, optional
            Bins along each parameter, 20 by default.
        ranges : sequence of (low, high), optional
            Range of each parameter; by default where the particles lie. `bin_edges` returns the
            edges that result.
        draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook
            As for `PMC`, which runs first when `draws` is given.
        **options
            kernel_scale, max_simulations, max_seconds and callback of `PMC`.

        Returns
        -------
        ndarray, shape (n_targets,) + bins

        Raises
        ------
        RuntimeError
            If `PMC` has not run yet.
        """
        sampling = (percentile, at_once, save_sims, tqdm_notebook)
        left = self._obtain(draws, initial_draws, criterion, *sampling, **options)
        refuse_unknown("posterior", left)
        return self._histograms(self.samples(), bins, ranges)

    def plot(
        self,
        smoothing: float | None = None,
        bins: Any = None,
        ranges: Any = None,
        draws: int | None = None,
        initial_draws: int | None = None,
        criterion: float | None = None,
        percentile: float | None = 75.0,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Draw the posterior as a corner plot and return the figure.

        Parameters
        ----------
        smoothing : float, optional
            Width of a Gaussian filter in bins; it widens the posterior.
        bins, ranges, draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook
            As for `posterior`.
        **kwargs
            truth, overlay, masses, figure, figsize (see `GaussianApproximation.plot`), the keywords
            of `PMC`, and properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        sampling = (percentile, at_once, save_sims, tqdm_notebook)
        kwargs = self._obtain(draws, initial_draws, criterion, *sampling, **kwargs)
        shown = {"smoothing": smoothing, "bins": bins, "ranges": ranges}
        return views.corner(views.named(self.samples(), "PMC"), self.labels, **shown, **kwargs)

    def scatter_plot(
        self,
        axes: str = "parameter_estimate",
        draws: int | None = None,
        initial_draws: int | None = None,
        criterion: float | None = None,
        percentile: float | None = 75.0,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Draw the particles, parameters and estimates against one another; return the figure.

        Parameters
        ----------
        axes : {"parameter_estimate", "parameter_parameter", "estimate_estimate"}
            What lies along the horizontal and the vertical axes.
        draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook
            As for `posterior`.
        **kwargs
            truth, figure, figsize, the keywords of `PMC`, and properties of matplotlib markers.

        Returns
        -------
        matplotlib.figure.Figure
        """
        sampling = (percentile, at_once, save_sims, tqdm_notebook)
        kwargs = self._obtain(draws, initial_draws, criterion, *sampling, **kwargs)
        clouds = [
            Cloud(p.parameters, p.estimates, p.distances, p.weights, series=i)
            for i, p in enumerate(self.populations)
        ]
        return self._scattered(clouds, "PMC", axes, **kwargs)

    def _obtain(
        self, draws: Any, initial_draws: Any, criterion: Any, *sampling: Any, **options: Any
    ) -> dict[str, Any]:
        """Run if the arguments ask for it, and return the options that are left."""
        running = {name: options.pop(name) for name in RUNNING if name in options}
        if draws is not None:
            self.PMC(draws, initial_draws, criterion, *sampling, **running)
        return options
