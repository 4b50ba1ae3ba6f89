"""The kinds of data that hold one simulation after another, seen in one way."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources import datasets, generators, record_files
from imnn_lab.sources.collection import Found, Layout
from imnn_lab.sources.streams import Failures, in_turn


def simulations(value: Any, layout: Layout, settings: Settings) -> Found | None:
    """Return the simulations of data that are not an array, to be read one after another."""
    if isinstance(value, tf.data.Dataset):
        return datasets.simulations(value, layout)
    if record_files.are_files(value):
        return record_files.simulations(value, layout, settings)
    if callable(value):
        return generators.simulations(value, layout)
    return None


def stream(
    value: Any, layout: Layout, settings: Settings, at_once: int, failures: Failures
) -> tf.data.Dataset:
    """Return a dataset of chunks (simulations, positions) of data of any kind; see `in_turn`."""
    if isinstance(value, tf.data.Dataset):
        return datasets.stream(value, layout, settings, at_once)
    if record_files.are_files(value):
        return record_files.stream(value, layout, settings, at_once)
    if callable(value):
        return in_turn(
            lambda: generators.simulations(value, layout), layout, settings, at_once, failures
        )
    flat = np.reshape(value, (-1, *settings.input_shape)).astype(settings.dtype, copy=False)
    return tf.data.Dataset.from_tensor_slices((flat, np.arange(len(flat)))).batch(at_once)
