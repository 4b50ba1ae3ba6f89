"""Functions as data: one simulation for each call.

``fiducial(seed)`` yields (simulation, seed) and ``derivative(seed, derivative, parameter)`` yields
(simulation, (seed, derivative, parameter)), once per call. Functions that return the same, or the
simulation alone, will do as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imnn_lab import checks
from imnn_lab.sources.collection import Found, Index, Layout, as_index


def simulations(function: Callable[..., Any], layout: Layout) -> Found:
    """Call a function for every simulation of a set.

    Parameters
    ----------
    function : callable
        Takes a seed, or a seed, a derivative (0 lower, 1 upper) and a parameter.
    layout : Layout
        The set.

    Yields
    ------
    tuple
        Index, simulation, and where it stood (nothing to say).

    Raises
    ------
    RuntimeError
        If the function raises.
    ValueError
        If it gives nothing, or a simulation for another index.
    """
    for index in layout.indices():
        yield index, simulation_at(function, layout, index), ""


def simulation_at(function: Callable[..., Any], layout: Layout, index: Index) -> Any:
    """Return what a function gives as the simulation at an index; see `simulations`."""
    made = _called(function, layout, index)
    remedy = f"It should yield (simulation, {layout.label}) once per call."
    if made is None:
        raise ValueError(checks.wording(layout.at(index), "give a simulation", "nothing", remedy))
    simulation, found = _parted(made)
    if found is not None and found != index:
        expected = f"be labelled {_bare(index)}"
        raise ValueError(checks.wording(layout.at(index), expected, _bare(found), remedy))
    return simulation


def _called(function: Callable[..., Any], layout: Layout, index: Index) -> Any:
    try:
        made = function(*index)
        return next(made, None) if isinstance(made, Iterator) else made
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        remedy = f"It is called with {len(index)} argument{'s' * (len(index) > 1)}."
        message = checks.wording(layout.at(index), "give a simulation", received, remedy)
        raise RuntimeError(message) from error


def _parted(made: Any) -> tuple[Any, Index | None]:
    """Part (simulation, label); a simulation alone has no label."""
    if isinstance(made, tuple) and len(made) == 2:
        index = as_index(made[1])
        if index is not None:
            return made[0], index
    return made, None


def _bare(index: Index) -> int | Index:
    return index[0] if len(index) == 1 else index
