"""Functions as data: one simulation for each call.

``fiducial(seed)`` yields (simulation, seed) and ``derivative(seed, derivative, parameter)`` yields
(simulation, (seed, derivative, parameter)), once per call. A function may also return the pair, or
the simulation alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imnn_lab import checks
from imnn_lab.sources.collection import Data, Index, LabelledSimulations, Layout, as_index


class FunctionData(Data):
    """A function of a seed, or of a seed, a derivative (0 lower, 1 upper) and a parameter."""

    def simulations(self) -> LabelledSimulations:
        """Call the function for every simulation; see `simulate_all`."""
        return simulate_all(self.value, self.layout)


def simulate_all(function: Callable[..., Any], layout: Layout) -> LabelledSimulations:
    """Call a function for every simulation of a set.

    Parameters
    ----------
    function : callable
        Takes the integers of an index.
    layout : Layout
        The set.

    Yields
    ------
    tuple
        Index, simulation, and an empty origin.

    Raises
    ------
    RuntimeError
        If the function raises.
    ValueError
        If it returns nothing, or a simulation for another index.
    """
    for index in layout.indices():
        yield index, _simulation_at(function, layout, index), ""


def _simulation_at(function: Callable[..., Any], layout: Layout, index: Index) -> Any:
    result = _result(function, layout, index)
    remedy = f"It should yield (simulation, {layout.label}) once per call."
    if result is None:
        raise ValueError(checks.wording(layout.at(index), "give a simulation", "nothing", remedy))
    label = as_index(result[1]) if isinstance(result, tuple) and len(result) == 2 else None
    if label is None:
        return result
    if label != index:
        expected = f"be labelled {_bare(index)}"
        raise ValueError(checks.wording(layout.at(index), expected, _bare(label), remedy))
    return result[0]


def _result(function: Callable[..., Any], layout: Layout, index: Index) -> Any:
    try:
        result = function(*index)
        return next(result, None) if isinstance(result, Iterator) else result
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        remedy = f"It is called with {len(index)} argument{'s' * (len(index) > 1)}."
        message = checks.wording(layout.at(index), "give a simulation", received, remedy)
        raise RuntimeError(message) from error


def _bare(index: Index) -> int | Index:
    return index[0] if len(index) == 1 else index
