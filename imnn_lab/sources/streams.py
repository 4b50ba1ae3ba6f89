"""Simulations that are read anew in every pass: from where they are, or from a file on disk."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources.collection import Found, Index, Layout, Positions, shaped
from imnn_lab.sources.feeds import Rows, Stream, StreamFeed
from imnn_lab.sources.source import Source

Open = Callable[[int], tf.data.Dataset]
"""Opens a part of a set: chunk size → dataset of `Rows`."""

Failures = list[Exception]

AT_ONCE = 1000
CHUNK_VALUES = 2**24  # values of simulations in a chunk, at most, where the user gave no size


class StreamedSource(Source):
    """Simulations that do not stay in memory.

    Parameters
    ----------
    parts : sequence of callable
        Each opens a dataset of `Rows` for a size of chunks: the fiducial rows, and the others.
    first : array, shape (n,) + input_shape
        Fiducial simulations to adapt layers to.
    numbers
        The arguments of `Source`.

    Attributes
    ----------
    failures : list of Exception
        What users' functions raised in a pass, of which TensorFlow keeps the words only.
    stores : sequence of DiskStore
        What keeps temporary files there as long as they are needed.
    """

    def __init__(
        self,
        parts: Sequence[Open],
        first: np.ndarray,
        *numbers: Any,
    ) -> None:
        super().__init__(*numbers)
        self._parts, self._first = tuple(parts), first
        self._streams: dict[int, list[Stream]] = {}
        self.failures: Failures = []
        self.stores: Sequence[DiskStore] = ()
        if not self._is_given:
            most = max(1, CHUNK_VALUES // math.prod(self.input_shape))
            self.at_once = min(AT_ONCE, most, self.size)

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations go through the network in several chunks: always."""
        return True

    def limit(self, at_once: int | None) -> None:
        """Set how many simulations are in the network at once, if that is fewer than now."""
        if at_once is not None and not self._is_given:
            self.at_once = min(at_once, self.at_once)

    def feed(self, step: tf.Tensor) -> StreamFeed:
        """Return the pass of an iteration."""
        if self.at_once not in self._streams:
            sizes = (self.n_s, self.size - self.n_s)
            with tf.init_scope():
                self._streams[self.at_once] = [
                    Stream(opened(self.at_once), math.ceil(n / self.at_once))
                    for opened, n in zip(self._parts, sizes, strict=True)
                ]
        streams = self._streams[self.at_once]
        return StreamFeed(streams, lambda rows: self._augmented(rows, step))

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations: the first ones."""
        first = self._first[:most]
        return self._augmented(Rows(tf.constant(first), tf.range(len(first)))).simulations.numpy()


def numbered(dataset: tf.data.Dataset, offset: int) -> tf.data.Dataset:
    """Turn a dataset of (simulations, positions in a part) into one of `Rows`."""
    return dataset.map(lambda x, positions: (x, tf.cast(positions + offset, tf.int32)))


def in_turn(
    opened: Callable[[], Found],
    layout: Layout,
    settings: Settings,
    at_once: int,
    failures: Failures,
) -> tf.data.Dataset:
    """Return a dataset of chunks (simulations, positions) of simulations that come one at a time.

    Parameters
    ----------
    opened : callable
        Starts a pass over them.
    layout : Layout
    settings : Settings
    at_once : int
        How many make up a chunk.
    failures : list
        Takes what is raised.
    """
    position = Positions(layout)

    def checked(found: tuple[Index, Any, str]) -> np.ndarray:
        context = layout.at(found[0], found[2])
        array = shaped(context, found[1], settings.input_shape, settings.check_shape)
        return array.astype(settings.dtype)

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        try:
            simulations = opened()
            while part := list(itertools.islice(simulations, at_once)):
                positions = np.array([position(index) for index, *_ in part])
                yield np.stack([checked(found) for found in part]), positions
        except Exception as error:
            failures.append(error)
            raise

    values = tf.TensorSpec((None, *settings.input_shape), settings.dtype)
    signature = (values, tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(chunks, output_signature=signature).prefetch(2)


class DiskFile(NamedTuple):
    """A file of simulations, one behind the other."""

    path: Path
    input_shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the simulations from `start` to `stop`."""
        n, size = stop - start, math.prod(self.input_shape)
        offset = start * size * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, n * size, offset=offset)
        return values.reshape(n, *self.input_shape)

    def dataset(self, n: int, at_once: int) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions) of all n simulations."""

        def chunk(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            stop = tf.minimum(start + at_once, n)
            values = tf.numpy_function(self.read, [start, stop], self.dtype, stateful=False)
            return tf.ensure_shape(values, (None, *self.input_shape)), tf.range(start, stop)

        return tf.data.Dataset.range(0, n, at_once).map(chunk, num_parallel_calls=2).prefetch(2)


class DiskStore:
    """Puts simulations into a temporary file, which goes when this does.

    Parameters
    ----------
    shape : tuple of int
        Counts and input_shape.
    n_axes : int
        How many axes count simulations.
    dtype : str
    """

    def __init__(self, shape: tuple[int, ...], n_axes: int, dtype: str) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="imnn_lab-")
        path = Path(self._place.name) / "simulations"
        self.file = DiskFile(path, shape[n_axes:], np.dtype(dtype))
        self._map: np.memmap | None = np.memmap(path, dtype, "w+", shape=shape)

    def __setitem__(self, index: tuple[int, ...], value: np.ndarray) -> None:
        """Write a simulation."""
        if self._map is not None:
            self._map[index] = value

    def finish(self) -> None:
        """Write what is not yet on disk, and let go of the memory."""
        if self._map is not None:
            self._map.flush()
            self._map = None
