"""All arrays of a simulation as one array: that array encoded, or all of them along one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.encoding.part import Handed, Part, as_open_shape

ONE, LIST, DICT = "one", "list", "dict"
MOST = 10**7  # entries of a set


@dataclass(frozen=True)
class Encoding:
    """How simulations and observations become one finite real array; see `imnn_lab.encoding.part`.

    Parameters
    ----------
    parts : tuple of Part
        One for each array of a simulation.
    names : tuple of str
        Names of the arrays, or their numbers.
    kind : str
        "one" array, or several in a "list" or a "dict".
    """

    parts: tuple[Part, ...]
    names: tuple[str, ...] = ("0",)
    kind: str = ONE

    @classmethod
    def declared(cls, input_shape: Any, missing: Any = None, longest: Any = None) -> Encoding:
        """Return the encoding of arguments of a user, before there are data.

        Raises
        ------
        TypeError, ValueError
            If one is not valid.
        """
        checks.one_of("missing", missing, (None, "mask"))
        longest = checks.optional_integer("longest", longest, 1, maximum=MOST)
        kind, shapes = _shapes(input_shape)
        parts = {
            name: Part(as_open_shape(shape), missing == "mask") for name, shape in shapes.items()
        }
        ragged = [name for name, part in parts.items() if part.is_ragged]
        if longest is not None and not ragged:
            expected = "be None: no axis of `input_shape` is None"
            raise ValueError(checks.wording("`longest`", expected, longest))
        for name in ragged:
            parts[name] = replace(parts[name], longest=longest, masks=1)
        return cls(tuple(parts.values()), tuple(parts), kind)

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> Encoding | None:
        """Make an encoding from the dict of its fields, which JSON can hold; None for None."""
        if values is None:
            return None
        parts = tuple(Part.from_dict(part) for part in values["parts"])
        names = tuple(checks.text("names", name) for name in values["names"])
        kind = checks.one_of("kind", values["kind"], (ONE, LIST, DICT))
        if len(names) != len(parts) or not parts:
            raise ValueError(checks.wording("An encoding", "have a name for each part", names))
        return cls(parts, names, kind)

    @property
    def is_plain(self) -> bool:
        """Whether arrays are taken as they are."""
        return self.kind == ONE and self.parts[0].is_plain

    @property
    def is_several(self) -> bool:
        """Whether a simulation has several arrays."""
        return self.kind != ONE

    @property
    def is_needed(self) -> bool:
        """Whether the data must be looked at before they can be encoded."""
        return any(part.is_ragged or part.takes_gaps for part in self.parts)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what the network gets."""
        if self.kind == ONE:
            return self.parts[0].encoded_shape
        return (sum(math.prod(part.encoded_shape) for part in self.parts),)

    @property
    def masked(self) -> list[tuple[slice, Part]]:
        """The parts with a mask, and where each is in a flat encoded simulation."""
        found, start = [], 0
        for part in self.parts:
            stop = start + math.prod(part.encoded_shape)
            found += [(slice(start, stop), part)] if part.masks else []
            start = stop
        return found

    def is_like(self, other: Encoding) -> bool:
        """Whether both are for data of one kind, as arguments of a user declare them."""

        def declared(encoding: Encoding) -> tuple[Any, ...]:
            parts = [(part.shape, part.takes_gaps) for part in encoding.parts]
            return encoding.kind, encoding.names, parts

        return declared(self) == declared(other)

    def describe(self) -> str:
        """Say in words what is done to data."""
        words = []
        for name, part in zip(self.names, self.parts, strict=True):
            of = "" if self.kind == ONE else f" of {name!r}"
            if part.is_complex:
                words.append(f"Complex numbers{of} enter the network as real and imaginary parts.")
            if part.is_ragged:
                words.append(f"Entries{of} are padded to {part.longest}, with a mask.")
            elif part.dropped:
                words.append(f"{len(part.dropped)} values{of} are missing in all simulations.")
            if part.takes_gaps and part.masks and not part.is_ragged:
                words.append(f"Missing values{of} are 0, with a mask as the last channel.")
        return " ".join([*words, f"The network takes shape {self.input_shape}."])

    def encoded(
        self, context: str, value: Any, n_axes: int = 0, is_tangent: bool = False
    ) -> np.ndarray:
        """Return simulations along `n_axes` axes as the network takes them.

        Parameters
        ----------
        context : str
            Start of an error's message.
        value : array-like, nested lists of arrays, or a list or dict of these
        n_axes : int
            Axes before those of a simulation; 0 for one simulation.
        is_tangent : bool
            Whether they are derivatives of simulations.

        Returns
        -------
        ndarray, shape (...) + input_shape

        Raises
        ------
        TypeError, ValueError
            If they have another shape or type, or miss values that they must have.
        """
        if self.kind == ONE:
            return self.parts[0].encoded(context, value, n_axes, is_tangent)
        if self._is_encoded(value, n_axes):
            return np.asarray(value)
        arrays = []
        for name, part, one in self._split(context, value):
            array = part.encoded(f"{context}: {name!r}", one, n_axes, is_tangent)
            arrays.append(array.reshape(*array.shape[:n_axes], -1))
        leading = {name: x.shape[:n_axes] for name, x in zip(self.names, arrays, strict=True)}
        if len(set(leading.values())) > 1:
            expected = "hold as many simulations in each of its arrays"
            raise ValueError(checks.wording(context, expected, leading))
        return np.concatenate(arrays, axis=-1)

    def lengths(self, value: Any, n_axes: int) -> tuple[int, ...]:
        """Return the lengths of the first axes of simulations.

        Raises
        ------
        TypeError, ValueError
            If they have none.
        """
        if self.kind != ONE:
            ((_, _, value), *_) = self._split("The data", value)
        found = []
        for _ in range(n_axes):
            is_array = isinstance(value, np.ndarray) and value.ndim > 0
            if not (is_array or isinstance(value, list | tuple)) or len(value) == 0:
                expected = f"have {n_axes} axes before those of a simulation"
                raise ValueError(checks.wording("The data", expected, checks.describe(value)))
            found.append(len(value))
            value = value[0]
        return tuple(found)

    def batch(self, context: str, value: Any) -> tuple[np.ndarray, bool]:
        """Return one or several simulations encoded, (n,) + input_shape, and whether it is one."""
        for n_axes in (0, 1):
            if self._takes(value, n_axes):
                array = self.encoded(context, value, n_axes)
                return (array[None], True) if n_axes == 0 else (array, False)
        shapes = [part.shape for part in self.parts]
        shown = shapes[0] if self.kind == ONE else dict(zip(self.names, shapes, strict=True))
        expected = f"have shape input_shape = {shown} or (n,) + input_shape"
        is_array = isinstance(value, np.ndarray)
        received = f"shape {value.shape}" if is_array else checks.describe(value)
        raise ValueError(checks.wording(context, expected, received))

    def resolved(self, first: Sequence[Handed], every: Callable[[], Iterator[Handed]]) -> Encoding:
        """Return the encoding for the data that there are; see `Part.resolved`."""
        if self.kind == ONE:
            return replace(self, parts=(self.parts[0].resolved(first, every),))

        def of_part(k: int, sets: Iterable[Handed]) -> Iterator[Handed]:
            for context, value, n_axes in sets:
                name, _, one = self._split(context, value)[k]
                yield f"{context}: {name!r}", one, n_axes

        def every_of(k: int) -> Callable[[], Iterator[Handed]]:
            return lambda: of_part(k, every())

        parts = (
            part.resolved(list(of_part(k, first)), every_of(k)) for k, part in enumerate(self.parts)
        )
        return replace(self, parts=tuple(parts))

    def _takes(self, value: Any, n_axes: int) -> bool:
        if self.kind == ONE:
            return self.parts[0].takes(value, n_axes)
        if self._is_encoded(value, n_axes):
            return True
        if not isinstance(value, Mapping | list | tuple) or not len(value):
            return False
        first = value.get(self.names[0]) if isinstance(value, Mapping) else value[0]
        return self.parts[0].takes(first, n_axes)

    def _is_encoded(self, value: Any, n_axes: int) -> bool:
        is_array = type(value) is np.ndarray and value.dtype.kind in "iuf"
        return is_array and value.shape[n_axes:] == self.input_shape and value.ndim == n_axes + 1

    def _split(self, context: str, value: Any) -> list[tuple[str, Part, Any]]:
        """Return the arrays of a value with their names."""
        is_dict = isinstance(value, Mapping)
        given = set(value) if is_dict else set()
        if self.kind == DICT and (not is_dict or given != set(self.names)):
            received = sorted(map(str, given)) if is_dict else checks.describe(value)
            expected = f"be a dict with the keys {', '.join(map(repr, self.names))}"
            raise ValueError(checks.wording(context, expected, received))
        if self.kind == LIST and (
            not isinstance(value, list | tuple) or len(value) != len(self.parts)
        ):
            expected = f"be a list of {len(self.parts)} arrays"
            raise ValueError(checks.wording(context, expected, checks.describe(value)))
        arrays = [value[name] for name in self.names] if is_dict else list(value)
        return list(zip(self.names, self.parts, arrays, strict=True))


def holds_several(input_shape: Any) -> bool:
    """Whether an `input_shape` is that of simulations of several arrays, a list or a dict."""
    return input_shape is not None and _shapes(input_shape)[0] != ONE


def _shapes(input_shape: Any) -> tuple[str, dict[str, Any]]:
    """Return the kind of an `input_shape`, and the shape of each array."""
    if isinstance(input_shape, Mapping):
        if not input_shape or not all(isinstance(name, str) and name for name in input_shape):
            expected = "have a name for each of its arrays"
            raise ValueError(checks.wording("`input_shape`", expected, repr(dict(input_shape))))
        return DICT, dict(input_shape)
    is_list = isinstance(input_shape, tuple | list) and len(input_shape) > 0
    if is_list and all(isinstance(shape, tuple | list) for shape in input_shape):
        return LIST, {str(i): shape for i, shape in enumerate(input_shape)}
    return ONE, {"0": input_shape}
