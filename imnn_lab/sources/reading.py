"""Data that are not arrays, read: into memory, onto disk, or anew in every pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources import kinds
from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.checking import check_tangents, checked_array, warn_of_unmatched_seeds
from imnn_lab.sources.collection import First, Found, Layout, collected
from imnn_lab.sources.preprocessing import MapFunction, preprocessed, preprocessed_array
from imnn_lab.sources.streams import (
    DiskFile,
    DiskStore,
    Failures,
    Open,
    StreamedSource,
    in_turn,
    numbered,
)

FIRST_VALUES = 2**24  # values of simulations that are kept to adapt layers to
FIRST_PAIRS = 200


@dataclass(frozen=True)
class Readable:
    """Fiducial and derivative data, and the sets that they must make up.

    Attributes
    ----------
    data : tuple
        Arrays, callables, files or datasets.
    layouts : tuple of Layout
    settings : Settings
    preprocess : callable or None
        What is done to each simulation as it comes.
    """

    data: tuple[Any, Any]
    layouts: tuple[Layout, Layout]
    settings: Settings
    preprocess: MapFunction | None

    @property
    def size(self) -> int:
        """Number of simulations that are not given as arrays."""
        return sum(
            layout.size
            for value, layout in zip(self.data, self.layouts, strict=True)
            if kinds.simulations(value, layout, self.settings) is not None
        )

    def simulations(self, part: int) -> Found | None:
        """Return the simulations of a part, preprocessed; None for an array."""
        layout = self.layouts[part]
        found = kinds.simulations(self.data[part], layout, self.settings)
        if found is None or self.preprocess is None:
            return found
        return preprocessed(found, self.preprocess, layout)

    def array(self, part: int) -> Any:
        """Return a part that is an array, preprocessed."""
        if self.preprocess is None or self.data[part] is None:
            return self.data[part]
        n_axes, settings = len(self.settings.input_shape), self.settings
        return preprocessed_array(
            self.data[part], self.preprocess, self.layouts[part], n_axes, settings.verbose
        )

    def checked(self, part: int) -> Found:
        """Return the simulations of a part one after another, an array's as well."""
        found = self.simulations(part)
        if found is not None:
            return found
        layout, settings = self.layouts[part], self.settings
        inner = (*layout.counts[1:], *settings.input_shape)
        array = checked_array(
            layout.name, self.array(part), layout.counts[0], inner,
            f"{layout.counts} + input_shape", settings.check_shape,
        )  # fmt: skip
        return ((index, array[index], "") for index in np.ndindex(*layout.counts))


def in_memory(data: Readable) -> tuple[Any, Any]:
    """Read what is not an array into one; arrays are left as they are, but for preprocessing."""
    first, second = (
        data.array(part)
        if (found := data.simulations(part)) is None
        else collected(found, data.layouts[part], data.settings)
        for part in (0, 1)
    )
    return first, second


def from_disk(
    data: Readable, external: np.ndarray | None, augmentation: Augmentation | None
) -> StreamedSource:
    """Read everything into temporary files, and return a source that reads these."""
    stores = [_stored(data, part) for part in (0, 1)]
    fiducial, derivative = (store.file for store in stores)
    n_s, n = (layout.size for layout in data.layouts)
    a_seed = n // data.layouts[1].counts[0]
    _check_first(data, derivative.read(0, min(n, a_seed * FIRST_PAIRS)))

    def tangents(at_once: int) -> tf.data.Dataset:
        found = numbered(derivative.dataset(n, at_once), n_s)
        return found.map(
            lambda x, at: (_base(fiducial, (at - n_s) // data.settings.n_params), at, x)
        ).prefetch(2)

    parts: list[Open] = [lambda at_once: numbered(fiducial.dataset(n_s, at_once), 0)]
    parts.append(
        tangents
        if data.settings.is_exact
        else lambda at_once: numbered(derivative.dataset(n, at_once), n_s)
    )
    most = max(1, FIRST_VALUES // math.prod(data.settings.input_shape))
    first = fiducial.read(0, min(n_s, most))
    source = _source(data, parts, first, external, augmentation)
    source.stores = stores
    return source


def streamed(
    data: Readable, external: np.ndarray | None, augmentation: Augmentation | None
) -> StreamedSource:
    """Check every simulation once, and return a source that reads them anew in every pass."""
    settings, first = data.settings, []
    for part, layout in enumerate(data.layouts):
        kept = First(layout, settings, FIRST_VALUES, FIRST_PAIRS if part else layout.size)
        collected(data.checked(part), layout, settings, kept)
        first.append(kept.array)
    _check_first(data, first[1])
    failures: Failures = []
    parts = [_opener(data, part, failures) for part in (0, 1)]
    source = _source(data, parts, first[0], external, augmentation)
    source.failures = failures
    return source


def _stored(data: Readable, part: int) -> DiskStore:
    layout, settings = data.layouts[part], data.settings
    shape = (*layout.counts, *settings.input_shape)
    store = DiskStore(shape, len(layout.counts), settings.dtype)
    collected(data.checked(part), layout, settings, store)
    store.finish()
    return store


def _base(file: DiskFile, numbers: tf.Tensor) -> tf.Tensor:
    """Return the fiducial simulations of the given numbers, which are increasing."""
    read = tf.numpy_function(file.read, [numbers[0], numbers[-1] + 1], file.dtype)
    shape = (None, *file.input_shape)
    return tf.ensure_shape(tf.gather(read, numbers - numbers[0]), shape)


def _check_first(data: Readable, first: np.ndarray) -> None:
    layout = data.layouts[1]
    pairs = first.reshape(-1, *layout.counts[1:], *data.settings.input_shape)
    if data.settings.is_exact:
        check_tangents(layout.name, pairs)
    else:
        warn_of_unmatched_seeds(layout.name, pairs)


def _opener(data: Readable, part: int, failures: Failures) -> Open:
    layout, settings = data.layouts[part], data.settings
    offset = data.layouts[0].size if part else 0

    def opened(at_once: int) -> tf.data.Dataset:
        if data.preprocess is None:
            found = kinds.stream(data.data[part], layout, settings, at_once, failures)
        else:
            found = in_turn(lambda: data.checked(part), layout, settings, at_once, failures)
        return numbered(found, offset)

    return opened


def _source(
    data: Readable,
    parts: list[Open],
    first: np.ndarray,
    external: np.ndarray | None,
    augmentation: Augmentation | None,
) -> StreamedSource:
    settings = data.settings
    n_s, n_d = (layout.counts[0] for layout in data.layouts)
    return StreamedSource(
        parts, first, n_s, n_d, settings.n_params, settings.input_shape, settings.widths,
        settings.dtype, settings.at_once, external, augmentation,
    )  # fmt: skip
