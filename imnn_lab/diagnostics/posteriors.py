"""The posteriors that a table of pairs gives, as weighted samples: one for each estimate.

Those of the Gaussian approximation are drawn from the likelihood N(θ̂, F⁻¹) with the prior as
weights; those of ABC are the parameters of the other pairs whose estimates are nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.pairs import Pairs, refuse_other
from imnn_lab.executors import Executor, as_executor
from imnn_lab.inference import (
    Draws,
    ForwardModel,
    GaussianPosterior,
    Moves,
    Population,
    Prior,
    Stopping,
    first_population,
    population_monte_carlo,
    until_stopped,
)
from imnn_lab.inference.adjustment import regression_adjusted
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.progress import announce, progress_bar

SAMPLES = 1000  # of each posterior
MOST = 1000  # pairs are tested unless more are asked for
FEW_INSIDE = 0.2  # effective fraction of samples of the likelihood within the prior


@dataclass(frozen=True, eq=False)
class Posteriors:
    """The posterior of each of several parameters' simulations, as weighted samples.

    Attributes
    ----------
    method : str
        What made them.
    θ : ndarray, shape (n, n_params)
        The parameters that the simulations were made at.
    samples : ndarray, shape (n, n_samples, n_params)
        Parameters from the posterior of each simulation.
    weights : ndarray, shape (n, n_samples)
        Each row sums to one; zero for samples that do not count.
    prior : Prior
        What θ was drawn from.
    labels : tuple of str
        A name for each parameter.
    """

    method: str
    θ: np.ndarray
    samples: np.ndarray
    weights: np.ndarray
    prior: Prior
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.θ)

    @cached_property
    def effective_samples(self) -> np.ndarray:
        """Effective number of samples of each, 1/Σw², shape (n,)."""
        return 1 / np.sum(self.weights**2, axis=1)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of each, shape (n, n_params)."""
        return np.einsum("nl,nlp->np", self.weights, self.samples)

    @cached_property
    def sd(self) -> np.ndarray:
        """Standard deviations of each, shape (n, n_params)."""
        variance = np.einsum("nl,nlp->np", self.weights, (self.samples - self.mean[:, None]) ** 2)
        return np.sqrt(variance / np.maximum(1 - 1 / self.effective_samples, 1e-9)[:, None])


def gaussian_posteriors(pairs: Pairs, *, most: int = MOST, seed: int = 0) -> Posteriors:
    """Return the posterior of the Gaussian approximation for each estimate.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs` or `pairs_of`.
    most : int
        How many pairs to take, the first ones.
    seed : int
        Seed of the samples.

    Returns
    -------
    Posteriors

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind.
    """
    refuse_other("pairs", pairs, Pairs, "a table of `draw_pairs` or `pairs_of`")
    pairs = pairs.first(checks.integer("most", most, 1))
    rng = np.random.default_rng(checks.seed_or_none("seed", seed))
    n, p = pairs.θ.shape
    root = np.linalg.cholesky(np.linalg.inv(pairs.Fisher))
    noise = rng.standard_normal((n, SAMPLES, p)) @ root.T
    samples = pairs.estimates[:, None] + noise
    log_prior = pairs.prior.log_prob(samples.reshape(-1, p).copy()).reshape(n, SAMPLES)
    highest = log_prior.max(axis=1, keepdims=True)
    weights = np.exp(log_prior - np.where(np.isfinite(highest), highest, 0))
    counted = weights.sum(axis=1) ** 2 < FEW_INSIDE * SAMPLES * (weights**2).sum(axis=1)
    for i in np.flatnonzero(counted | ~np.isfinite(highest[:, 0])):
        alone = GaussianPosterior(pairs.estimates[i], pairs.Fisher, pairs.prior, pairs.labels)
        samples[i], weights[i] = alone.samples(SAMPLES, rng).parameters, 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    name = "Gaussian approximation"
    return Posteriors(name, pairs.θ, samples, weights, pairs.prior, pairs.labels)


def rejection_posteriors(
    pairs: Pairs, nearest: int | None = None, *, adjust: bool = False, most: int = MOST
) -> Posteriors:
    """Return the ABC posterior for each estimate, with the other pairs as draws.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs` or `pairs_of`.
    nearest : int, optional
        How many of the others to accept; by default a fiftieth of all, at least 20.
    adjust : bool
        Apply the linear regression adjustment (see `imnn_lab.inference.adjustment`).
    most : int
        How many posteriors to take, those of the first pairs; all pairs are draws.

    Returns
    -------
    Posteriors

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or there are not as many other pairs.
    """
    refuse_other("pairs", pairs, Pairs, "a table of `draw_pairs` or `pairs_of`")
    adjust, p = checks.boolean("adjust", adjust), pairs.n_params
    others = len(pairs) - 1
    k = checks.optional_integer("nearest", nearest, p + 3, maximum=others)
    k = k or min(max(20, p + 3, len(pairs) // 50), others)
    θ = pairs.first(checks.integer("most", most, 1)).θ
    samples, weights = np.empty((len(θ), k, p)), np.full((len(θ), k), 1.0 / k)
    for i in range(len(θ)):
        target = pairs.target(i)
        distances = target.distances(pairs.estimates)
        distances[i] = np.inf  # itself is no draw
        chosen = np.argpartition(distances, k - 1)[:k]
        samples[i] = pairs.θ[chosen]
        if adjust:
            differences = target.differences(pairs.estimates[chosen])
            ε = distances[chosen].max() * (1 + 1e-9)
            samples[i], weight = regression_adjusted(
                samples[i], differences, distances[chosen], ε, prior=pairs.prior
            )
            weights[i] = weight / weight.sum()
    name = f"ABC, the nearest {k} of {others}" + ", adjusted" * adjust + _distance_of(pairs)
    return Posteriors(name, θ, samples, weights, pairs.prior, pairs.labels)


def population_posteriors(
    pairs: Pairs,
    simulator: Callable[..., Any],
    get_estimate: Callable[..., Any],
    max_simulations: int,
    *,
    most: int = 100,
    draws: int = 100,
    criterion: float = 0.1,
    seed: int | None = None,
    executor: Executor | None = None,
    verbose: bool = True,
) -> Posteriors:
    """Run population Monte Carlo for the estimate of each of some pairs.

    The other pairs are its draws from the prior. It needs further simulations, at most
    ``most * max_simulations``; that number is printed before the first is made.

    Parameters
    ----------
    pairs : Pairs
        From `draw_pairs` or `pairs_of`.
    simulator, get_estimate : callable
        Those that the pairs were made with.
    max_simulations : int
        Largest number of further simulations for each pair.
    most : int
        How many pairs to take, the first ones.
    draws : int
        Particles of each population.
    criterion : float
        See `LFI.PopulationMonteCarlo`.
    seed : int, optional
        Seed of all random numbers.
    executor : concurrent.futures.Executor, optional
        Where to simulate.
    verbose : bool
        Print the cost and show a progress bar.

    Returns
    -------
    Posteriors

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or there are not as many pairs as particles.
    SimulationError
        If too many simulations fail.
    """
    refuse_other("pairs", pairs, Pairs, "a table of `draw_pairs` or `pairs_of`")
    budget = checks.integer("max_simulations", max_simulations, 1)
    draws = checks.integer("draws", draws, pairs.n_params + 2, maximum=len(pairs) - 1)
    rules = Stopping(checks.fraction("criterion", criterion), len(pairs) - 1 + budget)
    θ = pairs.first(checks.integer("most", most, 1)).θ
    verbose = checks.boolean("verbose", verbose)
    model = ForwardModel(
        checks.function("simulator", simulator, "parameters to simulations"),
        checks.function("get_estimate", get_estimate, "simulations to estimates"),
        pairs.n_params,
        executor=as_executor(executor),
    )
    seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed)).spawn(len(θ))
    if verbose:
        announce(
            f"PMC for {len(θ)} pairs: at most {len(θ)} × {budget:,} = {len(θ) * budget:,} "
            "simulations, unless it stops earlier."
        )
    samples, weights = np.empty((len(θ), draws, pairs.n_params)), np.empty((len(θ), draws))
    with progress_bar(verbose, desc="PMC", unit="pair")(total=len(θ)) as bar:
        for i, last in enumerate(last_populations(pairs, model, rules, draws, seeds)):
            samples[i], weights[i] = last.parameters, last.weights
            bar.update(1)
    name = f"PMC with {draws} particles" + _distance_of(pairs)
    return Posteriors(name, θ, samples, weights, pairs.prior, pairs.labels)


def last_populations(
    pairs: Pairs,
    model: ForwardModel,
    rules: Stopping,
    draws: int,
    seeds: Sequence[np.random.SeedSequence],
) -> Iterator[Population]:
    """Yield where population Monte Carlo ends for each of the first pairs, one for each seed.

    Parameters
    ----------
    pairs : Pairs
        The others are the draws from the prior of each.
    model : ForwardModel
    rules : Stopping
    draws : int
        Particles of each population.
    seeds : sequence of SeedSequence
    """
    for i, own in enumerate(seeds):
        target = pairs.target(i)
        start = first_population(_others(pairs, i), target, pairs.prior, draws)
        moving = population_monte_carlo(start, target, pairs.prior, model, own, Moves())
        *_, (last, _) = until_stopped(start, moving, rules, Moves().proposals(draws))
        yield last


def amortised_posteriors(
    pairs: Pairs, posterior: AmortisedPosterior, *, most: int = MOST, seed: int = 0
) -> Posteriors:
    """Return the posterior that a neural posterior has for each estimate.

    Parameters
    ----------
    pairs : Pairs
        None of which it has learned from.
    posterior : AmortisedPosterior
    most : int
        How many pairs to take, the first ones.
    seed : int
        Seed of the samples.
    """
    pairs = pairs.first(most)
    samples = posterior.sample(pairs.estimates, SAMPLES, np.random.default_rng(seed))
    weights = np.full(samples.shape[:2], 1 / SAMPLES)
    known = pairs.prior, pairs.labels
    return Posteriors("Neural posterior", pairs.θ, samples, weights, *known)


def _distance_of(pairs: Pairs) -> str:
    """Return the distance in words, none for the default."""
    if pairs.distance == "fisher":
        return ""
    return f", distance {getattr(pairs.distance, '__name__', pairs.distance)}"


def _others(pairs: Pairs, i: int) -> Draws:
    is_other = np.arange(len(pairs)) != i
    return Draws(pairs.θ[is_other], pairs.estimates[is_other], np.empty((0, pairs.n_params)))
