"""The seed-compatible façade of population Monte Carlo."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks, inference
from imnn_lab.executors import as_executor
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.scatter import check_axes
from imnn_lab.inference import (
    Draws,
    ForwardModel,
    Moves,
    Population,
    Posterior,
    Stopping,
    Target,
)
from imnn_lab.inference.adjustment import as_order
from imnn_lab.inference.population import all_draws, sizes_for, thinned
from imnn_lab.lfi import plots
from imnn_lab.lfi.base import as_callback, pop_options, refuse_together, refuse_unknown
from imnn_lab.lfi.comparing import ComparingInference
from imnn_lab.progress import progress_bar
from imnn_lab.simulate import ExecutorError, SimulationError

MAX_SIMULATIONS = 10_000_000
RUNNING = ("max_simulations", "max_seconds", "callback", "kernel_scale")
Callback = Callable[[Population, int], Any]
CALL = "call `PMC(draws, initial_draws, criterion)` first"


@dataclass(frozen=True)
class Schedule:
    """How a run moves and what ends it, kept for `resume`."""

    model: ForwardModel
    moves: Moves
    seeds: np.random.SeedSequence
    rules: Stopping
    callback: Callback | None


class PopulationMonteCarlo(ComparingInference):
    """Move a population of weighted particles towards each target.

    A run that is interrupted (Ctrl-C) keeps its last population, and `resume` goes on from there.

    The weights are those of the deterministic mixture (see `imnn_lab.inference.population`); what
    is read from the particles must use them, as `posterior`, `summary` and `sample` do.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, simulator, labels
        As for `ApproximateBayesianComputation`.
    seed, executor, max_failed, verbose, directory
        As for `ApproximateBayesianComputation`, keyword only.
    distance : "fisher", "mad" or callable, keyword only
        As for `ApproximateBayesianComputation`; with "mad" the units are taken anew from the
        simulations of each round, those from one mixture of kernels, so that ε may rise.

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
    >>> PMC = LFI.PopulationMonteCarlo(
    ...     observed, prior, problem.F, get_estimate, problem.simulator, ["μ", "Σ"], seed=1,
    ...     verbose=False,
    ... )
    >>> populations = PMC(draws=100, initial_draws=500, criterion=0.2)
    >>> PMC.stopped, PMC.parameters[0].shape, PMC.weights[0].shape
    (['criterion'], (100, 2), (100,))
    >>> PMC.sample(5, rng=1).shape  # by weight
    (1, 5, 2)
    """

    _schedule: Schedule | None = None
    _populations: list[list[Population]] | None = None
    _stopped: list[str] | None = None
    _stop_requested = False

    def PMC(
        self,
        draws: int | None = None,
        initial_draws: int | None = None,
        criterion: float | None = None,
        percentile: float | None = 75.0,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        kernel_scale: float = 1.0,
        max_simulations: int | None = MAX_SIMULATIONS,
        max_seconds: float | None = None,
        callback: Callback | None = None,
    ) -> list[Population]:
        """Draw from the prior, keep the nearest, and move them until it becomes difficult.

        ``PMC(max_simulations=10_000)`` chooses the first three arguments, and spends that number.

        Parameters
        ----------
        draws : int, optional
            Particles to keep for each target.
        initial_draws : int, optional
            Simulations from the prior, shared by the targets; at least `draws`.
        criterion : float, optional
            Stop when at most this fraction of an iteration's proposals is nearer than the
            population's farthest particle.
        percentile : float or None
            Each iteration proposes (100 − percentile)/percentile · draws particles; None proposes
            a hundredth of draws, but at least one.
        at_once, save_sims, tqdm_notebook
            See `ApproximateBayesianComputation.ABC`.
        kernel_scale : float, keyword only
            Covariance of the proposal's kernels in units of the default ones.
        max_simulations : int or None, keyword only
            Budget of simulations for each target.
        max_seconds : float, optional, keyword only
            Wall time for each target.
        callback : callable, optional, keyword only
            ``callback(population, target_index)`` runs after each iteration; if it returns True,
            the run stops.

        Returns
        -------
        list of Population
            The last of each target; `stopped` says why it is the last: criterion, max_simulations,
            max_seconds or asked (by `stop` or the callback).

        Raises
        ------
        SimulationError
            If too many simulations fail.
        ValueError
            If the arguments do not fit one another.
        """
        draws, initial_draws, criterion = self._completed(
            draws, initial_draws, criterion, max_simulations
        )
        draws = checks.integer("draws", draws, self.n_params + 2)
        initial = checks.integer("initial_draws", initial_draws, draws, "Draw more than you keep.")
        scale = checks.number("kernel_scale", kernel_scale, above=1e-6, below=1e6)
        if percentile is not None:
            remedy = "At 100 no particle would ever move; None moves a hundredth at a time."
            percentile = checks.number(
                "percentile", percentile, above=1e-6, below=100, remedy=remedy
            )
        moves = Moves(percentile, scale)
        rules = Stopping(checks.fraction("criterion", criterion), max_simulations, max_seconds)
        callback = as_callback(callback)
        if max_simulations is not None and initial > max_simulations:
            expected = f"be at least initial_draws = {initial}"
            raise ValueError(checks.wording("`max_simulations`", expected, max_simulations))
        self._refuse_changed_estimator()
        model = self._model(at_once, save_sims, show=False)
        parts: list[Draws] = []
        shown = self._model(at_once, save_sims, tqdm_notebook, keep=parts.append)
        with self._repeatable(("PMC",)) as seeds:
            schedule = Schedule(model, moves, seeds, rules, callback)
            try:
                first = inference.prior_draws(shown, self.prior, initial, seeds)
            except (KeyboardInterrupt, ExecutorError):
                if sum(len(part.parameters) for part in parts) >= self.n_params + 2:
                    with contextlib.suppress(ValueError):  # an estimator that tells nothing
                        self._begin(schedule, Draws.joined(parts), draws)
                raise
            self._begin(schedule, first, draws)
            return self._move(schedule, tqdm_notebook)

    __call__ = PMC

    def resume(
        self,
        criterion: float | None = None,
        tqdm_notebook: bool | None = None,
        *,
        max_simulations: int | None = MAX_SIMULATIONS,
        max_seconds: float | None = None,
        callback: Callback | None = None,
    ) -> list[Population]:
        """Continue the last run as if it had not stopped.

        Parameters
        ----------
        criterion : float, optional
            The run's own by default.
        tqdm_notebook, max_simulations, max_seconds, callback
            As for `PMC`; `max_simulations` includes those made so far.

        Returns
        -------
        list of Population
            The last of each target.

        Raises
        ------
        RuntimeError
            If there is no run to continue.

        Examples
        --------
        >>> before = PMC.ε[0]
        >>> populations = PMC.resume(criterion=0.1)
        >>> bool(PMC.ε[0] < before)
        True
        """
        if self._schedule is None:
            raise RuntimeError(f"No run to resume: {CALL}.")
        callback = as_callback(callback)
        self._refuse_changed_estimator()
        schedule = self._schedule
        criterion = schedule.rules.criterion if criterion is None else criterion
        rules = Stopping(checks.fraction("criterion", criterion), max_simulations, max_seconds)
        model = replace(schedule.model, executor=as_executor(self.executor))  # the last may be dead
        schedule = replace(schedule, model=model, rules=rules, callback=callback)
        return self._move(schedule, tqdm_notebook)

    def stop(self) -> None:
        """Ask a run in another thread to stop after its iteration."""
        self._stop_requested = True

    @property
    def targets(self) -> list[Target]:
        """The targets' estimates, with the distance from them, in the units of their particles."""
        found = super().targets
        if not self._populations:
            return found
        last = [populations[-1] for populations in self._populations]
        return [replace(t, scales=p.scales) for t, p in zip(found, last, strict=True)]

    @property
    def iterations(self) -> list[list[Population]]:
        """All populations of each target, thinned evenly to at most 500.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        if not self._populations:
            raise RuntimeError(f"No particles yet: {CALL}.")
        return self._populations

    @property
    def populations(self) -> list[Population]:
        """The last population of each target."""
        return [populations[-1] for populations in self.iterations]

    @property
    def stopped(self) -> list[str]:
        """Why each target's run stopped: criterion, max_simulations, max_seconds or asked."""
        return self._stopped or []

    @property
    def parameters(self) -> list[np.ndarray]:
        """Particles of each target, shape (draws, n_params)."""
        return [population.parameters.copy() for population in self.populations]

    @property
    def estimates(self) -> list[np.ndarray]:
        """Their estimates, shape (draws, n_params)."""
        return [population.estimates.copy() for population in self.populations]

    @property
    def differences(self) -> list[np.ndarray]:
        """Estimates minus the target's, shape (draws, n_params)."""
        return [t.differences(e) for t, e in zip(self.targets, self.estimates, strict=True)]

    @property
    def distances(self) -> list[np.ndarray]:
        """Distances from the target, shape (draws,)."""
        return [population.distances.copy() for population in self.populations]

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

    @property
    def draws(self) -> Draws:
        """All draws of all targets, weighted against the prior; they train `NeuralPosterior` too.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        populations = self.populations
        parts = sum(len(p.made) - 1 for p in populations) + 1
        make = progress_bar(self.verbose, None, desc="Weights", unit="iteration")
        with make(total=parts) as bar:
            weighted = []
            for part in all_draws(populations, self.prior):
                weighted.append(part)
                bar.update(1)
        weights = [part.weights for part in weighted if part.weights is not None]
        return replace(Draws.joined(weighted), weights=np.concatenate(weights))

    def samples(self, *, adjust: bool | str = False) -> list[Posterior]:
        """Return each target's particles as weighted samples of its posterior.

        Parameters
        ----------
        adjust : bool, "linear" or "quadratic", keyword only
            Apply a regression adjustment (see `imnn_lab.inference.adjustment`), True a linear one,
            to the nearest of all draws, up to three times as many as there are particles.
        """
        pairs = zip(self.populations, self.targets, strict=True)
        return [p.posterior(self.labels, self.prior, adjust, target) for p, target in pairs]

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
        *,
        adjust: bool | str = False,
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
        adjust : bool, "linear" or "quadratic", keyword only
            As for `samples`.
        **options
            kernel_scale, max_simulations, max_seconds and callback of `PMC`.

        Returns
        -------
        ndarray, shape (n_targets,) + bins

        Raises
        ------
        RuntimeError
            If `PMC` has not run yet.
        TypeError
            If a keyword is unknown, or would be ignored because `draws` is not given.
        """
        run = (draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook)
        refuse_unknown("posterior", {n: v for n, v in options.items() if n not in RUNNING})
        self._check_histogram(bins, ranges)
        as_order(adjust)
        self._obtain(*run, **options)
        return self._histograms(self.samples(adjust=adjust), bins, ranges)

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
        *,
        adjust: bool | str = False,
        **kwargs: Any,
    ) -> Any:
        """Draw the posterior as a corner plot and return the figure.

        Parameters
        ----------
        smoothing : float, optional
            Width of a Gaussian filter in bins; it widens the posterior.
        bins, ranges, draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook
            As for `posterior`.
        adjust
            As for `samples`.
        **kwargs
            truth, overlay, masses, figure, figsize (see `GaussianApproximation.plot`), the keywords
            of `PMC`, and properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        run = (draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook)
        self._check_histogram(bins, ranges)
        as_order(adjust)
        kwargs = self._obtain(*run, **kwargs)
        kwargs |= {"smoothing": smoothing, "bins": bins, "ranges": ranges}
        return plots.corner_plot("PMC", self.samples(adjust=adjust), self.labels, **kwargs)

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
        run = (draws, initial_draws, criterion, percentile, at_once, save_sims, tqdm_notebook)
        check_axes(axes)
        kwargs = self._obtain(*run, **kwargs)
        clouds = [
            Cloud(p.parameters, p.estimates, p.distances, p.weights, series=i)
            for i, p in enumerate(self.populations)
        ]
        return plots.scatter_plot("PMC", clouds, self.labels, axes, self.target_estimates, **kwargs)

    def explore(self, *, exact: Callable[[Any], Posterior] | None = None) -> Any:
        """Return an `InferenceDashboard` with the first target's populations so far.

        Parameters
        ----------
        exact : callable, optional, keyword only
            ``exact(data)``: samples of the exact posterior for data of shape input_shape.

        Returns
        -------
        imnn_lab.dashboards.InferenceDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        populations = self._populations[0] if self._populations else ()
        return self._dashboard(self.simulator, exact=exact, populations=populations)

    def _obtain(self, draws: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Run if the arguments ask for it, and return the options that remain."""
        running = pop_options(options, *RUNNING)
        if draws is not None:
            self.PMC(draws, *arguments, **running)
        else:
            named = dict(zip(("initial_draws", "criterion"), arguments, strict=False))
            given = [name for name, value in named.items() if value is not None]
            refuse_together("posterior", [*given, *running], "they go with `draws`")
        return options

    def _completed(
        self, draws: Any, initial_draws: Any, criterion: Any, budget: Any
    ) -> tuple[Any, Any, Any]:
        """Return the sizes of a run and its criterion; those that are None suit the budget."""
        if draws is not None and initial_draws is not None and criterion is not None:
            return draws, initial_draws, criterion
        if budget is None or budget == MAX_SIMULATIONS:
            expected = "get `draws`, `initial_draws` and `criterion`, or a budget"
            received = f"draws={draws}, initial_draws={initial_draws}, criterion={criterion}"
            remedy = "`max_simulations=10_000` alone chooses them."
            raise TypeError(checks.wording("`PMC`", expected, received, remedy))
        budget = checks.integer("max_simulations", budget, self.n_params + 2)
        particles, initial = sizes_for(budget, self.n_params)
        draws = min(particles, budget) if draws is None else draws
        initial = max(initial, draws) if isinstance(draws, int) else initial
        return (
            draws,
            initial if initial_draws is None else initial_draws,
            0.0 if criterion is None else criterion,
        )

    def _begin(self, schedule: Schedule, draws: Draws, keep: int) -> None:
        """Start every target's population with the nearest of draws from the prior."""
        starts = self._first_populations(draws, keep)
        self._schedule, self._populations = schedule, [[start] for start in starts]
        self._stopped = ["interrupted"] * self.n_targets

    def _first_populations(self, draws: Draws, keep: int) -> list[Population]:
        if len(draws.parameters) < self.n_params + 2:
            received = f"{len(draws.parameters)}. The first failure:\n{draws.failure}"
            expected = f"give at least {self.n_params + 2} simulations to start from"
            raise SimulationError(checks.wording("The draws from the prior", expected, received))
        return [
            inference.first_population(draws, target, self.prior, keep) for target in self.targets
        ]

    def _move(self, schedule: Schedule, tqdm_notebook: bool | None) -> list[Population]:
        """Move every target's population, keeping each iteration as it comes."""
        self._stop_requested = False
        self._stopped = ["interrupted"] * self.n_targets
        show = progress_bar(self.verbose, tqdm_notebook, desc="PopulationMonteCarlo")
        for i in range(self.n_targets):
            with show() as bar:
                self._move_target(i, schedule, bar)
        return self.populations

    def _move_target(self, i: int, schedule: Schedule, bar: Any) -> None:
        start, target, moves = self.populations[i], self.targets[i], schedule.moves
        key = (*schedule.seeds.spawn_key, i)
        seeds = np.random.SeedSequence(schedule.seeds.entropy, spawn_key=key)
        moving = inference.population_monte_carlo(
            start, target, self.prior, schedule.model, seeds, moves
        )
        proposals, simulations = moves.proposals(start.size), 0
        for population, reason in inference.until_stopped(start, moving, schedule.rules, proposals):
            bar.update(population.simulations - simulations)
            simulations = population.simulations
            shown = {"ε": f"{population.ε:.3g}", "acceptance": f"{population.acceptance:.3f}"}
            bar.set_postfix(refresh=False, **shown)
            if population is not start:
                self.iterations[i] = thinned([*self.iterations[i], population])
            if schedule.callback is not None and schedule.callback(population.copy(), i):
                self._stop_requested = True
            self.stopped[i] = reason or ("asked" if self._stop_requested else "interrupted")
            if self._stop_requested:
                return
