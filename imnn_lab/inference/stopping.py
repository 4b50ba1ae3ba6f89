"""When a population has moved far enough, or cost enough."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from imnn_lab.inference.population import Population


@dataclass(frozen=True)
class Stopping:
    """Rules that end population Monte Carlo; the first that holds does.

    Parameters
    ----------
    criterion : float
        Fraction of an iteration's proposals nearer than the previous ε at which to stop.
    max_simulations : int, optional
        No iteration starts that could take one target beyond so many simulations.
    max_seconds : float, optional
        No iteration starts after so many seconds.
    """

    criterion: float
    max_simulations: int | None = None
    max_seconds: float | None = None

    def reason(self, population: Population, proposals: int, seconds: float) -> str | None:
        """Return why to stop after a population, or None to go on.

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

    Whoever consumes them may stop at any other.

    Parameters
    ----------
    start : Population
        Where `populations` go on from; yielded first.
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
