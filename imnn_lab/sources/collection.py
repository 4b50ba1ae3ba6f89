"""Simulations that come one at a time, put into one array: each exactly once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.settings import Settings

AXES = ("seed", "derivative", "parameter")
Index = tuple[int, ...]
Found = Iterator[tuple[Index, Any, str]]
"""What a kind of data gives: the index of a simulation, the simulation, and where it stood."""


@dataclass(frozen=True)
class Layout:
    """Which simulations make up a set: (n,) seeds, or (n, 2, n_params) of them.

    Parameters
    ----------
    name : str
        Name of the argument that the simulations are for, for messages.
    counts : tuple of int
        How many seeds, derivatives (lower, upper) and parameters there are.
    """

    name: str
    counts: Index

    @property
    def size(self) -> int:
        """Number of simulations."""
        return math.prod(self.counts)

    @property
    def label(self) -> str:
        """What labels a simulation, in words."""
        names = AXES[: len(self.counts)]
        return names[0] if len(names) == 1 else f"({', '.join(names)})"

    def indices(self) -> Iterator[Index]:
        """Go through the indices, the last axis first."""
        return iter(np.ndindex(*self.counts))

    def holds(self, index: Index) -> bool:
        """Whether an index is one of this set."""
        return len(index) == len(self.counts) and all(
            0 <= i < n for i, n in zip(index, self.counts, strict=True)
        )

    def at(self, index: Index, where: str = "") -> str:
        """Name the simulation at an index for a message."""
        return f"`{self.name}` at {words(index)}{where}"


def words(index: Index) -> str:
    """Write an index as ``seed 3, derivative 0, parameter 1``."""
    if len(index) > len(AXES):
        return f"index {index}"
    return ", ".join(f"{axis} {i}" for axis, i in zip(AXES, index, strict=False))


def as_index(label: Any) -> Index | None:
    """Return a seed or (seed, derivative, parameter) as an index, None if it is neither."""
    parts = label if isinstance(label, tuple | list) else (label,)
    try:
        return tuple(checks.integer("label", part) for part in parts)
    except TypeError:
        return None


def checked_simulation(context: str, value: Any) -> np.ndarray:
    """Return one simulation as an array of real, finite numbers.

    Raises
    ------
    TypeError, ValueError
        If it is none, or if a number in it is not finite; the error starts with `context`.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "iufb":
        expected, received = "be an array of real numbers", checks.describe(value)
        raise TypeError(checks.wording(context, expected, received, "Return the simulation."))
    is_finite = np.isfinite(array)
    if not is_finite.all():
        where = tuple(int(i) for i in np.argwhere(~is_finite)[0])
        received = f"{int((~is_finite).sum())} non-finite values, the first at index {where}"
        remedy = "Repair or replace the simulation."
        raise ValueError(checks.wording(context, "contain finite numbers only", received, remedy))
    return array


def collected(simulations: Found, layout: Layout, settings: Settings) -> np.ndarray:
    """Read all simulations into an array of shape counts + input_shape, with a progress bar.

    Raises
    ------
    TypeError, ValueError
        If a simulation has the wrong type or shape or is not finite, or if any is missing, there
        twice, or not one of the set; the error names their indices.
    """
    collection = Collection(layout, settings)
    with progress_bar(settings.verbose)(total=layout.size, desc=layout.name) as bar:
        for index, value, where in simulations:
            collection.add(index, value, where)
            bar.update(1)
    return collection.complete()


class Collection:
    """An array that is filled one simulation at a time."""

    def __init__(self, layout: Layout, settings: Settings) -> None:
        self.layout, self.input_shape = layout, settings.input_shape
        self.check_shape = settings.check_shape
        self.array = np.empty((*layout.counts, *self.input_shape), settings.dtype)
        self._is_there = np.zeros(layout.counts, bool)
        self._twice: list[str] = []
        self._surplus: list[str] = []

    def add(self, index: Index, value: Any, where: str = "") -> None:
        """Put a simulation in its place; `where` says where it stood, for messages.

        Reading ends as soon as more than a whole set is too much, so that endless data are refused.
        """
        if not self.layout.holds(index):
            self._surplus.append(words(index) + where)
        elif self._is_there[index]:
            self._twice.append(words(index) + where)
        else:
            self._is_there[index] = True
            self.array[index] = self._checked(self.layout.at(index, where), value)
        if len(self._surplus) + len(self._twice) > self.layout.size:
            self.complete()

    def complete(self) -> np.ndarray:
        """Return the array if every simulation was added exactly once."""
        missing = [words(tuple(index)) for index in np.argwhere(~self._is_there)]
        wrong = {"missing": missing, "there more than once": self._twice}
        wrong["not in this range"] = self._surplus
        received = "; ".join(_listed(indices, what) for what, indices in wrong.items() if indices)
        if received:
            ranges = zip(AXES, self.layout.counts, strict=False)
            spans = ", ".join(f"{axis} 0 to {n - 1}" for axis, n in ranges)
            expected = f"hold each simulation of {spans} exactly once, {self.layout.size} in all"
            remedy = "Check the numbers of simulations, and that the data belong to one set."
            raise ValueError(checks.wording(f"`{self.layout.name}`", expected, received, remedy))
        return self.array

    def _checked(self, context: str, value: Any) -> np.ndarray:
        array = checked_simulation(context, value)
        is_reshapable = not self.check_shape and array.size == math.prod(self.input_shape)
        if array.shape != self.input_shape and not is_reshapable:
            expected = f"have shape input_shape = {self.input_shape}"
            remedy = "Give one simulation at a time, without an axis for the batch."
            raise ValueError(checks.wording(context, expected, f"shape {array.shape}", remedy))
        return array.reshape(self.input_shape)


def _listed(indices: list[str], what: str, shown: int = 5) -> str:
    rest = ", …" * (len(indices) > shown)
    return f"{len(indices)} {what} ({'; '.join(indices[:shown])}{rest})"
