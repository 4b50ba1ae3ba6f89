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

import contextlib
import inspect
import itertools
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.executors import Executor, check_can_send, submitted
from imnn_lab.progress import progress_bar

__all__ = [
    "Batch",
    "ExecutorError",
    "SimulatedBatch",
    "SimulationError",
    "batches",
    "default_size",
    "simulate",
]

RUNS = 4  # of a batch whose worker dies, before it is given up: with others twice, then alone
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
    losses : tuple of str
        What the executor raised each time that it lost the batch, because a worker died.
    is_lost : bool
        Whether it was lost each time: none of its simulations is known to fail.
    """

    batch: Batch
    succeeded: np.ndarray
    simulations: Simulations | None
    failure: str | None = None
    failures: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
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
    checks.refuse_annotated("`simulator`", simulations)
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


class ExecutorError(SimulationError):
    """The executor lost simulations because workers died, which is no failure of theirs."""


def simulate(
    simulator: Callable[..., Any],
    batches: Iterable[Batch],
    *,
    executor: Executor | None = None,
    shape: Shape | None = None,
    max_failed: float = 0.5,
    max_lost: float = 0.0,
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
        A process pool, Dask's ``Client.get_executor()``, ...: see `imnn_lab.executors.as_executor`;
        None simulates in this process.
    shape : tuple of int, or tuple of those, optional
        Shape of one simulation; None takes it from the first that succeeds.
    max_failed : float
        Largest tolerated fraction of failures, checked from 100 simulations on and at the end.
    max_lost : float
        The same of simulations that the executor loses. A batch whose worker dies is run again
        with its seed, up to three times, the last two alone, and only then it is lost.
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
        If the fraction of failures exceeds `max_failed`.
    ExecutorError
        After all that is finished, if the executor broke because a worker died, as a process pool
        does, or if more simulations are lost than `max_lost`.
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
    tally = _Tally(max_failed, max_lost, total)
    run = partial(simulate_batch, simulator, shape=shape)
    wanted = itertools.takewhile(lambda _: not tally.is_losing, batches)
    with (bar or progress_bar(show=False))(total=total) as progress:
        for simulated in in_order(run, wanted, executor=executor, in_flight=in_flight):
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
    """Map `function` over batches, lazily and in order; those that are lost are run again.

    Raises
    ------
    ExecutorError
        If the executor breaks, as a process pool does when a worker dies; first it yields the
        batches that were under way, of which some may be finished and the others are lost.
    """
    if executor is None:
        yield from map(function, batches)
        return
    run, waiting = uuid.uuid4().hex, deque[_Task]()
    numbered, broken = enumerate(batches), False
    try:
        while True:
            for index, batch in itertools.islice(numbered, in_flight - len(waiting)):
                waiting.append(_Task(executor, function, batch, f"{run}-{index}"))
            if not waiting:
                break
            if waiting[0].may_run_again():
                _run_again(waiting)
            task = waiting.popleft()
            if isinstance(task.error, BrokenExecutor):
                broken, numbered = True, enumerate([])
            yield task.outcome()
    finally:
        for task in waiting:
            task.cancel()
    if broken:
        expected = "survive the death of a worker, or be replaced after one"
        received = "a pool that broke when a worker died, killed by the simulator or for its memory"
        remedy = (
            "It takes no more work; what was made before is kept. Call again with a new one; "
            "a `directory` keeps what is finished."
        )
        raise ExecutorError(checks.wording("`executor`", expected, received, remedy))


class _Task:
    """A batch on an executor, which may lose it."""

    def __init__(
        self,
        executor: Executor,
        function: Callable[[Batch], SimulatedBatch],
        batch: Batch,
        label: str,
    ) -> None:
        self.executor, self.function, self.batch, self.label = executor, function, batch, label
        self.losses: tuple[str, ...] = ()
        self.submit()

    def submit(self) -> None:
        """Send the batch to the executor."""
        # the label keeps executors that cache pure calls (Dask) from reusing an old result
        label = f"{self.label}-{len(self.losses)}"
        self.error: BaseException | None = None
        self._outcome: SimulatedBatch | None = None
        try:
            self._future = submitted(self.executor, _labelled, label, self.function, self.batch)
        except BrokenExecutor as error:
            self._lose(error)

    def outcome(self) -> SimulatedBatch:
        """Wait for the batch, and return it."""
        if self._outcome is None:
            try:
                self._outcome = replace(self._future.result(), losses=self.losses)
            except (Exception, CancelledError) as error:  # `function` catches the simulator's own
                self._lose(error)
        assert self._outcome is not None
        return self._outcome

    def may_run_again(self) -> bool:
        """Whether the batch is lost so far."""
        return self.outcome().is_lost and len(self.losses) < RUNS

    def cancel(self) -> None:
        """Ask the executor to leave the batch."""
        if self._outcome is None:
            with contextlib.suppress(AttributeError):  # some futures can only be waited for
                self._future.cancel()

    def _lose(self, error: BaseException) -> None:
        words = f"The executor lost this batch, as when a worker dies.\n{traceback.format_exc()}"
        self.error, self.losses = error, (*self.losses, words)
        self._outcome = replace(_failed(self.batch, words), losses=self.losses, is_lost=True)


def _run_again(tasks: Sequence[_Task]) -> None:
    """Run the batches that were lost again: together, then each alone.

    One that kills its worker may take others with it, which are then lost without a reason.
    """
    lost = [task for task in tasks if task.may_run_again()]
    for task in lost:
        task.submit()
    for task in [task for task in lost if task.may_run_again()]:
        while task.may_run_again():
            task.submit()


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


def _failed(batch: Batch, failure: str) -> SimulatedBatch:
    return SimulatedBatch(batch, np.zeros(len(batch), bool), None, failure)


class _Tally:
    """Counts simulations, requires one shape of all, and stops if too many fail or are lost."""

    def __init__(self, max_failed: float, max_lost: float, total: int | None) -> None:
        self.max_failed, self.max_lost = max_failed, max_lost
        self.enough = 100 if total is None else min(100, total)
        self.done = self.failed = self.lost = 0
        self.shape: Shape | None = None
        self.failure: str | None = None
        self.loss: SimulatedBatch | None = None

    @property
    def is_losing(self) -> bool:
        """Whether too many simulations are lost."""
        is_judged = not self.max_lost or self.done + self.lost >= self.enough
        return is_judged and self.lost > self.max_lost * (self.done + self.lost)

    def count(self, simulated: SimulatedBatch) -> SimulatedBatch:
        """Return the batch, as failed if its shape differs from that of earlier ones."""
        if simulated.is_lost:
            self.lost += len(simulated.batch)
            self.loss = self.loss or simulated
            return simulated
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
            self._judge_failed()
        return simulated

    def judge(self) -> None:
        """Raise if the fraction of failures, or of losses, is too large."""
        self._judge_failed()
        if self.loss is not None and self.lost > self.max_lost * (self.done + self.lost):
            where = self.loss.batch.parameters[0].tolist()
            expected = f"return what it was sent within {RUNS} runs, some of them alone"
            received = (
                f"{self.lost} simulations that it lost each time, the first at parameters {where}"
            )
            remedy = (
                "Do its workers die there, of the simulator or for their memory? What was "
                f"made before is kept. The first loss:\n{self.loss.failure}"
            )
            raise ExecutorError(checks.wording("`executor`", expected, received, remedy))

    def _judge_failed(self) -> None:
        if self.failed > self.max_failed * self.done:
            received = f"{self.failed} failures in {self.done} simulations"
            expected = f"succeed in at least {1 - self.max_failed:.0%} of all calls"
            remedy = f"Repair it, or raise `max_failed`. The first failure:\n{self.failure}"
            raise SimulationError(checks.wording("`simulator`", expected, received, remedy))
