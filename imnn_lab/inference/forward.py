"""The forward model: parameters → simulations → estimates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.inference.draws import Draws
from imnn_lab.simulate import (
    Shape,
    SimulatedBatch,
    Simulations,
    batches,
    concatenate,
    leaves_of,
    simulate,
    takes_seed,
)

TOGETHER = 10_000  # simulations that are compressed together, unless batches are larger
TOGETHER_BYTES = 2**26


@dataclass(frozen=True)
class ForwardModel:
    """A simulator followed by an estimator.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``, see `imnn_lab.simulate`.
    get_estimate : callable
        Simulations (n,) + input_shape → estimates (n, n_params).
    n_params : int
        Number of parameters.
    shape : tuple of int, optional
        Shape of one simulation.
    at_once : bool, int or None
        True makes all simulations in one call, False each in its own, an integer that many; None
        chooses.
    executor : concurrent.futures.Executor, optional
        Where to simulate; the estimator runs in this process.
    max_failed : float
        Largest tolerated fraction of failures.
    save_sims : str, optional
        Simulations are written to ``<save_sims>_000000.npz``, ... beside their parameters.
    bar : callable, optional
        Makes the progress bar, see `imnn_lab.progress`.
    """

    simulator: Callable[..., Any]
    get_estimate: Callable[..., Any]
    n_params: int
    shape: Shape | None = None
    at_once: bool | int | None = None
    executor: Executor | None = None
    max_failed: float = 0.5
    save_sims: str | None = None
    bar: Callable[..., Any] | None = None

    def draws(self, parameters: np.ndarray, seeds: np.random.SeedSequence) -> Draws:
        """Simulate once at each of the parameters, and estimate.

        Parameters
        ----------
        parameters : ndarray, shape (n, n_params)
            Where to simulate.
        seeds : numpy.random.SeedSequence
            Seed of the simulator's random numbers.

        Returns
        -------
        Draws
            What succeeded, and where it failed.

        Raises
        ------
        SimulationError
            If the fraction of failures exceeds `max_failed`.
        """
        size = _batch_size(self.at_once, len(parameters))
        wanted = batches(parameters, seeds if takes_seed(self.simulator) else None, size)
        simulated = simulate(
            self.simulator,
            wanted,
            executor=self.executor,
            shape=self.shape,
            max_failed=self.max_failed,
            total=len(parameters),
            bar=self.bar,
        )
        finished = (part for part in simulated if not part.is_lost)
        parts = [self._estimated(group) for group in _gathered(finished)]
        return Draws.joined([self._none(), *parts])

    def _estimated(self, group: list[SimulatedBatch]) -> Draws:
        parameters = np.concatenate([part.batch.parameters for part in group])
        succeeded = np.concatenate([part.succeeded for part in group])
        failure = next((part.failure for part in group if part.failure), None)
        parts = [part.simulations for part in group if part.simulations is not None]
        if not parts:
            empty = self._none()
            return Draws(empty.parameters, empty.estimates, parameters, failure)
        simulations = concatenate(parts)
        if self.save_sims is not None:
            _save(self.save_sims, parameters[succeeded], simulations)
        estimates = as_estimates(
            self.get_estimate(simulations), int(succeeded.sum()), self.n_params
        )
        good = np.isfinite(estimates).all(axis=1)
        if failure is None and not good.all():
            failure = "An estimate is not finite."
        failed = np.concatenate([parameters[~succeeded], parameters[succeeded][~good]])
        return Draws(parameters[succeeded][good], estimates[good], failed, failure)

    def _none(self) -> Draws:
        empty = np.empty((0, self.n_params))
        return Draws(empty, empty, empty)


def as_estimates(estimates: Any, n: int, n_params: int) -> np.ndarray:
    """Return an estimator's output as float64 of shape (n, n_params).

    Raises
    ------
    ValueError
        If it has another shape.
    """
    array = np.array(estimates, dtype=np.float64)  # copied: it may be filled again by the next call
    if array.shape == (n,) and n_params == 1:
        return array[:, None]
    if array.shape != (n, n_params):
        expected = f"return estimates of shape (n, n_params) = ({n}, {n_params})"
        raise ValueError(checks.wording("`get_estimate`", expected, f"shape {array.shape}"))
    return array


def _batch_size(at_once: bool | int | None, n: int) -> int | None:
    if not isinstance(at_once, bool):
        return at_once
    return max(1, n) if at_once else 1


def _gathered(simulated: Iterator[SimulatedBatch]) -> Iterator[list[SimulatedBatch]]:
    """Gather batches until there are enough for a sizeable call of the estimator."""
    group: list[SimulatedBatch] = []
    count = size = 0
    for part in simulated:
        group.append(part)
        count, size = count + len(part.batch), size + _size(part.simulations)
        if count >= TOGETHER or size >= TOGETHER_BYTES:
            yield group
            group, count, size = [], 0, 0
    if group:
        yield group


def _size(simulations: Simulations | None) -> int:
    return 0 if simulations is None else sum(leaf.nbytes for leaf in leaves_of(simulations))


def _save(name: str, parameters: np.ndarray, simulations: Simulations) -> None:
    """Write simulations under the next free number: nothing is ever overwritten."""
    start = Path(name)
    numbers = [path.stem.rpartition("_")[2] for path in start.parent.glob(f"{start.name}_*.npz")]
    number = 1 + max((int(digits) for digits in numbers if digits.isdigit()), default=-1)
    leaves = leaves_of(simulations)
    names = ["simulations"] + [f"simulations_{i}" for i in range(1, len(leaves))]
    arrays = {"parameters": parameters, **dict(zip(names, leaves, strict=True))}
    storage.write_npz(start.parent / f"{start.name}_{number:06d}.npz", arrays)
