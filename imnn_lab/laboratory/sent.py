"""Files that visitors send: in pieces, to a directory on disk that ends with their run.

A browser says the name and the size of a file, sends one piece after the other, each when the one
before has been written, and says that it has ended. A file is there as a whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from imnn_lab import checks
from imnn_lab.laboratory.offer import MEGABYTE, size_words

PIECE = MEGABYTE
REMEDY = "Send fewer simulations; who runs the server can allow more (--max-upload)."
MOST_FILES, LONGEST_NAME = 50, 120


class Sent:
    """The files that a visitor has sent; they are removed with this object.

    Parameters
    ----------
    most_bytes : int
        Largest size of all of them together.
    suffixes : tuple of str
        Ends of the names of files that are taken.
    """

    def __init__(self, most_bytes: int, suffixes: tuple[str, ...]) -> None:
        self.most_bytes, self.suffixes = most_bytes, suffixes
        self._place: tempfile.TemporaryDirectory[str] | None = None
        self._coming: dict[Incoming, int] = {}
        self._lock = threading.Lock()

    @property
    def directory(self) -> Path:
        """Where the files are; made when it is first asked for."""
        with self._lock:
            if self._place is None:
                self._place = tempfile.TemporaryDirectory(prefix="imnn_lab-sent-")
            return Path(self._place.name)

    @property
    def paths(self) -> list[Path]:
        """The whole files, by name."""
        if self._place is None:
            return []
        return sorted(path for path in self.directory.iterdir() if path.name[0] != ".")

    def begin(self, name: str, size: int) -> Incoming:
        """Return a file that is about to come, after a look at its name and size.

        Raises
        ------
        TypeError, ValueError
            If it has no name that files are taken by, or there is no room for it.
        """
        name, size = checks.text("name", name), checks.integer("size", size, 0)
        is_plain = name.isprintable() and not set(name) & {"/", "\\", os.sep} and name[0] != "."
        if not is_plain or len(name) > LONGEST_NAME:
            raise ValueError(checks.wording("A file", "have a plain name", repr(name[:200])))
        if not name.lower().endswith(self.suffixes):
            expected = f"end in {', '.join(self.suffixes)}"
            raise ValueError(checks.wording("A file", expected, repr(name)))
        others = [path for path in self.paths if path.name != name]
        together = size + sum(path.stat().st_size for path in others) + sum(self._coming.values())
        if together > self.most_bytes:
            expected = f"have at most {size_words(self.most_bytes)} together"
            raise ValueError(checks.wording("The files", expected, size_words(together), REMEDY))
        if len(others) + len(self._coming) >= MOST_FILES:
            received = f"one more than {MOST_FILES}"
            raise ValueError(checks.wording("The files", f"be at most {MOST_FILES}", received))
        if shutil.disk_usage(self.directory).free < 2 * size:
            raise ValueError(f"The disk of the server has no room for `{name}`.")
        coming = Incoming(self, name, size)
        self._coming[coming] = size
        return coming

    def forget(self, coming: Incoming) -> None:
        """Count a file no more that has ended to come."""
        self._coming.pop(coming, None)

    def clear(self) -> None:
        """Remove all whole files."""
        for path in self.paths:
            path.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove the whole file of this name, if there is one."""
        for path in self.paths:
            if path.name == name:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove all files."""
        with self._lock:
            place, self._place = self._place, None
        if place is not None:
            place.cleanup()

    def words(self) -> str:
        """Return names and sizes of the whole files."""
        return ", ".join(f"{path.name} ({size_words(path.stat().st_size)})" for path in self.paths)


class Incoming:
    """A file that comes in pieces; nothing of it is left unless all of them came.

    Parameters
    ----------
    sent : Sent
    name : str
    size : int
        Bytes.
    """

    def __init__(self, sent: Sent, name: str, size: int) -> None:
        self._sent, self._target, self._size = sent, sent.directory / name, size
        descriptor, path = tempfile.mkstemp(dir=sent.directory, prefix=".coming-")
        self._file, self._path, self._at = os.fdopen(descriptor, "wb"), Path(path), 0

    def add(self, at: int, piece: bytes) -> int:
        """Write a piece; return how many bytes have come.

        Raises
        ------
        ValueError
            If it is not the next one, or too large.
        """
        end = self._at + len(piece)
        if at != self._at or len(piece) > PIECE or end > self._size:
            expected = f"go on at byte {self._at:,} of {self._size:,}"
            raise ValueError(checks.wording("A piece", expected, f"{len(piece):,} at {at!r}"))
        self._file.write(piece)
        self._at = end
        return end

    def end(self) -> None:
        """Give the whole file its name, in place of one before.

        Raises
        ------
        ValueError
            If pieces are missing.
        """
        self._file.close()
        if self._at != self._size:
            raise ValueError(
                checks.wording("A file", f"have {self._size:,} bytes", f"{self._at:,}")
            )
        os.replace(self._path, self._target)
        self._sent.forget(self)

    def cancel(self) -> None:
        """Remove what has come."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._sent.forget(self)
