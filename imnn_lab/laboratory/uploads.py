"""What visitors send: .npz files of limited size, never unpickled, and numbers as words."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.laboratory.offer import size_words
from imnn_lab.parameters import LONGEST, check_names

COMMA = re.compile(r",(?=[^$]*(?:\$[^$]*\$[^$]*)*$)")  # an even number of dollar signs follows
REMEDY = "Save arrays of numbers with numpy.savez."


def check_unpacked(path: Path, most_bytes: float) -> None:
    """Refuse an .npz file that holds more than some bytes, or is none.

    Raises
    ------
    ValueError
        If it is too large when unpacked, or damaged; nothing is unpacked.
    """
    with storage.whole(f"`{path.name}`", REMEDY), zipfile.ZipFile(path) as file:
        size = storage.unpacked_size(file)
    if size > most_bytes:
        expected = f"have at most {size_words(most_bytes)}"
        received = f"{size_words(size)} when unpacked"
        raise ValueError(checks.wording(f"`{path.name}`", expected, received))


def read_upload(path: Path, most_bytes: float) -> dict[str, np.ndarray]:
    """Return the arrays in an .npz file that a visitor sent.

    Parameters
    ----------
    path : Path
    most_bytes : float
        Largest size of what it holds.

    Raises
    ------
    ValueError
        If it is too large, is not such a file, or holds Python objects.
    """
    check_unpacked(path, most_bytes)
    with storage.whole(f"`{path.name}`", REMEDY), zipfile.ZipFile(path) as file:
        return storage.read_members(file)


def names(text: str) -> tuple[str, ...]:
    """Return names separated by commas, but for commas between dollar signs; () without any.

    Raises
    ------
    ValueError
        If one is empty, too long or there twice.
    """
    if not text.strip():
        return ()
    found = tuple(part.strip() for part in COMMA.split(text))
    if not all(0 < len(name) <= LONGEST and name.isprintable() for name in found):
        expected = f"be names of at most {LONGEST} letters, separated by commas"
        raise ValueError(checks.wording("`names`", expected, repr(text)))
    check_names("names", found)
    return found


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
