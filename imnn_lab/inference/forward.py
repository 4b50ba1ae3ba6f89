"""The forward model: parameters → simulations → estimates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.executors import Executor
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.journal import PAUSE, Journal, Record
from imnn_lab.simulate import (
    Batch,
    Shape,
    SimulatedBatch,
    Simulations,
    batches,
    concatenate,
    default_size,
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
        Simulations are written to ``<save_sims>_000000.npz``, ... beside their parameters, as
        they come: the last file grows every second.
    bar : callable, optional
        Makes the progress bar, see `imnn_lab.progress`.
    keep : callable, optional
        Gets each part of the draws as it comes, also those before an interruption.
    journal : Journal, optional
        Keeps finished batches in a directory; those that it holds are not simulated again. Each
        batch is then estimated by itself.
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
    keep: Callable[[Draws], Any] | None = None
    journal: Journal | None = None

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
            If the fraction of failures exceeds `max_failed`, or the executor breaks.
        """
        parts = [self._none()]
        size = _batch_size(self.at_once, len(parameters)) or default_size(len(parameters))
        wanted = batches(parameters, seeds if takes_seed(self.simulator) else None, size)
        if self.journal is None:
            arriving = self._estimates(self._simulated(wanted, len(parameters)))
        else:
            record = self.journal.record(seeds, parameters, size)
            arriving = self._recorded(record, list(wanted))
        for part in arriving:
            parts.append(part)
            if self.keep is not None:
                self.keep(part)
        return Draws.joined(parts)

    def _simulated(self, wanted: Iterable[Batch], total: int) -> Iterator[SimulatedBatch]:
        """Yield the result of each batch, and save it."""
        simulated = simulate(
            self.simulator,
            wanted,
            executor=self.executor,
            shape=self.shape,
            max_failed=self.max_failed,
            total=total,
            bar=self.bar,
        )
        return simulated if self.save_sims is None else _saved(self.save_sims, simulated)

    def _estimates(self, simulated: Iterator[SimulatedBatch]) -> Iterator[Draws]:
        """Yield draws as soon as there are enough for a sizeable call of the estimator."""
        for group in _gathered(part for part in simulated if not part.is_lost):
            yield self._estimated(group)

    def _recorded(self, record: Record, wanted: list[Batch]) -> Iterator[Draws]:
        """Yield the draws of each batch in order: read, or made and recorded."""
        missing = [number for number in range(len(wanted)) if number not in record.finished]
        total = sum(len(wanted[number]) for number in missing)
        simulated = self._simulated([wanted[number] for number in missing], total)
        try:
            for number in range(len(wanted)):
                if number not in record.finished:
                    batch = next(simulated)
                    if batch.is_lost:
                        continue
                    record.add(number, self._estimated([batch]))
                yield record.finished[number]
            next(simulated, None)  # raises if too many failed, or the executor broke
        finally:
            record.write()
            del simulated  # ends it, which saves what came

    def _estimated(self, group: list[SimulatedBatch]) -> Draws:
        parameters = np.concatenate([part.batch.parameters for part in group])
        succeeded = np.concatenate([part.succeeded for part in group])
        failure = next((part.failure for part in group if part.failure), None)
        parts = [part.simulations for part in group if part.simulations is not None]
        if not parts:
            empty = self._none()
            return Draws(empty.parameters, empty.estimates, parameters, failure)
        simulations = concatenate(parts)
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
    # copied: it may be filled again by the next call
    array = np.array(checks.real_array("get_estimate", estimates), dtype=np.float64)
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
    try:
        for part in simulated:
            group.append(part)
            count, size = count + len(part.batch), size + _size(part.simulations)
            if count >= TOGETHER or size >= TOGETHER_BYTES:
                yield group
                group, count, size = [], 0, 0
    except (KeyboardInterrupt, Exception):
        if group:
            yield group  # what is finished is estimated before the interruption goes on
        raise
    if group:
        yield group


def _size(simulations: Simulations | None) -> int:
    return 0 if simulations is None else sum(leaf.nbytes for leaf in leaves_of(simulations))


def _saved(name: str, simulated: Iterator[SimulatedBatch]) -> Iterator[SimulatedBatch]:
    """Yield batches, and write them: a file is written again, with more, at most every second."""
    path, group, size, after = _next_file(name), [], 0, time.monotonic() + PAUSE
    try:
        for part in simulated:
            if part.simulations is not None:
                group.append(part)
                size += _size(part.simulations)
            count = sum(len(each.batch) for each in group)
            is_full = count >= TOGETHER or size >= TOGETHER_BYTES
            now = time.monotonic()
            if is_full or now >= after:
                _save(path, group)
                done = time.monotonic()
                after = done + max(PAUSE, 10 * (done - now))  # writing takes a tenth of the time
            if is_full:
                path, group, size = _next_file(name), [], 0
            yield part
    finally:
        _save(path, group)


def _next_file(name: str) -> Path:
    """Return the file of the next free number: nothing of another call is ever overwritten."""
    start = Path(name)
    numbers = [path.stem.rpartition("_")[2] for path in start.parent.glob(f"{start.name}_*.npz")]
    number = 1 + max((int(digits) for digits in numbers if digits.isdigit()), default=-1)
    return start.parent / f"{start.name}_{number:06d}.npz"


def _save(path: Path, group: list[SimulatedBatch]) -> None:
    if group:
        leaves = leaves_of(concatenate([part.simulations for part in group]))  # type: ignore[misc]
        names = ["simulations"] + [f"simulations_{i}" for i in range(1, len(leaves))]
        parameters = np.concatenate([part.batch.parameters[part.succeeded] for part in group])
        arrays = {"parameters": parameters, **dict(zip(names, leaves, strict=True))}
        storage.write_npz(path, arrays)
