"""The state of a campaign: the finished rows with their seeds, and the failures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from imnn_lab import checks
from imnn_lab.campaign.design import Design, Failure
from imnn_lab.campaign.store import FinishedRows, Store
from imnn_lab.simulate import SimulatedBatch


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Matched simulations; unpacks as ``fiducial, derivative``.

    Attributes
    ----------
    fiducial : ndarray, shape (n_s,) + input_shape
        Simulations at θ_fid.
    derivative : ndarray, shape (n_d, 2, n_params) + input_shape
        ``[:, 0]`` at θ_fid − δθ/2, ``[:, 1]`` at θ_fid + δθ/2; each row from one seed.
    fiducial_seeds, derivative_seeds : ndarray of int, shapes (n_s,) and (n_d,)
        The seed of each row.
    failures : tuple of Failure
        Every simulation that failed, or that the executor lost, in the order of the rows.
    """

    fiducial: np.ndarray = field(repr=False)
    derivative: np.ndarray = field(repr=False)
    fiducial_seeds: np.ndarray = field(repr=False)
    derivative_seeds: np.ndarray = field(repr=False)
    failures: tuple[Failure, ...] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.fiducial, self.derivative))


class Ledger:
    """The finished rows of a campaign, also kept in a store if one is given.

    Parameters
    ----------
    design : Design
        The rows to be simulated.
    store : Store, optional
        Directory for finished rows; those that it already holds are read.
    """

    def __init__(self, design: Design, store: Store | None) -> None:
        self.design, self.store = design, store
        self.rows: dict[int, np.ndarray] = {}
        self.seeds: dict[int, int] = {}
        self._failures: dict[tuple[object, ...], Failure] = {}
        for finished in store.read_rows() if store else ():
            self._include(finished)

    @property
    def missing(self) -> list[int]:
        """The rows that are still to be simulated."""
        return [row for row in range(self.design.n_rows) if row not in self.rows]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one simulation; None if none has succeeded."""
        return next((simulations.shape[1:] for simulations in self.rows.values()), None)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every failure, the fiducial ones first, in the order of rows and attempts."""

        def order(failure: Failure) -> tuple[object, ...]:
            return self.design.row(failure), failure.index, failure.attempt

        return tuple(sorted(self._failures.values(), key=order))

    def add(self, rows: Sequence[int], simulated: SimulatedBatch, attempt: int) -> None:
        """Include the result of some rows; those with a failure are still missing.

        Raises
        ------
        TypeError
            If the simulations are tuples of arrays.
        """
        if isinstance(simulated.simulations, tuple):
            remedy = "Join them to one array."
            message = checks.wording("`simulator`", "return one array", "a tuple", remedy)
            raise TypeError(message)
        finished = _finished_rows(self.design, rows, simulated, attempt)
        self._include(finished)
        if self.store:
            self.store.add(finished)

    def pairs(self, most: int) -> np.ndarray:
        """Return some finished derivative rows, (n, 2, n_params) + input_shape."""
        n_s, n_params = self.design.n_s, self.design.n_params
        derivative = (simulations for row, simulations in self.rows.items() if row >= n_s)
        finished = list(itertools.islice(derivative, most))
        return np.reshape(finished, (len(finished), 2, n_params, *(self.shape or ())))

    def training_set(self) -> TrainingSet:
        """Return the arrays once no row is missing, and write them to the store if any."""
        n_s, n_d, n_params = self.design.n_s, self.design.n_d, self.design.n_params
        simulations = [self.rows[row] for row in range(self.design.n_rows)]
        dtype = np.result_type(*{array.dtype for array in simulations})
        derivative = np.stack(simulations[n_s:], dtype=dtype)
        arrays = {
            "fiducial": np.concatenate(simulations[:n_s], dtype=dtype),
            "derivative": derivative.reshape(n_d, 2, n_params, *derivative.shape[2:]),
            "seeds": np.array([self.seeds[row] for row in range(self.design.n_rows)]),
        }
        if self.store:
            self.store.finish(arrays, self.failures)
        return from_arrays(self.design, arrays, self.failures)

    def _include(self, finished: FinishedRows) -> None:
        self.rows.update(finished.rows)
        self.seeds.update(finished.seeds)
        for failure in finished.failures:
            key = (failure.kind, failure.index, failure.seed, failure.attempt)
            self._failures[key] = failure


def from_arrays(
    design: Design, arrays: dict[str, np.ndarray], failures: tuple[Failure, ...]
) -> TrainingSet:
    """Return the result of a campaign from its arrays."""
    fiducial_seeds, derivative_seeds = np.split(arrays["seeds"], [design.n_s])
    return TrainingSet(
        arrays["fiducial"], arrays["derivative"], fiducial_seeds, derivative_seeds, failures
    )


def _finished_rows(
    design: Design, rows: Sequence[int], simulated: SimulatedBatch, attempt: int
) -> FinishedRows:
    """Sort a batch into the rows that succeeded as a whole, and the failures of the others."""
    lengths = [design.length(row) for row in rows]
    starts = np.cumsum([0, *lengths])
    n_before = np.cumsum([0, *simulated.succeeded])  # successes before each simulation
    whole: dict[int, np.ndarray] = {}
    seeds: dict[int, int] = {}
    failed: list[Failure] = []
    tracebacks = iter(simulated.failures or [simulated.failure or ""] * len(simulated.batch))
    for row, start, length in zip(rows, starts, lengths, strict=False):
        seed = int(np.asarray(simulated.batch.seed)[start])
        missing = np.flatnonzero(~simulated.succeeded[start : start + length])
        if simulated.losses and not simulated.is_lost:  # run again, and returned
            loss = simulated.losses[-1]
            failed += [design.failure(row, i, seed, attempt, loss) for i in range(length)]
        if not len(missing) and isinstance(simulated.simulations, np.ndarray):
            whole[row], seeds[row] = simulated.simulations[n_before[start] :][:length], seed
        failed += [design.failure(row, int(i), seed, attempt, next(tracebacks)) for i in missing]
    return FinishedRows(whole, seeds, failed)
