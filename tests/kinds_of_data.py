"""The Gaussian problem as data of every kind, and settings for it."""

import numpy as np
import tensorflow as tf
from makers import SIZE, gaussian_data

from imnn_lab import TFRecords, problems, sources
from imnn_lab.settings import Settings

NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def plain(array):
    return lambda *index: array[index]


def dataset(array, order=1):
    counts = array.shape[:-1]
    indices = list(np.ndindex(*counts))[::order]

    def elements():
        for index in indices:
            yield array[index], (index[0] if len(index) == 1 else index)

    label = tf.TensorSpec((), tf.int64)
    labels = label if len(counts) == 1 else (label,) * 3
    signature = (tf.TensorSpec((array.shape[-1],), tf.float64), labels)
    return tf.data.Dataset.from_generator(elements, output_signature=signature)


def settings(**changes):
    problem = problems.gaussian()
    given = {
        "n_s": SIZE, "n_d": SIZE, "n_params": 2, "n_summaries": 2, "θ_fid": problem.θ_fid,
        "δθ": problem.δθ, "input_shape": (10,), "validation_n_s": None, "validation_n_d": None,
        "at_once": None, "check_shape": True, "verbose": False, "dtype": "float32",
        "itype": "int32", "warm_start": True, "whiten": True, "seed": 5,
    }  # fmt: skip
    return Settings.checked(**given | changes)


def read(data=(), map_fn=None, **changes):
    """Return the simulations of training and validation as IMNN gets them."""
    given = dict(zip(NAMES, gaussian_data(), strict=True)) | dict(data)
    return sources.sources(settings(**changes), **given, map_fn=map_fn)


def rows(source, step=0):
    """Return the simulations (size,) + input_shape of an iteration, as the network gets them."""

    def put(rows, found):
        return tf.tensor_scatter_nd_update(found, rows.positions[:, None], rows.simulations)

    empty = tf.zeros((source.size, *source.input_shape), source.dtype)
    return source.feed(tf.constant(step, tf.int64)).fold(put, empty)


def write(directory, array, record_size=150, **keywords):
    writer = TFRecords(record_size, verbose=False)
    if array.ndim == 4:
        keywords |= {"fiducial": False, "n_params": array.shape[2]}
    return writer.write_record(
        len(array), lambda *index: array[index], directory=directory, **keywords
    )
