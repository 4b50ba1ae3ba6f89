"""What the threads of a page of inference do: append draws and populations to records."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from imnn_lab.dashboards.work import Record
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.population import (
    Moves,
    Population,
    first_population,
    population_monte_carlo,
)
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.rejection import prior_draws
from imnn_lab.inference.stopping import Stopping, until_stopped

Task = Callable[[threading.Event], str]
REASONS = {
    "criterion": "few proposals came nearer any more",
    "max_simulations": "the budget of simulations was spent",
    "max_seconds": "the time was over",
}


def drawing(
    model: ForwardModel, prior: Prior, n: int, seeds: np.random.SeedSequence, record: Record[Draws]
) -> Task:
    """Return the task of drawing n times from the prior and simulating there."""

    def task(stop: threading.Event) -> str:
        made = 0
        for part in _parts(model, prior, n, seeds):
            record.append(part)
            made += part.num_draws
            if stop.is_set():
                break
        return f"{made:,} simulations were made"

    return task


def moving(
    model: ForwardModel,
    prior: Prior,
    target: Target,
    sizes: tuple[int, int],
    rules: Stopping,
    seeds: np.random.SeedSequence,
    record: Record[Population],
) -> Task:
    """Return the task of moving a population towards a target.

    Parameters
    ----------
    model : ForwardModel
    prior : Prior
    target : Target
    sizes : pair of int
        Particles to keep, and draws from the prior to begin with.
    rules : Stopping
    seeds : SeedSequence
    record : Record
        Gets each population as it comes.
    """
    keep, first = sizes
    for_start, for_moves = seeds.spawn(2)

    def task(stop: threading.Event) -> str:
        parts = []
        for part in _parts(model, prior, first, for_start):
            parts.append(part)
            if stop.is_set():
                return "it was stopped among the first draws"
        start, moves = first_population(Draws.joined(parts), target, prior, keep), Moves()
        onwards = population_monte_carlo(start, target, prior, model, for_moves, moves)
        ended = ""
        for population, reason in until_stopped(start, onwards, rules, moves.proposals(keep)):
            record.append(population)
            ended = REASONS[reason] if reason else "it was stopped"
            if stop.is_set():
                break
        return ended

    return task


def _parts(
    model: ForwardModel, prior: Prior, n: int, seeds: np.random.SeedSequence
) -> Iterator[Draws]:
    """Yield n draws in parts small enough to stop between them."""
    size = int(np.clip(n // 50, 1, 1000))
    for start in range(0, n, size):
        (seed,) = seeds.spawn(1)
        yield prior_draws(model, prior, min(size, n - start), seed)
