"""What checks calibration on the inference page: all methods, at simulations that none has seen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from imnn_lab.dashboards.common.background import Record
from imnn_lab.dashboards.inference.tasks import STOPPED, Task, in_parts
from imnn_lab.diagnostics import (
    Calibration,
    Posteriors,
    calibration,
    calibration_of,
    calibration_of_rejection,
)
from imnn_lab.diagnostics.pairs import Pairs, pairs_from
from imnn_lab.diagnostics.posteriors import amortised_posteriors, last_populations
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.learning import Learned
from imnn_lab.inference.population import Population, Stopping
from imnn_lab.inference.priors import Prior

ABC_FEWEST = 5  # accepted draws more than parameters, for each posterior of ABC
PARTICLES, POPULATIONS = 100, 50  # of each population, and how many posteriors of PMC
SHARE = 0.1  # of acceptance at which a population stops

Tell = Callable[[float, str], object]  # how much is done, from 0 to 1, and what is next


@dataclass(frozen=True)
class Plan:
    """What is checked, and how thoroughly.

    Attributes
    ----------
    prior : Prior
    Fisher : ndarray, shape (n_params, n_params)
    labels : tuple of str
    learned : Learned or None
        The neural posterior, if there is one.
    n : int
        Posteriors of each method, but 50 at most of PMC.
    rate : float
        The share of the draws that ABC accepts.
    adjust : bool
        Whether ABC adjusts them.
    budget : int
        Simulations that PMC may make, all together; with 0 it is left out.
    """

    prior: Prior
    Fisher: np.ndarray
    labels: tuple[str, ...]
    learned: Learned | None
    n: int
    rate: float
    adjust: bool
    budget: int

    @property
    def n_populations(self) -> int:
        """How many posteriors of PMC are checked."""
        return min(self.n, POPULATIONS) if self.budget >= POPULATIONS else 0

    def n_seen(self, draws: Draws) -> int:
        """Return how many of the first draws the neural posterior has learned from."""
        if self.learned is None:
            return 0
        seen = self.learned.draws.parameters
        return len(seen) if np.array_equal(draws.parameters[: len(seen)], seen) else 0

    def pairs(self, draws: Draws) -> Pairs:
        """Return the draws as pairs, those that the neural posterior has not seen first."""
        n = self.n_seen(draws)
        order = np.roll(np.arange(len(draws.parameters)), -n)
        ordered = Draws(draws.parameters[order], draws.estimates[order], draws.failed_parameters)
        return pairs_from(ordered, self.prior, self.Fisher, self.labels)


def calibration_task(
    model: ForwardModel,
    plan: Plan,
    seeds: np.random.SeedSequence,
    draws: Record[Draws],
    results: Record[tuple[str, Calibration]],
    tell: Tell,
) -> Task:
    """Return the task of checking the calibration of each method.

    Parameters
    ----------
    model : ForwardModel
        Makes the draws that are missing, and those of PMC.
    plan : Plan
    seeds : SeedSequence
    draws : Record
        Has the draws from the prior so far, and keeps those that are made.
    results : Record
        The calibration of each method is appended to it.
    tell : callable
        Is told how far it is.
    """
    for_draws, for_moves = seeds.spawn(2)

    def task(stop: threading.Event) -> str:
        there = Draws.joined(draws.read())
        missing = plan.n - (len(there.parameters) - plan.n_seen(there))
        made = 0
        for part in in_parts(model, plan.prior, missing, for_draws):
            draws.append(part)
            made += part.num_draws
            tell(0.3 * made / missing, f"{made:,} of {missing:,} simulations")
            if stop.is_set():
                return STOPPED
        pairs = plan.pairs(Draws.joined(draws.read()))
        for name, check in _quick_checks(plan, pairs):
            tell(0.35, name)
            results.append((name, check()))
            if stop.is_set():
                return STOPPED
        populations = []
        for population in _populations(plan, pairs, model, for_moves):
            populations.append(population)
            done = len(populations) / plan.n_populations
            tell(0.4 + 0.6 * done, f"PMC, {len(populations)} of {plan.n_populations}")
            if stop.is_set():
                return STOPPED
        if populations:
            results.append(("PMC", calibration_of(_posteriors(populations, pairs))))
        tell(1.0, "")
        return f"{len(results)} methods checked"

    return task


def _quick_checks(plan: Plan, pairs: Pairs) -> Iterator[tuple[str, Callable[[], Calibration]]]:
    """Yield what needs no further simulation, with names as `report.posteriors` has them."""
    yield "the Gaussian approximation", partial(calibration, pairs, most=plan.n)
    fewest, most = pairs.n_params + ABC_FEWEST, len(pairs) - 1
    nearest = int(np.clip(round(plan.rate * len(pairs)), min(fewest, most), most))
    yield (
        "ABC",
        partial(calibration_of_rejection, pairs, nearest, adjust=plan.adjust, most=plan.n),
    )
    if plan.learned is not None:
        learned = plan.learned.posterior
        yield (
            "the neural posterior",
            lambda: calibration_of(amortised_posteriors(pairs, learned, most=plan.n)),
        )


def _populations(
    plan: Plan, pairs: Pairs, model: ForwardModel, seeds: np.random.SeedSequence
) -> Iterator[Population]:
    if not plan.n_populations:
        return
    each = plan.budget // plan.n_populations
    rules = Stopping(SHARE, len(pairs) - 1 + each)
    yield from last_populations(
        pairs, model, rules, min(PARTICLES, len(pairs) - 1), seeds.spawn(plan.n_populations)
    )


def _posteriors(populations: list[Population], pairs: Pairs) -> Posteriors:
    samples = np.stack([population.parameters for population in populations])
    weights = np.stack([population.weights for population in populations])
    name = f"PMC with {samples.shape[1]} particles"
    θ = pairs.first(len(populations)).θ
    return Posteriors(name, θ, samples, weights, pairs.prior, pairs.labels)
