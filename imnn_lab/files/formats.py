"""Arrays in files: .npy, .npz, HDF5, zarr and FITS, opened without reading what is not asked for.

h5py, zarr and astropy are imported when a file of theirs is opened.
"""

from __future__ import annotations

import importlib
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

from imnn_lab import checks

SUFFIXES = {
    ".npy": "NumPy", ".npz": "NumPy archive", ".h5": "HDF5", ".hdf5": "HDF5", ".hdf": "HDF5",
    ".zarr": "zarr", ".fits": "FITS", ".fit": "FITS", ".fits.gz": "FITS", ".fits.fz": "FITS",
}  # fmt: skip
PART = {"NumPy archive": "key", "HDF5": "dataset", "zarr": "dataset", "FITS": "hdu"}
ALIGNMENT = 64  # bytes
SHOWN = 10  # names of arrays in a message


class UnreadableFile(ValueError):
    """A file that is damaged, or lacks the array that is asked for; the message names it."""


class Opened(NamedTuple):
    """An array in an open file.

    Attributes
    ----------
    array : array-like
        Has shape, dtype and slices.
    close : callable
        Closes the file.
    """

    array: Any
    close: Callable[[], None]


def imported(module: str, what: str) -> Any:
    """Return an optional package.

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{what} must be read with {package}. Received {checks.first_line(error)}. "
            'Install it: pip install "imnn_lab[files]".'
        ) from error


def format_of(name: str) -> str | None:
    """Return the format that the end of a file's name says, None if it says none that is read."""
    lower = name.lower().rstrip("/")
    ends = sorted(SUFFIXES, key=len, reverse=True)
    return next((SUFFIXES[end] for end in ends if lower.endswith(end)), None)


def opened(path: str, kind: str, part: Any = None) -> Opened:
    """Open the array in a file.

    Parameters
    ----------
    path : str
        Name of the file, or of the directory of a zarr array or group.
    kind : str
        Its format, a value of `SUFFIXES`.
    part : str or int, optional
        Which array: the key, the dataset or the HDU. None is the only one.

    Raises
    ------
    FileNotFoundError, ImportError, UnreadableFile
        If the file or the package does not exist, or the file cannot be read or lacks that array.
    """
    return _guarded(path, kind, lambda: _OPEN[kind](path, part))


def whole(path: str, kind: str, part: Any = None) -> np.ndarray:
    """Read the array in a file; see `opened`."""

    def read() -> np.ndarray:
        if kind == "NumPy":
            return _plain(np.load(path, allow_pickle=False))
        array, close = _OPEN[kind](path, part)
        try:
            return np.array(array[()] if array.shape == () else array[:])
        finally:
            close()

    return _guarded(path, kind, read)


def arrays(path: str, kind: str) -> Iterator[tuple[Any, Opened]]:
    """Iterate over the arrays in a file: the part and the open array, which the caller closes."""
    if kind == "NumPy":
        yield None, opened(path, kind)
        return
    for part in _guarded(path, kind, lambda: _PARTS[kind](path)):
        yield part, opened(path, kind, part)


def read_rows(array: Any, start: int, stop: int) -> Any:
    """Read consecutive rows of an array, where it can be into memory that TensorFlow shares.

    TensorFlow copies arrays that do not begin at a multiple of 64 bytes.
    """
    if isinstance(array, np.memmap):
        _forget_pages(array)
        return np.asarray(array[start:stop])
    package = type(array).__module__.partition(".")[0]
    if package not in ("h5py", "zarr") or array.dtype.kind not in "iufb" or 0 in array.shape:
        return array[start:stop]
    rows = _aligned((stop - start, *array.shape[1:]), array.dtype)
    if package == "h5py":
        array.read_direct(rows, np.s_[start:stop])
        return rows
    try:
        from zarr.buffer import default_buffer_prototype  # since 3.1
    except ImportError:
        return array[start:stop]
    shared = default_buffer_prototype().nd_buffer.from_numpy_array(rows)
    array.get_basic_selection(np.s_[start:stop], out=shared)
    return rows


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)


def _forget_pages(array: np.memmap) -> None:
    """Let the pages of a memory map that were read leave the memory of this process.

    They stay in the cache of the system, and would otherwise count as memory that is used.
    """
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and array.mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def _guarded(path: str, kind: str, function: Callable[[], Any]) -> Any:
    """Call what reads a file; any error becomes one that names the file."""
    if not Path(path).exists():
        expected = "be a file that exists"
        raise FileNotFoundError(checks.wording(f"`Files`: {path!r}", expected, "no such file"))
    try:
        return function()
    except (UnreadableFile, ImportError):
        raise
    except Exception as error:
        received = checks.first_line(error)
        remedy = "It is damaged or in another format; write it again, or leave it out."
        if Path(path).is_file() and not Path(path).stat().st_size:
            received = "an empty file"
        elif kind == "NumPy" and not _begins_as_npy(path):
            received = "a file of another format"
            remedy = "Write an array of numbers with numpy.save, or leave it out."
        elif kind == "NumPy" and "object" in received.lower():
            received = "an array of Python objects"
            remedy = "Only numbers are read: write an array of them with numpy.save."
        if "filter" in received:
            remedy = "Its compression needs a plugin: pip install hdf5plugin; import hdf5plugin."
        message = checks.wording(f"`Files`: {path!r}", f"be a whole {kind} file", received, remedy)
        raise UnreadableFile(message) from error


def _begins_as_npy(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX


def _plain(value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise TypeError("an archive of several arrays")
    return value


def _nothing() -> None:
    """Close what needs no closing."""


def _chosen(path: str, names: Sequence[Any], part: Any, kind: str) -> Any:
    """Return the part that is asked for, or the only one."""
    shown = ", ".join(map(repr, names[:SHOWN])) + ", …" * (len(names) > SHOWN)
    if part is None and len(names) == 1:
        return names[0]
    if part is not None and part in names:
        return part
    expected = f"hold {part!r}" if part is not None else "hold one array"
    received = f"{len(names)} ({shown})" if names else "none"
    remedy = f"Choose one: Files(..., {PART[kind]}={names[0]!r})." if names else ""
    raise UnreadableFile(checks.wording(f"`Files`: {path!r}", expected, received, remedy))


def _open_npy(path: str, part: Any) -> Opened:
    return Opened(_plain(np.load(path, mmap_mode="r", allow_pickle=False)), _nothing)


def _open_npz(path: str, part: Any) -> Opened:
    with np.load(path, allow_pickle=False) as archive:
        return Opened(archive[_chosen(path, archive.files, part, "NumPy archive")], _nothing)


def _npz_names(path: str) -> list[str]:
    with np.load(path, allow_pickle=False) as archive:
        return list(archive.files)


def _open_h5(path: str, part: Any) -> Opened:
    h5py = imported("h5py", f"`Files`: {path!r}")
    file = h5py.File(path, "r")
    try:
        if part is None or not isinstance(file.get(part), h5py.Dataset):
            part = _chosen(path, _h5_names(path), part, "HDF5")
        return Opened(file[part], file.close)
    except BaseException:
        file.close()
        raise


def _h5_names(path: str) -> list[str]:
    h5py = imported("h5py", f"`Files`: {path!r}")
    names: list[str] = []

    def note(name: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            names.append(name)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return names


def _open_zarr(path: str, part: Any) -> Opened:
    group = imported("zarr", f"`Files`: {path!r}").open(path, mode="r")
    if part is None and hasattr(group, "dtype"):
        return Opened(group, _nothing)
    found = _zarr_arrays(group)
    return Opened(found[_chosen(path, list(found), part, "zarr")], _nothing)


def _zarr_arrays(group: Any, before: str = "") -> dict[str, Any]:
    if hasattr(group, "dtype"):
        return {}
    found = {before + name: array for name, array in group.arrays()}
    for name, inner in group.groups():
        found |= _zarr_arrays(inner, f"{before}{name}/")
    return found


def _zarr_names(path: str) -> list[Any]:
    group = imported("zarr", f"`Files`: {path!r}").open(path, mode="r")
    return [None] if hasattr(group, "dtype") else list(_zarr_arrays(group))


class _Image:
    """An image in a FITS file, scaled as its header says, of which sections are read."""

    def __init__(self, hdu: Any) -> None:
        self._section, self.shape = hdu.section, tuple(hdu.shape)
        self.dtype = np.asarray(self._section[0:1]).dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return a section."""
        return np.asarray(self._section[index])


def _open_fits(path: str, part: Any) -> Opened:
    fits = imported("astropy.io.fits", f"`Files`: {path!r}")
    file = fits.open(path)
    try:
        images = _images(file)
        if isinstance(part, str):
            part = {file[i].name: i for i in images}.get(part.upper(), part)
        return Opened(_Image(file[_chosen(path, images, part, "FITS")]), file.close)
    except BaseException:
        file.close()
        raise


def _fits_numbers(path: str) -> list[int]:
    with imported("astropy.io.fits", f"`Files`: {path!r}").open(path) as file:
        return _images(file)


def _images(file: Any) -> list[int]:
    return [i for i, hdu in enumerate(file) if hdu.is_image and hdu.shape]


_OPEN = {
    "NumPy": _open_npy, "NumPy archive": _open_npz, "HDF5": _open_h5, "zarr": _open_zarr,
    "FITS": _open_fits,
}  # fmt: skip
_PARTS: dict[str, Callable[[str], list[Any]]] = {
    "NumPy archive": _npz_names, "HDF5": _h5_names, "zarr": _zarr_names, "FITS": _fits_numbers,
}  # fmt: skip
