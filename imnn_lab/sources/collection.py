"""Simulations that come one at a time, put into one array: each exactly once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.settings import Settings

AXES = ("seed", "derivative", "parameter")
AXES_OF_EXACT = ("seed", "parameter")
Index = tuple[int, ...]
Found = Iterator[tuple[Index, Any, str]]
"""What a kind of data gives: the index of a simulation, the simulation, and where it stood."""


@dataclass(frozen=True)
class Layout:
    """Which simulations make up a set: (n,) seeds, (n, 2, n_params) or (n, n_params) of them.

    Parameters
    ----------
    name : str
        Name of the argument that the simulations are for, for messages.
    counts : tuple of int
        How many seeds, derivatives (lower, upper) and parameters there are; without the second
        for exact derivatives.
    input_shape : tuple of int, optional
        Shape of one simulation, where it is not that of the settings.
    """

    name: str
    counts: Index
    input_shape: tuple[int, ...] = ()

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the numbers that label a simulation."""
        return AXES_OF_EXACT if len(self.counts) == 2 else AXES[: len(self.counts)]

    @property
    def size(self) -> int:
        """Number of simulations."""
        return math.prod(self.counts)

    @property
    def label(self) -> str:
        """What labels a simulation, in words."""
        return self.axes[0] if len(self.axes) == 1 else f"({', '.join(self.axes)})"

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
        return f"`{self.name}` at {self.words(index)}{where}"

    def words(self, index: Index) -> str:
        """Write an index as ``seed 3, derivative 0, parameter 1``."""
        if len(index) != len(self.axes):
            return f"index {index}"
        return ", ".join(f"{axis} {i}" for axis, i in zip(self.axes, index, strict=True))


class Positions:
    """Where simulations stand in the order of a layout, from their indices."""

    def __init__(self, layout: Layout) -> None:
        self._strides = [math.prod(layout.counts[i + 1 :]) for i in range(len(layout.counts))]

    def __call__(self, index: Any) -> Any:
        """Return the positions (k,) of indices, one tensor or integer for each axis."""
        return sum(i * stride for i, stride in zip(index, self._strides, strict=True))


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


def collected(
    simulations: Found, layout: Layout, settings: Settings, target: Target | None = None
) -> Any:
    """Read all simulations, with a progress bar, and return where they are put.

    Parameters
    ----------
    simulations : iterator
        Index, simulation, and where it stood.
    layout : Layout
        The set that they must make up.
    settings : Settings
        They give the shape and the type.
    target : array-like, optional
        Takes simulations as ``target[index] = simulation``; None is a new array of shape
        counts + input_shape.

    Raises
    ------
    TypeError, ValueError
        If a simulation has the wrong type or shape or is not finite, or if any is missing, there
        twice, or not one of the set; the error names their indices.
    """
    collection = Collection(layout, settings, target)
    with progress_bar(settings.verbose)(total=layout.size, desc=layout.name) as bar:
        for index, value, where in simulations:
            collection.add(index, value, where)
            bar.update(1)
    return collection.complete()


class Target(Protocol):
    """What simulations are put into."""

    def __setitem__(self, index: Index, value: np.ndarray) -> None:
        """Put the simulation at an index."""


class First:
    """The simulations of the first seeds of a set, which is all that is kept of it.

    Attributes
    ----------
    array : ndarray, shape (n,) + counts[1:] + input_shape
    """

    def __init__(self, layout: Layout, settings: Settings, most_values: int, most: int) -> None:
        shape = (*layout.counts[1:], *(layout.input_shape or settings.input_shape))
        n = int(np.clip(most_values // math.prod(shape), 1, min(most, layout.counts[0])))
        self.array = np.empty((n, *shape), settings.dtype)

    def __setitem__(self, index: Index, value: np.ndarray) -> None:
        """Keep the simulation if its seed is one of the first."""
        if index[0] < len(self.array):
            self.array[index] = value


class Collection:
    """A set that is filled one simulation at a time."""

    def __init__(self, layout: Layout, settings: Settings, target: Target | None = None) -> None:
        self.layout, self.input_shape = layout, layout.input_shape or settings.input_shape
        self.check_shape = settings.check_shape
        self.target: Target = target or np.empty(
            (*layout.counts, *self.input_shape), settings.dtype
        )
        self._is_there = np.zeros(layout.counts, bool)
        self._twice: list[str] = []
        self._surplus: list[str] = []

    def add(self, index: Index, value: Any, where: str = "") -> None:
        """Put a simulation in its place; `where` says where it stood, for messages.

        Reading ends as soon as more than a whole set is too much, so that endless data are refused.
        """
        if not self.layout.holds(index):
            self._surplus.append(self.layout.words(index) + where)
        elif self._is_there[index]:
            self._twice.append(self.layout.words(index) + where)
        else:
            self._is_there[index] = True
            context = self.layout.at(index, where)
            self.target[index] = shaped(context, value, self.input_shape, self.check_shape)
        if len(self._surplus) + len(self._twice) > self.layout.size:
            self.complete()

    def complete(self) -> Any:
        """Return the target if every simulation was added exactly once."""
        layout = self.layout
        missing = [layout.words(tuple(index)) for index in np.argwhere(~self._is_there)]
        wrong = {"missing": missing, "there more than once": self._twice}
        wrong["not in this range"] = self._surplus
        received = "; ".join(_listed(indices, what) for what, indices in wrong.items() if indices)
        if received:
            ranges = zip(layout.axes, layout.counts, strict=True)
            spans = ", ".join(f"{axis} 0 to {n - 1}" for axis, n in ranges)
            expected = f"hold each simulation of {spans} exactly once, {layout.size} in all"
            remedy = "Check the numbers of simulations, and that the data belong to one set."
            raise ValueError(checks.wording(f"`{layout.name}`", expected, received, remedy))
        return self.target


def shaped(
    context: str, value: Any, input_shape: tuple[int, ...], check_shape: bool = True
) -> np.ndarray:
    """Return one simulation as an array of `input_shape`; see `checked_simulation`."""
    array = checked_simulation(context, value)
    is_reshapable = not check_shape and array.size == math.prod(input_shape)
    if array.shape != input_shape and not is_reshapable:
        expected = f"have shape input_shape = {input_shape}"
        remedy = "Give one simulation at a time, without an axis for the batch."
        raise ValueError(checks.wording(context, expected, f"shape {array.shape}", remedy))
    return array.reshape(input_shape)


def _listed(indices: list[str], what: str, shown: int = 5) -> str:
    rest = ", …" * (len(indices) > shown)
    return f"{len(indices)} {what} ({'; '.join(indices[:shown])}{rest})"
