"""Batches of simulations: what is asked of a simulator, and what becomes of it.

A simulator is ``simulator(parameters)`` or ``simulator(parameters, seed)`` with parameters of shape
(n, n_params); it returns n simulations, an array of shape (n,) + input_shape or a tuple of such
arrays. A simulation that is not finite, raises, or has the wrong shape has failed. When a batch
raises it is halved until the simulations to blame stand alone; the others are kept.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from imnn_lab import checks

Simulations = np.ndarray | tuple[np.ndarray, ...]
Shape = tuple[int, ...] | tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Batch:
    """What is simulated together.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        Where to simulate.
    seed : int, ndarray of shape (n,), or None
        One integer for the one call that makes the whole batch, or one integer for each simulation,
        which is then made by a call of its own, or None for a simulator that takes no seed.
    """

    parameters: np.ndarray
    seed: int | np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.parameters)

    def calls(self) -> list[Batch]:
        """Return the batches that one call of the simulator each makes."""
        if not isinstance(self.seed, np.ndarray):
            return [self]
        return [Batch(self.parameters[i : i + 1], int(s)) for i, s in enumerate(self.seed)]

    def halves(self) -> list[Batch]:
        """Return the two halves as batches, with seeds of their own derived from this one's."""
        middle = len(self) // 2
        seeds: list[Any] = [None, None] if self.seed is None else [*spawn_seeds(self.seed, 2)]
        pieces = (self.parameters[:middle], self.parameters[middle:])
        return [
            Batch(piece, seed if seed is None else int(seed))
            for piece, seed in zip(pieces, seeds, strict=True)
        ]


@dataclass(frozen=True)
class SimulatedBatch:
    """What became of a batch.

    Attributes
    ----------
    batch : Batch
        What was asked for.
    succeeded : ndarray of bool, shape (n,)
        Which simulations are there.
    simulations : ndarray of shape (n_succeeded,) + input_shape, a tuple of them, or None
        Those that succeeded, in order; None if there are none.
    failure : str or None
        Traceback or description of the first failure.
    failures : tuple of str
        The same of every call that failed: of a batch with a seed for each simulation, one for each
        simulation that is not there. Empty for a batch that failed as a whole, outside its calls.
    """

    batch: Batch
    succeeded: np.ndarray
    simulations: Simulations | None
    failure: str | None = None
    failures: tuple[str, ...] = ()


def simulate_batch(
    simulator: Callable[..., Any], batch: Batch, shape: Shape | None = None
) -> SimulatedBatch:
    """Simulate one batch here and now; exceptions of the simulator are kept, not raised."""
    pieces: list[SimulatedBatch] = []
    for call in batch.calls():
        for piece in _attempts(simulator, call, shape):
            pieces.append(piece)
            if shape is None and piece.simulations is not None:
                shape = shape_of(piece.simulations)  # the others are held to it
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
    taken = set(drawn[first].tolist())
    for index in np.setdiff1d(np.arange(n), first):
        while int(drawn[index]) in taken:
            drawn[index] = (drawn[index] + 1) % 2**31
        taken.add(int(drawn[index]))
    return drawn


def takes_seed(simulator: Callable[..., Any]) -> bool:
    """Tell whether a simulator has an argument `seed` that is not bound yet."""
    bound = simulator.keywords if isinstance(simulator, partial) else {}
    try:
        return "seed" in inspect.signature(simulator).parameters and "seed" not in bound
    except (TypeError, ValueError):  # a built-in has no signature
        return False


def shape_of(simulations: Simulations) -> Shape:
    """Return the shape of one simulation, or of each array of it."""
    if isinstance(simulations, tuple):
        return tuple(leaf.shape[1:] for leaf in simulations)
    return simulations.shape[1:]


def _attempts(
    simulator: Callable[..., Any], batch: Batch, shape: Shape | None
) -> Iterator[SimulatedBatch]:
    try:
        arguments = () if batch.seed is None else (batch.seed,)
        simulations = _arrays(simulator(batch.parameters, *arguments), len(batch), shape)
    except Exception:
        if len(batch) == 1:
            yield SimulatedBatch(batch, np.zeros(1, bool), None, traceback.format_exc())
            return
        for half in batch.halves():
            yield from _attempts(simulator, half, shape)
    else:
        yield _without_non_finite(batch, simulations)


def _arrays(simulations: Any, n: int, shape: Shape | None) -> Simulations:
    """Return the simulator's output as arrays, refusing other shapes than the expected."""
    leaves = simulations if isinstance(simulations, tuple) else (simulations,)
    arrays = tuple(np.asarray(leaf) for leaf in leaves)
    result: Simulations = arrays if isinstance(simulations, tuple) else arrays[0]
    several = bool(shape) and isinstance(shape[0], tuple)  # type: ignore[index]
    wanted: Any = shape if several or shape is None else (shape,)
    right = all(array.ndim > 0 and len(array) == n for array in arrays) and (
        wanted is None or tuple(array.shape[1:] for array in arrays) == tuple(wanted)
    )
    if not right:
        tail = "input_shape" if shape is None else f"input_shape = ({n},) + {shape}"
        received = f"shape {', '.join(str(array.shape) for array in arrays)}"
        remedy = "Return one simulation for each row of `parameters`, in order."
        raise ValueError(checks.wording("`simulator`", f"return (n,) + {tail}", received, remedy))
    if any(array.dtype.kind not in "iufbc" for array in arrays):
        received = ", ".join(str(array.dtype) for array in arrays)
        raise TypeError(checks.wording("`simulator`", "return numbers", received))
    return result


def _without_non_finite(batch: Batch, simulations: Simulations) -> SimulatedBatch:
    leaves = simulations if isinstance(simulations, tuple) else (simulations,)
    succeeded = np.ones(len(batch), bool)
    for leaf in leaves:
        succeeded &= np.isfinite(leaf.reshape(len(batch), -1)).all(axis=1)
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
