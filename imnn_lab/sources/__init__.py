"""Where simulations come from: arrays in memory or not, functions, TFRecord files, datasets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.encoding import Encoding
from imnn_lab.files.rows import as_rows
from imnn_lab.progress import progress_bar
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
from imnn_lab.sources.data.encoded import EncodedData
from imnn_lab.sources.data.functions import FunctionData
from imnn_lab.sources.data.points import PointsData, check_same, points_data, smallest_count
from imnn_lab.sources.data.records import RecordData, are_files
from imnn_lab.sources.data.several import SeveralData, several_data
from imnn_lab.sources.data.sliced import SlicedData
from imnn_lab.sources.differences import Columns, Differences
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
from imnn_lab.stencils import FIDUCIAL, Stencils, in_words

MEMORY = Path("/proc/meminfo")
LIMIT = 2**30  # bytes that cache="auto" keeps in memory

__all__ = [
    "Source", "array_source", "as_data", "as_source", "encoded", "refuse_known", "smallest_count",
    "sources",
]  # fmt: skip


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
    source = as_source(*training, settings, external=parts[:2], map_fn=map_fn)
    is_random = source.augmentation is not None
    if validation_fiducial is None and validation_derivative is None:
        if not is_random:
            warn_of_mixed_numbers(source.prints)
        return source, None
    if (parts[0] is None) != (parts[2] is None):
        raise ValueError(
            "`external` must hold summaries of the validation simulations as well. "
            f"Received {sum(part is not None for part in parts)} parts. Pass four parts: "
            f"({', '.join(NAMES)})."
        )
    held_out = as_source(
        *validation, settings, is_validation=True, external=parts[2:], map_fn=map_fn
    )
    refuse_known(held_out, source)
    if not is_random:
        warn_of_mixed_numbers([*source.prints, *held_out.prints])
    return source, held_out


def as_source(
    fiducial: Any,
    derivative: Any,
    settings: Settings,
    *,
    is_validation: bool = False,
    external: tuple[Any, Any] = (None, None),
    map_fn: MapFunction | None = None,
) -> Source:
    """Return a source of the simulations that a user passed.

    Parameters
    ----------
    fiducial : array-like of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at the fiducial parameters. Memory maps, arrays of h5py, zarr, dask or xarray
        and `imnn_lab.Files` are read in slices.
    derivative : the same, of shape (n_d, 2, n_params) + input_shape
        Seed-matched simulations below and above the fiducial parameters; if δθ is None, exact
        derivatives of the first n_d fiducial simulations, of shape (n_d, n_params) + input_shape.
        Or Stencils, if the settings hold some.
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

    def make(value: Any, layout: Layout) -> Data:
        return as_data(value, layout, settings, map_fn).checked()

    second = _derivative_data(derivative, of_derivative, (fiducial, first), settings, make)
    parts, layouts = (first, second), (first.layout, second.layout)
    _check_numbers(*layouts, settings)
    is_pool = settings.resample and not is_validation
    if is_pool:
        check_pool(parts, any(part is not None for part in external), settings)
    differences = _differences(second)
    cache = _cache(parts, settings)
    summaries = _external(external, parts, settings)
    n_s_name = "validation_n_s" if is_validation else "n_s"
    _check_n_s(n_s_name, layouts[0].counts[0], settings, summaries)
    prints = Fingerprints(first.layout, settings), Fingerprints(second.layout, settings)
    source: Source
    if cache == "disk":
        source = disk_source(parts, differences, prints, settings, summaries, augmentation)
    elif cache is None:
        source = streamed_source(parts, differences, prints, settings, summaries, augmentation)
    else:
        arrays = _looked_through(parts, prints, settings)
        source = ArraySource(
            *arrays, differences, settings.dtype, settings.at_once, summaries, augmentation
        )
        if is_pool:
            source.drawn = settings.n_s, settings.n_d, settings.simulation_seed
    _keep_prints(source, prints, settings)
    return source


def _looked_through(
    parts: tuple[Data, Data], prints: tuple[Fingerprints, Fingerprints], settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return the simulations as arrays, checked as a whole, of which the prints are taken."""
    x, d = parts[0].array(), parts[1].array()
    check_derivatives(parts[1].layout, d, settings.is_exact, settings.encoding)
    warn_of_offsets(parts[0].layout.name, x, settings.dtype)
    for each, array in zip(prints, (x, d), strict=True):
        each.take_all(array)
    return x, d


def _keep_prints(
    source: Source, prints: tuple[Fingerprints, Fingerprints], settings: Settings
) -> None:
    """Check that simulations differ where they should, and let the source keep their prints."""
    source.prints = list(prints[: 1 if settings.is_exact else 2])  # exact ones may be equal
    if source.augmentation is None:
        check_simulations(source.prints, settings.n_summaries, source.external is not None)
        if settings.is_exact:
            warn_of_partly_constant(prints[1])


def _derivative_data(
    value: Any,
    layout: Layout,
    fiducial: tuple[Any, Data],
    settings: Settings,
    make: Callable[[Any, Layout], Data],
) -> Data:
    """Return derivative simulations as checked data, those of stencils with all their points."""
    if settings.stencils is None and not isinstance(value, Stencils):
        return make(value, layout)
    check_same(layout.name, value, settings)
    return points_data(value, fiducial, layout.name, settings, make, layout.counts[0])


def _differences(data: Data) -> Differences:
    """Return what the derivative rows of data are."""
    if isinstance(data, PointsData):
        return data.differences
    n_d, n_params = data.layout.counts[0], data.layout.counts[-1]
    return Columns(n_d, n_params, data.settings.widths)


def as_data(
    value: Any,
    layout: Layout,
    settings: Settings,
    map_fn: MapFunction | None = None,
    encoding: Encoding | None = None,
) -> Data:
    """Return an argument as data of its kind, preprocessed by `map_fn`; only this asks the kind.

    `encoding` is that of data which are not encoded yet, if the settings have none.
    """
    raw = as_handed_over(settings)
    encoding = encoding or settings.encoding
    if isinstance(value, tf.data.Dataset):
        data: Data = DatasetData(value, layout, raw)
    elif are_files(value):
        data = RecordData(value, layout, raw)
    elif (rows := as_rows(layout.name, value, layout.axes)) is not None:
        is_raw = map_fn is not None or settings.encoding is not None
        data = SlicedData(rows, layout, raw, is_raw=is_raw)
        if settings.encoding is not None:
            data = data.checked()
            layout = data.layout
    elif (
        encoding is not None
        and encoding.is_several
        and (several := several_data(value, layout, raw)) is not None
    ):
        data = several.checked()
        layout = data.layout
    elif callable(value):
        data = FunctionData(value, layout, raw)
    else:
        return ArrayData(value, layout, settings, map_fn)
    if settings.encoding is not None:
        data = EncodedData(data, layout, settings)
    return data if map_fn is None else PreprocessedData(data, layout, settings, map_fn)


def as_handed_over(settings: Settings) -> Settings:
    """Return settings for simulations as a user hands them over, before they are encoded."""
    encoding = settings.encoding
    if encoding is None:
        return settings
    first = encoding.parts[0]
    shape = tuple(n or 1 for n in first.shape)
    return replace(settings, encoding=None, input_shape=shape)


def encoded(settings: Settings, **data: Any) -> Settings:
    """Return the settings with the encoding of the simulations that were passed.

    Data that are not arrays are read once for this if values may be missing or sets have any
    number of entries; else their first simulation tells whether they are complex.

    Parameters
    ----------
    settings : Settings
        With the encoding that the arguments of an IMNN declare.
    **data : optional
        The arguments of an IMNN that are data.

    Raises
    ------
    TypeError, ValueError
        If they cannot be encoded.
    """
    declared = settings.encoding
    if data.get("simulator") is not None:
        if declared is not None:
            expected = "be used with an `input_shape` of integers, and missing=None"
            received = "a simulator, whose simulations the network takes as they are"
            raise ValueError(checks.wording("`simulator`", expected, received))
        return settings
    encoding = declared or Encoding.declared(settings.input_shape)
    raw = replace(as_handed_over(settings), encoding=None)
    layouts = (*_layouts(settings), *_layouts(settings, is_validation=True))
    given = [(data.get(name), layout) for name, layout in zip(NAMES, layouts, strict=True)]
    training, held_out = (list(_points_of(pairs, settings)) for pairs in (given[:2], given[2:]))
    sets = [
        (as_data(each, layout, raw, encoding=encoding), each, layout)
        for each, layout in training + held_out
    ]
    first = [_first(*each, encoding) for each in sets[: len(training)]]

    def handed_over() -> Iterator[tuple[str, Any, int]]:
        total = sum(data.layout.size for data, *_ in sets if not isinstance(data, ArrayData))
        with progress_bar(settings.verbose and total > 0)(total=total, desc="gaps") as bar:
            for data, value, layout in sets:
                if isinstance(data, ArrayData):
                    yield f"`{layout.name}`", value, len(layout.counts)
                    continue
                for index, one, origin in data.simulations():
                    yield layout.at(index, origin), one, 0
                    bar.update(1)

    found = encoding.resolved(first, handed_over)
    if found.is_plain:
        return settings
    return replace(settings, encoding=found, input_shape=found.input_shape)


def _points_of(sets: list[tuple[Any, Layout]], settings: Settings) -> Iterator[tuple[Any, Layout]]:
    """Yield sets that were passed, those of each point of stencils by themselves."""
    for value, layout in sets:
        if isinstance(value, Stencils):
            for name, stencil in zip(value.names, value.stencils, strict=True):
                for offset, one in zip(stencil.offsets, stencil.simulations, strict=True):
                    if not isinstance(one, str) or one != FIDUCIAL:
                        where = f"{layout.name} of {name} at {in_words(offset)}"
                        yield one, Layout(where, (settings.n_d,), is_open=True)
        elif value is not None:
            yield value, layout


def _first(data: Data, value: Any, layout: Layout, encoding: Encoding) -> tuple[str, Any, int]:
    """Return an array, or one simulation if it can be had: faults are told of later.

    Only functions are called for it; other data tell of what type their numbers are.
    """
    if isinstance(data, ArrayData):
        return f"`{layout.name}`", value, len(layout.counts)
    if isinstance(data, SeveralData):
        each = [_like(one.value.dtype) for one in data.value.values()]
        return f"`{layout.name}`", data.together(each), 0
    if isinstance(data, DatasetData):
        spec = value.element_spec
        one = spec[0] if isinstance(spec, tuple) and spec else None
        several = isinstance(one, Mapping | tuple | list)
        one = tf.nest.map_structure(_like, one) if several else _like(one)
        return f"`{layout.name}`", one, 0
    if encoding.is_several and not isinstance(data, FunctionData):
        return f"`{layout.name}`", value, 0  # refused: not several arrays
    if not isinstance(data, FunctionData):
        return "", _like(data.value.dtype if isinstance(data, SlicedData) else None), 0
    try:
        index, one, origin = next(iter(data.simulations()))
    except Exception:
        return "", 0.0, 0
    return layout.at(index, origin), one, 0


def _like(kind: Any) -> complex:
    """Return a number of the kind of a dtype, or of a spec of TensorFlow that has one."""
    dtype = getattr(kind, "dtype", kind)
    if isinstance(dtype, tf.DType):
        return 1j if dtype.is_complex else 1.0
    return 1j if getattr(dtype, "kind", "") == "c" else 1.0


def array_source(
    fiducial: Any,
    derivative: Any,
    external: Any,
    n_external: int,
    settings: Settings,
    prefix: str = "",
) -> ArraySource:
    """Return a source of arrays of any number of simulations after the checks of `as_source`.

    Messages name the arguments with a prefix.
    """
    settings = replace(settings, check_shape=True)
    if isinstance(derivative, Stencils):
        settings = replace(settings, δθ=None, stencils=derivative.description)
    of_fiducial, of_derivative = (
        replace(layout, is_open=True, name=prefix + layout.name) for layout in _layouts(settings)
    )
    first = _held(fiducial, of_fiducial, settings)

    def make(value: Any, layout: Layout) -> Data:
        return _held(value, layout, settings)

    second = _derivative_data(derivative, of_derivative, (fiducial, first), settings, make)
    _check_numbers(first.layout, second.layout, settings)
    prints = Fingerprints(first.layout, settings), Fingerprints(second.layout, settings)
    arrays = _looked_through((first, second), prints, settings)
    summaries = _external(external_parts(external)[:2], (first, second), settings)
    check_width(summaries, n_external)
    check_enough(first.layout.name, first.layout.counts[0], settings.n_summaries + n_external)
    source = ArraySource(*arrays, _differences(second), settings.dtype, external=summaries)
    _keep_prints(source, prints, settings)
    warn_of_mixed_numbers(source.prints)
    return source


def refuse_known(source: Source, known: Source) -> None:
    """Refuse a set that holds simulations of another, of training for example.

    Parameters
    ----------
    source, known : Source

    Raises
    ------
    ValueError
        If there are more than chance explains; the message names some.
    """
    for prints, others in zip(known.prints, source.prints, strict=False):
        refuse_shared(prints, others, known.augmentation is not None)


def _held(value: Any, layout: Layout, settings: Settings) -> ArrayData:
    """Return an array of any kind as data in memory."""
    if as_rows(layout.name, value, layout.axes) is None:
        return ArrayData(value, layout, settings).checked()
    data = as_data(value, layout, settings).checked()
    return ArrayData(data.array(), data.layout, settings)


def _external(
    parts: tuple[Any, Any], simulations: tuple[Data, Data], settings: Settings
) -> np.ndarray | None:
    """Return the external summaries (size, n_external) of simulations, or None."""
    if all(part is None for part in parts):
        return None
    settings = replace(settings, encoding=None)
    names = [f"external[{data.layout.name}]" for data in simulations]
    fiducial = as_data(parts[0], Layout(names[0], simulations[0].layout.counts), settings)
    like = simulations[1]
    if not isinstance(like, PointsData):
        layout = Layout(names[1], like.layout.counts)
        return external_summaries(fiducial, as_data(parts[1], layout, settings))
    check_same(names[1], parts[1], settings)

    def make(value: Any, layout: Layout) -> Data:
        return as_data(value, layout, settings)

    given = parts[1], (parts[0], fiducial), names[1], settings, make
    return external_summaries(fiducial, points_data(*given, like=like))


def _layouts(settings: Settings, is_validation: bool = False) -> tuple[Layout, Layout]:
    sides = () if settings.δθ is None else (2,)
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
    every = [part for whole in parts for part, _ in whole.parts]
    if settings.cache in ("disk", None):
        _warn_of_large_arrays([part for part in every if isinstance(part, ArrayData)], settings)
    size = sum(part.layout.size for part in every if not isinstance(part, ArrayData))
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
            "are free. Pass a memory map, np.load(file, mmap_mode='r'), or imnn_lab.Files.",
        )


def _check_alone(*data: Any) -> None:
    names = zip((*NAMES, "external"), data, strict=True)
    received = ", ".join(f"`{name}`" for name, value in names if value is not None)
    if received:
        expected = "be the only origin of the simulations"
        remedy = "Pass `simulator` or data, not both."
        raise ValueError(checks.wording("`simulator`", expected, f"{received} as well", remedy))
