"""A set of simulations in files, of which only what is asked for is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files import patterns
from imnn_lab.files.formats import (
    PART,
    SUFFIXES,
    Opened,
    UnreadableFile,
    format_of,
    opened,
    read_rows,
    whole,
)

SHOWN = 5


class Files:
    """Simulations in files: one per realisation, or all in one array of a file.

    It is passed to `IMNN` as data, and can be indexed as an array is. Files are opened where they
    are read, in a thread or a worker of Dask; it can be pickled.

    Parameters
    ----------
    pattern : str or path
        ``"fiducial/{seed}/map.npy"`` stands for one file per realisation, in which ``{seed}`` is
        its number, with or without zeros before it; numbers may be missing. Without ``{seed}`` it
        is one file, whose first axis is that of the realisations. The end of the name says the
        format: .npy, .npz, .h5, .hdf5, .hdf, .zarr, .fits, .fit, .fits.gz or .fits.fz.
    dataset : str, optional
        Name of the array in an HDF5 or zarr file, if there are several.
    key : str, optional
        Name of the array in an .npz file, if there are several.
    hdu : int or str, optional
        Number or name of the image in a FITS file, if there are several.

    Attributes
    ----------
    pattern : str
    seeds : ndarray of int, shape (n,), or None
        Numbers of the realisations, ascending unless they were selected in another order; None for
        one file.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If an argument has the wrong type, no file fits or one cannot be read; the error names it.
    ImportError
        If the package that reads the format is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from imnn_lab import Files
    >>> place = tempfile.mkdtemp()
    >>> for seed in (0, 1, 4):
    ...     np.save(f"{place}/{seed:03}.npy", np.full(5, seed))
    >>> files = Files(place + "/{seed}.npy")
    >>> files.seeds, files.shape
    (array([0, 1, 4]), (3, 5))
    >>> files[1:].shape, files.select([4, 0])[0]
    ((2, 5), array([4, 4, 4, 4, 4]))
    """

    def __init__(
        self,
        pattern: Any,
        dataset: str | None = None,
        *,
        key: str | None = None,
        hdu: int | str | None = None,
    ) -> None:
        self.pattern = str(checks.path("pattern", pattern, patterns.REMEDY))
        self._kind, self._part = _format_and_part(
            self.pattern, {"dataset": dataset, "key": key, "hdu": hdu}
        )
        self._paths: list[str] | None = None
        self.seeds: np.ndarray | None = None
        self._opened: Opened | None = None
        self._process = os.getpid()
        if patterns.has_field(self.pattern):
            found = patterns.found(self.pattern)
            self.seeds, self._paths = np.array(list(found)), list(found.values())
            first = whole(self._paths[0], self._kind, self._part)
            self._one, self.dtype, self._rows = first.shape, first.dtype, range(len(found))
            return
        array = self._array()
        if not array.shape:
            expected = "hold an array with an axis for the realisations"
            received = "one number"
            raise ValueError(checks.wording(f"`Files`: {self.pattern!r}", expected, received))
        self._one, self.dtype = tuple(array.shape[1:]), np.dtype(array.dtype)
        self._rows = range(array.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole set, (n,) and the shape of one simulation."""
        return len(self), *self._one

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 1 + len(self._one)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """How many realisations, and how many values along each axis, are stored together."""
        if self._paths is not None or not isinstance(self._rows, range) or self._rows.start:
            return None
        return getattr(self._array(), "chunks", None)

    def __len__(self) -> int:
        """Return the number of realisations."""
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read a realisation, or several: an integer, a slice, a list or an array of them."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        if first is Ellipsis:
            first = slice(None)
        rows = np.arange(len(self))[first]
        if np.ndim(rows) == 0:
            one = self._read(range(int(rows), int(rows) + 1))[0]
            return one[tuple(rest)] if rest else one
        read = self._read(rows)
        return read[(slice(None), *rest)] if rest else read

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read everything."""
        return self[:].astype(dtype or self.dtype, copy=False)

    def select(self, seeds: Sequence[int]) -> Files:
        """Return the files of these realisations, in this order.

        Parameters
        ----------
        seeds : sequence of int
            Their numbers.

        Returns
        -------
        Files

        Raises
        ------
        TypeError, ValueError
            If they are not integers, or a file of one of them is missing.
        """
        if self.seeds is None:
            expected, received = "be left out for one file", f"seeds of {self.pattern!r}"
            raise ValueError(checks.wording("`seeds`", expected, received, patterns.REMEDY))
        wanted = checks.integers("seeds", seeds, 0)
        places = {seed: i for i, seed in enumerate(self.seeds.tolist())}
        missing = [seed for seed in wanted if seed not in places]
        if missing or not wanted:
            expected = f"be numbers of files of {self.pattern!r}"
            received = f"{len(missing)} that are not ({_listed(missing)})" if missing else "none"
            raise ValueError(checks.wording("`seeds`", expected, received))
        return self._of([places[seed] for seed in wanted])

    def split(self, n: int) -> tuple[Files, Files]:
        """Return the first n realisations and the others, for training and validation.

        Parameters
        ----------
        n : int
            How many are the first.

        Returns
        -------
        tuple of Files

        Raises
        ------
        TypeError, ValueError
            If n is not an integer from 1 to one less than the number of realisations.
        """
        n = checks.integer("n", n, 1, maximum=len(self) - 1)
        return self._of(range(n)), self._of(range(n, len(self)))

    def _of(self, chosen: Sequence[int]) -> Files:
        other = object.__new__(type(self))
        other.__setstate__(self.__getstate__())
        if self.seeds is None:
            other._rows = self._rows[chosen.start : chosen.stop]  # type: ignore[attr-defined]
            return other
        other.seeds = self.seeds[list(chosen)]
        other._paths = [self._paths[i] for i in chosen]  # type: ignore[index]
        other._rows = range(len(chosen))
        return other

    def _read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        if self._paths is None:
            return self._slice(np.asarray(rows) + self._rows.start)
        read = np.empty((len(rows), *self._one), self.dtype)
        for place, row in enumerate(rows):
            read[place] = self._one_of(self._paths[row])
        return read

    def _one_of(self, path: str) -> np.ndarray:
        array = whole(path, self._kind, self._part)
        wanted = self.dtype.newbyteorder("="), self._one
        if (array.dtype.newbyteorder("="), array.shape) != wanted:
            expected = f"be of {wanted[0]} and shape {self._one}, as the first file is"
            received = f"{array.dtype} and shape {array.shape}"
            raise UnreadableFile(checks.wording(f"`Files`: {path!r}", expected, received))
        return array

    def _slice(self, rows: np.ndarray) -> np.ndarray:
        """Read rows of the one array: in one piece if they follow each other."""
        array = self._array()
        if not len(rows):
            return np.empty((0, *self._one), self.dtype)
        try:
            if (np.diff(rows) == 1).all():
                return np.asarray(read_rows(array, int(rows[0]), int(rows[-1]) + 1))
            return np.stack([np.asarray(array[int(row)]) for row in rows])
        except Exception as error:
            expected = f"be readable from {rows[0]} to {rows[-1]}"
            context = f"`Files`: {self.pattern!r}"
            message = checks.wording(context, expected, checks.first_line(error))
            raise UnreadableFile(message) from error

    def _array(self) -> Any:
        """Return the array of one file, opened once in every process."""
        if self._opened is None or self._process != os.getpid():
            self._opened = opened(self.pattern, self._kind, self._part)
            self._process = os.getpid()
        return self._opened.array

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_opened": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        numbers = "" if self.seeds is None else f", seeds {self.seeds.min()} to {self.seeds.max()}"
        return f"Files({self.pattern!r}: {len(self)} of {self.dtype}, shape {self._one}{numbers})"


def _format_and_part(pattern: str, parts: dict[str, Any]) -> tuple[str, Any]:
    """Return the format of a file, and which of its arrays is asked for."""
    given = {name: part for name, part in parts.items() if part is not None}
    kind = format_of(pattern)
    if kind is None:
        expected = f"end as a format does: {', '.join(SUFFIXES)}"
        raise ValueError(checks.wording("`pattern`", expected, repr(pattern), patterns.REMEDY))
    for name in given:
        if name != PART.get(kind):
            expected = f"be left out for a {kind} file"
            raise ValueError(checks.wording(f"`{name}`", expected, repr(given[name])))
        if name == "hdu" and not isinstance(given[name], str):
            return kind, checks.integer(name, given[name], 0)
        return kind, checks.text(name, given[name])
    return kind, None


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:SHOWN])) + ", …" * (len(numbers) > SHOWN)
