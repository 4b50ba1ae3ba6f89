"""Adapt distributions of other packages to the interface of `Prior`, by their methods.

Accepted: our own; frozen distributions of scipy.stats, uni- or multivariate, and its new ones
(`scipy.stats.Uniform`, `Normal`, `truncate`, `Mixture`, ...); a list or a dictionary of independent
ones; distributions of TensorFlow Probability (Independent, Blockwise, joint, with a batch shape),
of PyTorch and of NumPyro; any object with ``sample(n)`` and ``log_prob(θ)``. Nothing is ever
written to the user's object, and no package is imported for it.
"""

from __future__ import annotations

import copy
import inspect
import sys
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.inference.composites import composed_density
from imnn_lab.inference.layout import Layout, Structure, each_row
from imnn_lab.inference.priors import Independent, Prior
from imnn_lab.inference.supports import (
    bounds_of,
    known_attribute,
    probed_bounds,
    support_check,
    without_false_bounds,
)
from imnn_lab.parameters import Label, spelt_as

METHODS = ("rvs", "sample", "logpdf", "logpmf", "log_prob", "support")
SEEDS = ("seed", "rng", "random_state")
FEW = 256  # draws that tell what a distribution is like
SOME = 0.02  # the share of draws at a bound that rounding in float32 may take to be outside
REPEATED = 0.1  # the share of draws with one value that no continuous distribution reaches
DEPENDENT = 1e-6  # of the spread along other directions, which rounding in float32 stays below

_warned_of: weakref.WeakSet[Any] = weakref.WeakSet()  # priors without a seed


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
        prior = in_order(prior, labels)
    result = _adapted(prior)
    if n_params is not None and result.n_params != n_params:
        received = f"{result.n_params} parameters from {checks.describe(prior)}"
        expected = f"have {n_params} parameters, as many as the Fisher matrix has rows"
        raise ValueError(checks.wording("`prior`", expected, received))
    _check_density_of_draws(result)
    return result


def _check_density_of_draws(prior: Prior) -> None:
    """Refuse a prior without a density at all of its draws; warn if that holds for some."""
    without = int((~(prior.log_prob(prior.sample(FEW, 0)) > -np.inf)).sum())
    received = f"−∞ or NaN at {without} of {FEW} draws"
    words = checks.wording("`prior`", "have a finite density where it draws", received)
    if without == FEW:
        raise ValueError(words)
    if without > SOME * FEW:
        checks.warn(f"{words} Those parts of the prior are lost to all but rejection.")


def labels_of(
    prior: Any, labels: Sequence[str] | None, get_estimate: Any = None
) -> Sequence[str] | None:
    """Return the labels, or the names that an estimator or a dictionary of distributions has.

    Parameters
    ----------
    prior : any
    labels : sequence of str, or None
    get_estimate : callable, optional
        An estimator, or the method of an IMNN, whose parameters may have names.
    """
    if labels is not None:
        return labels
    names = getattr(getattr(get_estimate, "__self__", get_estimate), "names", None)
    if isinstance(names, tuple) and names and all(isinstance(name, Label) for name in names):
        return names
    return list(prior) if isinstance(prior, Mapping) else None


def _refuse_without_density(prior: Any, draws: np.ndarray) -> None:
    """Refuse a prior whose draws are NaN, integers or repeated values, or lie on a surface."""
    if not np.isfinite(draws).all():
        expected, received = "draw finite numbers", f"NaN or infinite ones of {prior!r}"
        raise ValueError(checks.wording("`prior`", expected, received))
    integers = (draws == np.round(draws)).all(axis=0) & (np.abs(draws) < 2**23).all(axis=0)
    repeats = max(np.unique(column, return_counts=True)[1].max() for column in draws.T)
    if integers.any() or repeats > REPEATED * len(draws):
        raise TypeError(_wording_of_discrete(prior))
    if draws.shape[1] > 1 and any(map(_dependent, _columns_of_surfaces(draws))):
        raise ValueError(_wording_of_bound(prior))


def _columns_of_surfaces(draws: np.ndarray) -> list[np.ndarray]:
    """Return columns that depend on one another on a plane, a sphere or the log of a simplex."""
    unit = (draws - draws.mean(axis=0)) / np.std(draws, axis=0)
    columns = [unit, np.concatenate([unit, unit**2], axis=1)]
    return [*columns, np.exp(draws)] if np.abs(draws).max() < 50 else columns


def _dependent(columns: np.ndarray) -> bool:
    """Tell whether columns (n, m) lie in a space of fewer than m dimensions."""
    varied = columns - columns.mean(axis=0)
    spread = np.linalg.svd(varied / np.ptp(varied, axis=0), compute_uv=False)
    return bool(spread[-1] < DEPENDENT * spread[0])


def _wording_of_discrete(prior: Any) -> str:
    remedy = "Parameters are real numbers here: take a continuous distribution."
    return checks.wording("`prior`", "be continuous", checks.describe(prior), remedy)


def _wording_of_bound(prior: Any) -> str:
    remedy = "Leave one parameter out, as 1 minus the others for those that add up to 1."
    expected = "have parameters that are not bound to one another"
    return checks.wording("`prior`", expected, checks.describe(prior), remedy)


def in_order(named: Mapping[str, Any], labels: Sequence[str] | None) -> list[Any]:
    """Return the distributions of a dictionary in the order of the labels."""
    if labels is None:
        return list(named.values())
    found = dict(zip(spelt_as(list(named), labels), named.values(), strict=True))
    if set(labels) != set(found) or len(found) < len(named):
        expected = f"have a distribution for each of the labels {list(labels)}"
        raise ValueError(checks.wording("`prior`", expected, f"those of {list(named)}"))
    return [found[label] for label in labels]


def _adapted(prior: Any) -> Prior:
    if isinstance(prior, Prior):
        return prior
    if isinstance(prior, list | tuple) and prior:
        return Independent([_adapted(part) for part in prior])
    if isinstance(prior, stats.rv_histogram):  # which has its parameters, but can be called
        prior = prior()
    methods = {name for name in METHODS if callable(known_attribute(prior, name))}
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
        given = (*getattr(distribution, "args", ()), *getattr(distribution, "kwds", {}).values())
        checks.refuse_annotated("`prior`", given)
        drawn = self._draw(None, np.random.default_rng(0))
        shape = self._shape = np.shape(drawn)
        self._parameters = int(np.prod(shape))
        _refuse_without_density(distribution, self.sample(FEW, 0))
        try:  # SciPy raises where the parameters leave the surface that they are bound to
            distribution.logpdf(drawn * (1 + 1e-3))
        except ValueError:
            raise ValueError(_wording_of_bound(distribution)) from None
        if callable(getattr(distribution, "support", None)):
            sides = [np.broadcast_to(b, shape).reshape(-1) for b in distribution.support()]
            bounds = np.asarray(sides, np.float64)
        else:
            bounds = probed_bounds(self)
        self.low, self.high = without_false_bounds(bounds, self.sample(2000, 0))

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        drawn = self._draw(n, np.random.default_rng(rng))
        return np.asarray(drawn, np.float64).reshape(n, self._parameters)

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,)."""
        θ = np.asarray(θ, np.float64)
        return each_row(self.distribution.logpdf(θ.reshape(len(θ), *self._shape)), len(θ)).sum(
            axis=1
        )

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
    the structure's order, and split again to be evaluated. The density is −∞ where the support is
    known and a value lies outside, and where the distribution gives NaN or refuses the value.
    """

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution
        self._names = _argument_names(distribution.sample)
        if not self._names & {"key", *SEEDS} and torch_of(distribution) is None:
            _warn_of_no_seed(distribution)
        drawn = self._draw(2, np.random.default_rng(0))
        self._layout = Layout(drawn)
        example = self._layout.structure(self._layout.matrix(drawn))
        self._density = composed_density(distribution) or _unvalidated(distribution).log_prob
        draws = self.sample(FEW, 0)
        _refuse_without_density(distribution, draws)
        self._inside = None
        unchecked = np.isfinite(self.log_prob(draws))
        if not unchecked.any():  # shows why, if it raises
            self._density(self._layout.structure(draws))
        self._inside = support_check(distribution, example)
        if (unchecked & ~np.isfinite(self.log_prob(draws))).sum() > SOME * FEW:
            self._inside = None  # it is not the support of what is drawn
        self.low, self.high = bounds_of(self, distribution, self._layout, example)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw n parameter vectors, shape (n, n_params); `rng` is a Generator or a seed."""
        return self._layout.matrix(self._draw(n, np.random.default_rng(rng)))

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log density, shape (n,)."""
        θ = np.asarray(θ, np.float64)
        values = np.full(len(θ), -np.inf)
        inside = np.ones(len(θ), bool)
        if self._inside is not None and len(θ):
            inside = self._inside(self._layout.structure(θ), len(θ))
        values[inside] = self._where_accepted(θ[inside])
        return np.where(np.isnan(values), -np.inf, values)

    def _where_accepted(self, θ: np.ndarray) -> np.ndarray:
        """Return the log density, −∞ of each value that the distribution refuses."""
        if not len(θ):
            return np.empty(0)
        try:
            return each_row(self._density(self._layout.structure(θ)), len(θ)).sum(axis=1)
        except _refusals():
            if len(θ) == 1:
                return np.array([-np.inf])
        return np.concatenate([self._where_accepted(half) for half in np.array_split(θ, 2)])

    def _draw(self, n: int, generator: np.random.Generator) -> Structure:
        torch = torch_of(self.distribution)
        size: Any = n if torch is None and "sample_shape" not in self._names else (n,)
        pair = generator.integers(2**31, size=2, dtype=np.int32)
        if "key" in self._names:  # NumPyro
            drawn = self.distribution.sample(_jax_key(pair), sample_shape=size)
        elif torch is not None:
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
        name = next((name for name in SEEDS if name in self._names), None)
        if name != "seed":
            return {} if name is None else {name: generator}
        stateless = hasattr(self.distribution, "event_shape")  # as TensorFlow Probability has it
        return {name: pair if stateless else int(pair[0])}


def _argument_names(function: Any) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a built-in has no signature
        return set()


def _warn_of_no_seed(prior: Any) -> None:
    """Warn, once for each prior, that a seed does not reproduce its draws."""
    try:
        if prior in _warned_of:
            return
        _warned_of.add(prior)
    except TypeError:  # it has no hash, or no weak references
        pass
    checks.warn(
        f"`prior.sample` of {checks.describe(prior)} takes no seed: the seeds of ABC and PMC will "
        "not reproduce its draws. Give it an argument `rng`, a numpy.random.Generator, or `seed`."
    )


def _refusals() -> tuple[type[BaseException], ...]:
    """Return the errors by which distributions refuse values outside their support."""
    tensorflow = sys.modules.get("tensorflow")
    ours = () if tensorflow is None else (tensorflow.errors.InvalidArgumentError,)
    return (ValueError, ArithmeticError, AssertionError, *ours)


def _unvalidated(distribution: Any) -> Any:
    """Return a copy of a distribution of PyTorch, of its parts too, that refuses no value.

    Whether they do is a setting of the whole process, which some packages change.
    """
    if isinstance(distribution, list):
        return [_unvalidated(part) for part in distribution]
    if torch_of(distribution) is None or not hasattr(distribution, "_validate_args"):
        return distribution
    silent = copy.copy(distribution)
    for name, value in vars(distribution).items():
        setattr(silent, name, _unvalidated(value))
    silent._validate_args = False
    return silent


def torch_of(distribution: Any) -> Any:
    """Return PyTorch if a distribution, or a class that it derives from, is PyTorch's."""
    roots = {base.__module__.partition(".")[0] for base in type(distribution).__mro__}
    return sys.modules["torch"] if "torch" in roots else None


def _jax_key(pair: np.ndarray) -> Any:
    """Return a key of JAX's random numbers; two integers are one, too."""
    jax = sys.modules.get("jax")
    return pair.astype(np.uint32) if jax is None else jax.random.PRNGKey(int(pair[0]))
