"""Targets of inference with what follows from them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.draws import Target
from imnn_lab.inference.forward import ForwardModel, as_estimates
from imnn_lab.inference.gaussian import GaussianPosterior
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.priors import Prior
from imnn_lab.simulate import batches, simulate
from imnn_lab.simulations import takes_seed


@dataclass(frozen=True)
class Observation:
    """One target of inference.

    Attributes
    ----------
    name : str
    data : ndarray, shape (1,) + input_shape, or a tuple of such arrays
    target : Target
    gaussian : GaussianPosterior
    samples : Posterior
        Samples of the Gaussian approximation.
    truth : ndarray, shape (n_params,), or None
        The parameters it was simulated at, where they are known.
    """

    name: str
    data: Any
    target: Target
    gaussian: GaussianPosterior
    samples: Posterior
    truth: np.ndarray | None = None


def observe(
    name: str,
    data: Any,
    model: ForwardModel,
    Fisher: np.ndarray,
    prior: Prior,
    labels: Sequence[str],
    truth: Any = None,
) -> Observation:
    """Return a target with its estimate and the Gaussian approximation of its posterior.

    Parameters
    ----------
    name : str
    data : ndarray, shape (1,) + input_shape, or a tuple of such arrays
    model : ForwardModel
    Fisher : ndarray, shape (n_params, n_params)
    prior : Prior
    labels : sequence of str
    truth : parameter vector, optional
        Where it was simulated.
    """
    p = model.n_params
    estimates = np.asarray(model.get_estimate(data), np.float64).reshape(-1, p)
    estimate = checks.finite("get_estimate(target)", as_estimates(estimates, 1, model))[0]
    gaussian = GaussianPosterior(estimate, Fisher, prior, tuple(labels))
    known = None if truth is None else checks.vector("truth", truth, p)
    return Observation(
        name, data, Target(estimate, Fisher), gaussian, gaussian.samples(10_000, 0), known
    )


def simulated_data(model: ForwardModel, θ: np.ndarray, seed: int) -> Any:
    """Return one simulation at θ, with a first axis of length 1.

    Raises
    ------
    SimulationError
        If the simulator fails.
    """
    seeds = np.random.SeedSequence(seed) if takes_seed(model.simulator) else None
    (made,) = simulate(model.simulator, batches(θ[None], seeds, 1), max_failed=0.0)
    return made.simulations


def inside(prior: Prior, parameters: Any) -> np.ndarray:
    """Return parameters of a target to simulate, which the prior must allow.

    Raises
    ------
    ValueError
        If it does not.
    """
    θ = checks.vector("parameters", parameters, prior.n_params)
    if not np.isfinite(prior.log_prob(θ[None])).all():
        expected = f"lie inside the prior, from {prior.low.tolist()} to {prior.high.tolist()}"
        raise ValueError(checks.wording("The target's parameters", expected, θ.tolist()))
    return θ
