"""The seed-compatible façade of approximate Bayesian computation by rejection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.scatter import check_axes
from imnn_lab.inference import (
    Acceptance,
    Draws,
    Posterior,
    Target,
    accept,
    prior_draws,
    until_accepted,
)
from imnn_lab.inference.adjustment import as_order
from imnn_lab.inference.rejection import rounds
from imnn_lab.lfi import plots
from imnn_lab.lfi.base import pop_options, refuse_together, refuse_unknown
from imnn_lab.lfi.comparing import ComparingInference

CHOOSING, DRAWING = ("quantile", "nearest"), ("predrawn", "PMC")
BUDGET = ("min_draws", "max_draws")
OPTIONS = (*CHOOSING, *DRAWING, *BUDGET)


def of_accepted(name: str, accepted: bool = True) -> Any:
    """Return a property that lists one array of the accepted draws of each target."""
    kind = "accepted" if accepted else "rejected"
    shape = f"(num_{kind}[i],)" if name == "distances" else f"(num_{kind}[i], n_params)"

    def arrays(self: ApproximateBayesianComputation) -> list[np.ndarray]:
        owners = [a if name in ("differences", "distances") else a.draws for a in self.acceptances]
        masks = [a.accepted == accepted for a in self.acceptances]
        return [getattr(owner, name)[mask] for owner, mask in zip(owners, masks, strict=True)]

    return property(arrays, doc=f"{name.title()} of each target's {kind} draws, shape {shape}.")


of_rejected = partial(of_accepted, accepted=False)


class ApproximateBayesianComputation(ComparingInference):
    """Draw from the prior, simulate, and accept what lies within ε of the target.

    Draws are kept: another ε costs no simulation. A call that is interrupted (Ctrl-C) keeps those
    made so far.

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
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``: parameters (n, n_params) →
        simulations (n,) + input_shape.
    labels : sequence of str, optional
        A name for each parameter.
    seed : int, optional, keyword only
        Seed of all random numbers.
    executor : concurrent.futures.Executor, optional, keyword only
        Where to simulate.
    max_failed : float, keyword only
        Largest tolerated fraction of failed simulations.
    verbose : bool, keyword only
        Show progress bars.
    directory : str or path, optional, keyword only
        Keeps the draws of finished batches. The same calls of an object with the same arguments
        read them and go on, after a crash too, as does this object if a call is repeated after
        Ctrl-C; of the simulator only the name is compared. The prior must follow its `rng`. Each
        batch is then estimated by itself. Draws know no distance: another one reads the same.
    distance : "fisher", "mad" or callable, keyword only
        What counts as near, of differences Δ from the target's estimate: sqrt(Δ·F Δ), the default;
        each in units of its median absolute deviation among all draws, which needs no F; or a
        function of Δ (n, n_params) that returns distances (n,). ε is in its units.

    Attributes
    ----------
    target_estimates : ndarray, shape (n_targets, n_params)
        Estimates of the target data.
    stopped : str or None
        Why `get_min_accepted` stopped: "accepted", "max_draws" or "interrupted".

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
    >>> ABC = LFI.ApproximateBayesianComputation(
    ...     observed, prior, problem.F, get_estimate, problem.simulator, ["μ", "Σ"], seed=1,
    ...     verbose=False,
    ... )
    >>> made = ABC(draws=2000)
    >>> accepted = ABC.accept_reject(ε=1.5)
    >>> int(ABC.num_accepted[0] + ABC.num_rejected[0])
    2000
    >>> ABC.accepted_parameters[0].shape == (ABC.num_accepted[0], 2)
    True
    >>> ABC.posterior(bins=10).shape
    (1, 10, 10)
    """

    stopped: str | None = None
    _draws: Draws | None = None
    _from_prior = False
    _acceptances: list[Acceptance] | None = None

    def __call__(
        self,
        draws: Any,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        *,
        predrawn: bool = False,
    ) -> Draws:
        """Make draws.

        Parameters
        ----------
        draws, at_once, save_sims, predrawn
            As for `ABC`.

        Returns
        -------
        Draws
            All draws, those whose simulation failed included.
        """
        return self.ABC(draws, at_once, save_sims, predrawn=predrawn)

    def ABC(
        self,
        draws: Any,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        PMC: bool = False,
        update: bool = True,
        *,
        predrawn: bool = False,
        tqdm_notebook: bool | None = None,
    ) -> Draws:
        """Draw from the prior, simulate, estimate.

        Parameters
        ----------
        draws : int, or ndarray of shape (n, n_params)
            Number of simulations; or, with `predrawn`, the parameters to simulate at (in one call,
            so that a simulator may return what was saved).
        at_once : bool, int or None
            True simulates all in one call, False each in its own, an integer that many; None
            chooses.
        save_sims : str, optional
            Write simulations and parameters to ``<save_sims>_000000.npz``, ...
        PMC : bool
            An older name of `predrawn`.
        update : bool
            Keep the draws in this object; otherwise they are returned and nothing else changes.
        predrawn : bool, keyword only
            Whether `draws` are parameters to simulate at.
        tqdm_notebook : bool, optional, keyword only
            Whether the progress bar is a notebook's; None finds out.

        Returns
        -------
        Draws
            All draws, those whose simulation failed included.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        RuntimeError
            If `get_estimate` has changed since this object was built.
        """
        self._refuse_changed_estimator()
        at_given_parameters = checks.boolean("predrawn", predrawn) or checks.boolean("PMC", PMC)
        update = checks.boolean("update", update)
        kept = self._interruptible([], not at_given_parameters, update)
        with self._repeatable(("ABC", update)) as seeds, kept as parts:
            if at_given_parameters:
                model = self._model(True, save_sims, tqdm_notebook, keep=parts.append)
                result = model.draws(self._as_parameters(draws), seeds)
            else:
                model = self._model(at_once, save_sims, tqdm_notebook, keep=parts.append)
                remedy = "Parameters to simulate at go with predrawn=True."
                number = checks.integer("draws", draws, 1, remedy)
                result = prior_draws(model, self.prior, number, seeds)
        if update:
            self._keep(result, from_prior=not at_given_parameters)
        return result

    @checks.greek_keywords
    def accept_reject(
        self, ε: float | None = None, *, quantile: float | None = None, nearest: int | None = None
    ) -> list[Acceptance]:
        """Accept the draws within ε of each target; no simulation is made.

        Parameters
        ----------
        ε : float, optional
            Radius ε of acceptance, in standard deviations of the estimate, or the units of
            `distance`.
        quantile : float, optional, keyword only
            Accept this fraction of the draws instead.
        nearest : int, optional, keyword only
            Accept this many of the draws instead.

        Returns
        -------
        list of Acceptance
            Which draws each target accepts.

        Raises
        ------
        ValueError
            If not exactly one of the three is given, `nearest` exceeds the number of draws, or
            with distance="mad" half of the estimates of a parameter are the same.
        RuntimeError
            If there are no draws yet.

        Warns
        -----
        UserWarning
            If a target accepts none of the draws, or all, or all are equally far from it.
        """
        if ε is not None:
            ε = checks.number("ε", ε, above=0)
        if quantile is not None:
            quantile = checks.fraction("quantile", quantile)
        if nearest is not None:
            nearest = checks.integer("nearest", nearest, 1)
            if nearest > len(self.draws.parameters):
                expected = f"be at most {len(self.draws.parameters)}, the draws that succeeded"
                remedy = "Draw more first."
                raise ValueError(checks.wording("`nearest`", expected, nearest, remedy))
        self._acceptances = [
            accept(self.draws, target, ε=ε, quantile=quantile, nearest=nearest)
            for target in self.targets
        ]
        for i, acceptance in enumerate(self._acceptances):
            _warn_of_no_posterior(f"Target {i}" if self.n_targets > 1 else "ABC", acceptance)
        return self._acceptances

    @checks.greek_keywords
    def get_min_accepted(
        self,
        ε: float,
        accepted: int,
        min_draws: int = 1000,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        max_draws: int = 1_000_000,
    ) -> list[Acceptance]:
        """Draw until every target has enough accepted draws; those already made count.

        Parameters
        ----------
        ε : float
            Radius ε of acceptance.
        accepted : int
            How many each target needs.
        min_draws : int
            How many to simulate at a time.
        at_once, save_sims, tqdm_notebook
            As for `ABC`.
        max_draws : int, keyword only
            No draws are added after this number of simulations; `stopped` tells the reason.

        Returns
        -------
        list of Acceptance
            Which draws each target accepts.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        ValueError
            With distance="mad", whose units change while draws are added.

        Examples
        --------
        >>> accepted = ABC.get_min_accepted(ε=1.0, accepted=50)
        >>> ABC.stopped, bool(ABC.num_accepted[0] >= 50)
        ('accepted', True)
        """
        if self.distance == "mad":
            expected = "have a distance whose units stay the same while draws are added"
            remedy = "Call `ABC(draws=...)`, then `accept_reject(nearest=...)`."
            raise ValueError(
                checks.wording("`get_min_accepted`", expected, 'distance="mad"', remedy)
            )
        self._refuse_changed_estimator()
        ε = checks.number("ε", ε, above=0)
        size = checks.integer("min_draws", min_draws, 1)
        wanted = checks.integer("accepted", accepted, 1)
        most = checks.integer("max_draws", max_draws, 1)
        start = [] if self._draws_from_prior is None else [self._draws_from_prior]
        self.stopped = "interrupted"
        with self._interruptible(start, from_prior=True) as parts:
            model = self._model(at_once, save_sims, tqdm_notebook, keep=parts.append)
            arriving = rounds(model, self.prior, size, self._next_seeds())
            result, self.stopped = until_accepted(arriving, self.targets, ε, wanted, most, start)
        self._keep(result, from_prior=True)
        return self.accept_reject(ε)

    @property
    def draws(self) -> Draws:
        """All draws made.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        if self._draws is None:
            raise RuntimeError("No draws yet: call `ABC(draws=...)` first.")
        return self._draws

    @property
    def targets(self) -> list[Target]:
        """The targets' estimates, with the distance from them, in the units of all draws."""
        found = super().targets
        if self._draws is None:
            return found
        return [target.measured(self._draws.estimates) for target in found]

    @property
    def drawn_from_prior(self) -> bool:
        """Whether the draws were made at parameters from the prior, not at given ones."""
        return self._from_prior

    @property
    def accepted_ε(self) -> tuple[float, ...] | None:
        """Radius ε of acceptance of each target; None if none are accepted yet."""
        found = self._acceptances
        return None if found is None else tuple(acceptance.ε for acceptance in found)

    @property
    def acceptances(self) -> list[Acceptance]:
        """What `accept_reject` decided for each target.

        Raises
        ------
        RuntimeError
            If it has not been called since the last draws.
        """
        if self._acceptances is None:
            raise RuntimeError("No draws are accepted yet: call `accept_reject(ε)`, or pass ε.")
        return self._acceptances

    @property
    def parameters(self) -> np.ndarray:
        """Parameters whose simulations succeeded, shape (n, n_params)."""
        return self.draws.parameters.copy()

    @property
    def estimates(self) -> np.ndarray:
        """Their estimates, shape (n, n_params)."""
        return self.draws.estimates.copy()

    @property
    def differences(self) -> np.ndarray:
        """Estimates minus each target's, shape (n_targets, n, n_params)."""
        return np.stack([target.differences(self.estimates) for target in self.targets])

    @property
    def distances(self) -> np.ndarray:
        """Distances from each target, shape (n_targets, n)."""
        return np.stack([target.distances(self.estimates) for target in self.targets])

    @property
    def num_draws(self) -> int:
        """Number of simulations, accepted + rejected + failed."""
        return self.draws.num_draws

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return self.draws.num_failed

    @property
    def failed_parameters(self) -> np.ndarray:
        """Where simulations failed, shape (num_failed, n_params)."""
        return self.draws.failed_parameters.copy()

    @property
    def failure(self) -> str | None:
        """What the first failure said."""
        return self.draws.failure

    @property
    def num_accepted(self) -> np.ndarray:
        """Accepted draws of each target, shape (n_targets,)."""
        return np.array([acceptance.num_accepted for acceptance in self.acceptances])

    @property
    def num_rejected(self) -> np.ndarray:
        """Rejected draws of each target, shape (n_targets,)."""
        return np.array([acceptance.num_rejected for acceptance in self.acceptances])

    accepted_parameters: list[np.ndarray] = of_accepted("parameters")
    accepted_estimates: list[np.ndarray] = of_accepted("estimates")
    accepted_differences: list[np.ndarray] = of_accepted("differences")
    accepted_distances: list[np.ndarray] = of_accepted("distances")
    rejected_parameters: list[np.ndarray] = of_rejected("parameters")
    rejected_estimates: list[np.ndarray] = of_rejected("estimates")
    rejected_differences: list[np.ndarray] = of_rejected("differences")
    rejected_distances: list[np.ndarray] = of_rejected("distances")

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
        adjust: bool | str = False,
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
        adjust : bool, "linear" or "quadratic", keyword only
            Apply a regression adjustment (see `imnn_lab.inference.adjustment`); True a linear one.
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
        TypeError
            If a keyword is unknown, or would be ignored beside the others.
        """
        refuse_unknown("posterior", {n: v for n, v in options.items() if n not in OPTIONS})
        self._check_histogram(bins, ranges)
        as_order(adjust)
        self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **options)
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
        adjust: bool | str = False,
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
        self._check_histogram(bins, ranges)
        as_order(adjust)
        kwargs = self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **kwargs)
        kwargs |= {"smoothing": smoothing, "bins": bins, "ranges": ranges}
        return plots.corner_plot("ABC", self.samples(adjust=adjust), self.labels, **kwargs)

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
        fraction = checks.fraction("rejected", rejected)
        check_axes(axes)
        kwargs = self._obtain(ε, draws, accepted, at_once, save_sims, tqdm_notebook, **kwargs)
        clouds = []
        for i, acceptance in enumerate(self.acceptances):
            for is_accepted, part in ((False, fraction), (True, 1.0)):
                mask = acceptance.accepted == is_accepted
                values = (self.parameters[mask], self.estimates[mask], acceptance.distances[mask])
                clouds.append(Cloud(*values, rejected=not is_accepted, series=i).thinned(part))
        return plots.scatter_plot(
            "ABC", clouds, self.labels, axes, self.target_estimates, truth, **kwargs
        )

    def samples(self, *, adjust: bool | str = False) -> list[Posterior]:
        """Return each target's accepted draws as samples of its posterior.

        Parameters
        ----------
        adjust : bool, "linear" or "quadratic", keyword only
            Apply a regression adjustment (see `imnn_lab.inference.adjustment`); True a linear one.
        """
        return [a.posterior(self.labels, self.prior, adjust) for a in self.acceptances]

    def explore(self, *, exact: Callable[[Any], Posterior] | None = None) -> Any:
        """Return an `InferenceDashboard` with the draws made so far.

        Parameters
        ----------
        exact : callable, optional, keyword only
            ``exact(data)``: samples of the exact posterior for data of shape input_shape.

        Returns
        -------
        imnn_lab.dashboards.InferenceDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        return self._dashboard(self.simulator, exact=exact, draws=self._draws_from_prior)

    def _obtain(
        self, ε: Any, draws: Any, accepted: Any, *sampling: Any, **options: Any
    ) -> dict[str, Any]:
        """Draw and accept as the arguments ask, and return the options that remain."""
        simulating = dict(zip(("at_once", "save_sims", "tqdm_notebook"), sampling, strict=True))
        choosing = pop_options(options, *CHOOSING)
        drawing = pop_options(options, *DRAWING)
        budget = pop_options(options, *BUDGET)
        if accepted is not None:
            reason = "with `accepted`, draws of the prior are made until enough are within ε"
            refuse_together("posterior", [*choosing, *drawing], reason)
        else:
            refuse_together("posterior", budget, "they go with `accepted`")
        if draws is None:
            refuse_together("posterior", drawing, "they go with `draws`")
        if accepted is not None:
            if draws is not None:
                budget.setdefault("min_draws", draws)
            self.get_min_accepted(ε, accepted, **simulating, **budget)
            return options
        if draws is not None:
            self.ABC(draws, **simulating, **drawing)
        if ε is not None or choosing:
            self.accept_reject(ε, **choosing)
        return options

    @property
    def _draws_from_prior(self) -> Draws | None:
        return self._draws if self._from_prior else None

    @contextlib.contextmanager
    def _interruptible(
        self, start: list[Draws], from_prior: bool, update: bool = True
    ) -> Iterator[list[Draws]]:
        """Yield a list for the parts of draws; if the block raises, what it holds is kept."""
        parts = [*start]
        try:
            yield parts
        except BaseException:
            if update and len(parts) > len(start):
                self._keep(Draws.joined(parts), from_prior)
            raise

    def _keep(self, draws: Draws, from_prior: bool) -> None:
        self._draws, self._from_prior, self._acceptances = draws, from_prior, None

    def _as_parameters(self, draws: Any) -> np.ndarray:
        array = np.asarray(checks.real_array("draws", draws), np.float64)
        array = array[:, None] if array.ndim == self.n_params == 1 else array
        if array.ndim != 2 or array.shape[1] != self.n_params or not len(array):
            expected = f"be parameters of shape (n, {self.n_params}) when predrawn"
            raise ValueError(checks.wording("`draws`", expected, f"shape {array.shape}"))
        return checks.finite("draws", array)


def _warn_of_no_posterior(name: str, acceptance: Acceptance) -> None:
    """Warn if the accepted draws say nothing about the parameters."""
    draws, ρ = acceptance.draws, acceptance.distances
    if acceptance.target.tells_nothing(draws):
        checks.warn(
            f"{name}: all {len(ρ)} estimates are at the same distance ρ = {ρ[0]:.3g}, so that the "
            "accepted draws are those of the prior. `get_estimate` does not depend on its data."
        )
    elif not acceptance.num_accepted and len(ρ):
        checks.warn(
            f"{name}: no draw is accepted within ε = {acceptance.ε:.3g}; the nearest of {len(ρ)} "
            f"is at ρ = {ρ.min():.3g}. There is no posterior: raise ε, or draw more."
        )
    elif acceptance.num_accepted == len(ρ) > 1:
        checks.warn(
            f"{name}: all {len(ρ)} draws are accepted, so that they are those of the prior. "
            "Accept fewer: a smaller ε, `nearest` or `quantile`."
        )
