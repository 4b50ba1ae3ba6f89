"""Learn the posterior of any observation, or its likelihood, from draws, epoch by epoch.

For a posterior the pairs are θ in unbounded coordinates and the features of θ̂
(`imnn_lab.inference.coordinates`); `imnn_lab.neural_density.training` fits the density of the first
given the second. For a likelihood they are θ̂ and the features of θ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from imnn_lab.inference.amortised import AmortisedLikelihood, AmortisedPosterior
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.priors import Prior

if TYPE_CHECKING:
    from imnn_lab.neural_density.training import Epoch

NEAR = 0.5  # posterior's widths from a bound within which coordinates stretch
NEAREST = 10  # draws that are nearer to a bound than where its density can be learned
MARGIN = 0.03  # of the scale of coordinates: the farthest from a bound that this can be


@dataclass(frozen=True, eq=False)
class Learned:
    """A posterior of any observation, and how it was learned.

    Attributes
    ----------
    posterior : AmortisedPosterior
        Of the best epoch of each network.
    training, held_out : ndarray, shape (n_epochs, n_members)
        Mean ln q of the pairs in each epoch: of those trained on, and of those held out.
    draws : Draws
        What it has learned from.
    """

    posterior: AmortisedPosterior
    training: np.ndarray
    held_out: np.ndarray
    draws: Draws


def learned_posteriors(
    draws: Draws, prior: Prior, seeds: np.random.SeedSequence, *, members: int, epochs: int
) -> Iterator[tuple[AmortisedPosterior, Epoch]]:
    """Yield the best posterior so far after each epoch of a training, with that epoch.

    Parameters
    ----------
    draws : Draws
        From the prior, or weighted as if they were.
    prior : Prior
    seeds : numpy.random.SeedSequence
    members : int
        Networks that are trained, at once, from different starts, and averaged.
    epochs : int
        Passes through the draws, at most.
    """
    from imnn_lab.tensorflow_import import import_tensorflow

    import_tensorflow()
    from imnn_lab.neural_density.training import train

    if draws.weights is not None:
        draws = draws.where(draws.weights > 0)
    θ, estimates, weights = draws.parameters, draws.estimates, draws.weights
    coordinates = Coordinates.fitted(prior, θ, estimates, weights)
    coordinates = replace(coordinates, scale=NEAR * coordinates.scale)
    u, _ = coordinates.from_parameters(θ)
    within = _learnable(prior, θ, coordinates.scale)
    features = coordinates.features(estimates)
    for epoch in train(features, u, seeds, members=members, epochs=epochs, weights=weights):
        yield AmortisedPosterior(epoch.density, coordinates, prior, within), epoch


def learned_likelihoods(
    draws: Draws, prior: Prior, seeds: np.random.SeedSequence, *, members: int, epochs: int
) -> Iterator[tuple[AmortisedLikelihood, Epoch]]:
    """Yield the best likelihood so far after each epoch of a training, with that epoch.

    Parameters
    ----------
    draws : Draws
        Of any parameters: weights do not matter.
    prior : Prior
        Has the bounds.
    seeds : numpy.random.SeedSequence
    members, epochs : int
        See `learned_posteriors`.
    """
    from imnn_lab.tensorflow_import import import_tensorflow

    import_tensorflow()
    from imnn_lab.neural_density.training import train

    θ, estimates = draws.parameters, draws.estimates
    coordinates = Coordinates.fitted(prior, θ, estimates)
    features = coordinates.features(θ)
    for epoch in train(features, estimates, seeds, members=members, epochs=epochs):
        yield AmortisedLikelihood(epoch.density, coordinates), epoch


def _learnable(prior: Prior, θ: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the smallest and largest parameters that have enough draws beyond them, (2, n_params).

    Parameters
    ----------
    prior : Prior
    θ : ndarray, shape (n, n_params)
        More than `NEAREST` draws.
    scale : ndarray, shape (n_params,)
        See `Coordinates`.
    """
    first, last = np.sort(θ, axis=0)[[NEAREST, -1 - NEAREST]]
    margin = MARGIN * scale
    return np.stack([np.minimum(first, prior.low + margin), np.maximum(last, prior.high - margin)])
