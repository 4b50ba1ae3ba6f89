"""Atomic files: a reader sees the old file or the new one, never a part.

A file is written under a temporary name in its directory, flushed to disk, and renamed in one step.
Reading never unpickles.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS_SUFFIX = ".weights.h5"


@contextlib.contextmanager
def aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block succeeds, the file is renamed to `path`.

    When the block raises, `path` is unchanged and the temporary file is removed. The temporary name
    ends like `path`, because some writers accept only their own suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.name)
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


def write_together(writers: Mapping[Path, Callable[[Path], Any]]) -> None:
    """Write several files; they are renamed only after all of them have been written."""
    with contextlib.ExitStack() as stack:
        temporary = {path: stack.enter_context(aside(path)) for path in writers}
        for path, write in writers.items():
            write(temporary[path])


def write_npz(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays atomically as an npz file."""
    with aside(path) as temporary:
        save_npz(temporary, arrays)


def save_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as an npz file, whatever its suffix; a writer for `write_together`."""
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """Read an npz file into a dict, without pickle."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def pack(value: Any) -> np.ndarray:
    """Return a value that JSON can hold as an array for an npz file."""
    return np.array(json.dumps(value))


def unpack(array: np.ndarray) -> Any:
    """Return the value that `pack` turned into an array."""
    return json.loads(str(array))


def weights_path(directory: Path, name: str) -> Path:
    """Return the path of a file of weights; `name` may end in the suffix that Keras demands."""
    return directory / f"{name.removesuffix(WEIGHTS_SUFFIX)}{WEIGHTS_SUFFIX}"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
