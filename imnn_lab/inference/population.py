"""Population Monte Carlo: weighted particles that move towards the target.

Start with draws from the prior and keep the nearest `draws` of them. In each iteration propose new
particles from a mixture of Gaussian kernels around the population, simulate each once, pool them
with those kept and keep the nearest (Lenormand, Jabot & Deffuant 2013). The weights are those of
the deterministic mixture (Cornuet, Marin, Mira & Robert 2012), over everything ever drawn from,

    w(θ) = π(θ) / (n_0 π(θ) + Σ_t n_t q_t(θ)),

recomputed for all particles in each iteration. Proposals outside the prior are not simulated, but
counted in n_t: so no mixture needs a normalising constant. A mixture serves until a fifth of the
particles have moved; so there are few of them, and evaluating all stays cheap.

With distance="mad" the units of the estimates are taken anew from the simulations of each round,
near or not: those of one mixture, and first those of the prior (Prangle 2017). The particles are
then the nearest of everything simulated so far, so that the weights stay right.

A regression adjustment makes up for a larger ε, so that it moves three times as many draws as there
are particles: the nearest of all, but no more than a tenth of these, or the particles themselves.
Their weights are less uneven, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.adjustment import as_order, regression_adjusted
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.proposal import Proposal, kernel_mixture

BUDGET_SCALE, BUDGET_POWER = 0.7, 0.7  # particles are 0.7 · budget^0.7
PRIOR_PART = 0.2  # of a budget is drawn from the prior
ADJUSTED, MOST_ADJUSTED = 3, 0.1  # times the particles are adjusted, at most that part of all draws
RENEWAL = 0.2  # of the particles must have moved before a new proposal is worth its cost


@dataclass(frozen=True)
class Population:
    """The particles after an iteration, and what the next iteration needs.

    Attributes
    ----------
    iteration : int
        0 for the draws from the prior.
    size : int
        Number of particles to keep; there are fewer while too few simulations succeeded.
    parameters, estimates : ndarray, shape (draws, n_params)
        The particles, and the estimates from their simulations.
    distances : ndarray, shape (draws,)
        Distances ρ of the estimates from the target's.
    log_prior, mixture : ndarray, shape (draws,)
        ln π(θ), and the weights' denominator n_0 π(θ) + Σ_t n_t q_t(θ).
    prior_draws : int
        n_0, failed draws included.
    proposals : tuple of Proposal
        q_1, q_2, ...
    counts : tuple of int
        n_1, n_2, ..., draws outside the prior included.
    latest : ndarray, shape (draws,)
        Density of the last of them at the particles.
    moved : int
        Proposals nearer than ε since the last of them was made.
    acceptance : float
        Fraction of this iteration's simulated proposals nearer than the previous ε.
    simulations, failed : int
        Simulations so far, and how many of them failed.
    failure : str or None
        What the first failure said.
    made : tuple of Draws
        All draws, of the prior and of each iteration.
    round_start : int
        The first of `made` that came from the last proposal.
    scales : ndarray, shape (n_params,), or None
        Units of the distances with distance="mad".
    """

    iteration: int
    size: int
    parameters: np.ndarray
    estimates: np.ndarray
    distances: np.ndarray
    log_prior: np.ndarray
    mixture: np.ndarray
    prior_draws: int
    proposals: tuple[Proposal, ...]
    counts: tuple[int, ...]
    latest: np.ndarray
    moved: int
    acceptance: float
    simulations: int
    failed: int
    failure: str | None = None
    made: tuple[Draws, ...] = ()
    round_start: int = 0
    scales: np.ndarray | None = None

    @property
    def ε(self) -> float:
        """Distance of the farthest particle, in present units; infinite below `size` particles."""
        return float(self.distances.max()) if len(self.distances) == self.size else np.inf

    @property
    def weights(self) -> np.ndarray:
        """Normalised weights, shape (draws,)."""
        weights = np.exp(self.log_prior) / self.mixture
        return weights / weights.sum()

    @property
    def effective_samples(self) -> float:
        """Effective sample size 1/ΣW²."""
        return float(1 / np.sum(self.weights**2)) if len(self.distances) else 0.0

    def copy(self) -> Population:
        """Return a population whose particles can be changed without changing this one."""
        names = ("parameters", "estimates", "distances", "log_prior", "mixture", "latest")
        scales = None if self.scales is None else self.scales.copy()
        return replace(self, scales=scales, **{n: getattr(self, n).copy() for n in names})

    def posterior(
        self,
        labels: tuple[str, ...],
        prior: Prior | None = None,
        adjust: bool | str = False,
        target: Target | None = None,
    ) -> Posterior:
        """Return the particles as weighted samples of the posterior.

        Parameters
        ----------
        labels : tuple of str
            A name for each parameter.
        prior : Prior, optional
            Supplies the bounds; without it only the particles are adjusted.
        adjust : bool, "linear" or "quadratic"
            Apply the regression adjustment, True a linear one, to the nearest of all draws (see
            above); it needs `target`.
        target : Target, optional
            To which the particles have moved.

        Raises
        ------
        TypeError, ValueError
            If `adjust` is not one of these, or has no target.
        """
        chosen, parameters, weights = self, self.parameters.copy(), self.weights
        if order := as_order(adjust):
            if target is None:
                expected, received = "come with a `target`", f"adjust={adjust!r} and target=None"
                remedy = "Pass the target of the particles: its estimates are what they move to."
                raise ValueError(checks.wording("`adjust`", expected, received, remedy))
            if prior is not None and self.made:
                most = int(MOST_ADJUSTED * sum(len(draws.parameters) for draws in self.made))
                keep = max(len(self.parameters), min(ADJUSTED * self.size, most))
                chosen = _nearest_draws(self, target, prior, keep)
            parameters, weights = regression_adjusted(
                chosen.parameters,
                target.differences(chosen.estimates),
                chosen.distances,
                float(chosen.distances.max()),
                weights=chosen.weights,
                prior=prior,
                order=order,
            )
        properties = {
            "ε": chosen.ε,
            "acceptance": self.acceptance,
            "iterations": self.iteration,
            "simulations": self.simulations,
            "failed": self.failed,
        }
        bounds = None if prior is None else prior.bounds
        return Posterior(parameters, weights, labels, bounds, properties)


@dataclass(frozen=True)
class Moves:
    """How a population moves.

    Parameters
    ----------
    percentile : float or None
        Percentage of the particles kept while the others move; None moves a hundredth of them.
    kernel_scale : float
        Covariance of the proposal's kernels, in units of the default ones (see
        `imnn_lab.inference.proposal`).
    """

    percentile: float | None = 75.0
    kernel_scale: float = 1.0

    def proposals(self, draws: int) -> int:
        """Return how many particles to propose in an iteration.

        Parameters
        ----------
        draws : int
            How many particles there are.
        """
        if self.percentile is None:
            return max(1, draws // 100)
        return max(1, round((100 - self.percentile) / self.percentile * draws))


def first_population(draws: Draws, target: Target, prior: Prior, keep: int) -> Population:
    """Return the nearest of draws from the prior.

    Parameters
    ----------
    draws : Draws
        Draws from the prior.
    target : Target
        To which they are near.
    prior : Prior
        What they were drawn from.
    keep : int
        How many to keep.

    Raises
    ------
    ValueError
        If all draws are equally far from the target, or distance="mad" finds no scales.
    """
    target = target.measured(draws.estimates)
    distances = target.distances(draws.estimates)
    if target.tells_nothing(draws):
        received = f"{len(distances)} estimates at the same distance ρ = {distances[0]:.3g}"
        expected = "depend on the simulation; otherwise the posterior is the prior"
        remedy = "Look at its output, and at the network that it belongs to."
        raise ValueError(checks.wording("`get_estimate`", expected, received, remedy))
    nearest = _nearest(distances, keep)
    log_prior = prior.log_prob(draws.parameters[nearest])
    return Population(
        iteration=0,
        size=keep,
        parameters=draws.parameters[nearest],
        estimates=draws.estimates[nearest],
        distances=distances[nearest],
        log_prior=log_prior,
        mixture=draws.num_draws * np.exp(log_prior),
        prior_draws=draws.num_draws,
        proposals=(),
        counts=(),
        latest=np.zeros(len(nearest)),
        moved=0,
        acceptance=1.0,
        simulations=draws.num_draws,
        failed=draws.num_failed,
        failure=draws.failure,
        made=(draws,),
        scales=target.scales,
    )


def population_monte_carlo(
    population: Population,
    target: Target,
    prior: Prior,
    model: ForwardModel,
    seeds: np.random.SeedSequence,
    moves: Moves,
) -> Iterator[Population]:
    """Yield one population after another, without end, starting from any population.

    The random numbers of an iteration depend on the seeds and its number alone: a run
    that continues from a population gives what an uninterrupted run would have given.

    Parameters
    ----------
    population : Population
        Where to start; `first_population` makes one from draws from the prior.
    target : Target
        Towards which the particles move.
    prior : Prior
        Proposals outside its support are not simulated.
    model : ForwardModel
        Simulates and estimates.
    seeds : numpy.random.SeedSequence
        Seed of all random numbers.
    moves : Moves
        How many particles to propose, and how far away.

    Yields
    ------
    Population
        The particles after each iteration.

    Raises
    ------
    ValueError
        If the distances of the population are not those from this target.

    Examples
    --------
    >>> from itertools import islice
    >>> import numpy as np
    >>> from imnn_lab.inference import (
    ...     ForwardModel, Moves, Target, Uniform, first_population, population_monte_carlo,
    ...     prior_draws,
    ... )
    >>> def simulator(parameters, seed):
    ...     return parameters + np.random.default_rng(seed).normal(size=parameters.shape)
    >>> model = ForwardModel(simulator, np.asarray, n_params=1)
    >>> prior, target = Uniform(-5, 5), Target(np.zeros(1), np.eye(1))
    >>> draws = prior_draws(model, prior, 400, np.random.SeedSequence(1))
    >>> start = first_population(draws, target, prior, keep=100)
    >>> moving = population_monte_carlo(
    ...     start, target, prior, model, np.random.SeedSequence(2), Moves()
    ... )
    >>> *_, last = islice(moving, 10)
    >>> last.iteration, bool(last.ε < start.ε)
    (10, True)
    """
    target = _as_of(population, target)
    while True:
        key = (*seeds.spawn_key, population.iteration + 1)
        own = np.random.SeedSequence(seeds.entropy, spawn_key=key)
        for_proposals, for_simulations = own.spawn(2)
        rng = np.random.default_rng(for_proposals)
        population, target = _with_proposal(population, target, prior, rng, moves.kernel_scale)
        count = moves.proposals(population.size)
        proposed = population.proposals[-1].sample(count, rng)
        inside = np.isfinite(prior.log_prob(proposed.copy()))
        draws = model.draws(proposed[inside], for_simulations)
        population = _pooled(_counted(population, count), draws, target, prior)
        yield population


def _as_of(population: Population, target: Target) -> Target:
    """Return the target in the units of a population; refuse one that measures otherwise."""
    target = replace(target, scales=population.scales)
    if not np.allclose(population.distances, target.distances(population.estimates)):
        expected = "go on with the target, and the distance, that it began with"
        received = f"distance={target.distance!r}, which gives others than its particles have"
        raise ValueError(checks.wording("A population", expected, received, "Begin a new one."))
    return target


def _with_proposal(
    population: Population,
    target: Target,
    prior: Prior,
    rng: np.random.Generator,
    kernel_scale: float,
) -> tuple[Population, Target]:
    """Return the population with a new proposal, once enough particles have moved for one.

    The target is in the units of the last proposal's simulations then.
    """
    if population.proposals and population.moved < RENEWAL * population.size:
        return population, target
    if target.distance == "mad" and population.proposals:
        population, target = _remeasured(population, target, prior)
    proposal = kernel_mixture(population.parameters, population.weights, rng, kernel_scale)
    population = replace(
        population,
        proposals=(*population.proposals, proposal),
        counts=(*population.counts, 0),
        latest=proposal.density(population.parameters),
        moved=0,
        round_start=len(population.made),
    )
    return population, target


def _remeasured(population: Population, target: Target, prior: Prior) -> tuple[Population, Target]:
    """Return the nearest of all draws in the units of the last round, and the target in these.

    Where half of a round's estimates of a parameter are the same, the units stay as they are.
    """
    simulated = Draws.joined(population.made[population.round_start :])
    with contextlib.suppress(ValueError):
        target = target.measured(simulated.estimates)
    nearest = _nearest_draws(population, target, prior, population.size)
    return replace(nearest, scales=target.scales), target


def _nearest_draws(population: Population, target: Target, prior: Prior, keep: int) -> Population:
    """Return a population of the nearest of all draws that it was made from, weighted anew."""
    everything = Draws.joined(population.made)
    distances = target.distances(everything.estimates)
    nearest = _nearest(distances, keep)
    columns = {
        "parameters": everything.parameters[nearest],
        "estimates": everything.estimates[nearest],
        "distances": distances[nearest],
        **_weighed(population, everything.parameters[nearest], prior),
    }
    return replace(population, size=keep, **columns)


def _weighed(population: Population, parameters: np.ndarray, prior: Prior) -> dict[str, np.ndarray]:
    """Return what a population knows of the weights of parameters, by the names it has there."""
    drawn = list(zip(population.proposals, population.counts, strict=True))
    values = _mixture_at(parameters, population.prior_draws, drawn, prior)
    return dict(zip(("log_prior", "mixture", "latest"), values, strict=True))


def _mixture_at(
    parameters: np.ndarray,
    prior_draws: int,
    drawn: Sequence[tuple[Proposal, int]],
    prior: Prior,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ln π, the mixture of the prior and all proposals, and the last of these, each (n,)."""
    log_prior = prior.log_prob(parameters.copy())
    latest = np.exp(log_prior)
    mixture = prior_draws * latest
    for proposal, count in drawn:
        latest = proposal.density(parameters)
        mixture += count * latest
    return log_prior, mixture, latest


def _counted(population: Population, count: int) -> Population:
    """Return the population with `count` more draws from its last proposal."""
    *earlier, last = population.counts
    return replace(
        population,
        counts=(*earlier, last + count),
        mixture=population.mixture + count * population.latest,
    )


def _pooled(population: Population, draws: Draws, target: Target, prior: Prior) -> Population:
    """Return the nearest of the population and the new draws, with the weights of all."""
    distances = target.distances(draws.estimates)
    nearer = distances < population.ε
    arriving = {
        "parameters": draws.parameters[nearer],
        "estimates": draws.estimates[nearer],
        "distances": distances[nearer],
        **_weighed(population, draws.parameters[nearer], prior),
    }
    pool = {name: np.append(getattr(population, name), v, axis=0) for name, v in arriving.items()}
    nearest = _nearest(pool["distances"], population.size)
    return replace(
        population,
        iteration=population.iteration + 1,
        moved=population.moved + int(nearer.sum()),
        acceptance=float(nearer.sum() / draws.num_draws) if draws.num_draws else 0.0,
        simulations=population.simulations + draws.num_draws,
        failed=population.failed + draws.num_failed,
        failure=population.failure or draws.failure,
        made=(*population.made, draws),
        **{name: column[nearest] for name, column in pool.items()},
    )


def all_draws(populations: Sequence[Population], prior: Prior) -> Iterator[Draws]:
    """Yield all draws of runs that share their draws from the prior, with weights, run by run.

    The weights are π(θ)/q(θ) of the mixture q of everything drawn from in all runs; the first that
    is yielded are those of the prior.

    Parameters
    ----------
    populations : sequence of Population
        The last of each run, at least one.
    prior : Prior
        What the first draws were drawn from.
    """
    first = populations[0]
    drawn = [pair for p in populations for pair in zip(p.proposals, p.counts, strict=True)]
    for draws in (first.made[0], *(part for p in populations for part in p.made[1:])):
        log_prior, mixture, _ = _mixture_at(draws.parameters, first.prior_draws, drawn, prior)
        yield replace(draws, weights=np.exp(log_prior) / mixture)


def sizes_for(budget: int, n_params: int) -> tuple[int, int]:
    """Return how many particles to keep, and how many to draw from the prior, with a budget.

    Parameters
    ----------
    budget : int
        Simulations for each target.
    n_params : int
        Number of parameters.
    """
    draws = max(n_params + 2, round(BUDGET_SCALE * budget**BUDGET_POWER))
    return draws, min(budget, max(draws, round(PRIOR_PART * budget)))


def _nearest(distances: np.ndarray, keep: int) -> np.ndarray:
    return np.argsort(distances, kind="stable")[:keep]


@dataclass(frozen=True)
class Stopping:
    """Rules that end population Monte Carlo; the first that holds does.

    Parameters
    ----------
    criterion : float
        Fraction of an iteration's proposals nearer than the previous ε at which to stop.
    max_simulations : int, optional
        No iteration starts that could exceed this number of simulations for one target.
    max_seconds : float, optional
        No iteration starts after this time.
    """

    criterion: float
    max_simulations: int | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        checks.optional_integer("max_simulations", self.max_simulations, 1)
        if self.max_seconds is not None:
            checks.number("max_seconds", self.max_seconds, above=0)

    def reason(self, population: Population, proposals: int, seconds: float) -> str | None:
        """Return why to stop after a population, or None to continue.

        Parameters
        ----------
        population : Population
            The last one.
        proposals : int
            Number of proposals the next iteration would make.
        seconds : float
            Time since the start.
        """
        if population.iteration > 0 and population.acceptance <= self.criterion:
            return "criterion"
        budget = self.max_simulations
        if budget is not None and population.simulations + proposals > budget:
            return "max_simulations"
        late = self.max_seconds is not None and seconds >= self.max_seconds
        return "max_seconds" if late else None


def until_stopped(
    start: Population, populations: Iterator[Population], rules: Stopping, proposals: int
) -> Iterator[tuple[Population, str | None]]:
    """Yield populations, each with the reason to stop after it; the last one has a reason.

    The consumer may stop after any other.

    Parameters
    ----------
    start : Population
        Where `populations` start from; yielded first.
    populations : iterator of Population
        What `population_monte_carlo` yields.
    rules : Stopping
        When to stop.
    proposals : int
        Number of proposals in an iteration.

    Yields
    ------
    Population
        `start`, then one after each iteration.
    str or None
        Why it is the last: criterion, max_simulations or max_seconds.
    """
    began, population = time.monotonic(), start
    while True:
        reason = rules.reason(population, proposals, time.monotonic() - began)
        yield population, reason
        if reason is not None:
            return
        population = next(populations)


def thinned(populations: list[Population], most: int = 500) -> list[Population]:
    """Return the populations, every other one dropped when there are more than `most`."""
    if len(populations) <= most:
        return populations
    return [*populations[:-1][::2], populations[-1]]
