"""Approximate Bayesian computation: keep the draws whose estimates are near the target's.

The distance is ρ = sqrt(Δ·F Δ), Δ = θ̂ − θ̂_target, or another (`imnn_lab.inference.distances`);
draws with ρ < ε are samples of the posterior up to a widening: for a linear Gaussian model and the
former their covariance is F⁻¹(1 + ε²/(n_params + 2)). A regression adjustment takes most of it away
(`imnn_lab.inference.adjustment`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.adjustment import as_order, regression_adjusted
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior


@dataclass(frozen=True)
class Acceptance:
    """Which draws are accepted for one target.

    Attributes
    ----------
    draws : Draws
        All draws.
    target : Target
        To which the accepted ones are near; with distance="mad" it has the scales of all draws.
    differences : ndarray, shape (n, n_params)
        θ̂ − θ̂_target of every draw.
    distances : ndarray, shape (n,)
        ρ of every draw.
    accepted : ndarray of bool, shape (n,)
        Which draws are accepted.
    ε : float
        Radius within which draws are accepted.
    """

    draws: Draws
    target: Target
    differences: np.ndarray
    distances: np.ndarray
    accepted: np.ndarray
    ε: float

    @property
    def num_accepted(self) -> int:
        """Number of accepted draws."""
        return int(self.accepted.sum())

    @property
    def num_rejected(self) -> int:
        """Number of draws whose simulation succeeded and that are not accepted."""
        return int((~self.accepted).sum())

    @property
    def rate(self) -> float:
        """Accepted draws as a fraction of all, failed ones included."""
        return self.num_accepted / self.draws.num_draws if self.draws.num_draws else 0.0

    def posterior(
        self, labels: Sequence[str], prior: Prior | None = None, adjust: bool | str = False
    ) -> Posterior:
        """Return the accepted draws as samples of the posterior.

        Parameters
        ----------
        labels : sequence of str
            A name for each parameter.
        prior : Prior, optional
            Supplies the bounds.
        adjust : bool, "linear" or "quadratic"
            Apply the regression adjustment, True a linear one; samples then have the kernel's
            weights.
        """
        parameters = self.draws.parameters[self.accepted]
        weights = np.ones(len(parameters))
        if order := as_order(adjust):
            parameters, weights = regression_adjusted(
                parameters,
                self.differences[self.accepted],
                self.distances[self.accepted],
                self.ε,
                prior=prior,
                order=order,
            )
        bounds = None if prior is None else prior.bounds
        properties = {
            "ε": self.ε,
            "acceptance": self.rate,
            "simulations": self.draws.num_draws,
            "failed": self.draws.num_failed,
        }
        return Posterior(parameters, weights, tuple(labels), bounds, properties)


def accept(
    draws: Draws,
    target: Target,
    *,
    ε: float | None = None,
    quantile: float | None = None,
    nearest: int | None = None,
) -> Acceptance:
    """Accept the draws with ρ < ε, or the given fraction, or the given number of nearest ones.

    Parameters
    ----------
    draws : Draws
        What to choose from.
    target : Target
        To which they are to be near; with distance="mad" the draws set its scales.
    ε : float, optional
        Radius.
    quantile : float, optional
        Fraction of the draws to accept, at least one of them.
    nearest : int, optional
        Number of draws to accept; all if there are fewer.

    Returns
    -------
    Acceptance

    Raises
    ------
    ValueError
        If not exactly one of the three is given, or distance="mad" finds no scales.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.inference import Draws, Target, accept
    >>> near, far = [0.1, 0.0], [3.0, 0.0]
    >>> draws = Draws(np.ones((2, 2)), np.array([near, far]), np.empty((0, 2)))
    >>> accept(draws, Target(np.zeros(2), np.eye(2)), ε=1.0).accepted.tolist()
    [True, False]
    """
    if sum(choice is not None for choice in (ε, quantile, nearest)) != 1:
        received = f"ε={ε}, quantile={quantile}, nearest={nearest}"
        raise ValueError(
            checks.wording("`accept_reject`", "get exactly one of ε, quantile or nearest", received)
        )
    target = target.measured(draws.estimates)
    differences, distances = target.differences(draws.estimates), target.distances(draws.estimates)
    if quantile is not None:
        nearest = max(1, round(quantile * len(distances)))
    if nearest is not None:
        accepted, ε = _nearest(distances, min(nearest, len(distances)))
    else:
        accepted = distances < ε
    return Acceptance(draws, target, differences, distances, accepted, float(ε))  # type: ignore[arg-type]


def rounds(
    model: ForwardModel, prior: Prior, size: int, seeds: np.random.SeedSequence
) -> Iterator[Draws]:
    """Yield draws from the prior, `size` at a time, without end; each round has its own seed."""
    while True:
        (seed,) = seeds.spawn(1)
        yield prior_draws(model, prior, size, seed)


def prior_draws(model: ForwardModel, prior: Prior, n: int, seeds: np.random.SeedSequence) -> Draws:
    """Draw parameters from the prior and simulate once at each.

    Parameters
    ----------
    model : ForwardModel
        Simulates and estimates.
    prior : Prior
        What to draw from.
    n : int
        How many.
    seeds : numpy.random.SeedSequence
        Seed of all random numbers.
    """
    for_parameters, for_simulations = seeds.spawn(2)
    parameters = prior.sample(n, np.random.default_rng(for_parameters))
    return model.draws(parameters, for_simulations)


def until_accepted(
    arriving: Iterator[Draws],
    targets: Sequence[Target],
    ε: float,
    accepted: int,
    max_draws: int,
    start: Sequence[Draws] = (),
) -> tuple[Draws, str]:
    """Take draws until every target has enough within ε, or the budget of simulations is spent.

    Parameters
    ----------
    arriving : iterator of Draws
        Source of draws, without end.
    targets : sequence of Target
        All must have enough. Of those with distance="mad" the scales must be known.
    ε : float
        Radius of acceptance.
    accepted : int
        Draws that each target needs.
    max_draws : int
        No round starts after this number of simulations, those of `start` included.
    start : sequence of Draws
        Draws made before, which count.

    Returns
    -------
    Draws
        All of them, `start` included.
    str
        Why it stopped: "accepted" or "max_draws".
    """
    parts, counts, drawn = [], np.zeros(len(targets), int), 0

    def take(part: Draws) -> None:
        nonlocal counts, drawn
        parts.append(part)
        drawn += part.num_draws
        counts = counts + [(t.distances(part.estimates) < ε).sum() for t in targets]

    for part in start:
        take(part)
    while counts.min() < accepted and drawn < max_draws:
        take(next(arriving))
    if not parts:
        take(next(arriving))
    return Draws.joined(parts), "accepted" if counts.min() >= accepted else "max_draws"


def _nearest(distances: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Return which k are nearest, and the distance of the farthest of them."""
    accepted = np.zeros(len(distances), bool)
    if k == 0:
        return accepted, 0.0
    chosen = np.argpartition(distances, k - 1)[:k]
    accepted[chosen] = True
    return accepted, float(distances[chosen].max())
