"""Run any simulator in batches: on any executor, in order, with seeds, counting failures.

A simulator is ``simulator(parameters)`` or ``simulator(parameters, seed)`` with parameters of shape
(n, n_params); it returns n simulations, an array of shape (n,) + input_shape or a tuple of such
arrays. A simulation fails if it is not finite, raises, or has the wrong shape. A batch that raises
is halved until the simulations that raise are alone; the others are kept.

Results are yielded in the order of the batches, with a bounded number of batches in flight. The
content and the seed of a batch are fixed before anything runs, so the result does not depend on the
number of workers, or on whether there is an executor.
"""

from __future__ import annotations

import inspect
import itertools
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.executors import check_can_send
from imnn_lab.progress import progress_bar

__all__ = ["Batch", "SimulatedBatch", "SimulationError", "batches", "default_size", "simulate"]

Simulations = np.ndarray | tuple[np.ndarray, ...]
Shape = tuple[int, ...] | tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Batch:
    """Parameters that are simulated together.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        Parameters of each simulation.
    seed : int, ndarray of shape (n,), or None
        One integer for a single call that makes the whole batch, or one integer per simulation,
        each made by a separate call, or None for a simulator that takes no seed.
    """

    parameters: np.ndarray
    seed: int | np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.parameters)

    def calls(self) -> list[Batch]:
        """Return the batches that are each made by one call of the simulator."""
        if not isinstance(self.seed, np.ndarray):
            return [self]
        return [Batch(self.parameters[i : i + 1], int(s)) for i, s in enumerate(self.seed)]

    def halves(self) -> list[Batch]:
        """Return the two halves as batches, with new seeds derived from this one."""
        middle = len(self) // 2
        seeds = [None, None] if self.seed is None else spawn_seeds(self.seed, 2).tolist()
        return [
            Batch(self.parameters[:middle], seeds[0]),
            Batch(self.parameters[middle:], seeds[1]),
        ]


@dataclass(frozen=True)
class SimulatedBatch:
    """The result of a batch.

    Attributes
    ----------
    batch : Batch
        The batch that was simulated.
    succeeded : ndarray of bool, shape (n,)
        Which simulations succeeded.
    simulations : ndarray of shape (n_succeeded,) + input_shape, a tuple of them, or None
        Those that succeeded, in order; None if all failed.
    failure : str or None
        Traceback or description of the first failure.
    failures : tuple of str
        The same for every call that failed: one per failed simulation if each has its own seed.
        Empty for a batch that failed as a whole, outside its calls.
    is_lost : bool
        Whether the executor broke before it returned the batch: none of its simulations failed.
    """

    batch: Batch
    succeeded: np.ndarray
    simulations: Simulations | None
    failure: str | None = None
    failures: tuple[str, ...] = ()
    is_lost: bool = False


def simulate_batch(
    simulator: Callable[..., Any], batch: Batch, shape: Shape | None = None
) -> SimulatedBatch:
    """Simulate one batch in this process; exceptions of the simulator are kept, not raised."""
    pieces: list[SimulatedBatch] = []
    for call in batch.calls():
        for piece in _attempts(simulator, call, shape):
            pieces.append(piece)
            if shape is None and piece.simulations is not None:
                shape = shape_of(piece.simulations)  # the other calls must return the same
    failures = tuple(piece.failure for piece in pieces if piece.failure is not None)
    parts = [piece.simulations for piece in pieces if piece.simulations is not None]
    succeeded = np.concatenate([piece.succeeded for piece in pieces])
    simulations = concatenate(parts) if parts else None
    return SimulatedBatch(batch, succeeded, simulations, next(iter(failures), None), failures)


def concatenate(parts: list[Simulations]) -> Simulations:
    """Join simulations, arrays or tuples of arrays, along their first axis."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(leaves) for leaves in zip(*parts, strict=True))
    return np.concatenate(parts)


def spawn_seeds(seed: int | np.ndarray | np.random.SeedSequence, n: int) -> np.ndarray:
    """Return n different integers from 0 to 2³¹−1; the first k of them do not depend on n."""
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    drawn = (sequence.generate_state(n) >> 1).astype(np.int64)
    _, first = np.unique(drawn, return_index=True)
    used = set(drawn[first].tolist())
    for index in np.setdiff1d(np.arange(n), first):
        while int(drawn[index]) in used:
            drawn[index] = (drawn[index] + 1) % 2**31
        used.add(int(drawn[index]))
    return drawn


def takes_seed(simulator: Callable[..., Any]) -> bool:
    """Whether a simulator has an argument `seed` that is not bound yet, or a second one to pass."""
    bound = simulator.keywords if isinstance(simulator, partial) else {}
    arguments = _arguments(simulator)
    if "seed" in arguments:
        return "seed" not in bound
    needed = [
        one
        for one in arguments.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) == 2


def call_simulator(simulator: Callable[..., Any], parameters: np.ndarray, seed: Any) -> Any:
    """Call a simulator with a seed: by position if it is the second argument, else by name."""
    names = [*_arguments(simulator).values()]
    second = len(names) > 1 and names[1].name == "seed" and names[1].kind != names[1].KEYWORD_ONLY
    if second or "seed" not in {one.name for one in names}:
        return simulator(parameters, seed)
    return simulator(parameters, seed=seed)


def _arguments(simulator: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(simulator).parameters
    except (TypeError, ValueError):  # a built-in has no signature
        return {}


def name_of(simulator: Callable[..., Any]) -> str:
    """Return the name without its module, which changes if the module is run as a script."""
    if isinstance(simulator, partial):
        return name_of(simulator.func)
    return getattr(simulator, "__qualname__", type(simulator).__qualname__)


def leaves_of(simulations: Simulations) -> tuple[np.ndarray, ...]:
    """Return the arrays of simulations: those of a tuple, or the only one."""
    return simulations if isinstance(simulations, tuple) else (simulations,)


def shape_of(simulations: Simulations) -> Shape:
    """Return the shape of one simulation, or of each array of it."""
    if isinstance(simulations, tuple):
        return tuple(leaf.shape[1:] for leaf in simulations)
    return simulations.shape[1:]


def _attempts(
    simulator: Callable[..., Any], batch: Batch, shape: Shape | None
) -> Iterator[SimulatedBatch]:
    try:
        own = batch.parameters.copy()  # a simulator may change its arguments
        is_seeded = batch.seed is not None
        made = call_simulator(simulator, own, batch.seed) if is_seeded else simulator(own)
        simulations = _arrays(made, len(batch), shape)
    except Exception:
        if len(batch) == 1:
            yield _failed(batch, traceback.format_exc())
            return
        for half in batch.halves():
            yield from _attempts(simulator, half, shape)
    else:
        yield _without_non_finite(batch, simulations)


def _arrays(simulations: Any, n: int, shape: Shape | None) -> Simulations:
    """Return the simulator's output as arrays; refuse unexpected shapes."""
    checks.refuse_masked("`simulator`", simulations)
    # copied: a simulator may fill the same array in each call, or return what it keeps
    arrays = tuple(np.array(leaf) for leaf in leaves_of(simulations))
    result: Simulations = arrays if isinstance(simulations, tuple) else arrays[0]
    is_valid = all(array.ndim > 0 and len(array) == n for array in arrays)
    if is_valid and shape is not None:
        several = any(isinstance(length, tuple) for length in shape)
        is_valid = tuple(array.shape[1:] for array in arrays) == (shape if several else (shape,))
    if not is_valid:
        tail = "input_shape" if shape is None else f"input_shape = ({n},) + {shape}"
        received = f"shape {', '.join(str(array.shape) for array in arrays)}"
        remedy = "Return one simulation for each row of `parameters`, in order."
        raise ValueError(checks.wording("`simulator`", f"return (n,) + {tail}", received, remedy))
    if any(array.dtype.kind not in "iufbc" for array in arrays):
        received = ", ".join(str(array.dtype) for array in arrays)
        raise TypeError(checks.wording("`simulator`", "return numbers", received))
    return result


def _without_non_finite(batch: Batch, simulations: Simulations) -> SimulatedBatch:
    leaves = leaves_of(simulations)
    finite = [np.isfinite(leaf.reshape(len(batch), -1)).all(axis=1) for leaf in leaves]
    succeeded = np.all(finite, axis=0)
    if succeeded.all():
        return SimulatedBatch(batch, succeeded, simulations)
    where = batch.parameters[np.argmin(succeeded)]
    failure = f"A simulation is not finite: the first at parameters {where.tolist()}."
    if not succeeded.any():
        return SimulatedBatch(batch, succeeded, None, failure)
    kept = tuple(leaf[succeeded] for leaf in leaves)
    return SimulatedBatch(
        batch, succeeded, kept if isinstance(simulations, tuple) else kept[0], failure
    )


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
    """Yield the result of each batch, in order.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters)``, or ``simulator(parameters, seed)`` for batches with seeds. On an
        executor of processes it must be picklable: defined in a module, not in a session.
    batches : iterable of Batch
        Consumed lazily, `in_flight` of them ahead.
    executor : concurrent.futures.Executor, optional
        A process pool, Dask's ``Client.get_executor()``, ...; None simulates in this process.
    shape : tuple of int, or tuple of those, optional
        Shape of one simulation; None takes it from the first that succeeds.
    max_failed : float
        Largest tolerated fraction of failures, checked from 100 simulations on and at the end.
    total : int, optional
        Number of simulations, for the progress bar and the check of failures.
    bar : callable, optional
        Makes the progress bar, as returned by `progress_bar`; None shows no bar.
    in_flight : int
        Largest number of batches submitted and not yet yielded.

    Yields
    ------
    SimulatedBatch
        The simulations of a batch, and which of them failed.

    Raises
    ------
    SimulationError
        If the fraction of failures exceeds `max_failed`; or, after all that is finished, if the
        executor broke because a worker died.
    TypeError
        If the simulator cannot be sent to a process pool or Dask.

    Warns
    -----
    UserWarning
        If workers are forked from a process in which TensorFlow is loaded, where they can hang.

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
    if executor is not None:
        check_can_send(simulator, executor)
    tally = _Tally(max_failed, total)
    run = partial(simulate_batch, simulator, shape=shape)
    with (bar or progress_bar(show=False))(total=total) as progress:
        for simulated in in_order(run, batches, executor=executor, in_flight=in_flight):
            progress.update(len(simulated.batch))
            yield simulated if simulated.is_lost else tally.count(simulated)
    tally.judge()


def in_order(
    function: Callable[[Batch], SimulatedBatch],
    batches: Iterable[Batch],
    *,
    executor: Executor | None = None,
    in_flight: int = 256,
) -> Iterator[SimulatedBatch]:
    """Map `function` over batches, lazily and in order; a worker that dies fails only its batch.

    Raises
    ------
    SimulationError
        If the executor breaks, as a process pool does when a worker dies; first it yields the
        batches that were under way, of which some may be finished and the others are lost.
    """
    if executor is None:
        yield from map(function, batches)
        return
    run, waiting = uuid.uuid4().hex, deque[tuple[Batch, Any]]()
    numbered, is_broken = enumerate(batches), False
    try:
        while True:
            for index, batch in itertools.islice(numbered, in_flight - len(waiting)):
                # the label keeps executors that cache pure calls (Dask) from reusing an old result
                waiting.append((batch, _submit(executor, f"{run}-{index}", function, batch)))
            if not waiting:
                break
            simulated = _outcome(*waiting.popleft())
            if simulated.is_lost:
                is_broken, numbered = True, enumerate([])
            yield simulated
    finally:
        for _, future in waiting:
            future.cancel()
    if is_broken:
        expected = "survive the death of a worker, or be replaced after one"
        received = "a pool that broke when a worker died, killed by the simulator or for its memory"
        remedy = "Call again with a new one; a `directory` keeps what is finished."
        raise SimulationError(checks.wording("`executor`", expected, received, remedy))


def batches(
    parameters: np.ndarray,
    seeds: np.random.SeedSequence | np.ndarray | None = None,
    size: int | None = None,
) -> Iterator[Batch]:
    """Split parameters into batches.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        Parameters of each simulation.
    seeds : SeedSequence, ndarray of int of shape (n,), or None
        A sequence gives each batch one integer; an array gives each simulation its own.
    size : int, optional
        Simulations per batch; by default a 32nd of all, at most 10,000, whatever the number of
        workers, so that results do not depend on it.

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
    """Return the default number of simulations per batch.

    Parameters
    ----------
    n : int
        Number of all simulations.
    """
    return int(np.clip(-(-n // 32), 1, 10_000))


def _labelled(_: str, function: Callable[[Batch], SimulatedBatch], batch: Batch) -> SimulatedBatch:
    return function(batch)


def _submit(executor: Executor, *arguments: Any) -> Future[SimulatedBatch]:
    try:
        return executor.submit(_labelled, *arguments)
    except BrokenExecutor as error:
        lost: Future[SimulatedBatch] = Future()
        lost.set_exception(error)
        return lost


def _outcome(batch: Batch, future: Future[SimulatedBatch]) -> SimulatedBatch:
    try:
        return future.result()
    except (Exception, CancelledError) as error:  # `simulate_batch` catches the simulator's own
        words = f"The worker died before it returned this batch.\n{traceback.format_exc()}"
        return replace(_failed(batch, words), is_lost=isinstance(error, BrokenExecutor))


def _failed(batch: Batch, failure: str) -> SimulatedBatch:
    return SimulatedBatch(batch, np.zeros(len(batch), bool), None, failure)


class _Tally:
    """Counts simulations, requires one shape of all, and stops if too many fail."""

    def __init__(self, max_failed: float, total: int | None) -> None:
        self.max_failed, self.enough = max_failed, 100 if total is None else min(100, total)
        self.done = self.failed = 0
        self.shape: Shape | None = None
        self.failure: str | None = None

    def count(self, simulated: SimulatedBatch) -> SimulatedBatch:
        """Return the batch, as failed if its shape differs from that of earlier ones."""
        if simulated.simulations is not None:
            self.shape = self.shape or shape_of(simulated.simulations)
            if shape_of(simulated.simulations) != self.shape:
                received = f"{shape_of(simulated.simulations)}"
                expected = f"return simulations of one shape, {self.shape} as at first"
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
