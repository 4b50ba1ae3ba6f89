"""Adapt distributions of other packages to the interface of `Prior`, by their methods.

Accepted: our own; frozen distributions of scipy.stats, uni- or multivariate; a list of independent
ones; TensorFlow Probability distributions (Independent, Blockwise, joint, with a batch shape); any
object with ``sample(n)`` and ``log_prob(θ)``. Nothing is ever written to the user's object.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.priors import Independent, Prior

Structure = Any


def as_prior(prior: Any, n_params: int | None = None) -> Prior:
    """Return a prior that inference can use.

    Parameters
    ----------
    prior : Prior, scipy.stats frozen distribution, TFP distribution, list of those, or any object
        An object must have ``sample(n)`` and ``log_prob(θ)``.
    n_params : int, optional
        Number of parameters it must have.

    Returns
    -------
    Prior
        With ``sample(n, rng)``, ``log_prob(θ)`` and the bounds `low` and `high`.

    Raises
    ------
    TypeError
        If it can neither be sampled nor evaluated.
    ValueError
        If it has another number of parameters than `n_params`, or is −∞ where it draws.

    Examples
    --------
    >>> from scipy import stats
    >>> from imnn_lab.inference import as_prior
    >>> as_prior([stats.norm(0, 1), stats.uniform(0, 5)]).high.tolist()
    [inf, 5.0]
    """
    result = _adapted(prior)
    if n_params is not None and result.n_params != n_params:
        received = f"{result.n_params} parameters from {checks.describe(prior)}"
        expected = f"have {n_params} parameters, as many as the Fisher matrix has rows"
        raise ValueError(checks.wording("`prior`", expected, received))
    draws = result.sample(16, 0)
    if not np.isfinite(result.log_prob(draws)).any():
        received = "−∞ or NaN at all of 16 draws"
        raise ValueError(
            checks.wording("`prior`", "have a finite density where it draws", received)
        )
    return result


def _adapted(prior: Any) -> Prior:
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, list | tuple) and prior:
        return Independent([_adapted(part) for part in prior])
    if callable(getattr(prior, "rvs", None)) and callable(getattr(prior, "logpdf", None)):
        return ScipyPrior(prior)
    if callable(getattr(prior, "sample", None)) and callable(getattr(prior, "log_prob", None)):
        return SampledPrior(prior)
    expected = "have `sample(n)` and `log_prob(θ)`, or be a frozen scipy.stats distribution"
    remedy = "Try imnn_lab.inference.Uniform(low, high)."
    raise TypeError(checks.wording("`prior`", expected, checks.describe(prior), remedy))


class ScipyPrior(Prior):
    """A frozen distribution of scipy.stats; array-valued arguments are independent parameters."""

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution
        shape = np.shape(distribution.rvs(random_state=np.random.default_rng(0)))
        self._parameters = int(np.prod(shape))
        if callable(getattr(distribution, "support", None)):
            bounds = [np.broadcast_to(b, shape).reshape(-1) for b in distribution.support()]
            self.low, self.high = (np.asarray(bound, np.float64) for bound in bounds)
        else:
            self.low, self.high = probed_bounds(self, self._parameters)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        univariate = callable(getattr(self.distribution, "support", None))
        size = (n, self._parameters) if univariate else n
        drawn = self.distribution.rvs(size, random_state=np.random.default_rng(rng))
        return np.asarray(drawn, np.float64).reshape(n, self._parameters)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,)."""
        return _one_each(self.distribution.logpdf(np.asarray(θ, np.float64)), len(θ))


class SampledPrior(Prior):
    """Any object with ``sample(n)`` and ``log_prob(θ)``.

    Joint distributions draw a structure (list, tuple, dict) of parts: they are concatenated in
    the structure's order, and split again to be evaluated.
    """

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution
        self._seed = _seed_argument(distribution)
        self._example = self._draw(2, np.random.default_rng(0))
        leaves = _leaves(self._example)
        self._shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._ends = np.cumsum(sizes)
        self.low, self.high = _stated_bounds(distribution, int(sum(sizes))) or probed_bounds(
            self, int(sum(sizes))
        )

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        leaves = _leaves(self._draw(n, np.random.default_rng(rng)))
        return np.concatenate([leaf.reshape(n, -1) for leaf in leaves], axis=1).astype(np.float64)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,); NaN, as some give outside their support, is −∞."""
        θ = np.asarray(θ, np.float64)
        pieces = np.split(θ, self._ends[:-1], axis=1)
        leaves = [
            piece.reshape((len(θ), *shape)).astype(dtype)
            for piece, shape, dtype in zip(pieces, self._shapes, self._dtypes, strict=True)
        ]
        values = np.asarray(self.distribution.log_prob(_like(self._example, leaves)), np.float64)
        values = _one_each(values, len(θ))
        return np.where(np.isnan(values), -np.inf, values)

    def _draw(self, n: int, generator: np.random.Generator) -> Structure:
        options: dict[str, Any] = {}
        if self._seed is not None:
            name, stateless = self._seed
            pair = generator.integers(2**31, size=2, dtype=np.int32)
            seed: Any = pair if stateless else int(pair[0])
            options = {name: seed if name == "seed" else generator}
        drawn = self.distribution.sample(n, **options)
        model = getattr(self.distribution, "model", None)
        if isinstance(drawn, Mapping) and isinstance(model, Mapping) and set(model) == set(drawn):
            return {key: drawn[key] for key in model}  # as the user wrote it, not as it was drawn
        return drawn


def probed_bounds(prior: Any, n_params: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the bounds of a prior's support by asking where its density vanishes.

    From a few draws, each parameter moves outwards while the others stay; a change from finite to
    −∞ within a thousand widths of the draws is a bound, found by section.
    """
    draws = np.asarray(prior.sample(256, np.random.default_rng(0)))
    width = np.maximum(np.ptp(draws, axis=0), 1e-12)
    starts = draws[np.isfinite(prior.log_prob(draws))][:16]
    bounds = np.array([[-np.inf] * n_params, [np.inf] * n_params])
    if not len(starts):
        return bounds[0], bounds[1]
    for side, sign in enumerate((-1, 1)):
        for axis in range(n_params):
            reached = _edge(prior, starts, axis, sign * 1e3 * width[axis])
            if np.isfinite(reached).all():
                bounds[side, axis] = sign * np.max(sign * reached)
    bounds[np.abs(bounds) < 1e-9 * width] = 0.0
    return bounds[0], bounds[1]


def _edge(prior: Any, starts: np.ndarray, axis: int, step: float) -> np.ndarray:
    """Return where the density vanishes along an axis, for each start; infinite if nowhere.

    Each round cuts the interval in 32, so that a slow density is evaluated a few times only.
    """

    def finite(fractions: np.ndarray) -> np.ndarray:
        moved = np.repeat(starts, fractions.shape[1], axis=0)
        moved[:, axis] += fractions.reshape(-1) * step
        return np.isfinite(prior.log_prob(moved)).reshape(fractions.shape)

    inside, width = np.zeros((len(starts), 1)), 1.0
    endless = finite(inside + 1)[:, 0]
    for _ in range(0 if endless.all() else 10):
        width /= 32
        is_finite = finite(inside + width * np.arange(1, 32))
        inside = inside + width * np.logical_and.accumulate(is_finite, axis=1).sum(1, keepdims=True)
    return np.where(endless, np.inf, starts[:, axis] + inside[:, 0] * step)


def _stated_bounds(distribution: Any, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return `low` and `high` of a distribution, or of what an Independent one wraps."""
    for owner in (distribution, getattr(distribution, "distribution", None)):
        low, high = getattr(owner, "low", None), getattr(owner, "high", None)
        if low is not None and high is not None and not callable(low):
            sides = [np.asarray(side, np.float64).reshape(-1) for side in (low, high)]
            if all(side.size in (1, n) for side in sides):
                return np.broadcast_to(sides[0], n).copy(), np.broadcast_to(sides[1], n).copy()
    return None


def _seed_argument(distribution: Any) -> tuple[str, bool] | None:
    """Return the name of the seed argument of `sample`, and whether it is a pair of integers."""
    stateless = hasattr(distribution, "event_shape")  # as TensorFlow Probability has it
    try:
        names = inspect.signature(distribution.sample).parameters
    except (TypeError, ValueError):
        return None
    name = next((name for name in ("seed", "rng", "random_state") if name in names), None)
    return None if name is None else (name, stateless)


def _leaves(structure: Structure) -> list[np.ndarray]:
    if isinstance(structure, Mapping):
        return [np.asarray(leaf) for leaf in structure.values()]
    if isinstance(structure, list | tuple):
        return [np.asarray(leaf) for leaf in structure]
    return [np.asarray(structure)]


def _like(example: Structure, leaves: list[np.ndarray]) -> Structure:
    if isinstance(example, Mapping):
        return dict(zip(example, leaves, strict=True))
    if hasattr(example, "_fields"):
        return type(example)(*leaves)
    return type(example)(leaves) if isinstance(example, list | tuple) else leaves[0]


def _one_each(values: Any, n: int) -> np.ndarray:
    """Sum the log densities of independent parameters: shape (n, ...) to (n,)."""
    return np.asarray(values, np.float64).reshape(n, -1 if n else 1).sum(axis=1)
