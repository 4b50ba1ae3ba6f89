"""What there is to show of an inference at one moment, and the figures that show it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from imnn_lab.dashboards.observations import Observation
from imnn_lab.figures.clouds import Cloud, column_names
from imnn_lab.figures.corner import corner
from imnn_lab.figures.data import Panels
from imnn_lab.figures.distances import distances
from imnn_lab.figures.scatter import scatter
from imnn_lab.inference.density import Marginals
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.population import Population
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.rejection import Acceptance, accept

GAUSSIAN, ABC, PMC, EXACT = "Gaussian approximation", "ABC", "PMC", "exact"
MOST_SHOWN = 2500  # draws of one cloud that a page shows
WIDTH = 4.5  # standard deviations that figures reach to either side of a posterior's mean
FARTHEST = 3.0  # times as far, where ABC and PMC are still wide
BINS = 30


@dataclass(frozen=True)
class Snapshot:
    """Results and choices at one moment.

    Attributes
    ----------
    key : hashable
        Equal for equal contents.
    observation : Observation
    draws : Draws
        From the prior.
    populations : tuple of Population
        Of population Monte Carlo, in order.
    exact : Posterior or None
    series : tuple of str
        Names of all posteriors that may be shown, in the order of their styles.
    prior : Prior
    ε, adjust, iteration, smoothing, axes
        See `Choices`.
    """

    key: Hashable
    observation: Observation
    draws: Draws
    populations: tuple[Population, ...]
    exact: Posterior | None
    series: tuple[str, ...]
    prior: Prior
    ε: float
    adjust: bool
    iteration: int
    smoothing: float
    axes: str

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each parameter."""
        return self.observation.gaussian.labels

    @cached_property
    def acceptance(self) -> Acceptance:
        """Which draws are within ε of the target; no simulation is needed."""
        return accept(self.draws, self.observation.target, ε=self.ε)

    @property
    def population(self) -> Population | None:
        """The population that is looked at, None before there is one."""
        if not self.populations:
            return None
        last = len(self.populations) - 1
        return self.populations[last if self.iteration < 0 else min(self.iteration, last)]

    @cached_property
    def samples(self) -> dict[str, Posterior | None]:
        """Samples of each posterior, None where there are too few."""
        population = self.population
        found = {
            GAUSSIAN: self.observation.samples,
            ABC: self._accepted(),
            PMC: None if population is None else population.posterior(self.labels, self.prior),
            EXACT: self.exact,
        }
        return {name: found[name] for name in self.series}

    def _accepted(self) -> Posterior | None:
        fewest = len(self.labels) + 2
        nearer = int(np.sum(self.acceptance.distances < self.ε))
        if nearer < fewest:
            return None
        return self.acceptance.posterior(self.labels, self.prior, self.adjust)

    @property
    def posteriors(self) -> dict[str, Marginals | None]:
        """What a corner plot shows: the Gaussian approximation itself rather than its samples."""
        return {**self.samples, GAUSSIAN: self.observation.gaussian}

    @cached_property
    def clouds(self) -> list[Cloud]:
        """The draws that a page shows: ABC's rejected and accepted ones, and the particles."""
        found = self.acceptance
        rows = np.arange(len(found.distances))
        columns = (self.draws.parameters, self.draws.estimates, found.distances)
        everything = Cloud(*columns, rows=rows, series=self.series.index(ABC))
        rejected = replace(everything.taken(~found.accepted), rejected=True)
        clouds = [rejected, everything.taken(found.accepted), self._particles()]
        return [_few(cloud) for cloud in clouds]

    def _particles(self) -> Cloud:
        population, series = self.population, self.series.index(PMC)
        if population is None:
            none = np.empty((0, len(self.labels)))
            return Cloud(none, none, np.empty(0), series=series, rows=np.empty(0, int))
        columns = (population.parameters, population.estimates, population.distances)
        rows = -1 - np.arange(len(population.distances))
        return Cloud(*columns, population.weights, series=series, rows=rows)

    # Figures ----------------------------------------------------------------------------------

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """From where to where figures of each parameter reach.

        As far as the Gaussian approximation and the exact posterior do. Accepted draws and
        particles that reach farther are followed, but not over a whole prior while ε is large.
        """
        low, high = np.array(self.observation.gaussian.ranges(width=WIDTH)).T
        if self.exact is not None:
            low, high = self._widened(low, high, self.exact)
        reach = FARTHEST * (high - low) / 2
        nearest, farthest = (low + high) / 2 - reach, (low + high) / 2 + reach
        for name in (ABC, PMC):
            found = self.samples.get(name)
            if found is not None:
                low, high = self._widened(low, high, found)
        return list(
            zip(np.maximum(low, nearest).tolist(), np.minimum(high, farthest).tolist(), strict=True)
        )

    def _widened(
        self, low: np.ndarray, high: np.ndarray, found: Posterior
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return limits that hold a posterior as well, within the prior."""
        reach = WIDTH * np.nan_to_num(found.sd)
        low = np.minimum(low, np.maximum(found.mean - reach, self.prior.low))
        high = np.maximum(high, np.minimum(found.mean + reach, self.prior.high))
        return low, high

    def corner(self) -> Panels:
        """Describe the corner plot of all posteriors."""
        truth = self.observation.truth
        return corner(
            self.posteriors,
            self.labels,
            truths=[] if truth is None else [truth],
            bins=BINS,
            ranges=self.ranges,
            smoothing=self.smoothing,
            clouds=[cloud for cloud in self.clouds if not cloud.rejected] if self.simulates else [],
        )

    @property
    def simulates(self) -> bool:
        """Whether there may be draws."""
        return ABC in self.series

    def scatter(self) -> Panels:
        """Describe the scatter plot of draws and particles."""
        truth, target = self.observation.truth, self.observation.target
        return scatter(
            self.clouds,
            self.series,
            self.labels,
            self.axes,
            truths=[] if truth is None else [truth],
            targets=[target.estimate],
        )

    def distances(self) -> Panels:
        """Describe the histogram of the draws' distances."""
        return distances(self.acceptance.distances, self.ε, self.series, self.series.index(ABC))

    def table(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the draws of the given numbers as named columns."""
        names = column_names(self.labels)
        drawn, particles = rows[rows >= 0], -1 - rows[rows < 0]
        population = self.population
        parts = [(ABC, self.draws, self.acceptance.distances, np.ones(len(drawn)), drawn)]
        if population is not None:
            particles = particles[particles < len(population.distances)]
            weights = population.weights[particles] / population.weights.max()
            parts.append((PMC, population, population.distances, weights, particles))  # type: ignore[arg-type]
        found: dict[str, list[np.ndarray]] = {}
        for name, source, ρ, weights, chosen in parts:
            columns = {
                "method": np.full(len(chosen), name, object),
                "number": chosen,
                **dict(zip(names["parameter"], source.parameters[chosen].T, strict=True)),
                **dict(zip(names["estimate"], source.estimates[chosen].T, strict=True)),
                names["distance"][0]: ρ[chosen],
                "weight": weights,
            }
            for column, values in columns.items():
                found.setdefault(column, []).append(values)
        return {column: np.concatenate(values) for column, values in found.items()}


def _few(cloud: Cloud) -> Cloud:
    return cloud.thinned(min(1.0, MOST_SHOWN / max(1, len(cloud))))
