"""What a campaign has so far: the simulations of each row, their seeds, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from imnn_lab import checks
from imnn_lab.campaign.plan import Failure, Plan
from imnn_lab.campaign.store import Chunk, Store
from imnn_lab.simulate import SimulatedBatch


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Matched simulations; unpacks as ``fiducial, derivative``.

    Attributes
    ----------
    fiducial : ndarray, shape (n_s,) + input_shape
        Simulations at θ_fid.
    derivative : ndarray, shape (n_d, 2, n_params) + input_shape
        ``[:, 0]`` at θ_fid − δθ/2, ``[:, 1]`` at θ_fid + δθ/2, a row from one seed.
    fiducial_seeds, derivative_seeds : ndarray of int, shapes (n_s,) and (n_d,)
        The seed that each row was made with.
    failures : tuple of Failure
        Every simulation that failed on the way, in the order of the rows.
    """

    fiducial: np.ndarray = field(repr=False)
    derivative: np.ndarray = field(repr=False)
    fiducial_seeds: np.ndarray = field(repr=False)
    derivative_seeds: np.ndarray = field(repr=False)
    failures: tuple[Failure, ...] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.fiducial, self.derivative))


class Ledger:
    """The rows of a campaign that are done; kept in a store as well, if there is one.

    Parameters
    ----------
    plan : Plan
        What is to be simulated.
    store : Store, optional
        Where finished rows are kept; what is there already is taken over.
    """

    def __init__(self, plan: Plan, store: Store | None) -> None:
        self.plan, self.store = plan, store
        self.rows: dict[int, np.ndarray] = {}
        self.seeds: dict[int, int] = {}
        self._failures: dict[tuple[object, ...], Failure] = {}
        for chunk in store.chunks() if store else ():
            self._take(chunk)

    @property
    def missing(self) -> list[int]:
        """The rows that are not there yet."""
        return [row for row in range(self.plan.n_rows) if row not in self.rows]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one simulation, or None before there is one."""
        return next((simulations.shape[1:] for simulations in self.rows.values()), None)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every failure, the fiducial ones first, in the order of rows and attempts."""

        def order(failure: Failure) -> tuple[object, ...]:
            return self.plan.row(failure), failure.index, failure.attempt

        return tuple(sorted(self._failures.values(), key=order))

    def add(self, rows: Sequence[int], simulated: SimulatedBatch, attempt: int) -> None:
        """Take over what became of some rows; those with a failure are still missing.

        Raises
        ------
        TypeError
            If the simulations are tuples of arrays.
        """
        if isinstance(simulated.simulations, tuple):
            remedy = "Join them to one array."
            message = checks.wording("`simulator`", "return one array", "a tuple", remedy)
            raise TypeError(message)
        chunk = _chunk(self.plan, rows, simulated, attempt)
        self._take(chunk)
        if self.store:
            self.store.add(chunk)

    def training_set(self) -> TrainingSet:
        """Return the arrays when no row is missing, and write them if there is a store."""
        n_s, n_d, n_params = self.plan.n_s, self.plan.n_d, self.plan.n_params
        simulations = [self.rows[row] for row in range(self.plan.n_rows)]
        dtype = np.result_type(*{array.dtype for array in simulations})
        derivative = np.stack(simulations[n_s:], dtype=dtype)
        arrays = {
            "fiducial": np.concatenate(simulations[:n_s], dtype=dtype),
            "derivative": derivative.reshape(n_d, 2, n_params, *derivative.shape[2:]),
            "seeds": np.array([self.seeds[row] for row in range(self.plan.n_rows)]),
        }
        if self.store:
            self.store.finish(arrays, self.failures)
        return from_arrays(self.plan, arrays, self.failures)

    def _take(self, chunk: Chunk) -> None:
        self.rows.update(chunk.rows)
        self.seeds.update(chunk.seeds)
        for failure in chunk.failures:
            key = (failure.kind, failure.index, failure.seed, failure.attempt)
            self._failures[key] = failure


def from_arrays(
    plan: Plan, arrays: dict[str, np.ndarray], failures: tuple[Failure, ...]
) -> TrainingSet:
    """Return the result of a campaign from its arrays."""
    fiducial_seeds, derivative_seeds = np.split(arrays["seeds"], [plan.n_s])
    return TrainingSet(
        arrays["fiducial"], arrays["derivative"], fiducial_seeds, derivative_seeds, failures
    )


def _chunk(plan: Plan, rows: Sequence[int], simulated: SimulatedBatch, attempt: int) -> Chunk:
    """Sort a batch by rows: the whole ones, and the failures of the others."""
    lengths = [plan.length(row) for row in rows]
    starts = np.cumsum([0, *lengths])
    there = np.cumsum([0, *simulated.succeeded])  # how many of those before succeeded
    done: dict[int, np.ndarray] = {}
    seeds: dict[int, int] = {}
    failed: list[Failure] = []
    tracebacks = iter(simulated.failures or [simulated.failure or ""] * len(simulated.batch))
    for row, start, length in zip(rows, starts, lengths, strict=False):
        seed = int(np.asarray(simulated.batch.seed)[start])
        places = np.flatnonzero(~simulated.succeeded[start : start + length])
        if not len(places) and isinstance(simulated.simulations, np.ndarray):
            done[row], seeds[row] = simulated.simulations[there[start] :][:length], seed
        failed += [plan.failure(row, int(i), seed, attempt, next(tracebacks)) for i in places]
    return Chunk(done, seeds, failed)
