"""Run any simulator in batches: on any executor, in order, with seeds, counting what fails.

Batches go in, results come out, streaming and in the order of the batches, with a bounded number of
them in flight. What a batch holds and which seed it gets is settled before anything runs, so the
result does not depend on the number of workers, nor on whether there are any.
"""

from __future__ import annotations

import itertools
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.simulations import Batch, Shape, SimulatedBatch, shape_of, simulate_batch, spawn_seeds

__all__ = ["Batch", "SimulatedBatch", "SimulationError", "batches", "default_size", "simulate"]


class SimulationError(RuntimeError):
    """Too many simulations failed; the message holds the first failure's traceback."""


def simulate(
    simulator: Callable[..., Any],
    batches: Iterable[Batch],
    *,
    executor: Executor | None = None,
    shape: Shape | None = None,
    max_failed: float = 0.5,
    total: int | None = None,
    bar: Callable[..., Any] | None = None,
    in_flight: int = 256,
) -> Iterator[SimulatedBatch]:
    """Yield what became of each batch, in order.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters)``, or ``simulator(parameters, seed)`` for batches with seeds. On an
        executor of processes it must be picklable: defined in a module, not in a session.
    batches : iterable of Batch
        Consumed as room in flight appears.
    executor : concurrent.futures.Executor, optional
        A process pool, Dask's ``Client.get_executor()``, ...; None simulates in this process.
    shape : tuple of int, or tuple of those, optional
        Shape of one simulation; None takes it from the first that succeeds.
    max_failed : float
        The largest fraction of failures to put up with, looked at after 100 simulations and at the
        end.
    total : int, optional
        Number of simulations, for the progress bar and the test of failures.
    bar : callable, optional
        Makes the progress bar, as `progress_bar` returns it; None shows none.
    in_flight : int
        The largest number of batches submitted and not yet yielded.

    Yields
    ------
    SimulatedBatch
        The simulations of a batch, and which of them failed.

    Raises
    ------
    SimulationError
        If the fraction of failures exceeds `max_failed`.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.simulate import batches, simulate
    >>> def simulator(parameters, seed):
    ...     return parameters + np.random.default_rng(seed).normal(size=parameters.shape)
    >>> wanted = batches(np.zeros((100, 2)), np.random.SeedSequence(1), size=50)
    >>> [batch.simulations.shape for batch in simulate(simulator, wanted)]
    [(50, 2), (50, 2)]
    """
    tally = _Tally(max_failed, total)
    run = partial(simulate_batch, simulator, shape=shape)
    with (bar or progress_bar(show=False))(total=total) as progress:
        for simulated in in_order(run, batches, executor=executor, in_flight=in_flight):
            progress.update(len(simulated.batch))
            yield tally.count(simulated)
    tally.judge()


def in_order(
    function: Callable[[Batch], SimulatedBatch],
    batches: Iterable[Batch],
    *,
    executor: Executor | None = None,
    in_flight: int = 256,
) -> Iterator[SimulatedBatch]:
    """Map `function` over batches, lazily and in order; a lost worker fails its batch only."""
    if executor is None:
        yield from map(function, batches)
        return
    run, waiting = uuid.uuid4().hex, deque[tuple[Batch, Any]]()
    numbered = enumerate(batches)
    try:
        while True:
            for index, batch in itertools.islice(numbered, in_flight - len(waiting)):
                # the label keeps executors that remember pure calls from reusing an old answer
                waiting.append(
                    (batch, executor.submit(_labelled, f"{run}-{index}", function, batch))
                )
            if not waiting:
                return
            yield _outcome(*waiting.popleft())
    finally:
        for _, future in waiting:
            future.cancel()


def batches(
    parameters: np.ndarray,
    seeds: np.random.SeedSequence | np.ndarray | None = None,
    size: int | None = None,
) -> Iterator[Batch]:
    """Cut parameters into batches.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        Where to simulate.
    seeds : SeedSequence, ndarray of int of shape (n,), or None
        A sequence gives each batch one integer; an array gives each simulation its own.
    size : int, optional
        Simulations in a batch; by default a 32nd of all, at most 10,000. The number of workers has
        no say, so that results do not depend on it.

    Yields
    ------
    Batch
        In the order of the parameters.
    """
    size = size or default_size(len(parameters))
    starts = range(0, len(parameters), size)
    batch_seeds = None
    if isinstance(seeds, np.random.SeedSequence):
        batch_seeds = spawn_seeds(seeds, len(starts))
    for index, start in enumerate(starts):
        seed: Any = seeds[start : start + size] if isinstance(seeds, np.ndarray) else None
        if batch_seeds is not None:
            seed = int(batch_seeds[index])
        yield Batch(parameters[start : start + size], seed)


def default_size(n: int) -> int:
    """Return how many simulations make a batch.

    Parameters
    ----------
    n : int
        How many there are to be.
    """
    return int(np.clip(-(-n // 32), 1, 10_000))


def _labelled(_: str, function: Callable[[Batch], SimulatedBatch], batch: Batch) -> SimulatedBatch:
    return function(batch)


def _outcome(batch: Batch, future: Future[SimulatedBatch]) -> SimulatedBatch:
    try:
        return future.result()
    except (Exception, CancelledError):  # the simulator's own exceptions never come this way
        return _failed(batch, f"The batch was lost on its way.\n{traceback.format_exc()}")


def _failed(batch: Batch, failure: str) -> SimulatedBatch:
    return SimulatedBatch(batch, np.zeros(len(batch), bool), None, failure)


class _Tally:
    """Counts simulations, holds them to one shape, and stops when too many fail."""

    def __init__(self, max_failed: float, total: int | None) -> None:
        self.max_failed, self.enough = max_failed, 100 if total is None else min(100, total)
        self.done = self.failed = 0
        self.shape: Shape | None = None
        self.failure: str | None = None

    def count(self, simulated: SimulatedBatch) -> SimulatedBatch:
        """Return the batch, as failed when its shape is another than that of those before."""
        if simulated.simulations is not None:
            self.shape = self.shape or shape_of(simulated.simulations)
            if shape_of(simulated.simulations) != self.shape:
                received = f"{shape_of(simulated.simulations)}"
                expected = f"return simulations of one shape, {self.shape} like the first"
                simulated = _failed(
                    simulated.batch, checks.wording("`simulator`", expected, received)
                )
        self.done += len(simulated.batch)
        self.failed += int((~simulated.succeeded).sum())
        self.failure = self.failure or simulated.failure
        if self.done >= self.enough:
            self.judge()
        return simulated

    def judge(self) -> None:
        """Raise if the fraction of failures is too large."""
        if self.failed > self.max_failed * self.done:
            received = f"{self.failed} failures in {self.done} simulations"
            expected = f"succeed in at least {1 - self.max_failed:.0%} of all calls"
            remedy = f"Repair it, or raise `max_failed`. The first failure:\n{self.failure}"
            raise SimulationError(checks.wording("`simulator`", expected, received, remedy))
