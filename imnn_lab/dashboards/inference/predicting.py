"""What simulates at draws of a posterior on the inference page, and keeps the data."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab.dashboards.inference.tasks import STOPPED, Task
from imnn_lab.inference.draws import Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.posterior import Posterior
from imnn_lab.simulate import batches, simulate, takes_seed


@dataclass(frozen=True, eq=False)
class Predictive:
    """Simulations at draws of a posterior.

    Attributes
    ----------
    method : str
        Which posterior they are of.
    parameters : ndarray, shape (n, n_params)
    data : ndarray, shape (n,) + input_shape
    distances : ndarray, shape (n,)
        ρ of their estimates from that of the target.
    """

    method: str
    parameters: np.ndarray
    data: np.ndarray
    distances: np.ndarray

    @property
    def nearest(self) -> int:
        """Number of the one whose estimate is nearest to the target's."""
        return int(np.argmin(self.distances))


def predictive_task(
    model: ForwardModel,
    method: str,
    posterior: Posterior,
    target: Target,
    n: int,
    seeds: np.random.SeedSequence,
    keep: Callable[[Predictive], object],
) -> Task:
    """Return the task of simulating at n draws of a posterior.

    Parameters
    ----------
    model : ForwardModel
    method : str
        Name of the posterior.
    posterior : Posterior
    target : Target
    n : int
    seeds : SeedSequence
    keep : callable
        Is given what there is after each batch.
    """
    for_draws, for_simulations = seeds.spawn(2)

    def task(stop: threading.Event) -> str:
        θ = posterior.sample(n, np.random.default_rng(for_draws))
        own = for_simulations if takes_seed(model.simulator) else None
        parameters: list[np.ndarray] = []
        data: list[Any] = []
        distances: list[np.ndarray] = []
        for part in simulate(model.simulator, batches(θ, own, max(1, n // 20))):
            if part.simulations is None:
                continue
            if isinstance(part.simulations, tuple):
                raise TypeError("Simulations of several arrays are not drawn yet.")
            parameters.append(part.batch.parameters[part.succeeded])
            data.append(part.simulations)
            distances.append(
                target.distances(np.asarray(model.get_estimate(part.simulations.copy())))
            )
            joined = (np.concatenate(each) for each in (parameters, data, distances))
            keep(Predictive(method, *joined))
            if stop.is_set():
                return STOPPED
        return "done"

    return task
