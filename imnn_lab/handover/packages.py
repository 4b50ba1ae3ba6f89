"""What sbi and BayesFlow need: pairs of parameters and summaries, and the prior in their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.handover.families import families_of
from imnn_lab.inference.arguments import as_labels
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.prior_adapters import as_prior, in_order, labels_of, torch_of
from imnn_lab.inference.priors import Prior

SUMMARIES = "summaries"  # their name in BayesFlow's data


def to_sbi(
    prior: Any, pairs: Any, imnn: Any = None, *, labels: Sequence[str] | None = None
) -> tuple[Any, Any, Any]:
    """Return a prior, parameters and summaries as sbi takes them.

    Parameters
    ----------
    prior : any
        What the parameters were drawn from. Distributions of PyTorch stay as they are; others must
        be made of the families that `families_of` knows.
    pairs : Draws, or tuple of parameters (n, n_params) and data (n, ...)
        `ABC.draws`, whose summaries are estimates, or parameters with one simulation at each.
    imnn : IMNN, optional
        Makes summaries of the data. Without it they are summaries already, (n, n_summaries).
    labels : sequence of str, optional
        The order of the parameters in a prior that is a dict.

    Returns
    -------
    prior : torch.distributions.Distribution
    θ : torch.Tensor, shape (n, n_params)
    x : torch.Tensor, shape (n, n_summaries)

    Raises
    ------
    TypeError, ValueError
        If the prior is of an unknown family, or the pairs do not fit together or are not draws of
        the prior.
    ModuleNotFoundError
        If sbi is not installed.

    Notes
    -----
    The observation is compressed alike: ``imnn.summaries(observed)``, or for `ABC.draws`
    ``imnn.get_estimate(observed)``. In sbi, ``NPE(prior).append_simulations(θ, x)`` takes all
    three.
    """
    _, names, θ, x = _checked(prior, pairs, imnn, labels)
    given = in_order(prior, names) if isinstance(prior, Mapping) else prior
    native = torch_of(given) is not None
    families = [] if native else families_of(given)
    torch, utils = checks.package("torch", "sbi"), checks.package("sbi.utils", "sbi")
    θ, x = (torch.as_tensor(array, dtype=torch.float32) for array in (θ, x))
    if native:
        return given, θ, x
    if {family.name for family in families} == {"Uniform"}:
        ends = ([family.parameters[end] for family in families] for end in ("low", "high"))
        return utils.BoxUniform(*(torch.tensor(end) for end in ends)), θ, x
    from imnn_lab.handover.torch_priors import torch_distribution

    parts = [torch_distribution(family) for family in families]
    alone = len(parts) == 1
    return parts[0] if alone else utils.MultipleIndependent(parts, validate_args=False), θ, x


def to_bayesflow(
    prior: Any, pairs: Any, imnn: Any = None, *, labels: Sequence[str] | None = None
) -> tuple[dict[str, np.ndarray], Any]:
    """Return data and an adapter as BayesFlow takes them.

    Parameters
    ----------
    prior, pairs, imnn
        As for `to_sbi`; BayesFlow needs the bounds of the prior alone, so it can be any.
    labels : sequence of str, optional
        Names of the parameters in the data; by default those of the IMNN or of a prior that is a
        dict.

    Returns
    -------
    data : dict of ndarray, shapes (n, 1) and (n, n_summaries)
        Each parameter by its name, and ``"summaries"``, in float32.
    adapter : bayesflow.Adapter
        Takes parameters from between the bounds of the prior to all numbers, and names parameters
        and summaries as networks expect them.

    Raises
    ------
    TypeError, ValueError
        If it is no prior, or the pairs do not fit together or are not draws of the prior.
    ModuleNotFoundError
        If BayesFlow is not installed.

    Notes
    -----
    ``bayesflow.BasicWorkflow(adapter=adapter)`` takes the adapter, its ``fit_offline`` the data.
    The observation is ``{"summaries": imnn.summaries(observed)}``.
    """
    within, names, θ, x = _checked(prior, pairs, imnn, labels)
    if SUMMARIES in names:
        expected = f"not hold {SUMMARIES!r}, the name of the summaries"
        raise ValueError(checks.wording("`labels`", expected, list(names)))
    adapter = checks.package("bayesflow", "bayesflow").Adapter().convert_dtype("float64", "float32")
    for name, bounds in zip(names, within.bounds.T, strict=True):
        ends = zip(("lower", "upper"), bounds, strict=True)
        known = {end: float(bound) for end, bound in ends if np.isfinite(bound)}
        if known:
            adapter = adapter.constrain(name, **known)
    adapter = adapter.concatenate(list(names), into="inference_variables")
    named = dict(zip(map(str, names), np.split(θ.astype(np.float32), len(names), 1), strict=True))
    data = named | {SUMMARIES: x.astype(np.float32)}
    return data, adapter.rename(SUMMARIES, "inference_conditions")


def _checked(
    prior: Any, pairs: Any, imnn: Any, labels: Any
) -> tuple[Prior, tuple[str, ...], np.ndarray, np.ndarray]:
    """Return prior, names, parameters (n, n_params) and summaries (n, n_summaries)."""
    compress = None if imnn is None else getattr(imnn, "summaries", None)
    if imnn is not None and not callable(compress):
        expected = "be an IMNN, whose `summaries` compresses the data"
        raise TypeError(checks.wording("`imnn`", expected, checks.describe(imnn)))
    parameters, data = _pair(pairs, compress is not None)
    θ = checks.finite("parameters", checks.real_array("parameters", parameters).astype(float))
    if θ.ndim != 2 or not θ.size:
        expected = "have shape (n, n_params)"
        raise ValueError(checks.wording("The parameters of `pairs`", expected, θ.shape))
    names = as_labels(labels_of(prior, labels, compress), θ.shape[1])
    within = as_prior(prior, θ.shape[1], names)
    x = data if compress is None else compress(data)
    x = checks.finite("summaries", checks.real_array("summaries", x).astype(float))
    if x.ndim != 2 or len(x) != len(θ):
        expected = f"be one for each of {len(θ)} parameters: shape ({len(θ)}, n_summaries)"
        remedy = "" if compress is not None else "Pass `imnn` to make summaries of simulations."
        raise ValueError(checks.wording("The summaries", expected, f"shape {x.shape}", remedy))
    outside = int(np.isneginf(within.log_prob(θ)).sum())
    if outside:
        expected = "be draws of the prior"
        received = f"{outside} of {len(θ)} outside its support"
        raise ValueError(checks.wording("The parameters of `pairs`", expected, received))
    return within, names, θ, x


def _pair(pairs: Any, is_compressed: bool) -> tuple[Any, Any]:
    """Return parameters and data, or estimates."""
    if not isinstance(pairs, Draws):
        parts = checks.entries("pairs", pairs, "two arrays: parameters and data")
        if len(parts) != 2:
            expected = "be `ABC.draws` or (parameters, data)"
            raise ValueError(checks.wording("`pairs`", expected, f"{len(parts)} entries"))
        return parts[0], parts[1]
    if is_compressed:
        expected = "be left out with draws, which hold estimates and no data"
        raise ValueError(checks.wording("`imnn`", expected, "both"))
    if pairs.weights is not None:
        received = "weighted ones, from another density"
        raise ValueError(checks.wording("`pairs`", "be draws of the prior", received))
    return pairs.parameters, pairs.estimates
