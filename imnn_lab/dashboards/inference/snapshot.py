"""Results and choices of an inference at one moment, and the figures that show them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab.diagnostics import Calibration
from imnn_lab.figures import Panels, corner, distances, scatter
from imnn_lab.figures.clouds import Cloud, column_names
from imnn_lab.figures.diagnostics import rank_deviations
from imnn_lab.figures.estimates import estimates_and_truth
from imnn_lab.figures.learning import learning_curves
from imnn_lab.inference.density import Marginals
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.gaussian import GaussianPosterior
from imnn_lab.inference.learning import Learned
from imnn_lab.inference.population import Population
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.rejection import Acceptance

GAUSSIAN, ABC, PMC, EXACT = "Gaussian approximation", "ABC", "PMC", "exact"
NEURAL = "neural posterior"
CHECKED = {"the Gaussian approximation": GAUSSIAN, "the neural posterior": NEURAL}  # in sentences
MOST_SHOWN = 2500  # draws of one cloud that a page shows
WIDTH = 4.5  # standard deviations that figures reach to either side of a posterior's mean
FARTHEST = 3.0  # times the reach that others may add while they are still wide
BINS = 30


@dataclass(frozen=True)
class Observation:
    """One target of inference.

    Attributes
    ----------
    name : str
    data : ndarray, shape (1,) + input_shape, or a tuple of such arrays
    target : Target
    gaussian : GaussianPosterior
    samples : Posterior
        Samples of the Gaussian approximation.
    truth : ndarray, shape (n_params,), or None
        The parameters it was simulated at, if known.
    """

    name: str
    data: Any
    target: Target
    gaussian: GaussianPosterior
    samples: Posterior
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class Snapshot:
    """Results and choices at one moment.

    Attributes
    ----------
    key : hashable
        Equal for equal contents.
    observation : Observation
    acceptance : Acceptance
        Draws from the prior, and which of them are within ε of the target.
    populations : tuple of Population
        Iterations of population Monte Carlo, in order.
    learned : Learned or None
        What the neural posterior has learned so far.
    neural : Posterior or None
        Samples of it for the target.
    calibrations : tuple of (str, Calibration)
        What the check found, by the names of the methods in sentences.
    exact : Posterior or None
    series : tuple of str
        Names of all posteriors that may be shown, in the order of their styles.
    prior : Prior
    adjust, iteration, smoothing, axes
        See `Choices`.
    """

    key: Hashable
    observation: Observation
    acceptance: Acceptance
    populations: tuple[Population, ...]
    learned: Learned | None
    neural: Posterior | None
    calibrations: tuple[tuple[str, Calibration], ...]
    exact: Posterior | None
    series: tuple[str, ...]
    prior: Prior
    adjust: bool
    iteration: int
    smoothing: float
    axes: str

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each parameter."""
        return self.observation.gaussian.labels

    @property
    def simulates(self) -> bool:
        """Whether there is a simulator."""
        return ABC in self.series

    @property
    def draws(self) -> Draws:
        """Draws from the prior."""
        return self.acceptance.draws

    @property
    def population(self) -> Population | None:
        """The population that is shown, None before the first."""
        if not self.populations:
            return None
        last = len(self.populations) - 1
        return self.populations[last if self.iteration < 0 else min(self.iteration, last)]

    @cached_property
    def samples(self) -> dict[str, Posterior | None]:
        """Samples of each posterior, None while there are too few."""
        population = self.population
        samples = {
            GAUSSIAN: self.observation.samples,
            ABC: self._accepted(),
            PMC: None if population is None else population.posterior(self.labels, self.prior),
            NEURAL: self.neural,
            EXACT: self.exact,
        }
        return {name: samples[name] for name in self.series}

    def _accepted(self) -> Posterior | None:
        fewest = len(self.labels) + 2  # that the regression adjustment needs
        if self.acceptance.num_accepted < fewest:
            return None
        return self.acceptance.posterior(self.labels, self.prior, self.adjust)

    @property
    def posteriors(self) -> dict[str, Marginals | None]:
        """What a corner plot shows: the Gaussian approximation itself rather than its samples."""
        return {**self.samples, GAUSSIAN: self.observation.gaussian}

    @cached_property
    def clouds(self) -> list[Cloud]:
        """The draws that figures show: ABC's rejected and accepted ones, and the particles."""
        draws, accepted = self._prior_cloud, self.acceptance.accepted
        rejected = replace(draws.select(~accepted), rejected=True)
        return [_few(cloud) for cloud in (rejected, draws.select(accepted), self._particles)]

    @cached_property
    def _prior_cloud(self) -> Cloud:
        draws, ρ = self.draws, self.acceptance.distances
        rows = np.arange(len(ρ))
        return Cloud(draws.parameters, draws.estimates, ρ, rows=rows, series=self.series.index(ABC))

    @cached_property
    def _particles(self) -> Cloud:
        """The particles; their rows are −1, −2, ... since those of draws are 0, 1, ..."""
        population, series = self.population, self.series.index(PMC)
        if population is None:
            none = np.empty((0, len(self.labels)))
            return Cloud(none, none, np.empty(0), np.empty(0), series=series, rows=np.empty(0, int))
        columns = (population.parameters, population.estimates, population.distances)
        rows = -1 - np.arange(len(population.distances))
        return Cloud(*columns, population.weights, series=series, rows=rows)

    def table(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the draws and particles of the given rows as named columns.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Rows of `clouds`.
        """
        parts = [
            self._columns(self._prior_cloud, rows[rows >= 0]),
            self._columns(self._particles, -1 - rows[rows < 0]),
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _columns(self, cloud: Cloud, numbers: np.ndarray) -> dict[str, np.ndarray]:
        names, chosen = column_names(self.labels), numbers[numbers < len(cloud)]
        weights = np.ones(len(cloud)) if cloud.weights is None else cloud.weights
        return {
            "method": np.full(len(chosen), self.series[cloud.series], object),
            "number": chosen,
            **dict(zip(names["parameter"], cloud.parameters[chosen].T, strict=True)),
            **dict(zip(names["estimate"], cloud.estimates[chosen].T, strict=True)),
            names["distance"][0]: cloud.distances[chosen],
            "weight": weights[chosen] / weights.max(initial=1e-300),
        }

    # Figures ----------------------------------------------------------------------------------

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The range of each parameter in figures.

        It holds the Gaussian approximation and the exact posterior. It follows the others
        farther out, but not over the whole prior while ε is large.
        """
        low, high = np.array(self.observation.gaussian.ranges(width=WIDTH)).T
        if self.exact is not None:
            low, high = self._widened(low, high, self.exact)
        reach = FARTHEST * (high - low) / 2
        nearest, farthest = (low + high) / 2 - reach, (low + high) / 2 + reach
        for name in (ABC, PMC, NEURAL):
            posterior = self.samples.get(name)
            if posterior is not None:
                low, high = self._widened(low, high, posterior)
        low, high = np.maximum(low, nearest), np.minimum(high, farthest)
        return list(zip(low.tolist(), high.tolist(), strict=True))

    def _widened(
        self, low: np.ndarray, high: np.ndarray, posterior: Posterior
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return limits that hold a posterior as well, within the prior."""
        reach = WIDTH * np.nan_to_num(posterior.sd)
        low = np.minimum(low, np.maximum(posterior.mean - reach, self.prior.low))
        high = np.maximum(high, np.minimum(posterior.mean + reach, self.prior.high))
        return low, high

    @property
    def _truths(self) -> list[np.ndarray]:
        return [] if self.observation.truth is None else [self.observation.truth]

    @cached_property
    def corner(self) -> Panels:
        """The corner plot of all posteriors."""
        described = corner(
            self.posteriors,
            self.labels,
            truths=self._truths,
            bins=BINS,
            ranges=self.ranges,
            smoothing=self.smoothing,
            clouds=[cloud for cloud in self.clouds if not cloud.rejected] if self.simulates else [],
        )
        return replace(described, truth="true parameters")

    @cached_property
    def scatter(self) -> Panels:
        """The scatter plot of draws and particles."""
        return scatter(
            self.clouds,
            self.series,
            self.labels,
            self.axes,
            truths=self._truths,
            targets=[self.observation.target.estimate],
        )

    @cached_property
    def distances(self) -> Panels:
        """The histogram of the draws' distances."""
        ρ, ε = self.acceptance.distances, self.acceptance.ε
        return distances(ρ, ε, self.series, self.series.index(ABC))

    @cached_property
    def learning(self) -> Panels:
        """The curves of the neural posterior's training."""
        return learning_curves(self.learned)

    @cached_property
    def ranks(self) -> Panels:
        """The ranks of all methods that were checked."""
        found = {CHECKED.get(name, name): report for name, report in self.calibrations}
        names = [name for name in self.series if name != EXACT]
        return rank_deviations({name: found.get(name) for name in names}, self.labels)

    @cached_property
    def estimates(self) -> Panels:
        """The estimates of draws against their parameters."""
        return estimates_and_truth(self.draws, self.labels)


def _few(cloud: Cloud) -> Cloud:
    return cloud.thinned(min(1.0, MOST_SHOWN / max(1, len(cloud))))
