"""Several arrays of each simulation, of which some are not in memory: a dict or a list of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.files.rows import Rows, as_rows
from imnn_lab.settings import Settings
from imnn_lab.sources.collection import Data, LabelledSimulations, Layout
from imnn_lab.sources.data.sliced import SlicedData


class SeveralData(Data):
    """Arrays that are read in slices together; `value` is a dict of `SlicedData`, by their keys."""

    def checked(self) -> SeveralData:
        """Return the data after a check of types and numbers, with the layout that they have.

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong type, or another number of simulations.
        """
        value = {key: data.checked() for key, data in self.value.items()}
        found = {key: data.layout.counts[0] for key, data in value.items()}
        if len(set(found.values())) > 1:
            expected = "hold as many simulations in each of its arrays"
            raise ValueError(checks.wording(f"`{self.layout.name}`", expected, found))
        counts = next(iter(found.values())), *self.layout.counts[1:]
        return replace(self, value=value, layout=replace(self.layout, counts=counts))

    def simulations(self) -> LabelledSimulations:
        """Iterate over the simulations, a dict of arrays each, or a list of them."""
        each = zip(*(data.simulations() for data in self.value.values()), strict=True)
        for together in each:
            arrays = [value for _, value, _ in together]
            yield together[0][0], self.together(arrays), ""

    def together(self, arrays: list[Any]) -> Any:
        """Return what belongs to the arrays as a user hands it over: a dict, or a list."""
        keys = list(self.value)
        return arrays if keys == list(range(len(keys))) else dict(zip(keys, arrays, strict=True))


def several_data(value: Any, layout: Layout, settings: Settings) -> SeveralData | None:
    """Return several arrays as data, None if none of them is read in slices.

    Raises
    ------
    ValueError
        If they are of different seeds.
    """
    if not isinstance(value, Mapping | list | tuple):
        return None
    arrays = dict(value) if isinstance(value, Mapping) else dict(enumerate(value))
    rows = {key: as_rows(layout.name, one, layout.axes) for key, one in arrays.items()}
    if not any(rows.values()):
        return None
    seeds_of(f"`{layout.name}`", value)
    for key, one in arrays.items():
        if rows[key] is None and isinstance(one, np.ndarray) and one.ndim and one.dtype != object:
            rows[key] = Rows(one, one.shape, one.dtype)
    names = {key: replace(layout, name=f"{layout.name}[{key!r}]") for key in arrays}
    found = {
        key: SlicedData(each, names[key], settings, is_raw=True)
        for key, each in rows.items()
        if each is not None
    }
    return SeveralData(found, layout, settings) if len(found) == len(rows) else None


def seeds_of(context: str, value: Any) -> Any:
    """Return the seeds that data tell, those of all arrays of several; None if they tell none.

    Raises
    ------
    ValueError
        If several arrays tell different ones.
    """
    if not isinstance(value, Mapping | list | tuple):
        return getattr(value, "seeds", None)
    arrays = list(value.values() if isinstance(value, Mapping) else value)
    told = [one.seeds for one in arrays if getattr(one, "seeds", None) is not None]
    if not all(np.array_equal(seeds, told[0]) for seeds in told):
        expected = "hold arrays of the same seeds"
        remedy = "Take those that all have: Files.select(seeds)."
        raise ValueError(checks.wording(context, expected, "different ones", remedy))
    return told[0] if told else None


def selected(value: Any, seeds: Sequence[int] | np.ndarray) -> Any:
    """Return the simulations of some seeds, all of them if the data tell no seeds."""
    own = seeds_of("The data", value)
    if own is None or np.array_equal(own, seeds):
        return value

    def of(one: Any) -> Any:
        if getattr(one, "seeds", None) is not None and hasattr(one, "select"):
            return one.select([int(seed) for seed in seeds])
        return one[places(own, seeds)]

    if isinstance(value, Mapping):
        return {key: of(one) for key, one in value.items()}
    return [of(one) for one in value] if isinstance(value, list | tuple) else of(value)


def places(own: Any, seeds: Any) -> np.ndarray:
    """Return where some seeds stand among those that data tell."""
    order = np.argsort(own)
    return order[np.searchsorted(np.asarray(own), seeds, sorter=order)]
