"""Arrays that are read in slices of their first axis: memory maps, HDF5, zarr, dask, xarray, files.

They are known by the module of their type, or by what they can do; no package is imported for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files.formats import UnreadableFile, read_rows

WHOLE_BYTES = 2**27  # of stored chunks that are read whole though fewer rows are asked for
IN_MEMORY = (
    "numpy",
    "tensorflow",
    "keras",
    "torch",
    "jax",
    "jaxlib",
    "cupy",
    "pandas",
    "astropy",
    "pint",
)
DIMENSIONS = {
    "seed": ("seed", "realisation", "realization", "simulation", "sim"),
    "derivative": ("derivative", "side", "sign"),
    "parameter": ("parameter", "param"),
}
UPPER_FIRST = (
    ("upper", "lower"), ("plus", "minus"), ("p", "m"), ("+", "-"), ("high", "low"), ("up", "down"),
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """An array of which slices are read.

    Parameters
    ----------
    value : object
        The array.
    shape : tuple of int
    dtype : dtype
    edges : ndarray of int, optional
        Where stored chunks of rows begin; None if cutting them costs nothing.
    """

    value: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    edges: np.ndarray | None = None

    def read(self, start: int, stop: int) -> Any:
        """Read the rows from `start` to `stop`."""
        return read_rows(self.value, start, stop)

    def first(self, n: int) -> Rows:
        """Return the first n rows, unread."""
        edges = None if self.edges is None else self.edges[self.edges < n]
        return replace(self, shape=(n, *self.shape[1:]), edges=edges)

    def spans(self, most: int) -> Iterator[tuple[int, int]]:
        """Iterate over all rows in slices (start, stop) of at most `most` rows.

        A slice ends where a stored chunk does if it can: chunks are read whole, and compressed ones
        would be read again. Single chunks may be longer.
        """
        start, n = 0, self.shape[0]
        while start < n:
            stop = min(start + most, n)
            if self.edges is not None and stop < n:
                i = int(np.searchsorted(self.edges, stop, side="right")) - 1
                end = int(self.edges[i + 1]) if i + 1 < len(self.edges) else n
                if self.edges[i] > start:
                    stop = int(self.edges[i])
                elif (end - start) * self._row_bytes <= WHOLE_BYTES:
                    stop = end
            yield start, stop
            start = stop

    @property
    def _row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


class HDF5Rows(Rows):
    """A dataset of h5py."""

    def read(self, start: int, stop: int) -> Any:
        """Read the rows from `start` to `stop`."""
        _check_open("The data", self.value)
        return read_rows(self.value, start, stop)


class DaskRows(Rows):
    """A dask array, computed by the workers of the active client, if there is one."""

    def read(self, start: int, stop: int) -> Any:
        """Compute the rows from `start` to `stop`."""
        return self.value[start:stop].compute()


class LabelledRows(Rows):
    """An array of xarray whose dimensions are in our order."""

    def read(self, start: int, stop: int) -> Any:
        """Load the rows from `start` to `stop`."""
        return self.value[start:stop].compute().data


def as_rows(name: str, value: Any, axes: tuple[str, ...]) -> Rows | None:
    """Return what is read in slices as rows, None for any other value.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    value : object
        What a user passes as data.
    axes : tuple of str
        Names of the leading axes that it should have: seed, derivative and parameter.

    Raises
    ------
    TypeError, ValueError
        If it is a file or a group of several arrays, a closed one, or has an unknown length.
    """
    if isinstance(value, Rows):
        return value
    if isinstance(value, np.memmap):
        return _rows(Rows, value) if value.ndim else None
    if isinstance(value, np.ndarray | np.generic | type):
        return None
    package = type(value).__module__.partition(".")[0]
    if package == "h5py":
        _check_open(f"`{name}`", value)
    if package in ("h5py", "zarr", "xarray") and not hasattr(value, "dtype"):
        _refuse_several(name, value)
    if package == "xarray":
        return _labelled(name, value, axes)
    if package == "dask":
        return _computed(name, value)
    if package in IN_MEMORY or not _is_sliced(value):
        return None
    return _rows(HDF5Rows if package == "h5py" else Rows, value)


def _rows(kind: type[Rows], value: Any) -> Rows:
    shape = tuple(int(n) for n in value.shape)
    return kind(value, shape, np.dtype(value.dtype), _edges(getattr(value, "chunks", None), shape))


def _is_sliced(value: Any) -> bool:
    """Whether a value can do what reading in slices needs."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape or not hasattr(type(value), "__getitem__"):
        return False
    try:
        return isinstance(np.dtype(value.dtype), np.dtype)
    except (AttributeError, TypeError):
        return False


def _edges(chunks: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return where chunks of rows begin; `chunks` are lengths, the same or one for each chunk."""
    if not isinstance(chunks, tuple) or not chunks:
        return None
    if isinstance(chunks[0], tuple):
        return np.cumsum((0, *chunks[0][:-1]))
    return np.arange(0, shape[0], max(1, int(chunks[0])))


def _check_open(context: str, value: Any) -> None:
    if not value:
        remedy = (
            "Keep the file open as long as the data are used, or pass "
            'imnn_lab.Files("file.h5", "dataset"), which opens it where it is read.'
        )
        raise UnreadableFile(
            checks.wording(context, "be in an open file", "a dataset of a closed one", remedy)
        )


def _refuse_several(name: str, value: Any) -> None:
    keys = list(value.keys()) if hasattr(value, "keys") else []
    received = f"{type(value).__name__} of {', '.join(map(repr, keys[:5])) or 'nothing'}"
    remedy = f"Pass one of them: data[{keys[0]!r}]." if keys else ""
    message = checks.wording(f"`{name}`", "be one array of simulations", received, remedy)
    raise TypeError(message)


def _computed(name: str, value: Any) -> Rows | None:
    if not all(hasattr(value, need) for need in ("chunks", "compute", "dtype", "shape")):
        return None
    if any(n != n for n in value.shape):
        remedy = "Call its compute_chunk_sizes() first."
        raise ValueError(
            checks.wording(f"`{name}`", "have a known shape", f"shape {value.shape}", remedy)
        )
    return _rows(DaskRows, value) if value.shape else None


def _labelled(name: str, value: Any, axes: tuple[str, ...]) -> Rows | None:
    """Return an array of xarray with the axes of a set first, found by their names or by order."""
    if not value.dims:
        return None
    known = {axis: dim for axis in axes if (dim := _dimension(axis, value.dims)) is not None}
    others = [dim for dim in value.dims if dim not in known.values()]
    first = [known[axis] if axis in known else others.pop(0) for axis in axes if known or others]
    value = value.transpose(*first, *others)
    if "derivative" in known:
        _check_sides(name, value, known["derivative"])
    chunks = value.chunks
    if chunks is None:
        stored = getattr(value, "encoding", {}).get("preferred_chunks", {}).get(value.dims[0])
        chunks = None if stored is None else (stored,)
    shape = tuple(int(n) for n in value.shape)
    return LabelledRows(value, shape, np.dtype(value.dtype), _edges(chunks, shape))


def _dimension(axis: str, dims: tuple[Any, ...]) -> Any:
    """Return the dimension that is named as an axis, in the singular or plural."""
    for word in DIMENSIONS[axis]:
        for dim in dims:
            if str(dim).lower() in (word, f"{word}s"):
                return dim
    return None


def _check_sides(name: str, value: Any, dimension: Any) -> None:
    """Refuse coordinates that say that the upper simulations come first."""
    if dimension not in getattr(value, "coords", {}) or value.sizes[dimension] != 2:
        return
    sides = value.coords[dimension].values.tolist()
    words = tuple(str(side).lower() for side in sides)
    is_falling = all(isinstance(side, int | float) for side in sides) and sides[0] > sides[1]
    if is_falling or words in UPPER_FIRST:
        expected = "have the lower simulations before the upper ones"
        remedy = f"Turn them round: x.isel({dimension}=[1, 0])."
        received = f"{dimension} = {sides}"
        raise ValueError(checks.wording(f"`{name}`", expected, received, remedy))
