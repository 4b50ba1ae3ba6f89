"""What simulations a file or a directory holds: read from names, headers and a few samples.

Names of files that differ in one number are one set; the number is that of the realisation.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files.formats import PART, arrays, format_of
from imnn_lab.files.sets import Files

MOST_FILES = 1_000_000
SAMPLES = 3  # simulations of a set that are read
SAMPLE_VALUES = 2**22  # largest number of values of one that is read
SHOWN = 5
SIDES = (
    ("m", "p"), ("minus", "plus"), ("lower", "upper"), ("low", "high"), ("down", "up"), ("-", "+"),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """An array, or files that are one set.

    Parameters
    ----------
    pattern : str
        Name of the file, or pattern of the files.
    kind : str
        Format.
    part : str or int, optional
        Which array of the file.
    is_alone : bool
        Whether it is the only one in there.
    shape : tuple of int
        Of one simulation of several files, or of the array.
    dtype : dtype
    size : int
        Bytes on disk.
    seeds : ndarray of int, optional
        Numbers of the files; None for one file.
    remarks : tuple of str
        What stands out in samples.
    """

    pattern: str
    kind: str
    part: Any
    is_alone: bool
    shape: tuple[int, ...]
    dtype: np.dtype
    size: int
    seeds: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it is, in words."""
        is_shown = self.part is not None and self.seeds is None
        return f"{self.pattern}: {PART[self.kind]} {self.part!r}" if is_shown else self.pattern

    @property
    def call(self) -> str:
        """Python code that gives it to `IMNN`."""
        which = "".join(f", {name}={part!r}" for name, part in self._which().items())
        return f"Files({self.pattern!r}{which})"

    def files(self) -> Files:
        """Return it as `IMNN` takes it."""
        return Files(self.pattern, **self._which())

    def _which(self) -> dict[str, Any]:
        return {} if self.is_alone else {PART[self.kind]: self.part}

    @property
    def n(self) -> int:
        """Number of realisations."""
        return self.shape[0] if self.seeds is None else len(self.seeds)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one simulation."""
        return self.shape[1:] if self.seeds is None else self.shape

    def lines(self) -> list[str]:
        """Describe it."""
        one = f"{self.dtype} of shape {self.shape}"
        if self.seeds is None:
            lines = [self.place, f"  {self.kind}, {one}, {_bytes(self.size)} on disk"]
        else:
            missing = np.setdiff1d(np.arange(self.seeds[0], self.seeds[-1] + 1), self.seeds)
            gaps = f", {len(missing)} missing ({_listed(missing)})" if len(missing) else ""
            lines = [
                self.place,
                f"  {self.n} files of {self.kind}, {_bytes(self.size)} on disk, each {one}",
                f"  seeds {self.seeds[0]} to {self.seeds[-1]}{gaps}",
            ]
        return lines + [f"  {remark}" for remark in self.remarks]


def inspect(paths: Sequence[str]) -> str:
    """Say what files and directories hold, and how to hand it to `IMNN`.

    Parameters
    ----------
    paths : sequence of str
        Files and directories.

    Raises
    ------
    FileNotFoundError, ValueError
        If one does not exist, or nothing in them is in a format that is read.
    """
    found, problems = found_in(paths)
    if not found and not problems:
        expected = "hold files in a format that is read: .npy, .npz, HDF5, zarr or FITS"
        raise ValueError(checks.wording("The paths", expected, "none"))
    lines = [line for each in found for line in each.lines()]
    lines += [f"Not readable: {problem}" for problem in problems]
    return "\n".join([*lines, *_same_seeds(found), *_suggestion(found)])


def found_in(paths: Sequence[str]) -> tuple[list[Found], list[str]]:
    """Return what files and directories hold, and why the rest cannot be read.

    Raises
    ------
    FileNotFoundError, ValueError
        If one does not exist, or holds too many files.
    """
    found: list[Found] = []
    problems: list[str] = []
    for path in paths:
        if not Path(path).exists():
            raise FileNotFoundError(checks.wording("A path", "exist", repr(path)))
        for kind, names in _files_of(path).items():
            for pattern, of_seed in _sets(names):
                try:
                    found += _of_set(pattern, of_seed, kind)
                except (OSError, ValueError, ImportError) as error:
                    problems.append(str(error))
    return found, problems


def _files_of(path: str) -> dict[str, list[str]]:
    """Return the files of each format below a path."""
    kind = format_of(path)
    if kind is not None:
        return {kind: [path.rstrip("/")]}
    files: dict[str, list[str]] = defaultdict(list)
    n = 0
    for place, directories, names in os.walk(path):
        stores = [name for name in directories if format_of(name) == "zarr"]
        directories[:] = sorted(set(directories) - set(stores))
        for name in stores + names:
            if (kind := format_of(name)) is not None:
                files[kind].append(os.path.join(place, name))
        n += len(names)
        if n > MOST_FILES:
            received = f"more than {MOST_FILES} in {path!r}"
            raise ValueError(checks.wording("A directory", "hold fewer files", received))
    return files


def _sets(names: Iterable[str]) -> list[tuple[str, dict[int, str]]]:
    """Return patterns and their files by number, or the name of a file and nothing.

    In names that differ in several numbers the one with most values is that of the realisation.
    """
    alike: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
    for name in names:
        parts = re.split(r"(\d+)", name)
        alike[tuple(parts[::2])].append((name, parts[1::2]))
    sets: list[tuple[str, dict[int, str]]] = []
    for texts, members in alike.items():
        sets += _by_number(texts, members)
    return sorted(sets, key=lambda each: each[0])


def _by_number(
    texts: tuple[str, ...], members: list[tuple[str, list[str]]]
) -> list[tuple[str, dict[int, str]]]:
    values = [{int(numbers[i]) for _, numbers in members} for i in range(len(texts) - 1)]
    counts = [len(each) for each in values]
    if not counts or max(counts) == 1:
        return [(name, {}) for name, _ in members]
    most = counts.index(max(counts))
    same = [
        i for i in range(len(counts))
        if all(int(numbers[i]) == int(numbers[most]) for _, numbers in members)
    ]  # fmt: skip
    sets: dict[str, dict[int, str]] = defaultdict(dict)
    for name, numbers in members:
        fields = ["{seed}" if i in same else numbers[i] for i in range(len(numbers))]
        pattern = "".join(a + b for a, b in zip(texts, [*fields, ""], strict=True))
        sets[pattern][int(numbers[most])] = name
    return [
        (pattern, of_seed) if len(of_seed) > 1 else (next(iter(of_seed.values())), {})
        for pattern, of_seed in sets.items()
    ]


def _of_set(pattern: str, of_seed: dict[int, str], kind: str) -> list[Found]:
    """Return what several files hold: a set for each array in them."""
    if not of_seed:
        return _of_file(pattern, kind)
    seeds = np.array(sorted(of_seed))
    size = sum(_size(of_seed[seed]) for seed in seeds.tolist())
    empty = [seed for seed in seeds.tolist() if not _size(of_seed[seed])]
    whole = [seed for seed in seeds.tolist() if seed not in set(empty)]
    if not whole:
        raise ValueError(checks.wording(f"{pattern!r}", "hold simulations", "empty files only"))
    chosen = [whole[i] for i in np.unique(np.linspace(0, len(whole) - 1, SAMPLES).astype(int))]
    found = []
    first = dict(_sampled(of_seed[chosen[0]], kind, None))
    for part, (shape, dtype, _) in first.items():
        remarks = [f"{len(empty)} empty files (seeds {_listed(empty)})"] * bool(empty)
        values = []
        for seed in chosen:
            try:
                other = dict(_sampled(of_seed[seed], kind, None)).get(part)
            except (OSError, ValueError) as error:
                remarks.append(str(error))
                continue
            if other is None or other[:2] != (shape, dtype):
                received = "it" if other is None else f"{other[1]} of shape {other[0]}"
                remarks.append(f"seed {seed} differs: {'lacks ' * (other is None)}{received}")
            else:
                values.append(other[2])
        remarks += _peculiar(values)
        which = (part, len(first) == 1)
        found.append(Found(pattern, kind, *which, shape, dtype, size, seeds, tuple(remarks)))
    return found


def _of_file(path: str, kind: str) -> list[Found]:
    """Return what one file holds."""
    parts = dict(_sampled(path, kind, SAMPLES))
    found = []
    for part, (shape, dtype, values) in parts.items():
        which, remarks = (part, len(parts) == 1), tuple(_peculiar(values))
        found.append(Found(path, kind, *which, shape, dtype, _size(path), None, remarks))
    return found


def _sampled(path: str, kind: str, n: int | None) -> Iterable[tuple[Any, Any]]:
    """Iterate over the arrays of a file: the part, and (shape, dtype, samples).

    Samples are n rows, or one of everything if n is None.
    """
    for part, (array, close) in arrays(path, kind):
        try:
            shape, dtype = tuple(array.shape), np.dtype(array.dtype)
            values: Any = None
            if not shape or n is None:
                small = np.prod(shape, dtype=np.int64) <= SAMPLE_VALUES
                values = np.asarray(array[()] if not shape else array[:]) if small else None
            elif shape[0] and np.prod(shape[1:], dtype=np.int64) <= SAMPLE_VALUES:
                rows = np.unique(np.linspace(0, shape[0] - 1, n).astype(int))
                values = [np.asarray(array[int(row)]) for row in rows]
            yield part, (shape, dtype, values)
        finally:
            close()


def _peculiar(samples: Any) -> list[str]:
    """Say what in samples is no plain finite number."""
    values = [np.asarray(each) for each in samples or [] if each is not None]
    remarks = []
    if any(each.dtype.kind == "c" for each in values):
        remarks.append("complex numbers")
    elif any(each.dtype.kind not in "iufb" for each in values):
        return ["no numbers"]
    for each in values:
        bad = ~np.isfinite(each)
        if bad.any():
            remarks.append(f"NaN or infinite values in samples ({bad.mean():.2g} of one)")
            break
    for each in values:
        marks = np.isclose(each.real[..., None], checks.FILL_VALUES, rtol=1e-5).any(-1)
        if marks.any():
            remarks.append(f"marks of missing data in samples ({marks.mean():.2g} of one)")
            break
    if values and all(each.size > 1 and (each == each.flat[0]).all() for each in values):
        remarks.append("one number everywhere in samples")
    return remarks


def _same_seeds(found: list[Found]) -> list[str]:
    """Say which sets have the same seeds, and how many others share."""
    sets = [each for each in found if each.seeds is not None]
    groups: dict[bytes, list[Found]] = defaultdict(list)
    for each in sets:
        groups[np.asarray(each.seeds).tobytes()].append(each)
    lines = [
        f"The same {group[0].n} seeds: " + ", ".join(each.place for each in group)
        for group in groups.values()
        if len(group) > 1
    ]
    for _, low, high in _pairs(sets):
        n = len(set(low.seeds) & set(high.seeds))  # type: ignore[arg-type]
        if not n == low.n == high.n:
            lines.append(f"{n} seeds in both of a pair: {low.place} and {high.place}")
    return lines


def _pairs(found: Sequence[Found]) -> list[tuple[str, Found, Found]]:
    """Return sets whose names differ only as those below and above the fiducial do.

    What the names have in common, the parameter perhaps, comes first.
    """
    of_call = {each.call: each for each in found}
    pairs = []
    for low in found:
        for one, other in SIDES:
            word = rf"(?<=[_\-/. ']){re.escape(one)}(?=[_\-/. '])"
            if one in "-+":
                word = rf"{re.escape(one)}(?=[/.'])"
            for match in re.finditer(word, low.call):
                before, after = low.call[: match.start()], low.call[match.end() :]
                if before + other + after in of_call:
                    parts = re.split(r"[/']", before)
                    name = parts[-1].strip("_-. ") or parts[-2].strip("_-. ")
                    pairs.append((name, low, of_call[before + other + after]))
    return pairs


def _suggestion(found: list[Found]) -> list[str]:
    """Return a call that takes what was found."""
    usable = [each for each in found if each.n > 1 and each.dtype.kind in "iufbc"]
    if not usable:
        return []
    pairs = _pairs(usable)
    paired = {id(each) for _, *pair in pairs for each in pair}
    rest = [each for each in usable if id(each) not in paired] or usable
    named = [each for each in rest if "fid" in each.call.lower()]
    fiducial = max(named or rest, key=lambda each: each.n)
    one = fiducial.input_shape
    joint = [
        each for each in rest
        if len(each.input_shape) == len(one) + 2
        and each.input_shape[0] == 2 and each.input_shape[2:] == one
    ]  # fmt: skip
    lines, given = ["", "Suggested call:", ""], "θ_fid=..., fiducial=fiducial, derivative=..."
    names = "IMNN, Files, Stencils" if pairs and not joint else "IMNN, Files"
    lines += [f"from imnn_lab import {names}", "", f"fiducial = {fiducial.call}"]
    if joint:
        lines += [f"derivative = {joint[0].call}"]
        given = "θ_fid=..., δθ=..., fiducial=fiducial, derivative=derivative"
    elif pairs:
        steps = ", ".join(f"{name!r}: ..." for name, *_ in pairs)
        lines += [f"step = {{{steps}}}  # from the fiducial value to the points"]
        lines += ["derivative = Stencils({  # below and above: do the names say so rightly?"]
        lines += [
            f"    {name!r}: {{-step[{name!r}]: {low.call}, step[{name!r}]: {high.call}}},"
            for name, low, high in pairs
        ]
        lines += ["})"]
        given = "θ_fid=..., fiducial=fiducial, derivative=derivative"
    marks = any("NaN" in remark or "marks" in remark for remark in fiducial.remarks)
    given += ', missing="mask"' * marks
    return [*lines, f"imnn = IMNN({given})"]


def _size(path: str) -> int:
    """Return the bytes of a file, or of all files of a directory."""
    if Path(path).is_dir():
        return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
    return Path(path).stat().st_size


def _bytes(n: int) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            break
        n /= 1000  # type: ignore[assignment]
    return f"{n:.3g} {unit}"


def _listed(numbers: Any) -> str:
    return ", ".join(str(int(n)) for n in numbers[:SHOWN]) + ", …" * (len(numbers) > SHOWN)
