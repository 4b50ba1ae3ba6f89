"""Checks of the arguments that all ways of inference share, grids of parameters among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.density import refuse_large_grid

SCALE = 1e150  # beyond it the square of a number overflows in float64


@dataclass(frozen=True)
class Grid:
    """Points to evaluate a density at.

    Attributes
    ----------
    points : ndarray, shape (n, n_params)
    shape : tuple of int
        Shape that values at the points are returned in: () for one point, (n,) for an array, the
        mesh's for a meshgrid.
    cells : ndarray, shape (n,), or None
        Volume of each point's cell in a meshgrid.
    """

    points: np.ndarray
    shape: tuple[int, ...]
    cells: np.ndarray | None = None

    def __post_init__(self) -> None:
        bad = int((~np.isfinite(self.points)).any(axis=1).sum())
        if bad:
            received = f"{bad} of {len(self.points)} points that are not"
            raise ValueError(checks.wording("`grid`", "contain finite numbers only", received))


def as_fisher(Fisher: Any, name: str = "Fisher") -> np.ndarray:
    """Return the Fisher matrix as float64 (n_params, n_params), symmetric, positive definite.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    array = np.asarray(checks.real_array(name, Fisher), np.float64)
    array = checks.finite(name, array.reshape(1, 1) if array.size == 1 else array)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        expected = "be a square matrix, shape (n_params, n_params)"
        raise ValueError(checks.wording(f"`{name}`", expected, f"shape {array.shape}"))
    diagonal = np.diag(array)
    if np.abs(array).max() > SCALE or 0 < diagonal.min() < 1 / SCALE:
        expected = f"have a diagonal from {1 / SCALE:g} to {SCALE:g}, as float64 needs"
        remedy = "Choose other units for the parameters: F has their inverse square."
        raise ValueError(checks.wording(f"`{name}`", expected, diagonal.tolist(), remedy))
    size = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    correlation = array / np.outer(size, size)
    symmetric = np.allclose(correlation, correlation.T, rtol=1e-4, atol=1e-6)
    if not symmetric or np.linalg.eigvalsh(correlation).min() <= 0:
        received = f"eigenvalues {np.linalg.eigvals(array).tolist()}"
        remedy = "A parameter the summaries know nothing about makes it singular."
        expected = "be symmetric and positive definite"
        raise ValueError(checks.wording(f"`{name}`", expected, received, remedy))
    return (array + array.T) / 2


def as_labels(labels: Any, n_params: int) -> tuple[str, ...]:
    """Return a label for each parameter: those given, or `checks.default_labels`."""
    if labels is None:
        return checks.default_labels(n_params)
    is_array = isinstance(labels, np.ndarray) and labels.ndim > 0
    is_ordered = isinstance(labels, Sequence | Mapping) or is_array
    entries = [labels] if isinstance(labels, str) else list(labels) if is_ordered else []
    if len(entries) != n_params or not all(isinstance(label, str) for label in entries):
        expected = f"be {n_params} strings, one for each parameter"
        raise ValueError(checks.wording("`labels`", expected, checks.describe(labels)))
    if len(set(entries)) < n_params:
        expected = "be different, so that no parameter is lost where they are its name"
        raise ValueError(checks.wording("`labels`", expected, entries))
    return tuple(entries)


def as_target_data(target_data: Any) -> Any:
    """Return a copy of observed data as a finite array, or a tuple of such arrays."""
    if isinstance(target_data, tuple):
        return tuple(as_target_data(leaf) for leaf in target_data)
    remedy = "Of complex numbers, sets or several arrays, give what `imnn.encode(data)` returns."
    array = np.atleast_1d(checks.real_array("target_data", target_data, remedy)).copy()
    if array.size == 0:
        expected = "have shape (n_targets,) + input_shape with at least one target"
        raise ValueError(checks.wording("`target_data`", expected, f"shape {array.shape}"))
    return checks.data("`target_data`", array)


def as_grid(grid: Any, n_params: int) -> Grid:
    """Read a meshgrid, an (n, n_params) array, or one point.

    Parameters
    ----------
    grid : sequence of n_params arrays of n_params dimensions, or array-like
        What `numpy.meshgrid` returns (either indexing), or the same stacked along the first axis;
        or an array (n, n_params); or one point (n_params,). With one parameter a vector is as
        many points.
    n_params : int

    Raises
    ------
    ValueError
        For any other shape, or numbers that are not finite.
    """
    if isinstance(grid, list | tuple) and len(grid) == n_params:
        checks.refuse_annotated("`grid`", grid)
        pieces = [checks.as_array(piece) for piece in grid]
        alike = all(p.ndim == n_params and p.shape == pieces[0].shape for p in pieces)
        if alike and (n_params > 1 or pieces[0].size > 1):
            return _mesh([checks.real_array("grid", piece) for piece in pieces])
    array = np.asarray(checks.real_array("grid", grid), np.float64)
    if n_params > 1 and array.ndim == n_params + 1 and len(array) == n_params:
        return _mesh(list(array))
    if array.shape == (n_params,):
        return Grid(array[None], ())
    if n_params == 1 and array.ndim == 1:
        return Grid(array[:, None], array.shape)
    if array.ndim == 2 and array.shape[1] == n_params:
        return Grid(array, array.shape[:1])
    expected = f"be a meshgrid of {n_params} arrays, or have shape (n, {n_params}) or ({n_params},)"
    raise ValueError(checks.wording("`grid`", expected, f"shape {array.shape}"))


def regular_mesh(
    ranges: Sequence[tuple[float, float]], gridsize: Sequence[int]
) -> list[np.ndarray]:
    """Return a meshgrid (indexing "ij") of `gridsize` points over `ranges`, both ends included."""
    refuse_large_grid(gridsize)
    axes = [np.linspace(*pair, size) for pair, size in zip(ranges, gridsize, strict=True)]
    return list(np.meshgrid(*axes, indexing="ij"))


def as_sizes(name: str, value: Any, n_params: int, default: int) -> tuple[int, ...]:
    """Return one integer of at least 2 for each parameter; a single one serves for all."""
    value = default if value is None else value
    is_one = checks.as_array(value).ndim == 0
    entries = [value] if is_one else checks.entries(name, value, "integers")
    entries = entries * n_params if len(entries) == 1 else entries
    if len(entries) != n_params:
        expected = f"have {n_params} entries, one for each parameter"
        raise ValueError(checks.wording(f"`{name}`", expected, checks.describe(value)))
    return tuple(checks.integer(name, entry, 2, maximum=checks.MOST) for entry in entries)


def _mesh(pieces: list[np.ndarray]) -> Grid:
    points = np.stack([np.asarray(piece, np.float64).reshape(-1) for piece in pieces], axis=1)
    shape = pieces[0].shape
    refuse_large_grid(shape)
    cells = np.ones(shape)
    for piece in pieces:
        steps = [np.abs(np.gradient(piece, axis=k)) for k in range(len(shape)) if shape[k] > 1]
        cells = cells * np.max([step for step in steps if step.any()] or [np.ones(shape)], axis=0)
    return Grid(points, shape, cells.reshape(-1))
