"""Simulations that are read anew in every pass: from where they are, or from a file on disk."""

from __future__ import annotations

import functools
import math
import tempfile
import weakref
from collections.abc import Callable, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources.checking import check_derivatives, warn_of_offsets
from imnn_lab.sources.collection import Data
from imnn_lab.sources.data.points import PointsLayout, sample_of
from imnn_lab.sources.differences import Differences
from imnn_lab.sources.repeats import Fingerprints
from imnn_lab.sources.source import Augment, Feed, Rows, Source, State, Step

AT_ONCE = 1000
CHUNK_VALUES = 2**24  # largest number of values in a chunk if the user did not set its size
SAMPLE_VALUES = 2**24  # largest number of values that are kept to fit layers to
SAMPLE_PAIRS = 200


class Stream:
    """A dataset that is read again and again, without being opened anew each time.

    The iterator is made of raw operations, since that of ``iter(dataset)`` cannot be started over
    inside a graph. It reads ahead in threads, and is freed when these have ended. One that needs
    Python cannot end after Python's exit has begun; therefore it is emptied before.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Its elements are the fields of `Rows`.
    chunks : int
        Number of elements.
    """

    def __init__(self, dataset: tf.data.Dataset, chunks: int) -> None:
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        self.chunks = chunks
        self._dataset = dataset.repeat().with_options(options)  # keeps its functions alive
        self._variant = tf.data.experimental.to_variant(self._dataset)
        specs = self._dataset.element_spec
        self._outputs = {
            "output_types": [spec.dtype for spec in specs],
            "output_shapes": [spec.shape for spec in specs],
        }
        with tf.device(self._variant.device):
            self._iterator = tf.raw_ops.AnonymousIteratorV3(**self._outputs)
        self._is_within = tf.Variable(True, trainable=False)
        weakref.finalize(self, _empty, self._iterator, self._dataset)

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks; see `Feed`.

        The first pass, and one after a pass that failed within the dataset, starts it over.
        """
        started = tf.cond(self._is_within, self._start_over, tf.no_op)
        with tf.control_dependencies([started]):
            begun = self._is_within.assign(True)

        def body(k: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            with tf.device(self._variant.device):
                rows = tf.raw_ops.IteratorGetNext(iterator=self._iterator, **self._outputs)
            return k + 1, step(Rows(*rows), state)

        with tf.control_dependencies([begun]):
            start = (tf.constant(0), state)
        k, state = tf.while_loop(lambda k, _: k < self.chunks, body, start, parallel_iterations=1)
        self._is_within.assign(k < self.chunks)
        return state

    def _start_over(self) -> tf.Operation:
        tf.raw_ops.MakeIterator(dataset=self._variant, iterator=self._iterator)
        return tf.no_op()


def _empty(iterator: tf.Tensor, dataset: tf.data.Dataset) -> None:
    """Let an iterator end, and wait for its threads."""
    with tf.init_scope():
        variant = tf.data.experimental.to_variant(dataset.take(0))
        with tf.device(variant.device):
            tf.raw_ops.MakeIterator(dataset=variant, iterator=iterator)


class StreamFeed:
    """Rows that are read anew in every pass.

    Parameters
    ----------
    streams : sequence of Stream
    prepare : callable
        Takes and returns `Rows`: what remains to be done to them.
    """

    def __init__(self, streams: Sequence[Stream], prepare: Callable[[Rows], Rows]) -> None:
        self.streams, self._prepare = tuple(streams), prepare
        self.pieces: Sequence[Rows] = ()
        self.shares: Sequence[tuple[str, Feed]] = [("", self)]

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks; see `Feed`."""
        for stream in self.streams:
            state = stream.fold(lambda rows, state: step(self._prepare(rows), state), state)
        return state


class StreamedSource(Source):
    """Simulations that do not stay in memory.

    Parameters
    ----------
    parts : tuple of Data or DiskStore
        The fiducial simulations and the derivative ones.
    differences : Differences
        What the derivative ones are.
    sample : array, shape (n,) + input_shape
        The first fiducial simulations, to fit layers to.
    settings : Settings
        Shape, type and `at_once`.
    external, augmentation
        As for `Source`.
    """

    def __init__(
        self,
        parts: tuple[Data | DiskStore, Data | DiskStore],
        differences: Differences,
        sample: np.ndarray,
        settings: Settings,
        external: np.ndarray | None = None,
        augmentation: Augment | None = None,
    ) -> None:
        super().__init__(
            parts[0].layout.counts[0], differences, settings.input_shape, settings.dtype,
            settings.at_once, external, augmentation,
        )  # fmt: skip
        self._parts, self._sample = parts, sample
        self._streams: dict[int, list[Stream]] = {}
        self.failures: list[Exception] = []
        if not self._is_given:
            most = max(1, CHUNK_VALUES // math.prod(self.input_shape))
            self.at_once = min(AT_ONCE, most, self.size)

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations go through the network in several chunks: always."""
        return True

    def feed(self, step: tf.Tensor) -> StreamFeed:
        """Return the pass of an iteration."""
        if self.at_once not in self._streams:
            with tf.init_scope():
                offsets = (0, self.n_s)
                self._streams[self.at_once] = [
                    self._stream(part, offset)
                    for part, offset in zip(self._parts, offsets, strict=True)
                ]
        streams = self._streams[self.at_once]
        return StreamFeed(streams, lambda rows: self._augment(rows, step))

    def _stream(self, whole: Data | DiskStore, offset: int) -> Stream:
        def numbered(part: Data | DiskStore, start: int) -> tf.data.Dataset:
            def number(x: tf.Tensor, positions: tf.Tensor, *tangents: tf.Tensor) -> tuple[Any, ...]:
                return x, tf.cast(positions + offset + start, tf.int32), *tangents

            return part.stream(self.at_once, self.failures).map(number)

        chunks = sum(math.ceil(part.layout.size / self.at_once) for part, _ in whole.parts)
        rows = functools.reduce(tf.data.Dataset.concatenate, starmap(numbered, whole.parts))
        return Stream(rows, chunks)

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations: the first ones."""
        first = self._sample[:most]
        return self._augment(Rows(tf.constant(first), tf.range(len(first)))).simulations.numpy()


def streamed_source(
    parts: tuple[Data, Data],
    differences: Differences,
    prints: tuple[Fingerprints, Fingerprints],
    settings: Settings,
    external: np.ndarray | None,
    augmentation: Augment | None,
) -> StreamedSource:
    """Check every simulation once, and return a source that reads them anew in every pass."""
    sizes = (parts[0].layout.size, SAMPLE_PAIRS)
    first, pairs = (
        sample_of(part.layout, settings, SAMPLE_VALUES, size)
        for part, size in zip(parts, sizes, strict=True)
    )
    for part, seen, sample in zip(parts, prints, (first, pairs), strict=True):
        seen.sink = sample
        part.collect(seen)
    check_derivatives(parts[1].layout, pairs.array, settings.is_exact, settings.encoding)
    warn_of_offsets(parts[0].layout.name, first.array, settings.dtype)
    return StreamedSource(parts, differences, first.array, settings, external, augmentation)


def disk_source(
    parts: tuple[Data, Data],
    differences: Differences,
    prints: tuple[Fingerprints, Fingerprints],
    settings: Settings,
    external: np.ndarray | None,
    augmentation: Augment | None,
) -> StreamedSource:
    """Write all simulations into temporary files, and return a source that reads these."""
    fiducial = DiskStore(parts[0], prints[0], settings)
    file = fiducial.file if settings.is_exact else None
    derivative = DiskStore(parts[1], prints[1], settings, file)
    pairs = derivative.sample(SAMPLE_PAIRS)
    check_derivatives(derivative.layout, pairs, settings.is_exact, settings.encoding)
    most = max(1, SAMPLE_VALUES // math.prod(settings.input_shape))
    sample = fiducial.file.read(0, min(fiducial.layout.size, most))
    warn_of_offsets(fiducial.layout.name, sample, settings.dtype)
    stores = fiducial, derivative
    return StreamedSource(stores, differences, sample, settings, external, augmentation)


class DiskFile(NamedTuple):
    """A file of the values of consecutive simulations."""

    path: Path
    input_shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the simulations from `start` to `stop`."""
        n, size = stop - start, math.prod(self.input_shape)
        offset = start * size * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, n * size, offset=offset)
        return values.reshape(n, *self.input_shape)

    def tensor(self, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        """Return the same as an operation of a graph."""
        values = tf.numpy_function(self.read, [start, stop], self.dtype, stateful=False)
        return tf.ensure_shape(values, (None, *self.input_shape))


class DiskStore:
    """Simulations in a temporary file, which is removed with this object.

    Parameters
    ----------
    data : Data
        The simulations.
    prints : Fingerprints
        Takes what tells them apart.
    settings : Settings
        Shape and type of a simulation.
    fiducial : DiskFile, optional
        The fiducial simulations, if these are exact derivatives of them.
    """

    def __init__(
        self,
        data: Data,
        prints: Fingerprints,
        settings: Settings,
        fiducial: DiskFile | None = None,
    ) -> None:
        self.layout, self._fiducial = data.layout, fiducial
        self._directory = tempfile.TemporaryDirectory(prefix="imnn_lab-")
        path = Path(self._directory.name) / "simulations"
        self.file = DiskFile(path, settings.input_shape, np.dtype(settings.dtype))
        shape = (*self.layout.counts, *settings.input_shape)
        values = np.memmap(path, settings.dtype, "w+", shape=shape)
        prints.sink = values
        data.collect(prints)
        values.flush()

    @property
    def parts(self) -> tuple[tuple[DiskStore, int], ...]:
        """What the data are made of, each with the position where it begins: themselves."""
        return ((self, 0),)

    def sample(self, most: int) -> np.ndarray:
        """Return the simulations of the first seeds."""
        if isinstance(self.layout, PointsLayout):
            starts = [(point.start, min(point.n, most)) for point in self.layout.points]
            return np.concatenate([self.file.read(start, start + n) for start, n in starts])
        n, *inner = self.layout.counts
        some = self.file.read(0, min(n, most) * math.prod(inner))
        return some.reshape(-1, *inner, *self.file.input_shape)

    def stream(self, at_once: int, failures: list[Exception]) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions), which nothing can fail to read.

        For exact derivatives it is (fiducial simulations, positions, derivatives).
        """
        file, fiducial, size = self.file, self._fiducial, self.layout.size
        n_params = self.layout.counts[-1]  # the dataset must not refer to `self`

        def chunk(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
            stop = tf.minimum(start + at_once, size)
            positions, values = tf.range(start, stop), file.tensor(start, stop)
            if fiducial is None:
                return values, positions
            numbers = positions // n_params
            read = fiducial.tensor(numbers[0], numbers[-1] + 1)
            return tf.gather(read, numbers - numbers[0]), positions, values

        starts = tf.data.Dataset.range(0, size, at_once)
        return starts.map(chunk, num_parallel_calls=2).prefetch(2)
