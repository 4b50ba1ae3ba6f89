"""Names of files in which ``{seed}`` stands for the number of a realisation."""

from __future__ import annotations

import os
import re
from pathlib import Path

from imnn_lab import checks

FIELD = re.compile(r"\{seed\}")
NUMBER = r"(\d+)"
REMEDY = 'Write "fiducial/{seed}/map.npy" for a file per realisation.'


def has_field(pattern: str) -> bool:
    """Whether a pattern stands for one file per realisation.

    Raises
    ------
    ValueError
        If it has braces of another kind.
    """
    if re.search(r"[{}]", FIELD.sub("", pattern)):
        expected = "hold no braces but {seed}"
        raise ValueError(checks.wording("`pattern`", expected, repr(pattern), REMEDY))
    return FIELD.search(pattern) is not None


def found(pattern: str) -> dict[int, str]:
    """Return the files of a pattern by their numbers, in ascending order, without opening them.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If two files have one number, as 3 and 003.
    """
    parts = Path(pattern).parts
    files: dict[int, str] = {}
    for seed, file in _matches(Path(), parts, None):
        if seed in files:
            received = f"{files[seed]!r} and {file!r}"
            raise ValueError(checks.wording("`pattern`", "give one file per seed", received))
        files[seed] = file
    if not files:
        place = Path(pattern[: FIELD.search(pattern).start()] + "_").parent  # type: ignore[union-attr]
        received = f"{pattern!r}, which fits none"
        if not place.is_dir():
            received += f"; {str(place)!r} is no directory"
        raise FileNotFoundError(checks.wording("`pattern`", "fit files", received, REMEDY))
    return dict(sorted(files.items()))


def _matches(place: Path, parts: tuple[str, ...], seed: int | None) -> list[tuple[int, str]]:
    """Return (seed, file) for what is below a directory; `seed` is the number so far."""
    if not parts:
        return [(seed, str(place))] if seed is not None and place.exists() else []
    first, rest = parts[0], parts[1:]
    if not FIELD.search(first):
        return _matches(place / first, rest, seed)
    literal = NUMBER.join(re.escape(text) for text in FIELD.split(first))
    matches: list[tuple[int, str]] = []
    for name in _names(place):
        match = re.fullmatch(literal, name, re.ASCII)
        numbers = {int(number) for number in match.groups()} if match else set()
        if len(numbers | ({seed} if seed is not None else set())) == 1 and match:
            matches += _matches(place / name, rest, numbers.pop())
    return matches


def _names(place: Path) -> list[str]:
    try:
        return os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return []
