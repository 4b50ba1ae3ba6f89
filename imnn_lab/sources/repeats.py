"""Simulations that occur more than once: within a set, or in training and validation.

A simulation is known by a digest of its values in the dtype of the network, 8 bytes of it, so that
sets are compared that are never in memory. Simulations of whole numbers, counts for example, may
be equal by chance: they are judged by how often that happens within the set of training.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.collection import Index, Layout, Sink
from imnn_lab.sources.data.points import PointsLayout

CHUNK_VALUES = 2**20
BY_CHANCE = 5  # simulations of whole numbers, and standard deviations, that chance may explain
SHOWN = 3  # simulations that a message names


class Fingerprints:
    """A sink that keeps, of each simulation, what tells it from others, and passes it on.

    Parameters
    ----------
    layout : Layout
        The set.
    settings : Settings
        Type of a simulation.

    Attributes
    ----------
    digests : ndarray of uint64, shape counts
    is_whole, is_constant : ndarray of bool, shape counts
        Whether all values of a simulation are whole numbers, or the same number.
    sink : array-like, optional
        Receives the simulations as well.
    """

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout, self._dtype = layout, np.dtype(settings.dtype)
        self.digests = np.zeros(layout.counts, np.uint64)
        self.is_whole = np.zeros(layout.counts, bool)
        self.is_constant = np.zeros(layout.counts, bool)
        self.sink: Sink | None = None

    def __setitem__(self, index: Index | slice, value: np.ndarray) -> None:
        """Take the simulation at an index, or those of a slice of the seeds."""
        counts = self.digests[index].shape
        found = _of_rows(value.reshape(math.prod(counts), -1), self._dtype)
        for kept, new in zip(self._kept, found, strict=True):
            kept[index] = new.reshape(counts)
        if self.sink is not None:
            self.sink[index] = value

    def take_all(self, array: np.ndarray) -> None:
        """Take all simulations, counts + input_shape."""
        step = max(1, CHUNK_VALUES // array[0].size)
        for i in range(0, len(array), step):
            self[i : min(i + step, len(array))] = array[i : i + step]

    @property
    def _kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.digests, self.is_whole, self.is_constant

    def repeats(self) -> list[tuple[int, int]]:
        """Return pairs of positions: a simulation, and an equal one of an earlier seed."""
        digests = self.digests.reshape(-1)
        order = np.argsort(digests, kind="stable")
        same = digests[order[1:]] == digests[order[:-1]]
        seeds = self.layout.seeds(order)
        other_seed = seeds[1:] != seeds[:-1]
        at = np.flatnonzero(same & other_seed)
        return sorted(zip(order[at + 1].tolist(), order[at].tolist(), strict=True))

    def unmoved(self) -> list[str]:
        """Return the parameters whose simulations are the same on all sides, in words."""
        if isinstance(self.layout, PointsLayout):
            return self.layout.unmoved(self.digests)
        is_same = (self.digests[:, 0] == self.digests[:, 1]).all(axis=0)
        return [f"parameter {α}" for α in np.flatnonzero(is_same)]

    def words(self, position: int) -> str:
        """Name a simulation for a message."""
        index = np.unravel_index(position, self.layout.counts)
        return self.layout.words(tuple(int(i) for i in index))


def _of_rows(rows: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return digests of rows, whether they are of whole numbers, and whether constant."""
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, dtype)
    digests = b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    is_whole = rows[:, 0] == np.rint(rows[:, 0])
    is_whole[is_whole] = (rows[is_whole] == np.rint(rows[is_whole])).all(axis=1)
    is_constant = (rows[:, 0] == rows[:, -1]) & (rows.shape[1] > 1)
    is_constant[is_constant] = (rows[is_constant] == rows[is_constant][:, :1]).all(axis=1)
    return np.frombuffer(digests, np.uint64), is_whole, is_constant


def check_simulations(
    simulations: Sequence[Fingerprints], n_summaries: int, has_external: bool
) -> None:
    """Refuse or warn of simulations that are equal where they should differ.

    Parameters
    ----------
    simulations : sequence of Fingerprints
        Of the fiducial simulations, and of those below and above θ_fid if there are any.
    n_summaries : int
        Number of summaries.
    has_external : bool
        Whether external summaries can tell what the simulations do not.

    Raises
    ------
    ValueError
        If so many are equal that F cannot be computed.
    """
    fiducial, *pairs = simulations
    _refuse_few(fiducial, n_summaries)
    for each in [] if has_external else pairs:
        _refuse_unmoved(each)
    for each in simulations:
        warn_of_equal(each)


def warn_of_equal(prints: Fingerprints, is_discrete: bool = False) -> None:
    """Warn of simulations that hold one number everywhere, or are equal to others.

    Discrete ones, of whole numbers for example, may be by chance, but not all at one distance from
    each other, as where a file was written twice, or in part.
    """
    pairs = prints.repeats()
    is_regular = len(pairs) > BY_CHANCE and len({i - j for i, j in pairs}) == 1
    if is_regular or not (is_discrete or prints.is_whole.all()):
        _warn_of_constant(prints, prints.is_constant)
        _warn_of_repeats(prints, pairs)


def warn_of_partly_constant(prints: Fingerprints) -> None:
    """Warn of exact derivatives with one number everywhere, but not for every seed.

    The derivative by a mean is 1 in all simulations; zeros among them were never written.
    """
    odd = prints.is_constant.copy()
    for of_one, digests in zip(odd.T, prints.digests.T, strict=True):
        values, counts = np.unique(digests, return_counts=True)
        if of_one.all():
            of_one &= digests != values[counts.argmax()]
    _warn_of_constant(prints, odd)


def warn_of_mixed_numbers(simulations: Sequence[Fingerprints]) -> None:
    """Warn of sets of whole numbers beside sets of others, which are in other units or rounded."""
    whole = [each.layout.name for each in simulations if each.is_whole.all()]
    other = [each.layout.name for each in simulations if each.is_whole.mean() < 0.5]
    if whole and other:
        checks.warn(
            f"`{whole[0]}` holds whole numbers only, but `{other[0]}` does not. Are they in the "
            "same units, and were they rounded alike? All simulations must be made in one way."
        )


def _refuse_few(prints: Fingerprints, n_summaries: int) -> None:
    n_different = len(np.unique(prints.digests))
    if n_different <= n_summaries:
        expected = (
            f"hold more than n_summaries = {n_summaries} simulations that differ, or C is singular"
        )
        received = f"{n_different} that differ, of {prints.layout.size}"
        remedy = "Each needs random numbers of its own."
        raise ValueError(checks.wording(f"`{prints.layout.name}`", expected, received, remedy))


def _refuse_unmoved(prints: Fingerprints) -> None:
    unmoved = prints.unmoved()
    if unmoved:
        received = f"simulations below and above that are all equal for {unmoved[0]}"
        remedy = "Is δθ too small, or the parameter not used?"
        name = f"`{prints.layout.name}`"
        raise ValueError(checks.wording(name, "change with every parameter", received, remedy))


def _warn_of_constant(prints: Fingerprints, is_constant: np.ndarray) -> None:
    at = np.flatnonzero(is_constant)
    if len(at):
        named = (prints.words(i) for i in at[:SHOWN])
        checks.warn(
            f"`{prints.layout.name}` holds {len(at)} simulations with one number everywhere "
            f"({_listed(named, len(at))}). Did they fail, or were they never written to their "
            "file? Repair or replace them."
        )


def _warn_of_repeats(prints: Fingerprints, pairs: list[tuple[int, int]]) -> None:
    if pairs:
        named = (f"{prints.words(i)} is {prints.words(j)}" for i, j in pairs[:SHOWN])
        checks.warn(
            f"`{prints.layout.name}` holds {len(pairs)} simulations that are equal to one of an "
            f"earlier seed ({_listed(named, len(pairs))}). They count as independent ones, so F "
            "is wrong. Make each from a seed of its own."
        )


def refuse_shared(training: Fingerprints, validation: Fingerprints, is_random: bool) -> None:
    """Refuse simulations of validation, or of a test set, that are simulations of training.

    Parameters
    ----------
    training, validation : Fingerprints
        Of the same kind of set.
    is_random : bool
        Whether `map_fn` adds random numbers, which may make simulations of one signal.

    Raises
    ------
    ValueError
        If there are more than chance explains; the message names some.
    """
    values, first = np.unique(training.digests, return_index=True)
    digests = validation.digests.reshape(-1)
    nearest = np.minimum(np.searchsorted(values, digests), len(values) - 1)
    shared = np.flatnonzero(values[nearest] == digests)
    if len(shared) <= _by_chance(training, validation, shared, is_random):
        return
    name = training.layout.name
    named = (
        f"{validation.words(i)} is {training.words(first[nearest[i]])} of `{name}`"
        for i in shared[:SHOWN]
    )
    expected = f"hold no simulation of `{name}`"
    received = f"{len(shared)} of {len(digests)} that are ({_listed(named, len(shared))})"
    remedy = (
        "A network has learnt the noise of its training, so that they would show more information "
        "than there is. Make these from other seeds, or leave them out."
    )
    raise ValueError(checks.wording(f"`{validation.layout.name}`", expected, received, remedy))


def _by_chance(
    training: Fingerprints, validation: Fingerprints, shared: np.ndarray, is_random: bool
) -> float:
    """Return how many simulations two independent sets may share.

    A simulation of validation is in training as often as one of training is there again.
    """
    is_signal = (training.digests == training.digests[:1]).all()  # the same for every seed
    is_copy = np.array_equal(training.digests, validation.digests)
    if is_copy and not is_signal and not is_random:
        return 0
    again = np.unique(np.array(training.repeats(), np.int64).reshape(-1))
    is_discrete = validation.is_whole.reshape(-1)[shared].all()
    if not is_discrete and not (len(again) and validation.repeats()):
        return 0
    expected = validation.layout.size * len(again) / training.layout.size
    return expected + BY_CHANCE * (math.sqrt(expected) + is_discrete)


def _listed(named: Iterable[str], n: int) -> str:
    return "; ".join(named) + "; …" * (n > SHOWN)
