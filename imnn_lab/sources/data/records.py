"""TFRecord files as data; `imnn_lab.sources.tfrecord_writer` describes the format."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from imnn_lab import checks
from imnn_lab.files.formats import format_of
from imnn_lab.sources.collection import AXES, Data, Index, LabelledSimulations, Layout
from imnn_lab.sources.tfrecord_writer import DTYPES, FRAME

READ_BYTES = 2**24  # approximate size of one read


def are_files(value: Any) -> bool:
    """Whether a value is the name of a file, or a list of names."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "U" and value.size > 0
    several = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(name, str | os.PathLike) for name in several)


class RecordData(Data):
    """Names of TFRecord files, in any order."""

    def simulations(self) -> LabelledSimulations:
        """Iterate over the examples of all files.

        Raises
        ------
        TypeError, FileNotFoundError, ValueError
            If a name is not text, or a file does not exist, is truncated or corrupt; the error
            names it.
        """
        layout, shape = self.layout, self.layout.input_shape or self.settings.input_shape
        for file in _checked_names(layout.name, self.value):
            context = f"`{layout.name}`: file {file!r}"
            for example in _examples(file, context, math.prod(shape)):
                features = _features(example, layout, context)
                index: Index = tuple(features[axis].int64_list.value[0] for axis in layout.axes)
                simulation = _simulation(features, shape, f"{context}, at {index}")
                yield index, simulation, f" in {file!r}"

    def stream(self, at_once: int, failures: list[Exception]) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions) of files that have been checked."""
        layout, settings = self.layout, self.settings
        names = _checked_names(layout.name, self.value)
        dtype = next(self.simulations())[1].dtype
        specs = {axis: tf.io.FixedLenFeature([], tf.int64) for axis in layout.axes}
        specs["data"] = tf.io.FixedLenFeature([], tf.string)
        specs["dtype"] = tf.io.FixedLenFeature([], tf.string, "float32")

        def parse(examples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            features = tf.io.parse_example(examples, specs)
            one_type = tf.reduce_all(features["dtype"] == dtype.name)
            tf.debugging.assert_equal(one_type, True, f"{layout.name}: records of several types")
            values = tf.io.decode_raw(features["data"], dtype.newbyteorder("=").name)
            values = tf.reshape(tf.cast(values, settings.dtype), (-1, *settings.input_shape))
            return values, layout.positions([features[axis] for axis in layout.axes])

        readers = min(2, len(names))
        dataset = tf.data.TFRecordDataset(names, num_parallel_reads=readers).batch(at_once)
        return dataset.map(parse, num_parallel_calls=2).prefetch(2)


def _checked_names(name: str, files: Any) -> list[str]:
    several = [files] if isinstance(files, str | os.PathLike) else files
    remedy = "Pass a list of names of files."
    checked = [str(checks.path(name, file, remedy)) for file in several]
    for file in checked:
        if format_of(file) is not None:
            remedy = f"Pass imnn_lab.Files({file!r})."
            raise ValueError(checks.wording(f"`{name}`", "be TFRecord files", repr(file), remedy))
        if not Path(file).is_file():
            remedy = "Pass the list that TFRecords.write_record returned."
            expected = "be a file that exists"
            raise FileNotFoundError(checks.wording(f"`{name}`", expected, repr(file), remedy))
    return checked


def _examples(file: str, context: str, n_values: int) -> Iterator[bytes]:
    """Read the examples of a file in batches of about `READ_BYTES`."""
    at_once = int(np.clip(READ_BYTES // (8 * n_values), 1, 1024))
    dataset = tf.data.TFRecordDataset([file]).batch(at_once)
    size = 0
    try:
        for batch in dataset.as_numpy_iterator():
            size += sum(len(example) + FRAME for example in batch)
            yield from batch
    except tf.errors.OpError as error:
        message = re.sub(r"{{.*}} |\[Op:.*", "", error.message).strip()
        raise _damaged(context, f"{type(error).__name__}: {message}") from error
    if size != Path(file).stat().st_size:  # TensorFlow ignores a final part shorter than a header
        raise _damaged(context, f"{Path(file).stat().st_size - size} bytes of excess at its end")


def _features(example: bytes, layout: Layout, context: str) -> Any:
    """Return the features of an example, which must be those of this kind of set."""
    try:
        features = tf.train.Example.FromString(example).features.feature
    except DecodeError as error:
        raise _damaged(context, "bytes that are not a tf.train.Example") from error
    required = {"data", *layout.axes}
    present = {name for name in ("data", *AXES) if name in features}
    if present != required:
        expected = f"hold the features {sorted(required)} in every example"
        remedy = (
            "Fiducial files label a simulation by its seed alone; derivative files by derivative "
            "and parameter as well, files of exact derivatives by the parameter."
        )
        raise ValueError(checks.wording(context, expected, sorted(present), remedy))
    lists = [features["data"].bytes_list, *(features[axis].int64_list for axis in layout.axes)]
    if any(len(values.value) != 1 for values in lists):
        raise _damaged(context, "an example with a feature that is not one value of the right type")
    return features


def _simulation(features: Any, input_shape: tuple[int, ...], context: str) -> np.ndarray:
    dtype = "float32"
    if "dtype" in features:
        dtype = b"".join(features["dtype"].bytes_list.value).decode("utf-8", "replace")
    if dtype not in DTYPES:
        raise ValueError(checks.wording(context, f"have a dtype of {DTYPES}", repr(dtype)))
    data, kind = features["data"].bytes_list.value[0], np.dtype(dtype).newbyteorder("<")
    shape = tuple(features["shape"].int64_list.value) if "shape" in features else input_shape
    if len(data) != math.prod(shape) * kind.itemsize:
        expected = f"hold {math.prod(shape)} values of {dtype}, shape {shape}"
        received = f"{len(data)} bytes, not {math.prod(shape) * kind.itemsize}"
        remedy = "Is `input_shape` the shape of the simulations in the file?"
        raise ValueError(checks.wording(context, expected, received, remedy))
    return np.frombuffer(data, kind).reshape(shape)


def _damaged(context: str, received: str) -> ValueError:
    remedy = "It is truncated, corrupt or not a TFRecord file; write it again."
    return ValueError(checks.wording(context, "be a whole TFRecord file", received, remedy))
