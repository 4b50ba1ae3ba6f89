"""Prior distributions: what inference needs of one, and those that ship.

A prior has `n_params`, bounds `low` and `high` (which may be infinite), ``sample(n, rng)`` and
``log_prob(θ)``, −∞ outside its support. `imnn_lab.inference.as_prior` turns others into one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from imnn_lab import checks


class Prior(ABC):
    """What inference asks of a prior.

    Attributes
    ----------
    low, high : ndarray, shape (n_params,)
        Bounds of the support, possibly infinite.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.low)

    @property
    def bounds(self) -> np.ndarray:
        """Bounds `low` and `high`, shape (2, n_params)."""
        return np.stack([self.low, self.high])

    @abstractmethod
    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw parameter vectors, shape (n, n_params).

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed.
        """

    @abstractmethod
    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,), −∞ outside the support.

        Parameters
        ----------
        θ : array-like, shape (n, n_params)
            Where to evaluate it.
        """


class Uniform(Prior):
    """Independent uniform distributions.

    Parameters
    ----------
    low, high : array-like, shape (n_params,)
        Bounds, both part of the support.

    Raises
    ------
    ValueError
        If the bounds are not finite, differ in length, or low is not below high.

    Examples
    --------
    >>> from imnn_lab.inference import Uniform
    >>> prior = Uniform(low=[-3, 0.1], high=[3, 5])
    >>> prior.sample(5, rng=1).shape
    (5, 2)
    >>> prior.log_prob([[0, 1], [0, 6]]).round(4)
    array([-3.381,    -inf])
    """

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = _bounds(low, high)
        checks.finite("low", self.low)
        checks.finite("high", self.high)

    def __repr__(self) -> str:
        return f"Uniform(low={self.low.tolist()}, high={self.high.tolist()})"

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        n, generator = as_draw(n, rng)
        return generator.uniform(self.low, self.high, (n, self.n_params))

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return −Σ ln(high − low) inside the bounds and −∞ outside."""
        θ = as_points(θ, self.n_params)
        inside = ((θ >= self.low) & (θ <= self.high)).all(axis=-1)
        return np.where(inside, -np.log(self.high - self.low).sum(), -np.inf)


class TruncatedNormal(Prior):
    """Independent normal distributions, cut off at bounds.

    Parameters
    ----------
    mean, sd : array-like, shape (n_params,)
        Mean and standard deviation before the cut.
    low, high : array-like, shape (n_params,)
        Bounds; infinite ones are allowed.

    Raises
    ------
    ValueError
        If a standard deviation is not positive, or the bounds do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.inference import TruncatedNormal
    >>> prior = TruncatedNormal(mean=[0, 1], sd=[1, 2], low=[-np.inf, 0], high=[np.inf, 10])
    >>> bool((prior.sample(100, rng=1)[:, 1] > 0).all())
    True
    """

    def __init__(self, mean: Any, sd: Any, low: Any = -np.inf, high: Any = np.inf) -> None:
        self.mean = np.atleast_1d(np.asarray(checks.real_array("mean", mean), np.float64))
        checks.finite("mean", self.mean)
        self.sd = checks.finite("sd", self._like_mean("sd", sd))
        low, high = self._like_mean("low", low), self._like_mean("high", high)
        self.low, self.high = _bounds(low, high)
        if not (self.sd > 0).all():
            raise ValueError(checks.wording("`sd`", "be positive", self.sd.tolist()))
        cut = ((self.low - self.mean) / self.sd, (self.high - self.mean) / self.sd)
        self._distribution = stats.truncnorm(*cut, loc=self.mean, scale=self.sd)

    def _like_mean(self, name: str, value: Any) -> np.ndarray:
        array = checks.real_array(name, value).astype(np.float64)
        if array.shape not in ((), (1,), self.mean.shape):
            expected = f"have shape {self.mean.shape}, as `mean` has"
            raise ValueError(checks.wording(f"`{name}`", expected, f"shape {array.shape}"))
        return np.broadcast_to(array, self.mean.shape)

    def __repr__(self) -> str:
        numbers = [getattr(self, name).tolist() for name in ("mean", "sd", "low", "high")]
        return "TruncatedNormal(mean={}, sd={}, low={}, high={})".format(*numbers)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        n, generator = as_draw(n, rng)
        return self._distribution.rvs((n, self.n_params), random_state=generator)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,)."""
        return self._distribution.logpdf(as_points(θ, self.n_params)).sum(axis=-1)


class Independent(Prior):
    """Independent priors side by side.

    Parameters
    ----------
    parts : sequence of Prior
        Their parameters follow one another in this order.

    Examples
    --------
    >>> from imnn_lab.inference import Independent, TruncatedNormal, Uniform
    >>> prior = Independent([Uniform(0, 1), TruncatedNormal(0, 1, low=-2, high=2)])
    >>> prior.n_params, prior.low.tolist()
    (2, [0.0, -2.0])
    """

    def __init__(self, parts: Sequence[Prior]) -> None:
        self.parts = tuple(parts)
        self.low = np.concatenate([part.low for part in parts])
        self.high = np.concatenate([part.high for part in parts])

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        n, generator = as_draw(n, rng)
        return np.concatenate([part.sample(n, generator) for part in self.parts], axis=1)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the sum of the parts' log densities, shape (n,)."""
        ends = np.cumsum([part.n_params for part in self.parts])[:-1]
        pieces = np.split(as_points(θ, self.n_params), ends, axis=-1)
        terms = [
            part.log_prob(piece.copy()) for part, piece in zip(self.parts, pieces, strict=True)
        ]
        return np.sum(terms, axis=0)


def as_draw(n: Any, rng: Any) -> tuple[int, np.random.Generator]:
    """Return how many vectors to draw, and the source of random numbers."""
    return checks.integer("n", n, 0, maximum=checks.MOST), checks.generator("rng", rng)


def as_points(θ: Any, n_params: int) -> np.ndarray:
    """Return parameter vectors as float64, shape (..., n_params)."""
    array = checks.real_array("θ", θ).astype(np.float64)
    array = array.reshape(1) if array.ndim == 0 and n_params == 1 else array
    if not array.ndim or array.shape[-1] != n_params:
        expected = f"have shape (n, n_params) = (n, {n_params})"
        raise ValueError(checks.wording("`θ`", expected, f"shape {array.shape}"))
    return array


def is_flat(prior: Prior) -> bool:
    """Tell whether a prior is constant inside finite bounds (seen at 32 draws and the corners)."""
    if isinstance(prior, Uniform):
        return True
    if not (np.isfinite(prior.low).all() and np.isfinite(prior.high).all()):
        return False
    width = prior.high - prior.low
    unit = np.random.default_rng(0).random((32, prior.n_params))
    inside = prior.low + width * (1e-6 + (1 - 2e-6) * np.round(unit))
    values = prior.log_prob(np.concatenate([inside, prior.low + width * unit]))
    return bool(np.ptp(values) < 1e-5) if np.isfinite(values).all() else False


def _bounds(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    low, high = (
        np.atleast_1d(np.asarray(checks.real_array(name, value), np.float64))
        for name, value in (("low", low), ("high", high))
    )
    if low.ndim != 1 or not low.size or low.shape != high.shape or not (low < high).all():
        received = f"low = {low.tolist()}, high = {high.tolist()}"
        expected = "be vectors of one length, not empty, with low < high for every parameter"
        raise ValueError(checks.wording("The bounds of a prior", expected, received))
    return low, high
