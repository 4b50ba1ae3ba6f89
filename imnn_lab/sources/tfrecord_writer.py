"""TFRecord files: write simulations once, read them for every training (`data.records`).

An example holds the features data (the bytes of the simulation, little-endian), seed and, for
derivatives, derivative and parameter, as imnn-tf 0.2.0 writes them (always float32). The features
dtype and shape are added here; imnn-tf ignores them, and a file without them is float32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks, storage
from imnn_lab.progress import progress_bar
from imnn_lab.sources.collection import Index, Layout, checked_simulation
from imnn_lab.sources.data.functions import simulate_all

SUFFIX = ".tfrecords"
FRAME = 16  # bytes that the format adds to each example: its length and two checksums
INTEGERS = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DTYPES = ("bool", "float16", "float32", "float64", *INTEGERS)


class TFRecords:
    """A writer of simulations to TFRecord files.

    Parameters
    ----------
    record_size : float
        Largest size of a file in MB (10⁶ bytes); each holds at least one simulation.
    padding : int
        Number of digits of the files' numbers: 5 gives ``fiducial_00000.tfrecords``.
    verbose : bool
        False shows no progress.

    Examples
    --------
    >>> import tempfile
    >>> from imnn_lab import TFRecords, problems
    >>> fiducial, derivative = problems.gaussian().training_set(n_s=20, n_d=20, seed=1)
    >>> writer, directory = TFRecords(verbose=False), tempfile.mkdtemp()
    >>> files = writer.write_record(20, lambda seed: fiducial[seed], directory=directory)
    >>> [file.removeprefix(directory) for file in files]
    ['/fiducial_00000.tfrecords']
    >>> more = writer.write_record(
    ...     20, lambda *index: derivative[index], fiducial=False, n_params=2, directory=directory
    ... )

    IMNN takes such lists of files instead of arrays: ``fiducial=files, derivative=more``.
    """

    def __init__(self, record_size: float = 150, padding: int = 5, *, verbose: bool = True) -> None:
        self.record_size = checks.number("record_size", record_size, above=0) * 1e6
        self.padding = checks.integer("padding", padding, 1)
        self.verbose = checks.boolean("verbose", verbose)

    def write_record(
        self,
        n_sims: int,
        get_simulation: Callable[..., Any],
        fiducial: bool = True,
        n_params: int | None = None,
        validation: bool = False,
        directory: str | Path | None = None,
        filename: str | None = None,
        *,
        exact: bool = False,
    ) -> list[str]:
        """Write simulations to files, which appear together when all are written.

        Parameters
        ----------
        n_sims : int
            Number of seeds.
        get_simulation : callable
            ``get_simulation(seed)``, or ``get_simulation(seed, derivative, parameter)`` for
            derivatives, returns a simulation as an array; all must have the same shape and dtype,
            which are kept. It may also be a generator function, as IMNN accepts.
        fiducial : bool
            Whether these are fiducial simulations; otherwise derivatives.
        n_params : int, optional
            Number of parameters, needed for derivatives.
        validation : bool
            Whether the default name of the files starts with ``validation_``.
        directory : str or Path, optional
            Directory of the files (default: the current one); created if it does not exist.
        filename : str, optional
            Start of the names of the files; default ``fiducial`` or ``derivative``.
        exact : bool
            Whether derivatives are ∂d/∂θ: ``get_simulation(seed, parameter)``.

        Returns
        -------
        list of str
            The files, to be passed to IMNN.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If `filename` is not a name without a directory, or a simulation fails, has another
            shape or dtype than the first, or is not finite; the error names its index, and existing
            files of that name stay unchanged.
        """
        layout = _layout(n_sims, checks.boolean("fiducial", fiducial), n_params, exact)
        if not callable(get_simulation):
            received = checks.describe(get_simulation)
            raise TypeError(checks.wording("`get_simulation`", "be callable", received))
        kind = "fiducial" if fiducial else "derivative"
        kind = f"validation_{kind}" if checks.boolean("validation", validation) else kind
        name = kind if filename is None else checks.file_name("filename", filename)
        folder = Path() if directory is None else checks.path("directory", directory)
        storage.check_writable(folder)
        bar = progress_bar(self.verbose)(total=layout.size, desc=name)
        with bar as shown, contextlib.ExitStack() as stack:
            files = _Files(folder / name, self.record_size, self.padding, stack)
            for example in _examples(get_simulation, layout):
                files.write(example)
                shown.update(1)
        files.warn_of_others()
        return [str(path) for path in files.paths]

    def write_set(
        self,
        fiducial: np.ndarray,
        derivative: np.ndarray,
        directory: str | Path | None = None,
        validation: bool = False,
    ) -> tuple[list[str], list[str]]:
        """Write a set of arrays, such as that of `campaign.training_set`.

        Parameters
        ----------
        fiducial : array, shape (n_s,) + input_shape
            Simulations at θ_fid.
        derivative : array, shape (n_d, 2, n_params) + input_shape
            Or (n_d, n_params) + input_shape for exact derivatives.
        directory : str or Path, optional
            Directory of the files (default: the current one).
        validation : bool
            Whether the names of the files start with ``validation_``.

        Returns
        -------
        tuple of two lists of str
            The fiducial and the derivative files, to be passed to IMNN.

        Raises
        ------
        ValueError
            If the shapes of the arrays do not fit each other.

        Examples
        --------
        >>> first, second = writer.write_set(fiducial, derivative, directory=directory)
        >>> first == files, second == more
        (True, True)
        """
        fiducial = checks.real_array("fiducial", fiducial)
        derivative = checks.real_array("derivative", derivative)
        axes = derivative.ndim - fiducial.ndim
        if not fiducial.ndim or axes not in (1, 2) or (axes == 2 and derivative.shape[1] != 2):
            expected = "have shape (n_d, 2, n_params) or (n_d, n_params) + input_shape"
            received = f"shape {derivative.shape} beside {fiducial.shape}"
            raise ValueError(checks.wording("`derivative`", expected, received))
        options: dict[str, Any] = {"directory": directory, "validation": validation}
        first = self.write_record(len(fiducial), fiducial.__getitem__, **options)
        second = self.write_record(
            len(derivative), lambda *index: derivative[index], fiducial=False,
            n_params=derivative.shape[axes], exact=axes == 1, **options,
        )  # fmt: skip
        return first, second


class _Files:
    """Numbered files of a limited size, which appear together when `stack` closes without error."""

    def __init__(self, stem: Path, size: float, padding: int, stack: contextlib.ExitStack) -> None:
        self.paths: list[Path] = []
        self._stem, self._limit, self._padding, self._stack = stem, size, padding, stack
        self._writer: Any = None
        self._size = 0

    def write(self, example: bytes) -> None:
        size = len(example) + FRAME
        if self._writer is None or self._size + size > self._limit:
            self._open()
        self._writer.write(example)
        self._size += size

    def _path(self, number: int) -> Path:
        return self._stem.with_name(f"{self._stem.name}_{number:0{self._padding}d}{SUFFIX}")

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        path = self._path(len(self.paths))
        temporary = self._stack.enter_context(storage.aside(path))
        self._writer, self._size = tf.io.TFRecordWriter(str(temporary)), 0
        self._stack.callback(self._writer.close)
        self.paths.append(path)

    def warn_of_others(self) -> None:
        """Warn of a file left by an earlier, longer set."""
        other = self._path(len(self.paths))
        if other.exists():
            checks.warn(
                f"{str(other)!r} is of an earlier set and does not belong to the "
                f"{len(self.paths)} files just written. Remove it, or pass IMNN the list that "
                "write_record returned.",
            )


def _layout(n_sims: Any, fiducial: bool, n_params: Any, exact: Any) -> Layout:
    n = checks.integer("n_sims", n_sims, 1)
    if fiducial:
        return Layout("get_simulation", (n,))
    remedy = "Derivatives (fiducial=False) need the number of parameters."
    sides = () if checks.boolean("exact", exact) else (2,)
    n_params = checks.integer("n_params", n_params, 1, remedy)
    return Layout("get_simulation", (n, *sides, n_params))


def _examples(function: Callable[..., Any], layout: Layout) -> Iterator[bytes]:
    first: np.ndarray | None = None
    for index, value, _ in simulate_all(function, layout):
        array = checked_simulation(layout.at(index), value)
        if array.dtype.name not in DTYPES:
            array = array.astype(np.float64)
        first = array if first is None else first
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            expected = f"be like the first simulation, {checks.describe(first)}"
            raise ValueError(checks.wording(layout.at(index), expected, checks.describe(array)))
        yield _example(layout.axes, index, array)


def _example(axes: tuple[str, ...], index: Index, array: np.ndarray) -> bytes:
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    feature = {
        "data": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
        "dtype": tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.dtype.name.encode()])),
        "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=array.shape)),
    }
    for axis, i in zip(axes, index, strict=True):
        feature[axis] = tf.train.Feature(int64_list=tf.train.Int64List(value=[i]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
