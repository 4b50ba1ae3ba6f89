"""The posterior of any observation, from a density learned once.

A density q(u | θ̂) of unbounded coordinates u has learned from pairs (θ, θ̂) with θ from
the prior; then p(θ | θ̂) = q(u | θ̂) |du/dθ|. Where the prior has holes, or bounds that depend on
other parameters, it is cut off there and normalised again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imnn_lab import storage
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.priors import Prior
from imnn_lab.neural_density.stacking import Stacked

PROBES = 2000  # points that tell whether a prior is cut by more than bounds
FOR_MASS = 2000  # draws that tell the mass inside such a prior
MOST_ROUNDS = 200  # of drawing again what lies outside


@dataclass(frozen=True)
class AmortisedPosterior:
    """A learned density with the prior of its parameters.

    Attributes
    ----------
    density : Stacked
        Of unbounded coordinates, given the features of an estimate.
    coordinates : Coordinates
        The coordinates.
    prior : Prior
        What the parameters that it has learned from were drawn from.
    within : ndarray, shape (2, n_params)
        Nearer to a bound than this the density is told as it is here: draws that near are too few
        to learn it from, and what is continued in u would be zero or infinite on the bound.
    """

    density: Stacked
    coordinates: Coordinates
    prior: Prior
    within: np.ndarray

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, of which `from_arrays` makes it again but for the prior."""
        return _arrays_of(self.density, self.coordinates) | {"within": self.within}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], prior: Prior) -> AmortisedPosterior:
        """Return the posterior of arrays that `to_arrays` gave, and a prior."""
        return AmortisedPosterior(*_parts_of(arrays), prior, arrays["within"])

    def log_prob(self, estimates: np.ndarray, θ: np.ndarray) -> np.ndarray:
        """Return the log posterior density, shape (m, n), −∞ outside the prior.

        Parameters
        ----------
        estimates : ndarray, shape (m, n_params)
            Of m observations.
        θ : ndarray, shape (m, n, n_params) or (n, n_params)
            n points for each, or the same for all.
        """
        θ = np.broadcast_to(θ, (len(estimates), *θ.shape[-2:]))
        values = self.without_prior(estimates, θ) - self._log_mass(estimates)[:, None]
        return np.where(self._inside(θ), values, -np.inf)

    def without_prior(self, estimates: np.ndarray, θ: np.ndarray) -> np.ndarray:
        """Return the same of what was learned alone, inside the bounds, shape (m, n)."""
        inside = np.clip(θ, *self.within)
        θ = np.broadcast_to(inside, (len(estimates), *θ.shape[-2:]))
        u, log_slope = self.coordinates.from_parameters(θ)
        return self.density.log_prob(self.coordinates.features(estimates), u) + log_slope

    def sample(self, estimates: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw from the posterior of each of m observations, shape (m, n, n_params).

        Parameters
        ----------
        estimates : ndarray, shape (m, n_params)
        n : int
        rng : numpy.random.Generator

        Raises
        ------
        RuntimeError
            If hardly anything that is drawn lies inside the prior.
        """
        θ = self._unbounded_draws(estimates, n, rng)
        outside = ~self._inside(θ)
        for _ in range(MOST_ROUNDS):
            rows = np.flatnonzero(outside.any(axis=1))
            if not len(rows):
                return θ
            again = self._unbounded_draws(estimates[rows], n, rng)
            θ[rows] = np.where(outside[rows][..., None], again, θ[rows])
            outside[rows] = ~self._inside(θ[rows])
        raise RuntimeError(
            f"Hardly any draw of the posterior of {estimates[rows[0]]} lies inside the prior: the "
            "observation is unlike the simulations, or there are too few of them."
        )

    def _unbounded_draws(
        self, estimates: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        features = self.coordinates.features(estimates)
        return self.coordinates.parameters(self.density.sample(features, n, rng))

    def _inside(self, θ: np.ndarray) -> np.ndarray:
        flat = self.prior.log_prob(θ.reshape(-1, θ.shape[-1]))
        return np.asarray(flat > -np.inf).reshape(θ.shape[:-1])

    def _log_mass(self, estimates: np.ndarray) -> np.ndarray:
        """Return ln of the mass that the density has inside the prior, shape (m,)."""
        if self._fills_bounds:
            return np.zeros(len(estimates))
        draws = self._unbounded_draws(estimates, FOR_MASS, np.random.default_rng(0))
        return np.log(np.maximum(self._inside(draws).mean(axis=1), 1 / FOR_MASS))

    @cached_property
    def _fills_bounds(self) -> bool:
        """Tell whether a prior has a density wherever its bounds allow it.

        Seen at points between two draws each, and at those with parameters of different draws.
        """
        rng = np.random.default_rng(0)
        first, second = self.prior.sample(2 * PROBES, rng).reshape(2, PROBES, -1)
        mixed = np.where(rng.random(first.shape) < 0.5, first, second)
        between = first + rng.random((PROBES, 1)) * (second - first)
        return bool(self._inside(np.concatenate([mixed, between])).all())


@dataclass(frozen=True)
class AmortisedLikelihood:
    """A learned density q(θ̂ | θ) of the estimate of one observation.

    Attributes
    ----------
    density : Stacked
        Of an estimate, given the features of the parameters.
    coordinates : Coordinates
        The coordinates that are among these.
    """

    density: Stacked
    coordinates: Coordinates

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays, of which `from_arrays` makes it again."""
        return _arrays_of(self.density, self.coordinates)

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> AmortisedLikelihood:
        """Return the likelihood of arrays that `to_arrays` gave."""
        return AmortisedLikelihood(*_parts_of(arrays))

    def log_prob(self, estimates: np.ndarray, θ: np.ndarray) -> np.ndarray:
        """Return Σ_i ln q(θ̂_i | θ) of independent observations, shape (n,).

        Parameters
        ----------
        estimates : ndarray, shape (m, n_params)
            Of m observations.
        θ : ndarray, shape (n, n_params)
        """
        values = np.broadcast_to(estimates, (len(θ), *estimates.shape))
        return self.density.log_prob(self.coordinates.features(θ), values).sum(axis=1)


def _arrays_of(density: Stacked, coordinates: Coordinates) -> dict[str, np.ndarray]:
    of_density = {f"density.{name}": a for name, a in density.to_arrays().items()}
    return of_density | {f"coordinates.{name}": a for name, a in vars(coordinates).items()}


def _parts_of(arrays: Mapping[str, np.ndarray]) -> tuple[Stacked, Coordinates]:
    density = Stacked.from_arrays(storage.below("density", arrays))
    return density, Coordinates(**storage.below("coordinates", arrays))
