"""Where simulations come from: arrays, functions, TFRecord files, datasets, or a simulator."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings, check_enough, warn_of_few
from imnn_lab.sources.augmentation import (
    Augmentation,
    MapFunction,
    PreprocessedData,
    is_augmentation,
)
from imnn_lab.sources.checking import check_derivatives, warn_of_offsets
from imnn_lab.sources.collection import Data, Layout
from imnn_lab.sources.data.arrays import ArrayData
from imnn_lab.sources.data.datasets import DatasetData
from imnn_lab.sources.data.functions import FunctionData
from imnn_lab.sources.data.records import RecordData, are_files
from imnn_lab.sources.external import NAMES, check_width, external_parts, external_summaries
from imnn_lab.sources.fresh import simulator_sources
from imnn_lab.sources.pool import check_pool
from imnn_lab.sources.repeats import (
    Fingerprints,
    check_simulations,
    refuse_shared,
    warn_of_mixed_numbers,
    warn_of_partly_constant,
)
from imnn_lab.sources.source import ArraySource, Source
from imnn_lab.sources.streams import disk_source, streamed_source

MEMORY = Path("/proc/meminfo")
LIMIT = 2**30  # bytes that cache="auto" keeps in memory

__all__ = ["Source", "array_source", "as_data", "as_source", "sources"]


def sources(
    settings: Settings,
    fiducial: Any = None,
    derivative: Any = None,
    validation_fiducial: Any = None,
    validation_derivative: Any = None,
    *,
    external: Any = None,
    map_fn: MapFunction | None = None,
    simulator: Any = None,
    is_needed: bool = True,
) -> tuple[Source | None, Source | None]:
    """Return the sources for training and validation, None if there are no data for one.

    Parameters
    ----------
    settings : Settings
        The checked settings of an IMNN.
    fiducial, derivative, validation_fiducial, validation_derivative : data, optional
        Simulations; see `as_source`.
    external, map_fn, simulator : optional
        See `IMNN`.
    is_needed : bool
        Whether training data must be given.
    """
    training, validation = (fiducial, derivative), (validation_fiducial, validation_derivative)
    if simulator is not None:
        if settings.resample:
            expected = "be False with a `simulator`, which makes new simulations anyway"
            raise ValueError(checks.wording("`resample`", expected, "True"))
        _check_alone(*training, *validation, external)
        _check_n_s("n_s", settings.n_s, settings)
        if settings.validation_n_s is not None:
            _check_n_s("validation_n_s", settings.validation_n_s, settings)
        return simulator_sources(simulator, settings, map_fn)
    parts = external_parts(external)
    if fiducial is None and derivative is None and not is_needed:
        return None, None
    source, seen = as_source(*training, settings, external=parts[:2], map_fn=map_fn)
    is_random = source.augmentation is not None
    if validation_fiducial is None and validation_derivative is None:
        if not is_random:
            warn_of_mixed_numbers(seen)
        return source, None
    if (parts[0] is None) != (parts[2] is None):
        raise ValueError(
            "`external` must hold summaries of the validation simulations as well. "
            f"Received {sum(part is not None for part in parts)} parts. Pass four parts: "
            f"({', '.join(NAMES)})."
        )
    held_out, seen_as_well = as_source(
        *validation, settings, is_validation=True, external=parts[2:], map_fn=map_fn
    )
    for prints, others in zip(seen, seen_as_well, strict=True):
        refuse_shared(prints, others, is_random)
    if not is_random:
        warn_of_mixed_numbers([*seen, *seen_as_well])
    return source, held_out


def as_source(
    fiducial: Any,
    derivative: Any,
    settings: Settings,
    *,
    is_validation: bool = False,
    external: tuple[Any, Any] = (None, None),
    map_fn: MapFunction | None = None,
) -> tuple[Source, list[Fingerprints]]:
    """Return a source of the simulations that a user passed, and their fingerprints.

    Parameters
    ----------
    fiducial : array-like of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at the fiducial parameters.
    derivative : the same, of shape (n_d, 2, n_params) + input_shape
        Seed-matched simulations below and above the fiducial parameters; if δθ is None, exact
        derivatives of the first n_d fiducial simulations, of shape (n_d, n_params) + input_shape.
    settings : Settings
        The checked settings of an IMNN.
    is_validation : bool
        Whether they are for validation.
    external : tuple
        External summaries of the fiducial and of the derivative simulations, or None.
    map_fn : callable, optional
        Preprocessing or augmentation.

    Raises
    ------
    TypeError, ValueError, RuntimeError, FileNotFoundError
        If simulations have the wrong type or shape, are missing, too many or not finite, or cannot
        be made or read; see the modules of `imnn_lab.sources.data`.
    """
    augmentation = None
    if map_fn is not None and is_augmentation(map_fn):
        augmentation, map_fn = Augmentation(map_fn, settings, is_fixed=is_validation), None
    of_fiducial, of_derivative = _layouts(settings, is_validation)
    first = as_data(fiducial, of_fiducial, settings, map_fn).checked()
    second = as_data(derivative, of_derivative, settings, map_fn).checked()
    parts, layouts = (first, second), (first.layout, second.layout)
    _check_numbers(*layouts, settings)
    is_pool = settings.resample and not is_validation
    if is_pool:
        check_pool(parts, any(part is not None for part in external), settings)
    cache = _cache(parts, settings)
    summaries = _external(external, layouts, settings)
    n_s_name = "validation_n_s" if is_validation else "n_s"
    _check_n_s(n_s_name, layouts[0].counts[0], settings, summaries)
    prints = Fingerprints(first.layout, settings), Fingerprints(second.layout, settings)
    source: Source
    if cache == "disk":
        source = disk_source(parts, prints, settings, summaries, augmentation)
    elif cache is None:
        source = streamed_source(parts, prints, settings, summaries, augmentation)
    else:
        x, d = (part.array() for part in parts)
        check_derivatives(layouts[1].name, d, settings.is_exact)
        warn_of_offsets(layouts[0].name, x, settings.dtype)
        for each, array in zip(prints, (x, d), strict=True):
            each.take_all(array)
        source = ArraySource(
            x, d, settings.widths, settings.dtype, settings.at_once, summaries, augmentation
        )
        if is_pool:
            source.drawn = settings.n_s, settings.n_d, settings.simulation_seed
    simulations = list(prints[: 1 if settings.is_exact else 2])  # exact derivatives may be equal
    if augmentation is None:
        check_simulations(simulations, settings.n_summaries, summaries is not None)
        if settings.is_exact:
            warn_of_partly_constant(prints[1])
    return source, simulations


def as_data(
    value: Any, layout: Layout, settings: Settings, map_fn: MapFunction | None = None
) -> Data:
    """Return an argument as data of its kind, preprocessed by `map_fn`; only this asks the kind."""
    if isinstance(value, tf.data.Dataset):
        data: Data = DatasetData(value, layout, settings)
    elif are_files(value):
        data = RecordData(value, layout, settings)
    elif callable(value):
        data = FunctionData(value, layout, settings)
    else:
        return ArrayData(value, layout, settings, map_fn)
    return data if map_fn is None else PreprocessedData(data, layout, settings, map_fn)


def array_source(
    fiducial: Any, derivative: Any, external: Any, n_external: int, settings: Settings
) -> ArraySource:
    """Return a source of arrays of any number of simulations after the checks of `as_source`."""
    settings = replace(settings, check_shape=True)
    of_fiducial, of_derivative = (replace(layout, is_open=True) for layout in _layouts(settings))
    first = ArrayData(fiducial, of_fiducial, settings).checked()
    second = ArrayData(derivative, of_derivative, settings).checked()
    _check_numbers(first.layout, second.layout, settings)
    check_derivatives("derivative", second.value, settings.is_exact)
    warn_of_offsets("fiducial", first.value, settings.dtype)
    layouts = first.layout, second.layout
    summaries = _external(external_parts(external)[:2], layouts, settings)
    check_width(summaries, n_external)
    check_enough("fiducial", first.layout.counts[0], settings.n_summaries + n_external)
    prints = Fingerprints(first.layout, settings), Fingerprints(second.layout, settings)
    for each, part in zip(prints, (first, second), strict=True):
        each.take_all(part.value)
    simulations = list(prints[: 1 if settings.is_exact else 2])
    check_simulations(simulations, settings.n_summaries, summaries is not None)
    if settings.is_exact:
        warn_of_partly_constant(prints[1])
    warn_of_mixed_numbers(simulations)
    return ArraySource(
        first.value, second.value, settings.widths, settings.dtype, external=summaries
    )


def _external(
    parts: tuple[Any, Any], layouts: tuple[Layout, Layout], settings: Settings
) -> np.ndarray | None:
    """Return the external summaries (size, n_external) of simulations of these layouts, or None."""
    if all(part is None for part in parts):
        return None
    named = (Layout(f"external[{layout.name}]", layout.counts) for layout in layouts)
    return external_summaries(
        *(as_data(part, layout, settings) for part, layout in zip(parts, named, strict=True))
    )


def _layouts(settings: Settings, is_validation: bool = False) -> tuple[Layout, Layout]:
    sides = () if settings.is_exact else (2,)
    n_s, n_d, prefix = settings.n_s, settings.n_d, ""
    is_open = settings.resample, settings.resample
    if is_validation:
        counts, prefix = (settings.validation_n_s, settings.validation_n_d), "validation_"
        is_open = counts[0] is None, counts[1] is None
        n_s, n_d = counts[0] or n_s, counts[1] or n_d
    return (
        Layout(f"{prefix}fiducial", (n_s,), is_open=is_open[0]),
        Layout(f"{prefix}derivative", (n_d, *sides, settings.n_params), is_open=is_open[1]),
    )


def _check_numbers(fiducial: Layout, derivative: Layout, settings: Settings) -> None:
    n_s, n_d = fiducial.counts[0], derivative.counts[0]
    if settings.is_exact and n_d > n_s:
        expected = f"hold at most as many as `{fiducial.name}`, {n_s}"
        remedy = "Exact derivatives are those of the first n_d fiducial simulations."
        raise ValueError(checks.wording(f"`{derivative.name}`", expected, n_d, remedy))


def _check_n_s(name: str, n_s: int, settings: Settings, external: np.ndarray | None = None) -> None:
    n_summaries = settings.n_summaries + (0 if external is None else external.shape[1])
    check_enough(name, n_s, n_summaries)
    warn_of_few(name, n_s, n_summaries)


def _cache(parts: tuple[Data, Data], settings: Settings) -> str | None:
    """Return where simulations are kept: "memory", "disk", or None to read them every time."""
    if settings.cache in ("disk", None):
        _warn_of_large_arrays([part for part in parts if isinstance(part, ArrayData)], settings)
    size = sum(part.layout.size for part in parts if not isinstance(part, ArrayData))
    if not size or settings.cache == "memory":
        return "memory"
    if settings.cache == "auto":
        if size * math.prod(settings.input_shape) * np.dtype(settings.dtype).itemsize < LIMIT:
            return "memory"
        return "disk" if settings.is_exact else None
    if settings.cache is None and settings.is_exact:
        expected = "keep simulations if their derivatives are exact"
        remedy = 'They are read together with their derivatives: use cache="disk".'
        raise ValueError(checks.wording("`cache`", expected, "None", remedy))
    return settings.cache


def free_memory() -> int | None:
    """Return the bytes of memory that are free for use, None where Linux does not say."""
    if not MEMORY.is_file():
        return None
    fields = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines() if ":" in line)
    available = fields.get("MemAvailable", "").split()
    return 1024 * int(available[0]) if available else None


def _warn_of_large_arrays(arrays: list[ArrayData], settings: Settings) -> None:
    size, free = sum(each.value.nbytes for each in arrays), free_memory()
    if arrays and free is not None and size > free / 2:
        names = " and ".join(f"`{each.layout.name}`" for each in arrays)
        checks.warn(
            f"`cache` = {settings.cache!r} has no effect on arrays: {names} of "
            f"{size / 2**30:.2g} GiB will be copied to memory, of which {free / 2**30:.2g} GiB "
            "are free. Pass a function that reads one simulation, "
            "fiducial=lambda seed: array[seed], or TFRecord files.",
        )


def _check_alone(*data: Any) -> None:
    names = zip((*NAMES, "external"), data, strict=True)
    received = ", ".join(f"`{name}`" for name, value in names if value is not None)
    if received:
        expected = "be the only origin of the simulations"
        remedy = "Pass `simulator` or data, not both."
        raise ValueError(checks.wording("`simulator`", expected, f"{received} as well", remedy))
