"""Sets of simulations that are read one at a time: their labels, and whether they are complete."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.progress import progress_bar
from imnn_lab.settings import Settings

AXES = ("seed", "derivative", "parameter")
AXES_OF_EXACT = ("seed", "parameter")
COUNTS = {1: "(n_s,)", 2: "(n_d, n_params)", 3: "(n_d, 2, n_params)"}
Index = tuple[int, ...]
LabelledSimulations = Iterator[tuple[Index, Any, str]]
"""The index of each simulation, the simulation, and its origin in words, for messages."""


@dataclass(frozen=True)
class Layout:
    """Which simulations make up a set: (n,) seeds, (n, 2, n_params) or (n, n_params) of them.

    Parameters
    ----------
    name : str
        Name of the argument that the simulations are passed as, for messages.
    counts : tuple of int
        Numbers of seeds, derivatives (lower, upper) and parameters; without the second for exact
        derivatives.
    input_shape : tuple of int, optional
        Shape of one simulation, if it differs from that of the settings.
    is_open : bool
        Whether an array may hold another number of seeds.
    """

    name: str
    counts: Index
    input_shape: tuple[int, ...] = ()
    is_open: bool = False

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the integers that label a simulation."""
        return AXES_OF_EXACT if len(self.counts) == 2 else AXES[: len(self.counts)]

    @property
    def is_tangent(self) -> bool:
        """Whether they are exact derivatives of simulations."""
        return len(self.counts) == 2

    @property
    def size(self) -> int:
        """Number of simulations."""
        return math.prod(self.counts)

    @property
    def array_shape(self) -> str:
        """The shape of an array of them, in words."""
        return f"{COUNTS[len(self.counts)]} + input_shape"

    @property
    def spans(self) -> str:
        """The range of each axis, in words."""
        ranges = zip(self.axes, self.counts, strict=True)
        return ", ".join(f"{axis} 0 to {n - 1}" for axis, n in ranges)

    def seeds(self, positions: np.ndarray) -> np.ndarray:
        """Return the numbers of the seeds of simulations at some positions."""
        return positions // math.prod(self.counts[1:])

    @property
    def label(self) -> str:
        """The label of a simulation, in words."""
        return self.axes[0] if len(self.axes) == 1 else f"({', '.join(self.axes)})"

    def indices(self) -> Iterator[Index]:
        """Iterate over the indices; the last axis varies fastest."""
        return iter(np.ndindex(*self.counts))

    def positions(self, index: Any) -> Any:
        """Return the positions in that order of an index, or of a tensor of indices per axis."""
        strides = [math.prod(self.counts[axis + 1 :]) for axis in range(len(self.counts))]
        return sum(i * stride for i, stride in zip(index, strides, strict=True))

    def holds(self, index: Index) -> bool:
        """Whether an index belongs to this set."""
        return len(index) == len(self.counts) and all(
            0 <= i < n for i, n in zip(index, self.counts, strict=True)
        )

    def at(self, index: Index, origin: str = "") -> str:
        """Name the simulation at an index, for a message."""
        return f"`{self.name}` at {self.words(index)}{origin}"

    def words(self, index: Index) -> str:
        """Write an index as ``seed 3, derivative 0, parameter 1``."""
        if len(index) != len(self.axes):
            return f"index {index}"
        return ", ".join(f"{axis} {i}" for axis, i in zip(self.axes, index, strict=True))


@dataclass(frozen=True)
class Data(abc.ABC):
    """One set of simulations in a form that a user may pass; a class for each kind.

    Parameters
    ----------
    value : object
        The argument as it was passed.
    layout : Layout
        The simulations that it must hold.
    settings : Settings
        Shape and type of a simulation.
    """

    value: Any
    layout: Layout
    settings: Settings

    @property
    def parts(self) -> tuple[tuple[Data, int], ...]:
        """What the data are made of, each with the position where it begins: themselves."""
        return ((self, 0),)

    def checked(self) -> Data:
        """Return the data after the checks that are possible before they are read."""
        return self

    @abc.abstractmethod
    def simulations(self) -> LabelledSimulations:
        """Iterate over all simulations once, in any order, unchecked."""

    def array(self) -> np.ndarray:
        """Read all simulations into an array, counts + input_shape."""
        return self.collect()

    def collect(self, sink: Sink | None = None) -> Any:
        """Read and check all simulations, and return the sink that holds them; see `collect`."""
        return collect(self.simulations(), self.layout, self.settings, sink)

    def stream(self, at_once: int, failures: list[Exception]) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions) that reads the set anew.

        Parameters
        ----------
        at_once : int
            Number of simulations in a chunk.
        failures : list
            Receives exceptions raised while reading, of which TensorFlow keeps only the text.
        """

        def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            try:
                yield from self.chunks(at_once)
            except Exception as error:
                failures.append(error)
                raise

        settings = self.settings
        values = tf.TensorSpec((None, *settings.input_shape), settings.dtype)
        signature = (values, tf.TensorSpec((None,), tf.int64))
        return tf.data.Dataset.from_generator(chunks, output_signature=signature).prefetch(2)

    def chunks(self, at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over chunks (simulations, positions) of at most `at_once` simulations."""
        layout, settings = self.layout, self.settings
        simulations = self.simulations()
        while chunk := list(itertools.islice(simulations, at_once)):
            arrays = [
                checked_simulation(
                    layout.at(index, origin), value, settings.input_shape, settings.check_shape,
                    settings.dtype,
                ).astype(settings.dtype)
                for index, value, origin in chunk
            ]  # fmt: skip
            yield np.stack(arrays), np.array([layout.positions(i) for i, *_ in chunk])


def as_index(label: Any) -> Index | None:
    """Return a seed or (seed, derivative, parameter) as an index, None if it is neither."""
    parts = label if isinstance(label, tuple | list) else (label,)
    try:
        return tuple(checks.integer("label", part) for part in parts)
    except TypeError:
        return None


def checked_simulation(
    context: str,
    value: Any,
    input_shape: tuple[int, ...] | None = None,
    check_shape: bool = True,
    dtype: str | None = None,
) -> np.ndarray:
    """Return one simulation as an array of real, finite numbers.

    Parameters
    ----------
    context : str
        Start of an error's message.
    value : array-like
        The simulation.
    input_shape : tuple of int, optional
        The shape that it must have.
    check_shape : bool
        False reshapes a simulation of the right size.
    dtype : str, optional
        What it is converted to, which must hold its values.

    Raises
    ------
    TypeError, ValueError
        If it is not an array of numbers, one of them is not finite or no data (see `checks.data`),
        or its shape is wrong.
    """
    checks.refuse_annotated(context, value)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in "iufb":
        expected, received = "be an array of real numbers", checks.describe(value)
        raise TypeError(checks.wording(context, expected, received, "Return the simulation."))
    is_finite = np.isfinite(array)
    if not is_finite.all():
        first = tuple(int(i) for i in np.argwhere(~is_finite)[0])
        received = f"{int((~is_finite).sum())} non-finite values, the first at index {first}"
        remedy = f"Repair or replace the simulation. {checks.MASK}"
        raise ValueError(checks.wording(context, "contain finite numbers only", received, remedy))
    checks.data(context, array, dtype)
    if input_shape is None or array.shape == input_shape:
        return array
    if check_shape or array.size != math.prod(input_shape):
        expected = f"have shape input_shape = {input_shape}"
        remedy = "Give one simulation at a time, without an axis for the batch."
        raise ValueError(checks.wording(context, expected, f"shape {array.shape}", remedy))
    return array.reshape(input_shape)


class Sink(Protocol):
    """Receives simulations: each at its index, or all of some seeds."""

    def __setitem__(self, index: Index | slice, value: np.ndarray) -> None:
        """Write the simulation at an index, or those of a slice of the seeds."""


class Sample:
    """A sink that keeps only the simulations of the first seeds.

    Attributes
    ----------
    array : ndarray, shape (n,) + counts[1:] + input_shape
    """

    def __init__(self, layout: Layout, settings: Settings, max_values: int, max_seeds: int) -> None:
        shape = (*layout.counts[1:], *settings.input_shape)
        n = int(np.clip(max_values // math.prod(shape), 1, min(max_seeds, layout.counts[0])))
        self.array = np.empty((n, *shape), settings.dtype)

    def __setitem__(self, index: Index | slice, value: np.ndarray) -> None:
        """Keep the simulations of which the seeds are among the first."""
        if isinstance(index, slice):
            self.array[index] = value[: max(0, len(self.array) - index.start)]
        elif index[0] < len(self.array):
            self.array[index] = value


def collect(
    simulations: LabelledSimulations, layout: Layout, settings: Settings, sink: Sink | None = None
) -> Any:
    """Read all simulations, with a progress bar, and return the sink that holds them.

    Parameters
    ----------
    simulations : iterator
        Index, simulation and origin.
    layout : Layout
        The set that they must make up.
    settings : Settings
        Shape and type of a simulation.
    sink : array-like, optional
        Receives ``sink[index] = simulation``; None is a new array of shape counts + input_shape.

    Raises
    ------
    TypeError, ValueError
        If a simulation has the wrong type or shape or is not finite, or if any is missing,
        duplicated, or not one of the set; the error names their indices.
    """
    collection = Collection(layout, settings, sink)
    with progress_bar(settings.verbose)(total=layout.size, desc=layout.name) as bar:
        for index, value, origin in simulations:
            collection.add(index, value, origin)
            bar.update(1)
    return collection.complete()


class Collection:
    """A set that is filled one simulation at a time."""

    def __init__(self, layout: Layout, settings: Settings, sink: Sink | None = None) -> None:
        self.layout, self.check_shape, self.dtype = layout, settings.check_shape, settings.dtype
        self.input_shape = layout.input_shape or settings.input_shape
        shape = (*layout.counts, *self.input_shape)
        self.sink: Sink = np.empty(shape, settings.dtype) if sink is None else sink
        self._is_present = np.zeros(layout.counts, bool)
        self._duplicated: list[str] = []
        self._surplus: list[str] = []

    def add(self, index: Index, value: Any, origin: str = "") -> None:
        """Write a simulation to the sink; `origin` says for messages where it was read.

        Raises as soon as more simulations are wrong than the set holds, which ends endless data.
        """
        if not self.layout.holds(index):
            self._surplus.append(self.layout.words(index) + origin)
        elif self._is_present[index]:
            self._duplicated.append(self.layout.words(index) + origin)
        else:
            self._is_present[index] = True
            context = self.layout.at(index, origin)
            self.sink[index] = checked_simulation(
                context, value, self.input_shape, self.check_shape, self.dtype
            )
        if len(self._surplus) + len(self._duplicated) > self.layout.size:
            self.complete()

    def complete(self) -> Any:
        """Return the sink if every simulation was added exactly once."""
        layout = self.layout
        missing = [layout.words(tuple(index)) for index in np.argwhere(~self._is_present)]
        wrong = {"missing": missing, "duplicated": self._duplicated}
        wrong["not in this range"] = self._surplus
        received = "; ".join(_listed(indices, what) for what, indices in wrong.items() if indices)
        if received:
            expected = f"hold each simulation of {layout.spans} exactly once, {layout.size} in all"
            remedy = "Check the numbers of simulations, and that the data belong to one set."
            raise ValueError(checks.wording(f"`{layout.name}`", expected, received, remedy))
        return self.sink


def _listed(indices: list[str], what: str, shown: int = 5) -> str:
    rest = ", …" * (len(indices) > shown)
    return f"{len(indices)} {what} ({'; '.join(indices[:shown])}{rest})"
