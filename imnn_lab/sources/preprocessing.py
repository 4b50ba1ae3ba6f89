"""`map_fn` without random numbers: done to every simulation as it comes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.sources.collection import Found, Layout

MapFunction = Callable[..., Any]


def takes_seed(map_fn: MapFunction) -> bool:
    """Tell whether a `map_fn` takes (simulation, seed) and not (simulation).

    Raises
    ------
    TypeError
        If it is not callable, or takes another number of arguments.
    """
    expected = "take (simulation) or (simulation, seed)"
    if not callable(map_fn):
        raise TypeError(checks.wording("`map_fn`", expected, checks.describe(map_fn)))
    try:
        parameters = inspect.signature(map_fn).parameters.values()
    except ValueError:
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    if len(needed) not in (1, 2):
        received = f"{len(needed)} arguments without a default"
        raise TypeError(checks.wording("`map_fn`", expected, received))
    return len(needed) == 2


def preprocessed(found: Found, map_fn: MapFunction, layout: Layout) -> Found:
    """Apply `map_fn` to simulations on their way.

    Raises
    ------
    RuntimeError
        If it raises.
    ValueError
        If it is random.
    """
    for n, (index, value, where) in enumerate(found):
        mapped = _called(map_fn, value, layout.at(index, where))
        if n == 0 and not np.array_equal(mapped, _called(map_fn, value, layout.at(index, where))):
            received = "another result for the same simulation when called again"
            expected = "give the same simulation every time"
            remedy = "For augmentation take a seed: map_fn(simulation, seed)."
            raise ValueError(checks.wording("`map_fn`", expected, received, remedy))
        yield index, mapped, where


def preprocessed_array(
    array: Any, map_fn: MapFunction, layout: Layout, inner: int, verbose: bool
) -> Any:
    """Apply `map_fn` to an array whose last `inner` axes are one simulation."""
    array = np.asarray(array)
    if array.ndim <= inner:
        return array
    counts = array.shape[: array.ndim - inner]
    found = ((index, array[index], "") for index in np.ndindex(*counts))
    with progress_bar(verbose)(total=int(np.prod(counts)), desc="map_fn") as bar:
        mapped = []
        for _, value, _ in preprocessed(found, map_fn, layout):
            mapped.append(value)
            bar.update(1)
    return np.reshape(mapped, (*counts, *np.shape(mapped[0]))) if mapped else array


def _called(map_fn: MapFunction, value: Any, context: str) -> np.ndarray:
    try:
        return np.asarray(map_fn(value))
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        message = checks.wording(f"`map_fn`: {context}", "be mapped", received)
        raise RuntimeError(message) from error
