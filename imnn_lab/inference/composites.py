"""The density of distributions of TensorFlow Probability that are composed of others.

A mixture has no bijector onto its support. Each of its parts is asked inside its own support
alone: Σ_k w_k p_k(θ) must not be NaN, or too large, where one of the p_k is not 0 and should be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from imnn_lab.inference.layout import Structure
from imnn_lab.inference.supports import class_names, event_space_bijector

Density = Callable[[Structure], np.ndarray]


def composed_density(distribution: Any) -> Density | None:
    """Return the log density of a mixture, or of what contains one; None for any other.

    Its values have the shape (n, *batch), as those of `log_prob`.

    Parameters
    ----------
    distribution : object
        Any distribution.
    """
    names = class_names(distribution)
    if not callable(getattr(distribution, "experimental_default_event_space_bijector", None)):
        return None
    if "Independent" in names:
        return composed_density(distribution.distribution)
    if "MixtureSameFamily" in names:
        return _density_of_family(distribution)
    if "Mixture" in names:
        return _density_of_mixture(distribution)
    if names & {"JointDistributionSequential", "JointDistributionNamed"}:
        return _density_of_joint(distribution)
    return None


def _density_of_family(mixture: Any) -> Density:
    log_weights = np.log(np.asarray(mixture.mixture_distribution.probs_parameter()))
    axis = -1 - len(mixture.event_shape)

    def density(values: Structure) -> np.ndarray:
        terms = _inside(mixture.components_distribution, np.expand_dims(values, axis))
        return special.logsumexp(terms + log_weights, axis=-1)

    return density


def _density_of_mixture(mixture: Any) -> Density:
    log_weights = np.log(np.asarray(mixture.cat.probs_parameter()))

    def density(values: Structure) -> np.ndarray:
        terms = [_inside(part, values) for part in mixture.components]
        return special.logsumexp(np.stack(terms, axis=-1) + log_weights, axis=-1)

    return density


def _density_of_joint(joint: Any) -> Density | None:
    """Return the density of a joint distribution of independent parts, some of them composed."""
    model = joint.model
    parts = model if isinstance(model, Mapping) else dict(enumerate(model))
    independent = all(callable(getattr(part, "log_prob", None)) for part in parts.values())
    if not independent or all(composed_density(part) is None for part in parts.values()):
        return None

    def density(values: Structure) -> np.ndarray:
        terms = [_inside(part, values[key]) for key, part in parts.items()]
        return np.sum([term.reshape(len(term), -1).sum(axis=1) for term in terms], axis=0)

    return density


def _inside(part: Any, values: np.ndarray) -> np.ndarray:
    """Return the log density of a part, −∞ outside its support."""
    log_density = np.asarray((composed_density(part) or part.log_prob)(values))
    outside = np.isnan(log_density)
    if (bijector := event_space_bijector(part)) is not None:
        numbers = np.isnan(np.asarray(bijector.inverse(values)))
        outside = outside | numbers.any(axis=tuple(range(log_density.ndim, numbers.ndim)))
    return np.where(outside, -np.inf, log_density)
