"""The seed-compatible façade of population Monte Carlo."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.inference.population import (
    Moves,
    Population,
    first_population,
    population_monte_carlo,
)
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.rejection import prior_draws
from imnn_lab.inference.stopping import Stopping, thinned, until_stopped
from imnn_lab.lfi.arguments import as_fraction, as_percentile
from imnn_lab.lfi.particles import Particles
from imnn_lab.simulate import SimulationError

Callback = Callable[[Population, int], Any]


@dataclass(frozen=True)
class Limits:
    """What ends a run besides its criterion: simulations and seconds for a target, a callback."""

    max_simulations: int | None = 10_000_000
    max_seconds: float | None = None
    callback: Callback | None = None

    def __post_init__(self) -> None:
        checks.optional_integer("max_simulations", self.max_simulations, 1)
        if self.max_seconds is not None:
            checks.number("max_seconds", self.max_seconds, above=0)


@dataclass(frozen=True)
class Schedule:
    """How a run moves, kept for `resume`."""

    criterion: float
    moves: Moves
    seeds: np.random.SeedSequence
    at_once: bool | int | None
    save_sims: str | None


class PopulationMonteCarlo(Particles):
    """Move a population of weighted particles towards each target.

    The weights are those of the deterministic mixture (see `imnn_lab.inference.population`); what
    is read from the particles must use them, as `posterior`, `summary` and `sample` do.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, simulator, labels
        As for `ApproximateBayesianComputation`.
    seed, executor, max_failed, verbose
        As for `ApproximateBayesianComputation`, keyword only.

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

    @cached_property
    def _stop(self) -> threading.Event:
        return threading.Event()

    def PMC(
        self,
        draws: int,
        initial_draws: int,
        criterion: float,
        percentile: float | None = 75.0,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        kernel_scale: float = 1.0,
        **limits: Any,
    ) -> list[Population]:
        """Draw from the prior, keep the nearest, and move them until it becomes difficult.

        Parameters
        ----------
        draws : int
            Particles to keep for each target.
        initial_draws : int
            Simulations from the prior, shared by the targets; at least `draws`.
        criterion : float
            Stop when at most this fraction of an iteration's proposals is nearer than the
            population's farthest particle.
        percentile : float or None
            Each iteration proposes (100 − percentile)/percentile · draws particles; None proposes
            a hundredth of draws, but at least one.
        at_once, save_sims, tqdm_notebook
            See `ApproximateBayesianComputation.ABC`.
        kernel_scale : float, keyword only
            Covariance of the proposal's kernels in units of the population's.
        **limits
            max_simulations : int, budget for each target, 10⁷ by default; max_seconds : float,
            wall time for each target; callback : ``callback(population, target_index)`` after each
            iteration, when it returns True, the run stops.

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
        draws = checks.integer("draws", draws, self.n_params + 2)
        initial = checks.integer("initial_draws", initial_draws, draws, "Draw more than you keep.")
        scale = checks.number("kernel_scale", kernel_scale, above=0)
        moves, ends = Moves(as_percentile(percentile), scale), Limits(**limits)
        criterion = as_fraction("criterion", criterion)
        if ends.max_simulations is not None and initial > ends.max_simulations:
            expected = f"be at least initial_draws = {initial}"
            raise ValueError(checks.wording("`max_simulations`", expected, ends.max_simulations))
        self._refuse_changed_estimator()
        schedule = Schedule(criterion, moves, self._next_seeds(), at_once, save_sims)
        starts = self._starts(draws, initial, schedule, tqdm_notebook)
        self._schedule, self._populations = schedule, [[start] for start in starts]
        return self._move(schedule, ends, tqdm_notebook)

    __call__ = PMC

    def resume(
        self, criterion: float | None = None, tqdm_notebook: bool | None = None, **limits: Any
    ) -> list[Population]:
        """Go on from where the last run stopped, as if it had not.

        Parameters
        ----------
        criterion : float, optional
            The run's own by default.
        tqdm_notebook, **limits
            As for `PMC`; `max_simulations` includes those made so far.

        Returns
        -------
        list of Population
            The last of each target.

        Raises
        ------
        RuntimeError
            If there is no run to go on with.

        Examples
        --------
        >>> before = PMC.ε[0]
        >>> populations = PMC.resume(criterion=0.1)
        >>> bool(PMC.ε[0] < before)
        True
        """
        if self._schedule is None:
            raise RuntimeError(
                checks.wording("`resume`", "have a run to go on with", "none", "Call PMC(...).")
            )
        self._refuse_changed_estimator()
        schedule = self._schedule
        if criterion is not None:
            schedule = replace(schedule, criterion=as_fraction("criterion", criterion))
        return self._move(schedule, Limits(**limits), tqdm_notebook)

    def stop(self) -> None:
        """Ask a run in another thread to stop after its iteration."""
        self._stop.set()

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
        there = self._populations[0] if self._populations else ()
        return self._explored(self.simulator, exact=exact, populations=there)

    def _starts(
        self, draws: int, initial: int, schedule: Schedule, tqdm_notebook: bool | None
    ) -> list[Population]:
        model = self._model(schedule.at_once, schedule.save_sims, tqdm_notebook)
        drawn = prior_draws(model, self.prior, initial, schedule.seeds)
        if len(drawn.parameters) < self.n_params + 2:
            received = f"{len(drawn.parameters)}. The first failure:\n{drawn.failure}"
            expected = f"give at least {self.n_params + 2} simulations to start from"
            raise SimulationError(checks.wording("The draws from the prior", expected, received))
        return [first_population(drawn, target, self.prior, draws) for target in self.targets]

    def _move(
        self, schedule: Schedule, limits: Limits, tqdm_notebook: bool | None
    ) -> list[Population]:
        """Move every target's population, keeping each iteration as it comes."""
        self._stop.clear()
        self._stopped = ["interrupted"] * self.n_targets
        show = progress_bar(self.verbose, tqdm_notebook, desc="PopulationMonteCarlo")
        for i in range(self.n_targets):
            with show() as bar:
                self._move_target(i, schedule, limits, bar)
        return self.populations

    def _move_target(self, i: int, schedule: Schedule, limits: Limits, bar: Any) -> None:
        start = self._populations[i][-1]
        rules = Stopping(schedule.criterion, limits.max_simulations, limits.max_seconds)
        model = self._model(schedule.at_once, schedule.save_sims, show=False)
        seeds = np.random.SeedSequence(
            schedule.seeds.entropy, spawn_key=(*schedule.seeds.spawn_key, i)
        )
        moving = population_monte_carlo(
            start, self.targets[i], self.prior, model, seeds, schedule.moves
        )
        proposals = schedule.moves.proposals(start.size)
        before = 0
        for population, reason in until_stopped(start, moving, rules, proposals):
            bar.update(population.simulations - before)
            bar.set_postfix(
                refresh=False, ε=f"{population.ε:.3g}", acceptance=f"{population.acceptance:.3f}"
            )
            before = population.simulations
            if population is not start:
                self._populations[i] = thinned([*self._populations[i], population])
            if limits.callback is not None and limits.callback(population, i):
                self._stop.set()
            self._stopped[i] = reason or ("asked" if self._stop.is_set() else "interrupted")
            if self._stop.is_set():
                return
