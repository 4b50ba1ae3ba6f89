"""Where simulations come from: `as_source` is the only place that asks what the data is."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources import datasets, generators, record_files
from imnn_lab.sources.arrays import ArraySource
from imnn_lab.sources.collection import Found, Layout, collected

LIMIT = 2**30  # bytes that cache="auto" keeps in memory

AXES = {
    "fiducial": "(n_s,) + input_shape",
    "derivative": "(n_d, 2, n_params) + input_shape",
}


def sources(
    settings: Settings, data: tuple[Any, Any, Any, Any], is_needed: bool = True
) -> tuple[ArraySource | None, ArraySource | None]:
    """Return the sources for training and validation, None where there are no data.

    Parameters
    ----------
    settings : Settings
        The clean settings of an IMNN.
    data : tuple
        fiducial, derivative, validation_fiducial, validation_derivative.
    is_needed : bool
        Whether training data must be given.
    """
    fiducial, derivative, *validation = data
    if fiducial is None and derivative is None and not is_needed:
        return None, None
    training = as_source(fiducial, derivative, settings, settings.n_s, settings.n_d)
    if validation[0] is None and validation[1] is None:
        return training, None
    n_s, n_d = settings.validation_n_s, settings.validation_n_d
    return training, as_source(
        validation[0], validation[1], settings, n_s, n_d, prefix="validation_"
    )


def as_source(
    fiducial: Any,
    derivative: Any,
    settings: Settings,
    n_s: int | None = None,
    n_d: int | None = None,
    prefix: str = "",
) -> ArraySource:
    """Turn what the user calls data into a source of simulations.

    Parameters
    ----------
    fiducial : array-like of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at the fiducial parameters.
    derivative : the same, of shape (n_d, 2, n_params) + input_shape
        Seed-matched simulations below and above the fiducial parameters.
    settings : Settings
        The clean settings of an IMNN.
    n_s, n_d : int or None
        How many simulations there must be; None takes what arrays hold, and for other kinds the
        numbers of training.
    prefix : str
        What the names of the arguments start with, for messages.

    Raises
    ------
    TypeError, ValueError, RuntimeError, FileNotFoundError
        If simulations have the wrong type or shape, are missing, too many or not finite, or cannot
        be made or read; see `generators`, `record_files` and `datasets`.
    NotImplementedError
        If what has to be read is 1 GiB or more and ``cache="auto"``.
    """
    δθ = np.array(settings.δθ)
    layouts = (
        Layout(f"{prefix}fiducial", (n_s or settings.n_s,)),
        Layout(f"{prefix}derivative", (n_d or settings.n_d, 2, settings.n_params)),
    )
    fiducial, derivative = _in_memory((fiducial, derivative), layouts, settings)
    arrays = checked_arrays(
        fiducial, derivative, n_s, n_d, δθ, settings.input_shape, settings.check_shape, prefix
    )
    return ArraySource(*arrays, δθ, settings.dtype, settings.at_once)


def _in_memory(
    data: tuple[Any, Any], layouts: tuple[Layout, Layout], settings: Settings
) -> tuple[Any, Any]:
    """Read what is not an array into one; arrays are left as they are."""
    found = [
        _simulations(value, layout, settings) for value, layout in zip(data, layouts, strict=True)
    ]
    size = sum(
        layout.size * math.prod(settings.input_shape) * np.dtype(settings.dtype).itemsize
        for layout, simulations in zip(layouts, found, strict=True)
        if simulations is not None
    )
    if size >= LIMIT and settings.cache == "auto":
        names = " and ".join(f"`{layout.name}`" for layout in layouts)
        expected = f'be smaller than {LIMIT / 2**30:g} GiB when cache="auto"'
        remedy = (
            "Training from simulations that are read again every iteration is not there yet. "
            'Pass cache="memory" if they fit in memory.'
        )
        received = f"{size / 2**30:.3g} GiB to be read"
        raise NotImplementedError(checks.wording(names, expected, received, remedy))
    fiducial, derivative = (
        value if simulations is None else collected(simulations, layout, settings)
        for value, layout, simulations in zip(data, layouts, found, strict=True)
    )
    return fiducial, derivative


def _simulations(value: Any, layout: Layout, settings: Settings) -> Found | None:
    """Return the simulations of data that are not an array, to be read one after another."""
    if isinstance(value, tf.data.Dataset):
        return datasets.simulations(value, layout)
    if record_files.are_files(value):
        return record_files.simulations(value, layout, settings)
    if callable(value):
        return generators.simulations(value, layout)
    return None


def checked_arrays(
    fiducial: Any,
    derivative: Any,
    n_s: int | None,
    n_d: int | None,
    δθ: np.ndarray,
    input_shape: tuple[int, ...],
    check_shape: bool = True,
    prefix: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Return fiducial and derivative simulations as arrays of the right shape; see `as_source`."""
    given = {"fiducial": (fiducial, n_s), "derivative": (derivative, n_d)}
    inner = {"fiducial": input_shape, "derivative": (2, len(δθ), *input_shape)}
    arrays = {}
    for name, (value, n) in given.items():
        array = checks.real_array(prefix + name, value, f"Pass an array of shape {AXES[name]}.")
        count = n or (len(array) if array.ndim else 1)
        shape = (count, *inner[name])
        if check_shape or array.size != math.prod(shape):
            _check_shape(prefix + name, array, shape, AXES[name])
        if count < 2:
            expected = "hold at least 2 simulations"
            raise ValueError(checks.wording(f"`{prefix + name}`", expected, count))
        arrays[name] = checks.finite(prefix + name, array.reshape(shape))
    _warn_of_unmatched_seeds(prefix + "derivative", arrays["derivative"])
    return arrays["fiducial"], arrays["derivative"]


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...], axes: str) -> None:
    if array.shape == shape:
        return
    expected = f"have shape {axes} = {shape}"
    received = f"shape {array.shape}"
    raise ValueError(checks.wording(f"`{name}`", expected, received, _guess(array.shape, shape)))


def _guess(received: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Say which axes look swapped, missing or different."""
    if sorted(received) == sorted(expected):
        moved = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
        return f"Axes {moved} look swapped: use np.moveaxis to reorder them."
    if len(received) != len(expected):
        difference = len(received) - len(expected)
        what = f"{abs(difference)} axis too {'many' if difference > 0 else 'few'}"
        return f"There is {what}; a single value still needs an axis of length 1."
    wrong = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
    return f"The length of axis {', '.join(map(str, wrong))} differs."


def _warn_of_unmatched_seeds(name: str, derivative: np.ndarray, sample: int = 200) -> None:
    """Warn when simulations below and above scatter as if they had different seeds.

    With the same seeds the scatter of the difference is far below √2 times that of a simulation.
    """
    part = derivative[:sample].astype(np.float64)
    if len(part) < 20:
        return
    scatter_of_difference = np.var(part[:, 1] - part[:, 0], axis=0).sum()
    scatter = np.var(part[:, 0], axis=0).sum() + np.var(part[:, 1], axis=0).sum()
    if scatter > 0 and scatter_of_difference > 0.8 * scatter:
        warnings.warn(
            f"`{name}`: the simulations below and above the fiducial parameters look as if they "
            f"were made from different seeds (the variance of their difference is "
            f"{scatter_of_difference / scatter:.2f} of the sum of their variances). "
            "The derivative is then mostly noise and F is overestimated. "
            "Make each pair from the same seed.",
            stacklevel=4,
        )
