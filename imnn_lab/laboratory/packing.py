"""Results as arrays, each once, and a tree in JSON that says where they belong: for one .npz.

Nothing is pickled: what is read is made of the kinds that the reader lists, and of no others.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import storage

TREE = "tree"


class Packing:
    """Arrays by name, each once, while a tree of what they belong to is made.

    Parameters
    ----------
    kinds : iterable of type
        Dataclasses and enumerations that may be kept.

    Attributes
    ----------
    arrays : dict from name to ndarray
    """

    def __init__(self, kinds: Iterable[type]) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[int, str] = {}
        self._kinds = frozenset(kinds)

    def tree(self, value: Any) -> Any:
        """Return a value as JSON can hold it, with the names of its arrays.

        Raises
        ------
        TypeError
            If it is, or holds, anything but numbers, text, arrays, tuples, dicts and the kinds.
        """
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, np.ndarray):
            name = self._names.setdefault(id(value), f"array {len(self._names)}")
            self.arrays[name] = value
            return {"array": name}
        if isinstance(value, tuple):
            return [self.tree(each) for each in value]
        if isinstance(value, dict):
            return {"dict": {name: self.tree(each) for name, each in value.items()}}
        if type(value) in self._kinds:
            fields = {name: self.tree(each) for name, each in _fields(value).items()}
            return {"kind": type(value).__name__, "fields": fields}
        raise TypeError(f"a {type(value).__name__} cannot be kept")

    def write(self, path: Path, tree: Any) -> None:
        """Write a tree, and the arrays that were met in making it, to a file."""
        storage.write_npz(path, self.arrays | {TREE: storage.pack(tree)})


def unpacked(tree: Any, arrays: Mapping[str, np.ndarray], kinds: Iterable[type]) -> Any:
    """Return the value of which `Packing.tree` made a tree and arrays."""
    named = {kind.__name__: kind for kind in kinds}

    def value(of: Any) -> Any:
        if isinstance(of, list):
            return tuple(value(each) for each in of)
        if not isinstance(of, dict):
            return of
        if "dict" in of:
            return {name: value(each) for name, each in of["dict"].items()}
        if "array" in of:
            return arrays[of["array"]]
        return named[of["kind"]](**{name: value(each) for name, each in of["fields"].items()})

    return value(tree)


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, enum.Enum):
        return {"value": value.value}
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
