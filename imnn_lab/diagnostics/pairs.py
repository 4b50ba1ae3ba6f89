"""Parameters from the prior, each with the estimate of one simulation: what calibration needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from imnn_lab import checks
from imnn_lab.executors import Executor, as_executor
from imnn_lab.inference import Draws, ForwardModel, Prior, Target, as_prior, prior_draws
from imnn_lab.inference.arguments import as_fisher, as_labels
from imnn_lab.inference.distances import Distance
from imnn_lab.inference.prior_adapters import labels_of
from imnn_lab.progress import progress_bar

LEAST = 20  # pairs, with fewer nothing can be said


@dataclass(frozen=True, eq=False)
class Pairs:
    """Parameters drawn from a prior, each with the estimate of one simulation there.

    Attributes
    ----------
    θ : ndarray, shape (n, n_params)
        Parameters, from the prior.
    estimates : ndarray, shape (n, n_params)
        The estimate of one simulation at each.
    prior : Prior
        What the parameters were drawn from.
    Fisher : ndarray, shape (n_params, n_params)
        F of the Gaussian approximation, and of the distance of ABC unless it has another.
    labels : tuple of str
        A name for each parameter.
    failed : int
        How many simulations failed; they have no pair.
    distance : "fisher", "mad" or callable
        The distance of ABC and PMC (see `imnn_lab.inference.distances`).
    """

    θ: np.ndarray
    estimates: np.ndarray
    prior: Prior
    Fisher: np.ndarray
    labels: tuple[str, ...]
    failed: int = 0
    distance: Distance = "fisher"

    def __len__(self) -> int:
        return len(self.θ)

    def __repr__(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"Pairs({len(self):,} of {', '.join(self.labels)}{failed})"

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.θ.shape[1]

    @property
    def draws(self) -> Draws:
        """The pairs as draws of ABC."""
        return Draws(self.θ, self.estimates, np.empty((0, self.n_params)))

    def first(self, n: int) -> Pairs:
        """Return the first n of the pairs.

        Parameters
        ----------
        n : int
            How many.
        """
        return replace(self, θ=self.θ[:n], estimates=self.estimates[:n])

    def target(self, i: int) -> Target:
        """Return the estimate of a pair as the target, in the units of all pairs.

        Parameters
        ----------
        i : int
            Which pair.
        """
        return Target(self.estimates[i], self.Fisher, self.distance).measured(self.estimates)


@runtime_checkable
class HasDraws(Protocol):
    """What has draws from a prior: `LFI.ApproximateBayesianComputation`."""

    draws: Draws
    drawn_from_prior: bool
    prior: Prior
    Fisher: np.ndarray
    labels: tuple[str, ...]


def draw_pairs(
    simulator: Callable[..., Any],
    prior: Any,
    get_estimate: Callable[..., Any],
    Fisher: Any,
    n: int = 1000,
    *,
    labels: Sequence[str] | None = None,
    seed: int | None = None,
    at_once: int | None = None,
    executor: Executor | None = None,
    max_failed: float = 0.5,
    verbose: bool = True,
) -> Pairs:
    """Draw parameters from the prior, simulate once at each, and estimate.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``: parameters (n, n_params) →
        simulations (n,) + input_shape.
    prior : any
        See `imnn_lab.inference.as_prior`.
    get_estimate : callable
        Simulations (n,) + input_shape → estimates (n, n_params).
    Fisher : array-like, shape (n_params, n_params)
        The F whose posteriors are to be checked.
    n : int
        Number of simulations.
    labels : sequence of str, optional
        A name for each parameter.
    seed : int, optional
        Seed of all random numbers.
    at_once : int, optional
        Simulations in one call of the simulator; None chooses.
    executor : concurrent.futures.Executor, optional
        Where to simulate.
    max_failed : float
        Largest tolerated fraction of failed simulations.
    verbose : bool
        Show a progress bar.

    Returns
    -------
    Pairs

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or sign.
    SimulationError
        If too many simulations fail.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import diagnostics, problems
    >>> from imnn_lab.inference import Uniform
    >>> problem, prior = problems.gaussian(), Uniform([-1, 0.5], [1, 2])
    >>> def get_estimate(data):  # or that of a trained IMNN
    ...     return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)
    >>> pairs = diagnostics.draw_pairs(
    ...     problem.simulator, prior, get_estimate, problem.F, 400, seed=1, verbose=False
    ... )
    >>> len(pairs), pairs.θ.shape, pairs.estimates.shape
    (400, (400, 2), (400, 2))
    """
    Fisher = as_fisher(Fisher)
    labels = as_labels(labels_of(prior, labels, get_estimate), len(Fisher))
    prior = as_prior(prior, len(Fisher), labels)
    n = checks.integer("n", n, LEAST, maximum=checks.MOST)
    model = ForwardModel(
        checks.function("simulator", simulator, "parameters to simulations"),
        checks.function("get_estimate", get_estimate, "simulations to estimates"),
        len(Fisher),
        at_once=checks.optional_integer("at_once", at_once, 1),
        executor=as_executor(executor),
        max_failed=checks.fraction("max_failed", max_failed),
        bar=progress_bar(checks.boolean("verbose", verbose), desc="pairs"),
    )
    seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed))
    draws = prior_draws(model, prior, n, seeds)
    return pairs_from(draws, prior, Fisher, labels)


def pairs_of(ABC: HasDraws) -> Pairs:
    """Return the draws that ABC has made already, as pairs.

    Parameters
    ----------
    ABC : LFI.ApproximateBayesianComputation
        With draws from its prior.

    Returns
    -------
    Pairs
        With the distance of ABC.

    Raises
    ------
    TypeError, RuntimeError
        If it is something else, or has no draws yet.
    ValueError
        If its draws were not made from the prior, or are fewer than 20.
    """
    refuse_other("ABC", ABC, HasDraws, "an LFI.ApproximateBayesianComputation")
    draws = ABC.draws  # raises without any
    if not ABC.drawn_from_prior:
        expected, received = "have draws from its prior", "draws at given parameters"
        raise ValueError(checks.wording("`ABC`", expected, received, "Call `ABC(draws=...)`."))
    pairs = pairs_from(draws, ABC.prior, ABC.Fisher, ABC.labels)
    return replace(pairs, distance=getattr(ABC, "distance", "fisher"))


def refuse_other(name: str, value: Any, kind: type, what: str) -> None:
    """Raise a TypeError if a value is not of a kind."""
    if not isinstance(value, kind):
        raise TypeError(checks.wording(f"`{name}`", f"be {what}", checks.describe(value)))


def pairs_from(draws: Draws, prior: Prior, Fisher: np.ndarray, labels: Sequence[str]) -> Pairs:
    """Return the table of draws that were made from a prior, in the order of the draws.

    Raises
    ------
    ValueError
        If there are too few.
    """
    if len(draws.parameters) < LEAST:
        expected = f"have at least {LEAST} simulations that succeed"
        raise ValueError(checks.wording("A table of pairs", expected, len(draws.parameters)))
    known = prior, Fisher, tuple(labels)
    return Pairs(draws.parameters, draws.estimates, *known, draws.num_failed)
