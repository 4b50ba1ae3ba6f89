"""Simulations at the points of stencils: data of any kind at each point, matched by their seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.files.rows import as_rows
from imnn_lab.progress import announce
from imnn_lab.settings import Settings
from imnn_lab.sources.collection import AXES, Data, Index, LabelledSimulations, Layout, Sample
from imnn_lab.sources.data.arrays import ArrayData
from imnn_lab.sources.data.records import are_files
from imnn_lab.sources.data.several import places, seeds_of, selected
from imnn_lab.sources.differences import Points
from imnn_lab.stencils import Stencil, Stencils, in_words

Make = Callable[[Any, Layout], Data]


class Point(NamedTuple):
    """One point of a stencil: parameter and name, offset, where its rows begin, their seeds."""

    parameter: int
    name: str
    offset: float
    start: int
    labels: np.ndarray

    @property
    def at(self) -> str:
        """Where it is, in words."""
        return f"{self.name} at {in_words(self.offset)}"

    @property
    def n(self) -> int:
        """Number of simulations."""
        return len(self.labels)


class PointLayout(Layout):
    """The simulations of one point."""

    @property
    def array_shape(self) -> str:
        """The shape of an array of them, in words."""
        return "(n,) + input_shape"


@dataclass(frozen=True, eq=False)
class PointsLayout(Layout):
    """The simulations of all points, one after the other.

    Parameters
    ----------
    points : tuple of Point
    """

    points: tuple[Point, ...] = ()

    @property
    def spans(self) -> str:
        """What they are, in words."""
        return "all points of the stencils"

    def seeds(self, positions: np.ndarray) -> np.ndarray:
        """Return the seeds of simulations at some positions."""
        return np.concatenate([point.labels for point in self.points])[positions]

    def words(self, index: Index) -> str:
        """Name the simulation at a position, or at (point, number)."""
        if len(index) == 1:
            k = np.searchsorted([point.start for point in self.points], index[0], "right") - 1
            point = self.points[k]
            return f"{point.at}, seed {point.labels[index[0] - point.start]}"
        return f"{self.points[index[0]].at}, number {', '.join(map(str, index[1:]))}"

    def by_point(self, values: np.ndarray) -> list[np.ndarray]:
        """Split values of all simulations, or of the first of each point as `sample_of` takes."""
        lengths = np.array([point.n for point in self.points])
        if len(values) < self.size:
            counts = (np.minimum(lengths, most) for most in range(1, lengths.max()))
            lengths = next(each for each in counts if each.sum() == len(values))
        return np.split(values, np.cumsum(lengths)[:-1])

    def unmoved(self, digests: np.ndarray) -> list[str]:
        """Return the parameters whose points hold equal simulations, by their digests."""
        by_parameter: dict[int, list[np.ndarray]] = {}
        for point, values in zip(self.points, self.by_point(digests), strict=True):
            by_parameter.setdefault(point.parameter, []).append(values)
        return [
            next(point.name for point in self.points if point.parameter == α)
            for α, values in by_parameter.items()
            if all((x == values[0]).all() for x in values)
        ]


class PointSample(Sample):
    """A sink that keeps only the first simulations of each point."""

    def __init__(self, layout: PointsLayout, settings: Settings, most: int) -> None:
        numbers = np.concatenate([np.arange(point.n) for point in layout.points])
        self._places = np.where(numbers < most, np.cumsum(numbers < most) - 1, -1)
        self.array = np.empty((int((numbers < most).sum()), *settings.input_shape), settings.dtype)

    def __setitem__(self, index: Index | slice, value: np.ndarray) -> None:
        """Keep the simulations that are among the first of their point."""
        places = self._places[index if isinstance(index, slice) else index[0]]
        if isinstance(index, slice):
            self.array[places[places >= 0]] = value[places >= 0]
        elif places >= 0:
            self.array[places] = value


def sample_of(layout: Layout, settings: Settings, max_values: int, max_seeds: int) -> Sample:
    """Return a sink for the first simulations of a set."""
    if not isinstance(layout, PointsLayout):
        return Sample(layout, settings, max_values, max_seeds)
    most = max_values // (len(layout.points) * int(np.prod(settings.input_shape)))
    return PointSample(layout, settings, int(np.clip(most, 1, max_seeds)))


@dataclass(frozen=True)
class PointsData(Data):
    """Simulations at the points of stencils: `value` holds the data of each point.

    Parameters
    ----------
    differences : Points
        What is made of them.
    """

    value: tuple[Data, ...]
    layout: PointsLayout
    differences: Points

    @property
    def parts(self) -> tuple[tuple[Data, int], ...]:
        """The data of each point, with the position where they begin."""
        return tuple((data, point.start) for data, point in self._each())

    def simulations(self) -> LabelledSimulations:
        """Iterate over the simulations of all points."""
        for k, (data, point) in enumerate(self._each()):
            for index, value, origin in data.simulations():
                is_there = data.layout.holds(index)
                yield (point.start + index[0],) if is_there else (k, *index), value, origin

    def array(self) -> np.ndarray:
        """Read all simulations into an array, (size,) + input_shape."""
        return np.concatenate([data.array() for data in self.value])

    def _each(self) -> Iterator[tuple[Data, Point]]:
        return zip(self.value, self.layout.points, strict=True)


@dataclass(frozen=True)
class PickedData(Data):
    """Some simulations of other data, here `value`, at its numbers."""

    numbers: np.ndarray

    def simulations(self) -> LabelledSimulations:
        """Iterate over these simulations."""
        places = {int(number): i for i, number in enumerate(self.numbers)}
        for index, value, origin in self.value.simulations():
            if len(index) == 1 and index[0] in places:
                yield (places[index[0]],), value, origin


def points_data(
    stencils: Stencils,
    fiducial: tuple[Any, Data],
    name: str,
    settings: Settings,
    make: Make,
    n: int | None = None,
    like: PointsData | None = None,
) -> PointsData:
    """Return the simulations of stencils, those of each parameter matched by their seeds.

    Parameters
    ----------
    stencils : Stencils
    fiducial : object, Data
        The fiducial simulations as they were passed, and as data.
    name : str
        Name of the argument, for messages.
    settings : Settings
    make : callable
        Makes checked data of a value and its layout.
    n : int, optional
        Number of simulations where the data do not tell theirs.
    like : PointsData, optional
        The simulations that these are external summaries of.

    Raises
    ------
    TypeError, ValueError
        If simulations of a parameter cannot be matched, or fewer than 2 of them can be.
    """
    n_s = fiducial[1].layout.counts[0]
    several = settings.encoding is not None and settings.encoding.is_several
    labels = (
        labels_of(stencils, fiducial[0], name, n, several, n_s)
        if like is None
        else like.differences.labels
    )
    if like is None and settings.verbose:
        _announce_missing(stencils, name, labels)
    points, parts, start = [], [], 0
    for α, (stencil, seeds) in enumerate(zip(stencils.stencils, labels, strict=True)):
        for offset, value in zip(stencil.offsets, stencil.simulations, strict=True):
            point = Point(α, stencils.names[α], offset, start, seeds)
            layout = PointLayout(f"{name} of {point.at}", (len(seeds),))
            if isinstance(value, str):
                parts.append(_of_fiducial(*fiducial, seeds, layout, make))
            else:
                parts.append(make(selected(value, seeds), layout))
            points.append(point)
            start += len(seeds)
    differences = Points([stencil.weights for stencil in stencils.stencils], labels)
    whole = PointsLayout(name, (start,), points=tuple(points))
    return PointsData(tuple(parts), whole, settings, differences)


def smallest_count(stencils: Stencils, fiducial: Any, n_d: int | None, several: bool) -> int:
    """Return the smallest number of simulations that a parameter has, which `n_d` must be.

    `several` says whether a simulation has several arrays.

    Raises
    ------
    TypeError, ValueError
        As `points_data` does, or if `n_d` is another number, and needed for none of them.
    """
    labels = labels_of(stencils, fiducial, "derivative", n_d, several)
    n = min(map(len, labels))
    tells = all(
        _length(value, several) is not None or isinstance(value, str)
        for stencil in stencils.stencils
        for value in stencil.simulations
    )
    if n_d is not None and tells and n_d != n:
        expected = f"be None, or the smallest number of simulations of a parameter, {n}"
        raise ValueError(checks.wording("`n_d`", expected, n_d))
    return n if n_d is None else n_d


def labels_of(
    stencils: Stencils,
    fiducial: Any,
    name: str,
    n: int | None,
    several: bool,
    n_s: int | None = None,
) -> list[np.ndarray]:
    """Return the seeds of each parameter that all its points have, ascending."""
    found = []
    for of_parameter, stencil in zip(stencils.names, stencils.stencils, strict=True):
        context = f"`{name}` of {of_parameter}"
        seeds = _seeds(context, stencil, fiducial)
        available = _length(fiducial, several) if n_s is None else n_s
        labels = (
            np.arange(_number(context, stencil, available, n, several))
            if seeds is None
            else functools.reduce(np.intersect1d, seeds)
        )
        if len(labels) < 2:
            expected = "hold at least 2 simulations of the same seeds at all points"
            raise ValueError(checks.wording(context, expected, len(labels)))
        found.append(labels)
    return found


def check_same(name: str, stencils: Any, settings: Settings) -> None:
    """Refuse derivatives that are not those of the stencils of the settings.

    Raises
    ------
    TypeError, ValueError
        If they are no stencils, or have other points or weights; the message names the parameter.
    """
    if settings.stencils is None or not isinstance(stencils, Stencils):
        is_needed = settings.stencils is not None
        expected = (
            "hold Stencils, as in training" if is_needed else "hold no Stencils, as in training"
        )
        raise TypeError(checks.wording(f"`{name}`", expected, checks.describe(stencils)))
    if len(stencils) != settings.n_params:
        expected = f"hold a stencil for each of n_params = {settings.n_params} parameters"
        raise ValueError(checks.wording(f"`{name}`", expected, len(stencils)))
    pairs = zip(stencils.description, settings.stencils, strict=True)
    for α, (here, other) in enumerate(pairs):
        is_same = here[:1] == other[:1] or not (here[0] and other[0])
        shapes = len(here[1]) == len(other[1])
        if not is_same or not shapes or not np.allclose(here[1:], other[1:], rtol=1e-9, atol=0):
            label = other[0] or f"parameter {α}"
            expected = f"have {_in_words(other)} for {label}, as in training"
            raise ValueError(checks.wording(f"`{name}`", expected, _in_words(here)))


def _in_words(described: tuple[str, tuple[float, ...], tuple[float, ...]]) -> str:
    label, offsets, weights = described
    points = ", ".join(map(in_words, offsets))
    words = f"the points {points} with weights {', '.join(f'{w:.6g}' for w in weights)}"
    return f"{label}: {words}" if label else words


def _of_fiducial(value: Any, data: Data, seeds: np.ndarray, layout: Layout, make: Make) -> Data:
    """Return the fiducial simulations of some seeds."""
    own = seeds_of("`fiducial`", value)
    if own is not None and not isinstance(data, ArrayData):
        return make(selected(value, seeds), layout)
    numbers = seeds if own is None else places(own, seeds)
    if isinstance(data, ArrayData):
        return replace(data, value=np.asarray(data.value)[numbers], layout=layout)
    if callable(value):
        return make(value, layout)
    if (rows := as_rows(layout.name, value, layout.axes)) is not None:
        return make(rows.first(len(seeds)), layout)
    return PickedData(data, layout, data.settings, numbers)


def _seeds(context: str, stencil: Stencil, fiducial: Any) -> list[np.ndarray] | None:
    """Return the seeds of each point, None if the data tell none."""
    values = [fiducial if isinstance(x, str) else x for x in stencil.simulations]
    given = [seeds_of(context, value) for value in values]
    if all(seeds is None for seeds in given):
        return None
    found = []
    for offset, seeds in zip(stencil.offsets, given, strict=True):
        at = f"{context} at {in_words(offset)}"
        if seeds is None:
            expected = "tell its `seeds`, as other points of the parameter do"
            raise ValueError(checks.wording(at, expected, "data without them"))
        array = np.asarray(seeds)
        if array.ndim != 1 or array.dtype.kind not in "iu" or len(np.unique(array)) < len(array):
            expected = "have `seeds` that are different integers"
            raise ValueError(checks.wording(at, expected, checks.describe(seeds)))
        found.append(array)
    return found


def _number(
    context: str, stencil: Stencil, available: int | None, n: int | None, several: bool
) -> int:
    """Return the number of simulations at each point of data that tell no seeds."""
    lengths = {
        offset: _length(value, several)
        for offset, value in zip(stencil.offsets, stencil.simulations, strict=True)
        if not isinstance(value, str)
    }
    known = {length for length in lengths.values() if length is not None}
    if len(known) > 1:
        each = ", ".join(f"{n} at {in_words(offset)}" for offset, n in lengths.items())
        expected = "hold the same number of simulations at each point, of the same seeds"
        remedy = "Leave out those that other points lack, or pass data that tell their `seeds`."
        raise ValueError(checks.wording(context, expected, each, remedy))
    if not known and n is None:
        expected = "be data that tell their number"
        raise ValueError(checks.wording(context, expected, "others", "Pass n_d."))
    number = known.pop() if known else int(n or 0)
    takes_fiducial = any(isinstance(value, str) for value in stencil.simulations)
    if takes_fiducial and available is not None and number > available:
        expected = f"hold at most as many simulations as the fiducial ones, {available}"
        raise ValueError(checks.wording(context, expected, number))
    return number


def _length(value: Any, several: bool) -> int | None:
    """Return the number of simulations that data hold, None if they do not tell."""
    if several and isinstance(value, Mapping | list | tuple) and len(value):
        value = next(iter(value.values())) if isinstance(value, Mapping) else value[0]
    if isinstance(value, tf.data.Dataset | str) or callable(value) or are_files(value):
        return None
    rows = as_rows("derivative", value, AXES[:1])
    if rows is not None:  # arrays of zarr have no length, those of xarray any order
        return rows.shape[0]
    try:
        return len(value)
    except TypeError:
        return None


def _announce_missing(stencils: Stencils, name: str, labels: Sequence[np.ndarray]) -> None:
    """Say how many simulations are left out, as other points lack their seeds."""
    for of_parameter, stencil, kept in zip(stencils.names, stencils.stencils, labels, strict=True):
        left = {
            offset: len(own) - len(kept)
            for offset, value in zip(stencil.offsets, stencil.simulations, strict=True)
            if (own := seeds_of(f"`{name}`", value)) is not None
        }
        words = ", ".join(f"{n} at {in_words(offset)}" for offset, n in left.items() if n)
        if words:
            announce(
                f"`{name}` of {of_parameter}: {len(kept)} seeds are there at all points; left out "
                f"are {words}."
            )
