"""Atomic files: a reader sees the old file or the new one, never a part.

A file is written under a temporary name in its directory, flushed to disk, and renamed in one step.
The temporary name holds the machine and the process that writes it, so that what a killed process
left can be told from what is being written. Reading never unpickles.
"""

from __future__ import annotations

import contextlib
import json
import math
import operator
import os
import platform
import re
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.lib import format

from imnn_lab import checks

WEIGHTS_SUFFIX = ".weights.h5"
TEMPORARY = re.compile(r"\..+-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-\w{8}.+")
MOST_COMPRESSED = 100  # times; zeros are compressed a thousand times
LONGEST_WRITING = 24 * 3600.0  # seconds; what another machine left is older


@contextlib.contextmanager
def aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block succeeds, the file is renamed to `path`.

    When the block raises, `path` is unchanged and the temporary file is removed. The temporary name
    ends like `path`, because some writers accept only their own suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}-{_machine()}-{os.getpid()}-"
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.name)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(directory: Path, name: str = "directory") -> None:
    """Refuse a directory, there already or not, to which no files can be written.

    Raises
    ------
    ValueError
        If it, or what it would be made in, is a file or cannot be written to.
    """
    try:
        there = next(path for path in (directory, *directory.parents) if _is_there(path))
        with tempfile.TemporaryFile(dir=there):
            pass
    except (OSError, ValueError) as error:
        expected = "be a directory that files can be written to"
        received = f"{str(directory)!r} ({getattr(error, 'strerror', None) or error})"
        remedy = "Choose another directory."
        raise ValueError(checks.wording(f"`{name}`", expected, received, remedy)) from error


def check_holds(directory: Path, file: str, what: str, remedy: str) -> None:
    """Refuse a directory without a file that is to be read.

    Parameters
    ----------
    directory : Path
    file : str
    what : str
        What the file is, with its article.
    remedy : str

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    """
    if not (directory / file).is_file():
        lack = f"which has no file {file}" if directory.is_dir() else "which is no directory"
        received = f"{str(directory)!r}, {lack}"
        message = checks.wording("`directory`", f"hold {what}", received, remedy)
        raise FileNotFoundError(message)


def _is_there(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def write_together(writers: Mapping[Path, Callable[[Path], Any]]) -> None:
    """Write several files; when all of them have been written, they are renamed, the last one last.

    Left-over temporary files of killed processes are removed from their directories.
    """
    for directory in {path.parent for path in writers}:
        remove_leftovers(directory)
    with contextlib.ExitStack() as stack:  # which leaves the contexts in reverse order
        temporary = {path: stack.enter_context(aside(path)) for path in reversed(list(writers))}
        for path, write in writers.items():
            write(temporary[path])


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of processes that died while they wrote to a directory."""
    for file in directory.glob(".*"):
        found = TEMPORARY.fullmatch(file.name)
        with contextlib.suppress(OSError):
            if found and _is_left_over(file, found["machine"], int(found["process"])):
                file.unlink()


def _is_left_over(file: Path, machine: str, process: int) -> bool:
    if machine == _machine() and os.name == "posix":
        try:
            os.kill(process, 0)  # sends nothing: it asks whether there is such a process
        except ProcessLookupError:
            return True
    return time.time() - file.stat().st_mtime > LONGEST_WRITING


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def described(
    manifest: Path,
    kind: str,
    about: Mapping[str, Any],
    chosen: Mapping[str, Any] = MappingProxyType({}),
    *,
    others: Iterable[Path] = (),
    is_same: Callable[[Any, Any], bool] = operator.eq,
) -> dict[str, Any]:
    """Describe a directory in a file there; one that is described must be the same.

    `about` and `chosen` hold what JSON can; only `about` is compared, by `is_same(kept, given)`.
    A directory that is not described must not hold any of `others`.

    Raises
    ------
    ValueError
        If the directory belongs to something else or cannot be written, or the file is damaged.
    """
    directory, remedy = manifest.parent, "Choose another directory."
    if manifest.is_file():
        with whole(manifest, remedy):
            kept = dict(json.loads(manifest.read_text(encoding="utf-8")))
            other = [name for name, value in about.items() if not is_same(kept.get(name), value)]
        if other:
            made = ", ".join(f"{name} = {kept.get(name)}" for name in other)
            received = ", ".join(f"{name} = {about[name]}" for name in other)
            expected = f"belong to the same {kind}; {directory} was made with {made}"
            remedy = "Choose another directory, or remove this one."
            raise ValueError(checks.wording("`directory`", expected, received, remedy))
        return kept
    check_writable(directory)
    if found := [path.name for path in others if path.exists()]:
        received = f"{directory} with {', '.join(found[:5])}"
        expected = f"be new, or hold the {manifest.name} of the {kind}"
        raise ValueError(checks.wording("`directory`", expected, received, remedy))
    written = {**chosen, **about}
    with aside(manifest) as temporary:
        save_json(temporary, written)
    return written


def save_json(path: Path, value: Any) -> None:
    """Write a value as a JSON file; a writer for `write_together`."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def write_npz(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays atomically as an npz file."""
    with aside(path) as temporary:
        save_npz(temporary, arrays)


def save_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an npz file, whatever its suffix; a writer for `write_together`."""
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


class DamagedFileError(ValueError):
    """A file that does not hold what this package wrote; the message names it."""


@contextlib.contextmanager
def whole(path: Path | str, remedy: str = "") -> Iterator[None]:
    """Raise one error that names the file for whatever its damage raises in the block.

    Raises
    ------
    DamagedFileError
        A ValueError. Errors of the operating system, such as a missing file, stay as they are.
    """
    try:
        yield
    except Exception as error:
        is_of_system = isinstance(error, OSError) and error.errno is not None
        if is_of_system or isinstance(error, DamagedFileError):
            raise
        received = f"a damaged one ({checks.first_line(error)})"
        message = checks.wording(f"{path}", "be a whole file", received, remedy)
        raise DamagedFileError(message) from error


def check_zip(path: Path | str, file: zipfile.ZipFile) -> None:
    """Refuse a zip file that would unpack to far more than it holds: ours are hardly compressible.

    No member unpacks to more than the size that it declares, which is what counts here.
    """
    size = unpacked_size(file)
    if size > MOST_COMPRESSED * Path(path).stat().st_size:
        raise ValueError(f"it would unpack to {size} bytes, over {MOST_COMPRESSED} times its size")


def unpacked_size(file: zipfile.ZipFile) -> int:
    """Return the bytes to which the members of a zip file unpack."""
    return sum(member.file_size for member in file.infolist())


def read_npz(path: Path | str, only: str | None = None, remedy: str = "") -> dict[str, np.ndarray]:
    """Read the arrays of an npz file, or that of one name, without pickle.

    Raises
    ------
    DamagedFileError
        If the file is not a whole one that `save_npz` wrote; nothing is unpacked then.
    """
    with whole(path, remedy), zipfile.ZipFile(path) as file:
        check_zip(path, file)
        return read_members(file, only)


def read_members(file: zipfile.ZipFile, only: str | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of an opened npz file, or that of one name; see `read_array`."""
    arrays: dict[str, np.ndarray] = {}
    for member in file.infolist() if only is None else [file.getinfo(f"{only}.npy")]:
        name = member.filename.removesuffix(".npy")
        if name in arrays:
            raise ValueError(f"it holds {name} twice")
        with file.open(member) as content:
            arrays[name] = read_array(member.filename, content, member.file_size)
    return arrays


def read_array(name: str, content: IO[bytes], size: int) -> np.ndarray:
    """Read an array from the `size` bytes of an .npy file, after a look at its header.

    A damaged header raises anything: call it in `whole`.
    """
    read = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    shape, _, dtype = read[format.read_magic(content)](content)
    held = size - content.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which would have to be unpickled")
    if math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{name} holds {held} bytes of data for shape {shape}")
    content.seek(0)
    return format.read_array(content, allow_pickle=False)


def below(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `name` and a dot, by the rest of their names."""
    start = f"{name}."
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}


def pack(value: Any) -> np.ndarray:
    """Return a value that JSON can hold as an array for an npz file."""
    return np.array(json.dumps(value))


def unpack(array: np.ndarray) -> Any:
    """Return the value that `pack` turned into an array."""
    return json.loads(str(array))


def weights_path(directory: Path, name: str) -> Path:
    """Return the path of a file of weights; `name` may end in the suffix that Keras demands."""
    return directory / f"{name.removesuffix(WEIGHTS_SUFFIX)}{WEIGHTS_SUFFIX}"


def weights_file(directory: Path, name: str) -> Path:
    """Return the path of a file of weights that is to be read.

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists those that there are.
    """
    path = weights_path(directory, checks.file_name("weights", name))
    if not path.is_file():
        there = sorted(file.name for file in directory.glob(f"*{WEIGHTS_SUFFIX}"))
        received = f"{name!r}, and {str(directory)!r} has no {path.name}"
        remedy = f"It has {', '.join(there) or 'none'}."
        message = checks.wording("`weights`", "name a file of weights", received, remedy)
        raise FileNotFoundError(message)
    return path


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
