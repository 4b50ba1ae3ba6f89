"""Arrays as data: all simulations of a set, of shape counts + input_shape."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.progress import progress_bar
from imnn_lab.sources.augmentation import MapFunction, preprocess
from imnn_lab.sources.collection import Data, LabelledSimulations


@dataclass(frozen=True)
class ArrayData(Data):
    """An array, or nested lists; `checked` makes it a preprocessed array of the right shape."""

    map_fn: MapFunction | None = None

    def checked(self) -> ArrayData:
        """Return the array preprocessed and checked, with the layout that it has.

        Raises
        ------
        TypeError, ValueError
            If it has the wrong type or shape, or holds values that are no data.
        """
        name, counts, axes = self.layout.name, self.layout.counts, self.layout.array_shape
        encoding, data = self.settings.encoding, self
        if encoding is not None:
            encoded = encoding.encoded(f"`{name}`", self.value, len(counts), self.layout.is_tangent)
            data = replace(self, value=encoded)
        value = data.value if self.map_fn is None else _preprocessed(data, self.map_fn)
        array = checks.real_array(name, value, f"Pass an array of shape {axes}.")
        if self.layout.is_open:
            counts = (len(array) if array.ndim else 1, *counts[1:])
        shape = (*counts, *self.settings.input_shape)
        if array.shape != shape and (self.settings.check_shape or array.size != math.prod(shape)):
            expected = f"have shape {axes} = {shape}"
            remedy = difference(array.shape, shape)
            raise ValueError(checks.wording(f"`{name}`", expected, f"shape {array.shape}", remedy))
        if counts[0] < 2:
            raise ValueError(checks.wording(f"`{name}`", "hold at least 2 simulations", counts[0]))
        array = checks.data(f"`{name}`", array.reshape(shape), self.settings.dtype)
        return ArrayData(array, replace(self.layout, counts=counts), self.settings)

    def simulations(self) -> LabelledSimulations:
        """Iterate over the simulations."""
        return ((index, self.value[index], "") for index in self.layout.indices())

    def array(self) -> np.ndarray:
        """Return the array."""
        return self.value

    def stream(self, at_once: int, failures: list[Exception]) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions); see `Data`."""
        flat = np.reshape(self.value, (-1, *self.settings.input_shape))
        slices = (flat.astype(self.settings.dtype, copy=False), np.arange(len(flat)))
        return tf.data.Dataset.from_tensor_slices(slices).batch(at_once)


def _preprocessed(data: ArrayData, map_fn: MapFunction) -> Any:
    """Map each simulation of an array whose last axes are those of `input_shape`."""
    checks.refuse_annotated(f"`{data.layout.name}`", data.value)
    array = np.asarray(data.value)
    counts = array.shape[: max(array.ndim - len(data.settings.input_shape), 0)]
    size = math.prod(counts) if counts else 0
    if not size:
        return data.value  # nothing to map: `checked` says what is wrong
    simulations = ((index, array[index], "") for index in np.ndindex(*counts))
    with progress_bar(data.settings.verbose)(total=size, desc="map_fn") as bar:
        mapped = []
        for _, value, _ in preprocess(simulations, map_fn, data.layout):
            mapped.append(value)
            bar.update(1)
    return np.reshape(mapped, (*counts, *np.shape(mapped[0])))


def difference(received: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Say which axes look swapped, missing or different."""
    if sorted(received) == sorted(expected):
        moved = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
        return f"Axes {moved} look swapped: use np.moveaxis to reorder them."
    if len(received) != len(expected):
        surplus = len(received) - len(expected)
        axes = f"{abs(surplus)} axis too {'many' if surplus > 0 else 'few'}"
        return f"There is {axes}; a single value still needs an axis of length 1."
    wrong = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
    return f"The length of axis {', '.join(map(str, wrong))} differs."
