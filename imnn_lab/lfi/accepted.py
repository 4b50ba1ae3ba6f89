"""What is read from the accepted draws: histogram, samples, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud
from imnn_lab.inference.density import Marginals
from imnn_lab.inference.posterior import Posterior
from imnn_lab.lfi import views
from imnn_lab.lfi.arguments import as_fraction, refuse_unknown
from imnn_lab.lfi.attributes import DrawAttributes
from imnn_lab.lfi.base import SimulatedInference


class AcceptedDraws(DrawAttributes, SimulatedInference):
    """Draws that can be made, accepted and shown."""

    ABC: Callable[..., Any]
    accept_reject: Callable[..., Any]
    get_min_accepted: Callable[..., Any]

    @checks.greek_keywords
    def posterior(
        self,
        bins: Any = None,
        ranges: Any = None,
        ε: float | None = None,
        draws: Any = None,
        accepted: int | None = None,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        adjust: bool = False,
        **options: Any,
    ) -> np.ndarray:
        """Return the histogram of the accepted draws, a density over all parameters.

        Parameters
        ----------
        bins : int or sequence of int, optional
            Bins along each parameter, 20 by default.
        ranges : sequence of (low, high), optional
            Range of each parameter; by default where the accepted draws lie. `bin_edges` returns
            the edges that result.
        ε : float, optional
            When given, `accept_reject` runs first.
        draws : int or ndarray, optional
            When given, `ABC` runs before that.
        accepted : int, optional
            When given, `get_min_accepted` runs instead, with ε, and `draws` as its min_draws.
        at_once, save_sims, tqdm_notebook
            As for `ABC`.
        adjust : bool, keyword only
            Apply the linear regression adjustment (Beaumont, Zhang & Balding 2002).
        **options
            quantile, nearest of `accept_reject`, predrawn of `ABC`, and min_draws, max_draws of
            `get_min_accepted`.

        Returns
        -------
        ndarray, shape (n_targets,) + bins

        Raises
        ------
        RuntimeError
            If nothing has been drawn, or accepted, yet.
        """
        left = self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **options)
        refuse_unknown("posterior", left)
        return self._histograms(self.samples(adjust=adjust), bins, ranges)

    @checks.greek_keywords
    def plot(
        self,
        smoothing: float | None = None,
        bins: Any = None,
        ranges: Any = None,
        ε: float | None = None,
        draws: Any = None,
        accepted: int | None = None,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        adjust: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Draw the posterior as a corner plot and return the figure.

        Parameters
        ----------
        smoothing : float, optional
            Width of a Gaussian filter in bins; it widens the posterior.
        bins, ranges, ε, draws, accepted, at_once, save_sims, tqdm_notebook, adjust
            As for `posterior`.
        **kwargs
            truth, overlay, masses, figure, figsize (see `GaussianApproximation.plot`), the options
            of `posterior`, and properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        kwargs = self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **kwargs)
        posteriors: Mapping[str, Marginals] = views.named(self.samples(adjust=adjust), "ABC")
        shown = {"smoothing": smoothing, "bins": bins, "ranges": ranges}
        return views.corner(posteriors, self.labels, **shown, **kwargs)

    @checks.greek_keywords
    def scatter_plot(
        self,
        axes: str = "parameter_estimate",
        rejected: float = 0.0,
        ε: float | None = None,
        draws: Any = None,
        accepted: int | None = None,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        truth: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Draw the draws, parameters and estimates against one another, and return the figure.

        Parameters
        ----------
        axes : {"parameter_estimate", "parameter_parameter", "estimate_estimate"}
            What lies along the horizontal and the vertical axes.
        rejected : float
            Fraction of the rejected draws to show, from 0 to 1.
        ε, draws, accepted, at_once, save_sims, tqdm_notebook
            As for `posterior`.
        truth : parameter vector or sequence of those, optional
            Where to draw lines.
        **kwargs
            figure, figsize, the options of `posterior`, and properties of matplotlib markers.

        Returns
        -------
        matplotlib.figure.Figure
        """
        kwargs = self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **kwargs)
        fraction = as_fraction("rejected", rejected)
        clouds = []
        for k, found in enumerate(self.acceptances):
            for mask, part in ((~found.accepted, fraction), (found.accepted, 1.0)):
                columns = (self.parameters[mask], self.estimates[mask], found.distances[mask])
                cloud = Cloud(*columns, rejected=mask is not found.accepted, series=k)
                clouds.append(cloud.thinned(part))
        return self._scattered(clouds, "ABC", axes, truth, **kwargs)

    def samples(self, *, adjust: bool = False) -> list[Posterior]:
        """Return each target's accepted draws as samples of its posterior.

        Parameters
        ----------
        adjust : bool, keyword only
            Apply the linear regression adjustment (Beaumont, Zhang & Balding 2002).
        """
        return [a.posterior(self.labels, self.prior, adjust) for a in self.acceptances]

    def _obtain(
        self,
        ε: float | None,
        draws: Any,
        accepted: int | None,
        *sampling: Any,
        **options: Any,
    ) -> dict[str, Any]:
        """Run what the arguments ask for, and return the options that are left."""
        own = {k: options.pop(k) for k in ("quantile", "nearest") if k in options}
        drawing = {k: options.pop(k) for k in ("predrawn", "PMC") if k in options}
        budget: dict[str, Any] = {
            k: options.pop(k) for k in ("min_draws", "max_draws") if k in options
        }
        at_once, save_sims, tqdm_notebook = sampling
        if accepted is not None:
            if draws is not None:
                budget = {"min_draws": draws, **budget}
            own_options: dict[str, Any] = {"at_once": at_once, "save_sims": save_sims, **budget}
            self.get_min_accepted(ε, accepted, tqdm_notebook=tqdm_notebook, **own_options)
            return options
        if draws is not None:
            self.ABC(draws, at_once, save_sims, tqdm_notebook=tqdm_notebook, **drawing)
        if ε is not None or own:
            self.accept_reject(ε, **own)
        return options
