"""Files that are either whole or not there.

A file is written beside its place, flushed to disk, and moved into place in one step; reading never
unpickles.
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


@contextlib.contextmanager
def aside(path: Path | str) -> Iterator[Path]:
    """Give a path to write to; when the block succeeds the file moves to `path`.

    When the block raises, `path` is as it was and the half-written file is removed. The suffix of
    `path` is kept, since some writers insist on theirs.
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
    """Write several files aside, then move all of them into place at once."""
    with contextlib.ExitStack() as stack:
        places = {path: stack.enter_context(aside(path)) for path in writers}
        for path, place in places.items():
            writers[path](place)


def write_npz(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays atomically as an npz file."""
    with aside(path) as place:
        save_npz(place, arrays)


def save_npz(place: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to an open place (see `write_together`)."""
    with place.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """Read an npz file into a dict, without pickle."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def pack(settings: Any) -> np.ndarray:
    """Turn settings that JSON can hold into an array for an npz file."""
    return np.array(json.dumps(settings))


def unpack(array: np.ndarray) -> Any:
    """Return what `pack` was given."""
    return json.loads(str(array))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
