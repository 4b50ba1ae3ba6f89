"""Own simulations on the disk of the server: arrays of known names, not read as a whole.

A set of simulations is a directory with an entry for each array, such as fiducial.npy, fiducial.h5
or a directory fiducial with a file per realisation; or one .npz, HDF5 or zarr file with arrays of
these names. Nothing outside of a set is read: links, and arrays in other files, are refused.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files.formats import SUFFIXES, format_of, imported, whole
from imnn_lab.files.inspection import Found, found_in
from imnn_lab.laboratory.build import NAMES, NUMBERS, OwnData
from imnn_lab.laboratory.offer import size_words
from imnn_lab.laboratory.uploads import check_unpacked

KNOWN = (*NAMES, *NUMBERS)
TOGETHER = ("NumPy archive", "HDF5", "zarr")  # formats of several arrays with names
TAKEN = (".npy", ".npz", ".h5", ".hdf5", ".hdf", ".fits", ".fit", ".fits.fz")  # to be sent
DEPTH = 4  # directories below the one that is offered
MOST_ENTRIES = 100_000  # that are looked at
HERE = "."


def offered(root: Path) -> tuple[str, ...]:
    """Return the sets of simulations in a directory: their paths from it, by their names alone.

    Parameters
    ----------
    root : Path
        What its owner offers; links in it are not followed.
    """
    found: list[str] = []
    n = 0
    for place, directories, files in os.walk(root):
        within = Path(place).relative_to(root)
        entries = [name for name in (*directories, *files) if not Path(place, name).is_symlink()]
        if any(stem(name) == NAMES[0] for name in entries):
            found.append(within.as_posix())
        found += [
            (within / name).as_posix()
            for name in entries
            if format_of(name) in TOGETHER and stem(name) not in KNOWN
        ]
        n += len(entries)
        is_deep = len(within.parts) >= DEPTH or n > MOST_ENTRIES
        directories[:] = [] if is_deep else sorted(_open_ones(directories))
    return tuple(sorted(found))


def _open_ones(directories: list[str]) -> Iterator[str]:
    """Yield directories that may hold sets: no array of its own, nothing hidden."""
    for name in directories:
        if not name.startswith(".") and format_of(name) is None and stem(name) not in KNOWN:
            yield name


def stem(name: str) -> str:
    """Return the name of a file without the end that says its format."""
    ends = sorted(SUFFIXES, key=len, reverse=True)
    end = next((end for end in ends if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]


def arrays_in(root: Path, name: str) -> dict[str, Found]:
    """Return what a set of simulations holds, by the names of `KNOWN`.

    Parameters
    ----------
    root : Path
    name : str
        One of `offered(root)`.

    Raises
    ------
    ValueError
        If it is none of them, leads out of the directory, or cannot be read.
    """
    if name not in offered(root):
        expected = "be one of the sets that this server offers"
        raise ValueError(checks.wording("The simulations", expected, repr(name[:80])))
    place = root / name
    if place.is_dir() and format_of(place.name) is None:
        return _arrays(root, [each for each in sorted(place.iterdir()) if stem(each.name) in KNOWN])
    return _arrays(root, [place])


def _arrays(root: Path, entries: list[Path]) -> dict[str, Found]:
    """Return what files and directories hold, by the names of `KNOWN`."""
    arrays: dict[str, Found] = {}
    places: dict[str, str] = {}
    for entry in entries:
        _check_no_links(root, entry)
        found, problems = found_in([str(entry)])
        if problems:
            raise ValueError(problems[0].replace(f"{root}{os.sep}", ""))
        for each in found:
            is_named = each.is_alone and stem(entry.name) in KNOWN
            key = stem(entry.name) if is_named else str(each.part).rpartition("/")[2]
            if key in arrays:
                received = f"one in {places[key]} and one in {entry.name}"
                remedy = "Remove one of the files."
                raise ValueError(checks.wording(f"`{key}`", "be one array", received, remedy))
            if key in KNOWN:
                arrays[key], places[key] = each, entry.name
    return arrays


def own_data(root: Path, name: str, numbers: dict[str, np.ndarray]) -> OwnData:
    """Return a set of simulations as a network is built from it.

    Parameters
    ----------
    root, name
        See `arrays_in`.
    numbers : dict
        θ_fid and δθ as far as they are not in the set, or shall be others.
    """
    return _own(root, arrays_in(root, name), numbers, name)


def sent_data(place: Path, numbers: dict[str, np.ndarray], most_bytes: float = math.inf) -> OwnData:
    """Return the simulations in files that were sent, or that are kept of such.

    Parameters
    ----------
    place : Path
        Directory of the files.
    numbers : dict
        See `own_data`.
    most_bytes : float
        Largest size of what they hold.

    Raises
    ------
    ValueError
        If they hold more, cannot be read, or lack θ_fid or δθ.
    """
    paths = [path for path in sorted(place.iterdir()) if not path.name.startswith(".")]
    for path in paths:
        if format_of(path.name) == "NumPy archive":
            check_unpacked(path, most_bytes)
    found = _arrays(place, paths)
    size = sum(math.prod(each.shape) * each.dtype.itemsize for each in found.values())
    if size > most_bytes:
        expected = f"hold at most {size_words(most_bytes)}"
        raise ValueError(checks.wording("The files", expected, size_words(size)))
    return replace(_own(place, found, numbers), place=place)


def _own(
    root: Path, found: dict[str, Found], numbers: dict[str, np.ndarray], name: str = ""
) -> OwnData:
    for each in found.values():
        _check_alone(each)
    for needed in NUMBERS:
        if needed not in numbers and needed in found:
            numbers[needed] = np.atleast_1d(_whole(found[needed]))
        if needed not in numbers:
            raise ValueError(f"`{needed}` is missing. Send it in a file, or write it below.")
    arrays: dict[str, Any] = {key: found[key].files() for key in NAMES if key in found}
    if "target" in arrays:
        arrays["target"] = _whole(found["target"])
    calls = {key: found[key].call.replace(f"{root}{os.sep}", "") for key in arrays}
    return OwnData(arrays, numbers["θ_fid"], numbers["δθ"], name, calls)


def described(root: Path, name: str) -> str:
    """Return lines on what a set of simulations holds."""
    lines = [line for each in arrays_in(root, name).values() for line in each.lines()]
    return "\n".join(lines).replace(f"{root}{os.sep}", "") or "It holds no array of a known name."


def _whole(found: Found) -> np.ndarray:
    return whole(found.pattern, found.kind, found.part)


def _check_no_links(root: Path, entry: Path) -> None:
    """Refuse links, which may lead out of the directory."""
    below = (Path(place, name) for place, *names in os.walk(entry) for name in chain(*names))
    for each in chain([entry], below):
        if each.is_symlink():
            received = f"a link, {each.relative_to(root)}"
            remedy = "Whoever runs the server can copy the file, or offer the directory it is in."
            raise ValueError(checks.wording("The simulations", "be files", received, remedy))


def _check_alone(found: Found) -> None:
    """Refuse an array of HDF5 whose values are in other files."""
    if found.kind != "HDF5" or found.seeds is not None:
        return
    with imported("h5py", "HDF5").File(found.pattern, "r") as file:
        if file[found.part].external or file[found.part].is_virtual:
            received = f"{found.part!r}, whose values are in other files"
            raise ValueError(checks.wording("The simulations", "be whole files", received))
