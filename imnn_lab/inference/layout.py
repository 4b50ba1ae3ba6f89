"""How the draws of a distribution lie in a matrix of parameters, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Structure = Any


class Layout:
    """The parts of a draw, in order, with their shapes and types.

    Parameters
    ----------
    example : array, tensor, or list, tuple or dict of those, shape (n, ...) each
        Several draws.
    """

    def __init__(self, example: Structure) -> None:
        self._example = example
        leaves = self._leaves(example)
        self.shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])

    @property
    def n_params(self) -> int:
        """Number of parameters of a draw."""
        return int(self._ends[-1])

    def matrix(self, structure: Structure) -> np.ndarray:
        """Return n draws, or what has their structure, as an array of shape (n, n_params)."""
        parts = [each_row(leaf, leaf.shape[0]) for leaf in self._leaves(structure)]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def structure(self, θ: np.ndarray) -> Structure:
        """Return parameters (n, n_params) in the structure and the types of draws."""
        pieces = np.split(θ, self._ends[:-1], axis=1)
        leaves = [
            piece.reshape((len(θ), *shape)).astype(dtype)
            for piece, shape, dtype in zip(pieces, self.shapes, self._dtypes, strict=True)
        ]
        example = self._example
        if isinstance(example, Mapping):
            return dict(zip(example, leaves, strict=True))
        if hasattr(example, "_fields"):
            return type(example)(*leaves)
        if isinstance(example, list | tuple):
            return type(example)(leaves)
        return example.new_tensor(leaves[0]) if hasattr(example, "new_tensor") else leaves[0]

    def same_as(self, structure: Structure) -> bool:
        """Tell whether another structure has parts of the same shapes."""
        return [leaf.shape[1:] for leaf in self._leaves(structure)] == self.shapes

    def _leaves(self, structure: Structure) -> list[np.ndarray]:
        if isinstance(structure, Mapping):
            return [as_array(structure[key]) for key in self._example]
        parts = structure if isinstance(structure, list | tuple) else [structure]
        return [as_array(part) for part in parts]


def as_array(values: Any) -> np.ndarray:
    """Return an array or a tensor of any package as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def each_row(values: Any, n: int) -> np.ndarray:
    """Return an array or a tensor of shape (n, ...) with one axis more, shape (n, m)."""
    return as_array(values).reshape(n, -1 if n else 1)
