"""Arrays that are not in memory as data: all simulations of a set, read in slices.

They have the shape of an array, counts + input_shape; see `imnn_lab.files.rows` for the kinds. The
first pass checks every value; later ones read, convert and hand over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files.formats import UnreadableFile
from imnn_lab.files.rows import Rows
from imnn_lab.progress import progress_bar
from imnn_lab.sources.collection import (
    Data,
    LabelledSimulations,
    Layout,
    Sink,
    checked_simulation,
)
from imnn_lab.sources.data.arrays import difference

READ_VALUES = 2**22  # in a slice of the first pass


@dataclass(frozen=True)
class SlicedData(Data):
    """Rows, here `value`, of seeds; each holds the simulations of its seed.

    Parameters
    ----------
    value : Rows
    layout, settings
        As for `Data`.
    is_raw : bool
        Whether an encoding or `map_fn` gives the simulations their shape afterwards.
    """

    value: Rows
    is_raw: bool = False

    def checked(self) -> SlicedData:
        """Return the data after a check of type and shape, with the layout that they have.

        Raises
        ------
        TypeError, ValueError
            If they have the wrong type or shape.
        """
        name, counts, found = self.layout.name, self.layout.counts, self.value.shape
        if self.value.dtype.kind not in ("iufbc" if self.is_raw else "iufb"):
            expected = "be an array of real numbers"
            received = f"an array of shape {found} and dtype {self.value.dtype}"
            raise TypeError(checks.wording(f"`{name}`", expected, received))
        if self.layout.is_open:
            counts = (found[0], *counts[1:])
        inner = found[len(counts) :] if self.is_raw else self.settings.input_shape
        shape = (*counts, *inner)
        is_reshaped = not self.settings.check_shape and found[0] == counts[0]
        if found != shape and not (is_reshaped and math.prod(found) == math.prod(shape)):
            expected = f"have shape {self.layout.array_shape} = {shape}"
            remedy = difference(found, shape)
            raise ValueError(checks.wording(f"`{name}`", expected, f"shape {found}", remedy))
        if counts[0] < 2:
            raise ValueError(checks.wording(f"`{name}`", "hold at least 2 simulations", counts[0]))
        return replace(self, layout=replace(self.layout, counts=counts))

    def simulations(self) -> LabelledSimulations:
        """Iterate over the simulations, which are read some at a time."""
        inner = self.layout.counts[1:]
        for start, block in self._blocks(self._at_once()):
            for i in range(len(block)):
                for position in np.ndindex(*inner):
                    yield (start + i, *position), block[(i, *position)], ""

    def collect(self, sink: Sink | None = None) -> Any:
        """Read and check all simulations; see `Data`.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If a simulation cannot be read or used; the error names it.
        """
        layout, settings = self.layout, self.settings
        if sink is None:
            sink = np.empty((*layout.counts, *settings.input_shape), settings.dtype)
        with progress_bar(settings.verbose)(total=layout.size, desc=layout.name) as bar:
            for start, block in self._blocks(self._at_once()):
                block = block.reshape(-1, *layout.counts[1:], *settings.input_shape)
                _check_values(layout, start, block, settings.dtype)
                sink[start : start + len(block)] = block
                bar.update(len(block) * math.prod(layout.counts[1:]))
        return sink

    def chunks(self, at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over chunks (simulations, positions); see `Data`."""
        shape, dtype = self.settings.input_shape, self.settings.dtype
        done = filled = 0
        kept = np.empty((0, *shape), dtype)
        for _, block in self._blocks(at_once):
            rows, i = block.reshape(-1, *shape), 0
            while i < len(rows):
                n = min(at_once, self.layout.size - done)
                if not filled and len(rows) - i >= n:  # the whole chunk is in one piece
                    kept, filled, i = rows[i : i + n].astype(dtype, copy=False), n, i + n
                else:
                    kept = kept if filled else np.empty((n, *shape), dtype)
                    k = min(n - filled, len(rows) - i)
                    kept[filled : filled + k] = rows[i : i + k]
                    filled, i = filled + k, i + k
                if filled == n:
                    yield kept, np.arange(done, done + n)
                    done, filled = done + n, 0

    def _at_once(self) -> int:
        most = max(1, READ_VALUES // math.prod(self.value.shape[len(self.layout.counts) :]))
        return min(most, self.settings.at_once or most)

    def _blocks(self, at_once: int) -> Iterator[tuple[int, np.ndarray]]:
        """Iterate over slices of about `at_once` simulations: the first seed, and the array."""
        layout = self.layout
        for start, stop in self.value.spans(max(1, at_once // math.prod(layout.counts[1:]))):
            context = f"`{layout.name}`: seeds {start} to {stop - 1}"
            try:
                block = self.value.read(start, stop)
            except (UnreadableFile, FileNotFoundError, ImportError):
                raise
            except Exception as error:
                message = checks.wording(context, "be readable", checks.first_line(error))
                raise RuntimeError(message) from error
            checks.refuse_annotated(context, block)
            yield start, np.asarray(block)


def _check_values(layout: Layout, start: int, block: np.ndarray, dtype: str) -> None:
    """Refuse values that are no data, with the name of the simulation that holds the first."""
    try:
        checks.data(f"`{layout.name}`: from seed {start} on", block, dtype)
    except ValueError:
        n = len(layout.counts)
        for index in np.ndindex(*block.shape[:n]):
            context = layout.at((start + index[0], *index[1:]))
            checked_simulation(context, block[index], dtype=dtype)
        raise
