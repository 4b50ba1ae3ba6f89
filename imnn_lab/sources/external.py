"""External summaries of the same simulations, used beside those of the network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.sources.collection import Data, collect
from imnn_lab.sources.data.arrays import ArrayData
from imnn_lab.sources.data.sliced import SlicedData
from imnn_lab.sources.repeats import Fingerprints, warn_of_equal

NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def external_parts(external: Any) -> tuple[Any, Any, Any, Any]:
    """Return the four parts of `external`, None for those left out.

    Raises
    ------
    TypeError
        If it is not a sequence of two or four parts.
    """
    if external is None:
        return None, None, None, None
    if not isinstance(external, Sequence) or len(external) not in (2, 4):
        expected = f"be a tuple of 2 or 4 parts: ({', '.join(NAMES)})"
        raise TypeError(checks.wording("`external`", expected, checks.describe(external)))
    return (*external, *(None,) * (4 - len(external)))


def external_summaries(fiducial: Data, derivative: Data) -> np.ndarray:
    """Return external summaries in the order of the rows, (size, n_external).

    Parameters
    ----------
    fiducial, derivative : Data
        Those of the fiducial and of the derivative simulations: arrays of shape
        counts + (n_external,), callables, files or datasets, as for simulations.

    Raises
    ------
    TypeError, ValueError
        If one is missing or has the wrong shape; see `as_source` for kinds other than arrays.
    """
    arrays = _summaries(fiducial), _summaries(derivative)
    is_exact = fiducial.settings.is_exact  # derivatives that are exact may be equal
    for data, array in list(zip((fiducial, derivative), arrays, strict=True))[: 2 - is_exact]:
        prints = Fingerprints(data.layout, data.settings)
        prints.take_all(array)
        warn_of_equal(prints, is_discrete=True)
    widths = [array.shape[-1] for array in arrays]
    if widths[0] != widths[1]:
        expected = "hold as many summaries of the derivative simulations as of the fiducial ones"
        raise ValueError(checks.wording("`external`", expected, f"{widths[1]} and {widths[0]}"))
    return np.concatenate([array.reshape(-1, widths[0]) for array in arrays])


def check_width(summaries: np.ndarray | None, n_external: int) -> None:
    """Refuse more or fewer external summaries than in training."""
    width = 0 if summaries is None else summaries.shape[1]
    if width != n_external:
        expected = f"hold {n_external} external summaries, as in training"
        raise ValueError(checks.wording("`external`", expected, width))


def _summaries(whole: Data) -> np.ndarray:
    arrays = [_summaries_of(part) for part, _ in whole.parts]
    widths = {array.shape[-1] for array in arrays}
    if len(widths) > 1:
        expected = "hold the same number of summaries at all points"
        raise ValueError(checks.wording(f"`{whole.layout.name}`", expected, sorted(widths)))
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _summaries_of(data: Data) -> np.ndarray:
    layout, name = data.layout, data.layout.name
    if isinstance(data, ArrayData | SlicedData):
        value = data.value if isinstance(data, ArrayData) else data.value.read(0, layout.counts[0])
        axes = f"{layout.counts} + (n_external,)"
        array = checks.real_array(name, value, f"Pass an array of shape {axes}.")
        if array.ndim != len(layout.counts) + 1 or array.shape[:-1] != layout.counts:
            received = f"shape {array.shape}"
            raise ValueError(checks.wording(f"`{name}`", f"have shape {axes}", received))
        return checks.data(f"`{name}`", array, data.settings.dtype)
    simulations = data.simulations()
    first = list(itertools.islice(simulations, 1))
    shape = np.shape(np.atleast_1d(first[0][1])) if first else (1,)
    if len(shape) != 1:
        expected = "hold a vector of summaries for each simulation"
        raise ValueError(checks.wording(f"`{name}`", expected, checks.describe(first[0][1])))
    sized = replace(layout, input_shape=shape)
    everything = itertools.chain(first, simulations)
    return collect(everything, sized, replace(data.settings, check_shape=False))
