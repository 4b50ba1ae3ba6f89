"""Known summaries of the same simulations, which stand beside those of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources import kinds
from imnn_lab.sources.collection import Layout, collected

NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def parted(external: Any) -> tuple[Any, Any, Any, Any]:
    """Return the four parts of `external`, None where they are left out.

    Raises
    ------
    TypeError
        If it is no sequence of two or four parts.
    """
    if external is None:
        return None, None, None, None
    if not isinstance(external, Sequence) or len(external) not in (2, 4):
        expected = f"be a tuple of 2 or 4 parts: ({', '.join(NAMES)})"
        raise TypeError(checks.wording("`external`", expected, checks.describe(external)))
    return (*external, *(None,) * (4 - len(external)))


def known_summaries(
    parts: tuple[Any, Any], layouts: tuple[Layout, Layout], settings: Settings
) -> np.ndarray | None:
    """Return known summaries in the order of the rows, (size, n_external), or None.

    Parameters
    ----------
    parts : tuple
        Those of the fiducial and of the derivative simulations: arrays of shape
        counts + (n_external,), callables, files or datasets, as for simulations.
    layouts : tuple of Layout
        Those of the simulations.
    settings : Settings

    Raises
    ------
    TypeError, ValueError
        If one is missing, or is not of this shape; see `as_source` for other kinds than arrays.
    """
    names = [f"external[{layout.name}]" for layout in layouts]
    if all(part is None for part in parts):
        return None
    found = [
        _part(part, Layout(name, layout.counts), settings)
        for part, name, layout in zip(parts, names, layouts, strict=True)
    ]
    widths = [array.shape[-1] for array in found]
    if widths[0] != widths[1]:
        expected = "hold as many summaries of the derivative simulations as of the fiducial ones"
        raise ValueError(checks.wording("`external`", expected, f"{widths[1]} and {widths[0]}"))
    return np.concatenate([array.reshape(-1, widths[0]) for array in found])


def check_width(found: np.ndarray | None, n_external: int) -> None:
    """Refuse known summaries that are more or fewer than those of training."""
    width = 0 if found is None else found.shape[1]
    if width != n_external:
        expected = f"hold {n_external} known summaries, as in training"
        raise ValueError(checks.wording("`external`", expected, width))


def _part(value: Any, layout: Layout, settings: Settings) -> np.ndarray:
    first = kinds.simulations(value, layout, settings)
    axes = f"{layout.counts} + (n_external,)"
    if first is None:
        array = checks.real_array(layout.name, value, f"Pass an array of shape {axes}.")
        if array.ndim != len(layout.counts) + 1 or array.shape[:-1] != layout.counts:
            raise ValueError(
                checks.wording(f"`{layout.name}`", f"have shape {axes}", f"shape {array.shape}")
            )
        return checks.finite(layout.name, array)
    _, one, _ = next(first)
    layout = Layout(layout.name, layout.counts, np.shape(np.atleast_1d(one)))
    again = kinds.simulations(value, layout, settings)
    if again is None or len(layout.input_shape) != 1:
        expected = "hold a vector of summaries for each simulation"
        raise ValueError(checks.wording(f"`{layout.name}`", expected, checks.describe(one)))
    return collected(again, layout, replace(settings, check_shape=False))
