"""Adapt distributions of other packages to the interface of `Prior`, by their methods.

Accepted: our own; frozen distributions of scipy.stats, uni- or multivariate, and its new ones
(`scipy.stats.Uniform`, `Normal`, `truncate`, `Mixture`, ...); a list or a dictionary of independent
ones; distributions of TensorFlow Probability (Independent, Blockwise, joint, with a batch shape),
of PyTorch and of NumPyro; any object with ``sample(n)`` and ``log_prob(θ)``. Nothing is ever
written to the user's object, and no package is imported for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.priors import Independent, Prior

Structure = Any
METHODS = ("rvs", "sample", "logpdf", "logpmf", "log_prob", "support")
FEW = 256  # draws that tell what a distribution is like
DEPENDENT = 1e-6  # of the spread along other directions, which rounding in float32 stays below


def as_prior(prior: Any, n_params: int | None = None, labels: Sequence[str] | None = None) -> Prior:
    """Return a prior that inference can use.

    Parameters
    ----------
    prior : Prior, scipy.stats, TFP, PyTorch or NumPyro distribution, list or dict of those, or any
        object with ``sample(n)`` and ``log_prob(θ)``. A dict has a distribution for each label.
    n_params : int, optional
        Number of parameters it must have.
    labels : sequence of str, optional
        The order of the parameters in a dict; by default its own.

    Returns
    -------
    Prior
        With ``sample(n, rng)``, ``log_prob(θ)`` and the bounds `low` and `high`.

    Raises
    ------
    TypeError
        If it can neither be sampled nor evaluated, has no parameters of its own yet (as
        `scipy.stats.norm` without a call), or is discrete.
    ValueError
        If it has another number of parameters than `n_params` or other names than `labels`, is −∞
        where it draws, or its parameters are bound to one another, as those of a Dirichlet
        distribution are.

    Examples
    --------
    >>> from scipy import stats
    >>> from imnn_lab.inference import as_prior
    >>> as_prior([stats.norm(0, 1), stats.uniform(0, 5)]).high.tolist()
    [inf, 5.0]
    """
    n_params = checks.optional_integer("n_params", n_params, 1)
    if isinstance(prior, Mapping):
        prior = _in_order(prior, labels)
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


def labels_of(prior: Any, labels: Sequence[str] | None) -> Sequence[str] | None:
    """Return the labels, or the names of a dictionary of distributions if none are given."""
    return list(prior) if labels is None and isinstance(prior, Mapping) else labels


def _refuse_without_density(prior: Any, draws: np.ndarray) -> None:
    """Refuse a prior whose draws are integers, or fill fewer dimensions than they have."""
    integers = (draws == np.round(draws)).all(axis=0) & (np.abs(draws) < 2**23).all(axis=0)
    if (integers & (np.ptp(draws, axis=0) > 0)).any():
        raise TypeError(_wording_of_discrete(prior))
    scale = np.ptp(draws, axis=0)
    varied = (draws - draws.mean(axis=0))[:, scale > 0] / scale[scale > 0]
    if varied.shape[1] > 1:
        spread = np.linalg.svd(varied, compute_uv=False)
        if spread[-1] < DEPENDENT * spread[0]:
            raise ValueError(_wording_of_bound(prior))


def _wording_of_discrete(prior: Any) -> str:
    remedy = "Parameters are real numbers here: take a continuous distribution."
    return checks.wording("`prior`", "be continuous", checks.describe(prior), remedy)


def _wording_of_bound(prior: Any) -> str:
    remedy = "Leave one parameter out, as 1 minus the others for those that add up to 1."
    expected = "have parameters that are not bound to one another"
    return checks.wording("`prior`", expected, checks.describe(prior), remedy)


def _in_order(named: Mapping[str, Any], labels: Sequence[str] | None) -> list[Any]:
    """Return the distributions of a dictionary in the order of the labels."""
    if labels is not None and set(labels) != set(named):
        expected = f"have a distribution for each of the labels {list(labels)}"
        raise ValueError(checks.wording("`prior`", expected, f"those of {list(named)}"))
    return [named[label] for label in (named if labels is None else labels)]


def _adapted(prior: Any) -> Prior:
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, list | tuple) and prior:
        return Independent([_adapted(part) for part in prior])
    methods = {name for name in METHODS if callable(getattr(prior, name, None))}
    if isinstance(prior, type) or (callable(prior) and "rvs" in methods):
        remedy = "Call it with them: stats.norm(0, 1) instead of stats.norm."
        expected = "be a distribution with its parameters"
        raise TypeError(checks.wording("`prior`", expected, checks.describe(prior), remedy))
    if methods >= {"rvs", "logpmf"}:
        raise TypeError(_wording_of_discrete(prior))
    if methods >= {"rvs", "logpdf"} or methods >= {"sample", "logpdf", "support"}:
        return ScipyPrior(prior)
    if methods >= {"sample", "log_prob"}:
        return SampledPrior(prior)
    expected = "have `sample(n)` and `log_prob(θ)`, or be a frozen scipy.stats distribution"
    remedy = "Try imnn_lab.inference.Uniform(low, high)."
    raise TypeError(checks.wording("`prior`", expected, checks.describe(prior), remedy))


class ScipyPrior(Prior):
    """A distribution of scipy.stats; array-valued arguments are independent parameters.

    It is a frozen one, with `rvs`, or one of the new ones, with `sample`.
    """

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution
        drawn = self._draw(None, np.random.default_rng(0))
        shape = self._shape = np.shape(drawn)
        self._parameters = int(np.prod(shape))
        _refuse_without_density(distribution, self.sample(FEW, 0))
        try:  # SciPy raises where the parameters leave the surface that they are bound to
            distribution.logpdf(drawn * (1 + 1e-3))
        except ValueError:
            raise ValueError(_wording_of_bound(distribution)) from None
        if callable(getattr(distribution, "support", None)):
            bounds = [np.broadcast_to(b, shape).reshape(-1) for b in distribution.support()]
            self.low, self.high = (np.asarray(bound, np.float64) for bound in bounds)
        else:
            self.low, self.high = probed_bounds(self, self._parameters)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        drawn = self._draw(n, np.random.default_rng(rng))
        return np.asarray(drawn, np.float64).reshape(n, self._parameters)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,)."""
        θ = np.asarray(θ, np.float64)
        return _one_each(self.distribution.logpdf(θ.reshape(len(θ), *self._shape)), len(θ))

    def _draw(self, n: int | None, generator: np.random.Generator) -> np.ndarray:
        """Return n draws, shape (n,) + the distribution's, or one without the first axis."""
        if not hasattr(self.distribution, "rvs"):
            return self.distribution.sample(() if n is None else (n,), rng=generator)
        if n is None:
            return self.distribution.rvs(random_state=generator)
        univariate = callable(getattr(self.distribution, "support", None))
        size = (n, self._parameters) if univariate else n
        return self.distribution.rvs(size, random_state=generator)


class SampledPrior(Prior):
    """Any object with ``sample(n)`` and ``log_prob(θ)``.

    Joint distributions draw a structure (list, tuple, dict) of parts: they are concatenated in
    the structure's order, and split again to be evaluated. Where a distribution has a `support` to
    `check`, as those of PyTorch and NumPyro, it is evaluated only inside: there some of them raise
    outside, and others give the density of the inside.
    """

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution
        self._names = _argument_names(distribution.sample)
        self._support = _support(distribution)
        self._example = self._draw(2, np.random.default_rng(0))
        leaves = _leaves(self._example)
        self._shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._ends = np.cumsum(sizes)
        _refuse_without_density(distribution, self.sample(FEW, 0))
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
        values = np.full(len(θ), -np.inf)
        inside = np.ones(len(θ), bool)
        if self._support is not None:
            checked = _array(self._support(self._structured(θ)))
            inside &= checked.reshape(len(θ), -1 if len(θ) else 1).all(axis=1)
        if inside.any():
            found = self.distribution.log_prob(self._structured(θ[inside]))
            values[inside] = _one_each(_array(found), int(inside.sum()))
        return np.where(np.isnan(values), -np.inf, values)

    def _structured(self, θ: np.ndarray) -> Structure:
        """Return parameters (n, n_params) in the structure and the types of a draw."""
        pieces = np.split(θ, self._ends[:-1], axis=1)
        leaves = [
            piece.reshape((len(θ), *shape)).astype(dtype)
            for piece, shape, dtype in zip(pieces, self._shapes, self._dtypes, strict=True)
        ]
        return _like(self._example, leaves)

    def _draw(self, n: int, generator: np.random.Generator) -> Structure:
        size: Any = (n,) if "sample_shape" in self._names else n
        pair = generator.integers(2**31, size=2, dtype=np.int32)
        if "key" in self._names:  # NumPyro
            drawn = self.distribution.sample(_jax_key(pair), sample_shape=size)
        elif (torch := _torch_of(self.distribution)) is not None:
            with torch.random.fork_rng():  # leaves PyTorch's own random numbers as they are
                torch.manual_seed(int(pair[0]))
                drawn = self.distribution.sample(size)
        else:
            drawn = self.distribution.sample(size, **self._seed_option(pair, generator))
        model = getattr(self.distribution, "model", None)
        if isinstance(drawn, Mapping) and isinstance(model, Mapping) and set(model) == set(drawn):
            return {key: drawn[key] for key in model}  # as the user wrote it, not as it was drawn
        return drawn

    def _seed_option(self, pair: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
        name = next((name for name in ("seed", "rng", "random_state") if name in self._names), None)
        if name != "seed":
            return {} if name is None else {name: generator}
        stateless = hasattr(self.distribution, "event_shape")  # as TensorFlow Probability has it
        return {name: pair if stateless else int(pair[0])}


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
    wraps = any(base.__name__ == "Independent" for base in type(distribution).__mro__)
    names = ("distribution", "base_dist") if wraps else ()  # those that transform have them too
    for owner in (distribution, *(getattr(distribution, name, None) for name in names)):
        low, high = getattr(owner, "low", None), getattr(owner, "high", None)
        if low is not None and high is not None and not callable(low):
            sides = [_array(side).astype(np.float64).reshape(-1) for side in (low, high)]
            if all(side.size in (1, n) for side in sides):
                return np.broadcast_to(sides[0], n).copy(), np.broadcast_to(sides[1], n).copy()
    return None


def _argument_names(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a built-in has no signature
        return set()


def _support(distribution: Any) -> Any:
    """Return the function that says which values lie in the support, or None if there is none."""
    try:
        return getattr(getattr(distribution, "support", None), "check", None)
    except NotImplementedError:  # some of PyTorch
        return None


def _torch_of(distribution: Any) -> Any:
    """Return PyTorch if a distribution, or a class that it derives from, is PyTorch's."""
    roots = {base.__module__.partition(".")[0] for base in type(distribution).__mro__}
    return sys.modules["torch"] if "torch" in roots else None


def _jax_key(pair: np.ndarray) -> Any:
    """Return a key of JAX's random numbers; two integers are one, too."""
    jax = sys.modules.get("jax")
    return pair.astype(np.uint32) if jax is None else jax.random.PRNGKey(int(pair[0]))


def _array(values: Any) -> np.ndarray:
    """Return an array or a tensor of any package as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _leaves(structure: Structure) -> list[np.ndarray]:
    if isinstance(structure, Mapping):
        return [_array(leaf) for leaf in structure.values()]
    if isinstance(structure, list | tuple):
        return [_array(leaf) for leaf in structure]
    return [_array(structure)]


def _like(example: Structure, leaves: list[np.ndarray]) -> Structure:
    if isinstance(example, Mapping):
        return dict(zip(example, leaves, strict=True))
    if hasattr(example, "_fields"):
        return type(example)(*leaves)
    if isinstance(example, list | tuple):
        return type(example)(leaves)
    return example.new_tensor(leaves[0]) if hasattr(example, "new_tensor") else leaves[0]


def _one_each(values: Any, n: int) -> np.ndarray:
    """Sum the log densities of independent parameters: shape (n, ...) to (n,)."""
    return np.asarray(values, np.float64).reshape(n, -1 if n else 1).sum(axis=1)
