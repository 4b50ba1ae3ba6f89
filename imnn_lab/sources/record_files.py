"""TFRecord files as data; `imnn_lab.sources.records` says what they hold."""

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
from imnn_lab.settings import Settings
from imnn_lab.sources.collection import AXES, Found, Index, Layout, Positions
from imnn_lab.sources.records import DTYPES, FRAME

READ_BYTES = 2**24  # about as much is read at once


def are_files(value: Any) -> bool:
    """Whether data are the name of a file, or a list of names."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "U" and value.size > 0
    several = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(name, str | os.PathLike) for name in several)


def simulations(files: Any, layout: Layout, settings: Settings) -> Found:
    """Read the simulations of TFRecord files.

    Parameters
    ----------
    files : str, Path or list of them
        Names of files, in any order.
    layout : Layout
        The set.
    settings : Settings
        They give the shape of a simulation where a file does not.

    Yields
    ------
    tuple
        Index, simulation, and the file in which it stood.

    Raises
    ------
    TypeError, FileNotFoundError, ValueError
        If a name is none, a file is not there, or is truncated or corrupt; the error names it.
    """
    shape = layout.input_shape or settings.input_shape
    for file in _checked_names(layout.name, files):
        place = f"`{layout.name}`: file {file!r}"
        for example in _examples(file, place, math.prod(shape)):
            features = _features(example, layout, place)
            index: Index = tuple(features[axis].int64_list.value[0] for axis in layout.axes)
            simulation = _simulation(features, shape, f"{place}, at {index}")
            yield index, simulation, f" in {file!r}"


def stream(files: Any, layout: Layout, settings: Settings, at_once: int) -> tf.data.Dataset:
    """Return a dataset of chunks (simulations, positions), read from files that were checked.

    Positions are numbers in the order of the layout; see `simulations` for the arguments.
    """
    names = _checked_names(layout.name, files)
    first = next(simulations(names, layout, settings))[1]
    features = {axis: tf.io.FixedLenFeature([], tf.int64) for axis in layout.axes}
    features["data"] = tf.io.FixedLenFeature([], tf.string)
    features["dtype"] = tf.io.FixedLenFeature([], tf.string, "float32")
    positions = Positions(layout)

    def parse(examples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.io.parse_example(examples, features)
        one_type = tf.reduce_all(found["dtype"] == first.dtype.name)
        tf.debugging.assert_equal(one_type, True, f"{layout.name}: records of several types")
        values = tf.io.decode_raw(found["data"], first.dtype.newbyteorder("=").name)
        values = tf.reshape(tf.cast(values, settings.dtype), (-1, *settings.input_shape))
        return values, positions([found[axis] for axis in layout.axes])

    readers = min(2, len(names))
    dataset = tf.data.TFRecordDataset(names, num_parallel_reads=readers).batch(at_once)
    return dataset.map(parse, num_parallel_calls=2).prefetch(2)


def _checked_names(name: str, files: Any) -> list[str]:
    several = [files] if isinstance(files, str | os.PathLike) else files
    checked = [checks.text(name, file, "Pass a list of names of files.") for file in several]
    for file in checked:
        if not Path(file).is_file():
            remedy = "Pass the list that TFRecords.write_record returned."
            expected = "be a file that exists"
            raise FileNotFoundError(checks.wording(f"`{name}`", expected, repr(file), remedy))
    return checked


def _examples(file: str, place: str, n_values: int) -> Iterator[bytes]:
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
        raise _damaged(place, f"{type(error).__name__}: {message}") from error
    if size != Path(file).stat().st_size:  # TensorFlow takes less than a header for the end
        raise _damaged(place, f"{Path(file).stat().st_size - size} bytes too many at its end")


def _features(example: bytes, layout: Layout, place: str) -> Any:
    """Return the features of an example, which must be those of this kind of set."""
    try:
        features = tf.train.Example.FromString(example).features.feature
    except DecodeError as error:
        raise _damaged(place, "bytes that are no tf.train.Example") from error
    wanted = {"data", *layout.axes}
    found = {name for name in ("data", *AXES) if name in features}
    if found != wanted:
        expected = f"hold the features {sorted(wanted)} in every example"
        remedy = (
            "Fiducial files have a seed alone; derivative files a derivative and a parameter, "
            "files of exact derivatives a parameter."
        )
        raise ValueError(checks.wording(place, expected, sorted(found), remedy))
    lists = [features["data"].bytes_list, *(features[axis].int64_list for axis in layout.axes)]
    if any(len(values.value) != 1 for values in lists):
        raise _damaged(place, "an example with a feature that is not one value of the right type")
    return features


def _simulation(features: Any, input_shape: tuple[int, ...], place: str) -> np.ndarray:
    dtype = "float32"
    if "dtype" in features:
        dtype = b"".join(features["dtype"].bytes_list.value).decode("utf-8", "replace")
    if dtype not in DTYPES:
        raise ValueError(checks.wording(place, f"have a dtype of {DTYPES}", repr(dtype)))
    data, kind = features["data"].bytes_list.value[0], np.dtype(dtype).newbyteorder("<")
    shape = tuple(features["shape"].int64_list.value) if "shape" in features else input_shape
    if len(data) != math.prod(shape) * kind.itemsize:
        expected = f"hold {math.prod(shape)} values of {dtype}, shape {shape}"
        received = f"{len(data)} bytes, not {math.prod(shape) * kind.itemsize}"
        remedy = "Is `input_shape` that of the simulations that were written?"
        raise ValueError(checks.wording(place, expected, received, remedy))
    return np.frombuffer(data, kind).reshape(shape)


def _damaged(place: str, received: str) -> ValueError:
    remedy = "It is truncated, corrupt or no TFRecord file; write it again."
    return ValueError(checks.wording(place, "be a whole TFRecord file", received, remedy))
