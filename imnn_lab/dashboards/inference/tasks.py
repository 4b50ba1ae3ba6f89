"""What the threads of the inference page do: append to records, and give what is learned."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from imnn_lab.dashboards.common.background import Record
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.learning import Learned, learned_posteriors
from imnn_lab.inference.population import (
    Moves,
    Population,
    Stopping,
    first_population,
    population_monte_carlo,
    until_stopped,
)
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.rejection import prior_draws
from imnn_lab.simulate import batches, simulate, takes_seed

Task = Callable[[threading.Event], str]
REASONS = {
    "criterion": "acceptance fell below the criterion",
    "max_simulations": "simulation budget used up",
    "max_seconds": "time limit reached",
}
STOPPED = "stopped by the user"
MEMBERS = 4  # networks of a neural posterior


def draw_task(
    model: ForwardModel, prior: Prior, n: int, seeds: np.random.SeedSequence, record: Record[Draws]
) -> Task:
    """Return the task of drawing n times from the prior and simulating there."""

    def task(stop: threading.Event) -> str:
        for draws in in_parts(model, prior, n, seeds):
            record.append(draws)
            if stop.is_set():
                return STOPPED
        return f"{n:,} draws simulated"

    return task


def population_task(
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
        Number of particles, and of initial draws from the prior.
    rules : Stopping
    seeds : SeedSequence
    record : Record
        Each population is appended to it.
    """
    particles, initial = sizes
    for_start, for_moves = seeds.spawn(2)

    def task(stop: threading.Event) -> str:
        parts = []
        for draws in in_parts(model, prior, initial, for_start):
            parts.append(draws)
            if stop.is_set():
                return STOPPED
        start, moves = first_population(Draws.joined(parts), target, prior, particles), Moves()
        later = population_monte_carlo(start, target, prior, model, for_moves, moves)
        proposals = moves.proposals(particles)
        for population, reason in until_stopped(start, later, rules, proposals):
            record.append(population)
            if reason is not None:
                return REASONS[reason]
            if stop.is_set():
                break
        return STOPPED

    return task


def learning_task(
    model: ForwardModel,
    prior: Prior,
    sizes: tuple[int, int],
    seeds: np.random.SeedSequence,
    record: Record[Draws],
    keep: Callable[[Learned], object],
) -> Task:
    """Return the task of learning the posterior of any observation from draws of the prior.

    Parameters
    ----------
    model : ForwardModel
        Makes the draws that are missing.
    prior : Prior
    sizes : pair of int
        Number of draws to learn from, at least, and of epochs, at most.
    seeds : SeedSequence
    record : Record
        Has the draws so far, and keeps those that are made.
    keep : callable
        Is given what is learned after each epoch.
    """
    least, epochs = sizes
    for_draws, for_training = seeds.spawn(2)

    def task(stop: threading.Event) -> str:
        missing = least - len(Draws.joined(record.read()).parameters)
        for part in in_parts(model, prior, missing, for_draws):
            record.append(part)
            if stop.is_set():
                return STOPPED
        draws = Draws.joined(record.read())
        curves = []
        arriving = learned_posteriors(draws, prior, for_training, members=MEMBERS, epochs=epochs)
        for posterior, epoch in arriving:
            curves.append((epoch.training, epoch.held_out))
            training, held_out = np.array(curves).transpose(1, 0, 2)
            keep(Learned(posterior, training, held_out, draws))
            if stop.is_set():
                return STOPPED
        return "all epochs done" if len(curves) == epochs else "no longer better on draws held out"

    return task


def simulated_data(model: ForwardModel, θ: np.ndarray, seed: int) -> Any:
    """Return one simulation at θ, with a first axis of length 1.

    Raises
    ------
    SimulationError
        If the simulator fails.
    """
    seeds = np.random.SeedSequence(seed) if takes_seed(model.simulator) else None
    (batch,) = simulate(model.simulator, batches(θ[None], seeds, 1), max_failed=0.0)
    return batch.simulations


def in_parts(
    model: ForwardModel, prior: Prior, n: int, seeds: np.random.SeedSequence
) -> Iterator[Draws]:
    """Yield n draws in parts small enough to stop between them."""
    size = int(np.clip(n // 50, 1, 1000))
    for start in range(0, n, size):
        (seed,) = seeds.spawn(1)
        yield prior_draws(model, prior, min(size, n - start), seed)
