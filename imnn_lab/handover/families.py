"""Priors as named families of distributions, with the names and parameters of PyTorch.

TensorFlow Probability has the same ones. SciPy has other parameters: a gamma distribution of
concentration a and rate 1/s is ``stats.gamma(a, scale=s)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from imnn_lab import checks
from imnn_lab.inference.layout import as_array
from imnn_lab.inference.prior_adapters import SampledPrior, ScipyPrior, as_prior
from imnn_lab.inference.priors import Independent, Prior, TruncatedNormal, Uniform
from imnn_lab.inference.supports import class_names, parts_of

Parameters = dict[str, Any]

KNOWN = {  # the parameters of each family
    "Uniform": ("low", "high"),
    "LogUniform": ("low", "high"),
    "Normal": ("loc", "scale"),
    "TruncatedNormal": ("loc", "scale", "low", "high"),
    "LogNormal": ("loc", "scale"),
    "HalfNormal": ("scale",),
    "StudentT": ("df", "loc", "scale"),
    "Cauchy": ("loc", "scale"),
    "Laplace": ("loc", "scale"),
    "Gumbel": ("loc", "scale"),
    "Exponential": ("rate",),
    "Gamma": ("concentration", "rate"),
    "Beta": ("concentration1", "concentration0"),
    "MultivariateNormal": ("loc", "covariance_matrix"),
}
OF_TFP = set(KNOWN) - {"LogUniform", "MultivariateNormal"}


def _ends(c: Parameters) -> Parameters:
    return {"low": c["loc"], "high": c["loc"] + c["scale"]}


def _cut(c: Parameters) -> Parameters:
    ends = {"low": c["loc"] + c["a"] * c["scale"], "high": c["loc"] + c["b"] * c["scale"]}
    return {"loc": c["loc"], "scale": c["scale"]} | ends


def _place(c: Parameters) -> Parameters:
    return {"loc": c["loc"], "scale": c["scale"]}


# SciPy's name: the family, its parameters, and those of SciPy that must have a fixed value
OF_SCIPY: dict[str, tuple[str, Callable[[Parameters], Parameters], Parameters]] = {
    "uniform": ("Uniform", _ends, {}),
    "loguniform": (
        "LogUniform", lambda c: {"low": c["a"] * c["scale"], "high": c["b"] * c["scale"]},
        {"loc": 0},
    ),
    "norm": ("Normal", _place, {}),
    "truncnorm": ("TruncatedNormal", _cut, {}),
    "lognorm": (
        "LogNormal", lambda c: {"loc": np.log(c["scale"]), "scale": c["s"]}, {"loc": 0},
    ),
    "halfnorm": ("HalfNormal", lambda c: {"scale": c["scale"]}, {"loc": 0}),
    "t": ("StudentT", lambda c: {"df": c["df"], **_place(c)}, {}),
    "cauchy": ("Cauchy", _place, {}),
    "laplace": ("Laplace", _place, {}),
    "gumbel_r": ("Gumbel", _place, {}),
    "expon": ("Exponential", lambda c: {"rate": 1 / c["scale"]}, {"loc": 0}),
    "gamma": (
        "Gamma", lambda c: {"concentration": c["a"], "rate": 1 / c["scale"]}, {"loc": 0},
    ),
    "beta": (
        "Beta", lambda c: {"concentration1": c["a"], "concentration0": c["b"]},
        {"loc": 0, "scale": 1},
    ),
}  # fmt: skip
OF_SCIPY["reciprocal"] = OF_SCIPY["loguniform"]


@dataclass(frozen=True)
class Family:
    """A distribution of one or several parameters, by the name that PyTorch has for it.

    `LogUniform` (bounds `low`, `high`) and `TruncatedNormal` (`loc` and `scale` before the cut,
    `low`, `high`) are not in PyTorch; the latter is in TensorFlow Probability.

    Attributes
    ----------
    name : str
        One of `KNOWN`.
    parameters : dict of float or ndarray, shape (n,) or (n, n)
        Arrays of `MultivariateNormal`, numbers of all others.
    """

    name: str
    parameters: Parameters

    @property
    def n_params(self) -> int:
        """Number of parameters of the model that it describes."""
        return int(np.size(self.parameters.get("loc", 0)))


def families_of(prior: Any) -> list[Family]:
    """Return the independent families that a prior is made of, in the order of the parameters.

    Parameters
    ----------
    prior : Prior, distribution of SciPy or TensorFlow Probability, list or dict of those
        As for `imnn_lab.inference.as_prior`.

    Returns
    -------
    list of Family

    Raises
    ------
    TypeError, ValueError
        If it is no prior, or of another family.

    Examples
    --------
    >>> from scipy import stats
    >>> from imnn_lab.handover import families_of
    >>> families_of(stats.gamma(2, scale=0.5))
    [Family(name='Gamma', parameters={'concentration': 2.0, 'rate': 2.0})]
    """
    as_prior(prior)
    return _families(prior)


def _families(prior: Any) -> list[Family]:
    if isinstance(prior, Mapping):
        prior = list(prior.values())
    if isinstance(prior, list | tuple):
        return [family for part in prior for family in _families(part)]
    if isinstance(prior, Independent):
        return _families(prior.parts)
    if isinstance(prior, ScipyPrior | SampledPrior):
        return _families(prior.distribution)
    if isinstance(prior, Prior):
        return _of_package(prior)
    if isinstance(getattr(prior, "dist", None), stats.rv_continuous):
        return _of_scipy(prior)
    if hasattr(prior, "cov_object"):  # of stats.multivariate_normal
        return [_joint(prior.mean, prior.cov)]
    return _of_tfp(prior)


def _of_package(prior: Prior) -> list[Family]:
    if isinstance(prior, Uniform):
        return _each("Uniform", {"low": prior.low, "high": prior.high})
    if not isinstance(prior, TruncatedNormal):
        raise _unknown(prior)
    found = []
    for mean, sd, low, high in zip(prior.mean, prior.sd, prior.low, prior.high, strict=True):
        cut = {} if np.isinf([low, high]).all() else {"low": low, "high": high}
        found += _each("TruncatedNormal" if cut else "Normal", {"loc": mean, "scale": sd} | cut)
    return found


def _of_scipy(frozen: Any) -> list[Family]:
    """Return the families of a frozen distribution, one for each of its entries."""
    name = frozen.dist.name
    if name not in OF_SCIPY:
        raise _unknown(frozen)
    shapes = [] if frozen.dist.shapes is None else frozen.dist.shapes.split(", ")
    given = dict(zip([*shapes, "loc", "scale"], frozen.args, strict=False)) | frozen.kwds
    values = {"loc": 0.0, "scale": 1.0} | {k: np.asarray(v, float) for k, v in given.items()}
    family, translate, fixed = OF_SCIPY[name]
    if any(np.any(values[key] != value) for key, value in fixed.items()):
        raise _unknown(frozen, f" with {', '.join(f'{k}={v}' for k, v in fixed.items())}")
    return _each(family, translate(values))


def _of_tfp(distribution: Any) -> list[Family]:
    parts = parts_of(distribution)
    names = class_names(distribution)
    if parts is None and "JointDistributionSequential" in names:
        parts = distribution.model
    if parts is not None:
        return [family for part in parts for family in _families(part)]
    if "Independent" in names and hasattr(distribution, "distribution"):
        return _families(distribution.distribution)
    name = type(distribution).__name__
    is_tfp = type(distribution).__module__.startswith("tensorflow_probability")
    if name.startswith("MultivariateNormal") and is_tfp and not len(distribution.batch_shape):
        return [_joint(as_array(distribution.mean()), as_array(distribution.covariance()))]
    if name not in OF_TFP or not is_tfp:
        raise _unknown(distribution)
    values = {key: getattr(distribution, key) for key in KNOWN[name]}
    if any(value is None for value in values.values()):  # given as its logarithm
        raise _unknown(distribution)
    return _each(name, {key: as_array(value) for key, value in values.items()})


def _each(name: str, parameters: Parameters) -> list[Family]:
    """Return a family for each entry of arrays of parameters."""
    spread = np.broadcast_arrays(*(np.asarray(value, float) for value in parameters.values()))
    rows = np.stack(spread, axis=-1).reshape(-1, len(spread))
    return [Family(name, dict(zip(parameters, map(float, row), strict=True))) for row in rows]


def _joint(mean: Any, covariance: Any) -> Family:
    loc = np.atleast_1d(np.asarray(mean, float))
    named = {"loc": loc, "covariance_matrix": np.asarray(covariance, float)}
    return Family("MultivariateNormal", named)


def _unknown(prior: Any, which: str = "") -> Exception:
    """Return the error of a prior of a family that has no name here."""
    expected = f"be made of the families {', '.join(KNOWN)}{which}, to be handed on"
    remedy = "Pass it as a distribution of PyTorch, which sbi takes as it is."
    return ValueError(checks.wording("`prior`", expected, checks.describe(prior), remedy))
