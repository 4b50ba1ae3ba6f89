"""Arrays that visitors send: .npy and .npz, of limited size, never unpickled."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from imnn_lab import checks, storage

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
    label, limit = f"`{name}`", f"have at most {most_bytes / MEGABYTE:.4g} MB"
    if len(content) > most_bytes:
        received = f"{len(content) / MEGABYTE:.4g} MB"
        raise ValueError(checks.wording(label, limit, received, "Send fewer simulations."))
    stem, _, kind = name.rpartition(".")
    if kind.lower() not in ("npy", "npz"):
        raise ValueError(checks.wording(label, "be an .npy or .npz file", kind, REMEDY))
    with storage.whole(label, REMEDY):
        if kind.lower() == "npy":
            return {stem: storage.read_array(name, io.BytesIO(content), len(content))}
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            size = storage.unpacked_size(file)
            if size <= most_bytes:
                return storage.read_members(file)
    received = f"{size / MEGABYTE:.4g} MB when unpacked"
    raise ValueError(checks.wording(label, limit, received))


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
