"""Arrays that visitors send: .npy and .npz, of limited size, never unpickled."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from imnn_lab import checks

MEGABYTE = 2**20
REMEDY = "Save arrays of numbers with numpy.save or numpy.savez."


def read_upload(name: str, content: bytes, most_bytes: int) -> dict[str, np.ndarray]:
    """Return the arrays in an uploaded file; that of an .npy file has the file's name.

    Parameters
    ----------
    name : str
        Name of the file.
    content : bytes
    most_bytes : int
        Largest size of the file, and of what it holds.

    Raises
    ------
    ValueError
        If it is too large, is not such a file, or holds Python objects.
    """
    limit = f"have at most {most_bytes / MEGABYTE:.4g} MB"
    if len(content) > most_bytes:
        received = f"{len(content) / MEGABYTE:.4g} MB"
        raise ValueError(checks.wording(f"`{name}`", limit, received, "Send fewer simulations."))
    kind = name.rpartition(".")[2].lower()
    if kind not in ("npy", "npz"):
        raise ValueError(checks.wording(f"`{name}`", "be an .npy or .npz file", kind, REMEDY))
    try:
        if kind == "npz":
            return _members(name, content, most_bytes, limit)
        return {name.rpartition(".")[0]: _array(name, content)}
    except ValueError:
        raise
    except Exception as error:  # whatever readers meet in bytes that may be anything
        expected = f"be a whole .{kind} file"
        raise ValueError(checks.wording(f"`{name}`", expected, f"{error}", REMEDY)) from error


def _members(name: str, content: bytes, most_bytes: int, limit: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > most_bytes:
            received = f"{size / MEGABYTE:.4g} MB when unpacked"
            raise ValueError(checks.wording(f"`{name}`", limit, received))
        arrays: dict[str, np.ndarray] = {}
        for member in archive.infolist():
            key = member.filename.removesuffix(".npy")
            if key in arrays:
                expected = "hold each array once"
                raise ValueError(checks.wording(f"`{name}`", expected, f"`{key}` twice", REMEDY))
            arrays[key] = _array(f"{name}/{member.filename}", archive.read(member))
        return arrays


def _array(name: str, content: bytes) -> np.ndarray:
    """Return an array from the bytes of an .npy file, whose header is checked first."""
    file = io.BytesIO(content)
    expected = "hold an array of numbers or text"
    try:
        version = np.lib.format.read_magic(file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, _, dtype = read[version[0]](file)
    except Exception as error:  # the header may hold anything
        raise ValueError(checks.wording(f"`{name}`", expected, f"{error}", REMEDY)) from error
    if dtype.hasobject:
        received = "Python objects, which would have to be unpickled"
        raise ValueError(checks.wording(f"`{name}`", expected, received, REMEDY))
    promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if promised != len(content) - file.tell():
        received = f"{len(content) - file.tell()} bytes of data for shape {shape}"
        raise ValueError(checks.wording(f"`{name}`", "be a whole .npy file", received, REMEDY))
    file.seek(0)
    return np.load(file, allow_pickle=False)


def numbers(name: str, text: str) -> np.ndarray:
    """Return numbers separated by commas or spaces.

    Raises
    ------
    ValueError
        If there is none, or a part is not a finite number.
    """
    try:
        found = np.array([float(word) for word in text.replace(",", " ").split()])
    except ValueError:
        found = np.array([])
    if not found.size or not np.isfinite(found).all():
        expected = "be numbers separated by commas"
        raise ValueError(checks.wording(f"`{name}`", expected, repr(text)))
    return found
