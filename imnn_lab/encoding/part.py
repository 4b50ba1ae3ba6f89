"""One array of a simulation as finite real numbers of one shape.

=====================  ===========================================================================
complex numbers        real and imaginary part as a last axis
missing values         0, and a mask as additional last channels: 1 where there is a value
missing everywhere     left out of vectors, a constant in arrays of more axes
any number of entries  padded with zeros to the longest, with a mask as the last channel
=====================  ===========================================================================
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from imnn_lab import checks

Shape: TypeAlias = tuple[int | None, ...]  # None: any number of entries, of the first axis alone
Handed: TypeAlias = tuple[str, Any, int]  # context, simulations, axes before those of one


def as_shape(value: Any) -> tuple[int, ...]:
    """Return the shape of one simulation as a tuple of ints."""
    try:
        shape = tuple(operator.index(length) for length in value)
    except TypeError:
        remedy = "A simulation of ten values has input_shape=(10,)."
        message = checks.wording("`input_shape`", "be a tuple of integers", repr(value), remedy)
        raise TypeError(message) from None
    if not shape or min(shape) < 1:
        remedy = "A single value has input_shape=(1,)."
        raise ValueError(
            checks.wording(
                "`input_shape`", "have at least one axis, and none of length 0", shape, remedy
            )
        )
    return shape


def as_open_shape(value: Any) -> Shape:
    """Return a shape whose first axis may be None: any number of entries."""
    if not (isinstance(value, tuple | list) and len(value) and value[0] is None):
        return as_shape(value)
    rest = as_shape(value[1:]) if len(value) > 1 else ()
    if len(rest) > 1:
        expected = "be (None,) or (None, values of each entry) for any number of entries"
        raise ValueError(checks.wording("`input_shape`", expected, tuple(value)))
    return (None, *rest)


@dataclass(frozen=True)
class Part:
    """How one array of a simulation is encoded.

    Parameters
    ----------
    shape : tuple
        That of the array as a user hands it over; (None, …) for any number of entries.
    takes_gaps : bool
        Whether values may be missing: NaN, masked, or a mark of healpy or netCDF.
    longest : int, optional
        The largest number of entries.
    is_complex : bool
        Whether its numbers are complex.
    masks : int
        Channels of the mask: one for all channels, or one for each.
    dropped : tuple of int
        Flat positions in `shape` that are missing in all simulations.
    fill : float
        What stands at these if the array has several axes.
    """

    shape: Shape
    takes_gaps: bool = False
    longest: int | None = None
    is_complex: bool = False
    masks: int = 0
    dropped: tuple[int, ...] = ()
    fill: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Part:
        """Make a part from the dict of its fields, refusing what cannot be."""
        return cls(
            shape=as_open_shape(list(values["shape"])),
            takes_gaps=checks.boolean("takes_gaps", values["takes_gaps"]),
            longest=checks.optional_integer("longest", values["longest"], 1),
            is_complex=checks.boolean("is_complex", values["is_complex"]),
            masks=checks.integer("masks", values["masks"], 0),
            dropped=checks.integers("dropped", values["dropped"], 0),
            fill=checks.number("fill", values["fill"]),
        )

    @property
    def is_plain(self) -> bool:
        """Whether the array is taken as it is."""
        return not (self.is_ragged or self.takes_gaps or self.is_complex)

    @property
    def is_ragged(self) -> bool:
        """Whether the number of entries varies."""
        return self.shape[0] is None

    @property
    def value_shape(self) -> tuple[int, ...]:
        """Shape of the values, without the channels of the mask."""
        first, *rest = self.shape
        if first is None:
            return (self.longest or 1, math.prod(n or 1 for n in rest) * (1 + self.is_complex))
        shape = (first - len(self.dropped),) if not rest else (first, *(n or 1 for n in rest))
        is_bare = not rest and self.masks > 0
        return (*shape, 2) if self.is_complex else (*shape, 1) if is_bare else shape

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """Shape of what the network gets."""
        *positions, channels = self.value_shape
        return (*positions, channels + self.masks)

    def takes(self, value: Any, n_axes: int) -> bool:
        """Whether a value looks like arrays of this part along `n_axes` axes."""
        if self._is_encoded(value, n_axes):
            return True
        if not self.is_ragged:
            return _ndim(value) == len(self.shape) + n_axes
        return _depth(value) == len(self.shape) + n_axes

    def encoded(self, context: str, value: Any, n_axes: int, is_tangent: bool) -> np.ndarray:
        """Return arrays, along `n_axes` axes of simulations, as the network takes them.

        Parameters
        ----------
        context : str
            Start of an error's message.
        value : array-like, or nested lists of arrays
        n_axes : int
            0 for one simulation.
        is_tangent : bool
            Whether they are derivatives of simulations, in which masks and constants are 0.
        """
        if self._is_encoded(value, n_axes):
            return np.asarray(value)
        if self.is_ragged:
            return self._padded(context, value, n_axes, is_tangent)
        array, missing = self._values(context, value)
        if array.ndim != len(self.shape) + n_axes or array.shape[n_axes:] != self.shape:
            expected = f"have {_axes(n_axes)}input_shape = {self.shape}"
            raise ValueError(checks.wording(context, expected, f"shape {array.shape}"))
        return self._with_mask(array, self._judged(context, missing), is_tangent)

    def resolved(self, first: Sequence[Handed], every: Callable[[], Iterator[Handed]]) -> Part:
        """Return the part for the data that there are.

        Parameters
        ----------
        first : sequence of tuple
            Context, array or first simulation of each set of training, and the number of axes
            before those of a simulation.
        every : callable
            Returns an iterator over all sets, or over their simulations, each such a tuple; not
            called unless it is needed.
        """
        kinds = [_kind(value, n_axes) for _, value, n_axes in first]
        part = replace(self, is_complex=bool(kinds) and all(kind == "c" for kind in kinds))
        if part.is_ragged:
            lengths = (
                _length(context, one)
                for context, value, n_axes in every()
                for one in _leaves(context, value, n_axes)
            )
            longest = self.longest or max(lengths, default=1)
            return replace(part, masks=1, longest=max(longest, 1))
        return part._with_gaps(every()) if part.takes_gaps else part

    def _with_gaps(self, values: Iterable[Handed]) -> Part:
        """Find what is missing everywhere, and whether more is missing in some simulations."""
        always: Any = True
        ever: Any = False
        is_shared, total, count = True, 0.0, 0
        for context, value, n_axes in values:
            array, missing = self._values(context, value)
            if array.ndim != len(self.shape) + n_axes or array.shape[n_axes:] != self.shape:
                return self  # refused where it is encoded
            axes = tuple(range(n_axes))
            always, ever = always & missing.all(axes), ever | missing.any(axes)
            is_shared &= bool((missing.all(-1) == missing.any(-1)).all())
            if not self.is_complex:
                total += float(array[~missing].sum(dtype=np.float64))
                count += int((~missing).sum())
        if np.shape(always) == () or not ever.any():
            return self
        if always.all():
            expected = "hold values"
            raise ValueError(checks.wording("The data", expected, "missing ones only"))
        dropped = tuple(np.flatnonzero(always).tolist())
        if (always == ever).all():
            fill = total / count if len(self.shape) > 1 and np.isfinite(total) else 0.0
            return replace(self, dropped=dropped, fill=fill)
        is_one = self.is_complex or len(self.shape) == 1 or is_shared
        return replace(self, dropped=dropped, masks=1 if is_one else int(self.shape[-1] or 1))

    def _is_encoded(self, value: Any, n_axes: int) -> bool:
        """Whether a value is what this returns: encoded data may be handed over as well."""
        if type(value) is not np.ndarray or value.dtype.kind not in "iuf":
            return False
        shape = value.shape[n_axes:] if value.ndim >= n_axes else ()
        return shape == self.encoded_shape and shape != self.shape and not self.is_plain

    def _values(self, context: str, value: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers, and which of them are missing."""
        missing: Any = False
        if self.takes_gaps:
            checks.refuse_units(context, value)
            value, missing = without_gaps(value)
        checks.refuse_annotated(context, value)
        array = checks.as_array(value)
        if self.is_complex and array.dtype.kind != "c":
            expected = "be complex, as the simulations for training are"
            raise TypeError(checks.wording(context, expected, checks.describe(value)))
        if not self.is_complex and array.dtype.kind not in "iufb":
            expected = "be an array of real numbers"
            remedy = (
                "Complex numbers are taken where all simulations, fiducial and derivative, are."
                if array.dtype.kind == "c"
                else f"Pass arrays of shape input_shape = {self.shape}."
            )
            raise TypeError(checks.wording(context, expected, checks.describe(value), remedy))
        return array, np.broadcast_to(missing, array.shape)

    def _judged(self, context: str, missing: np.ndarray) -> np.ndarray:
        """Return what is missing, with what is missing in all simulations."""
        if not self.takes_gaps:
            return missing
        shape = missing.shape[missing.ndim - len(self.shape) :]
        always = np.zeros(shape, bool)
        always.reshape(-1)[list(self.dropped)] = True
        if self.masks:
            return missing | always
        beyond = np.argwhere(missing & ~always)
        if len(beyond):
            first = tuple(int(i) for i in beyond[0])
            expected = "have all the values that the simulations for training have"
            received = f"{len(beyond)} missing values more, the first at index {first}"
            remedy = "Train with simulations in which such values are missing as well."
            raise ValueError(checks.wording(context, expected, received, remedy))
        return np.broadcast_to(always, missing.shape)

    def _with_mask(self, array: Any, missing: Any, is_tangent: bool) -> np.ndarray:
        """Put 0, or a constant, where values are missing, and append the mask."""
        if self.takes_gaps:
            blank = 0.0 if self.masks or is_tangent else self.fill
            array = np.where(missing, blank, array)
        if self.dropped and len(self.shape) == 1:
            array, missing = (np.delete(x, self.dropped, axis=-1) for x in (array, missing))
        if self.is_complex:
            array, missing = np.stack([array.real, array.imag], -1), missing[..., None]
        elif self.masks and len(self.shape) == 1:
            array, missing = array[..., None], missing[..., None]
        elif self.masks == 1:
            missing = missing.any(axis=-1, keepdims=True)
            array = np.where(missing, 0.0, array)
        if not self.masks:
            return array
        present = np.zeros(missing.shape) if is_tangent else ~missing
        return np.concatenate([array, present.astype(array.dtype)], axis=-1)

    def _padded(self, context: str, value: Any, n_axes: int, is_tangent: bool) -> np.ndarray:
        if n_axes == 0:
            return self._padded_one(context, value, is_tangent)
        several = [
            self._padded(context, one, n_axes - 1, is_tangent) for one in _entries(context, value)
        ]
        if not several or len({one.shape for one in several}) > 1:
            expected = "hold as many simulations in each row"
            received = f"{sorted({one.shape[0] for one in several})}"
            raise ValueError(checks.wording(context, expected, received))
        return np.stack(several)

    def _padded_one(self, context: str, value: Any, is_tangent: bool) -> np.ndarray:
        array, missing = self._values(context, value)
        if array.size == 0:
            array = array.reshape(0, *(n or 1 for n in self.shape[1:]))
            missing = np.zeros(array.shape, bool)
        if array.ndim != len(self.shape) or array.shape[1:] != self.shape[1:]:
            expected = f"hold arrays of shape input_shape = {self.shape}"
            raise ValueError(checks.wording(context, expected, f"shape {array.shape}"))
        length, most = len(array), self.longest or 1
        if length > most:
            expected = f"have at most {most} entries, as many as the longest simulation"
            remedy = f"Train with longest={length}, or more, and simulations as long."
            raise ValueError(checks.wording(context, expected, length, remedy))
        width = math.prod(n or 1 for n in self.shape[1:])
        gone: Any = missing.reshape(length, width).any(axis=1)
        flat = np.where(gone[:, None], 0, array.reshape(length, width))
        if self.is_complex:
            flat = np.concatenate([flat.real, flat.imag], axis=1)
        result = np.zeros(self.encoded_shape, np.result_type(flat, np.float32))
        result[:length, :-1] = flat
        result[:length, -1] = 0 if is_tangent else ~gone
        return result


def without_gaps(value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers, and which are missing: masked, NaN, or a mark of healpy or netCDF."""
    if hasattr(value, "unmasked"):  # Astropy's
        array, missing = np.asarray(value.unmasked), np.asarray(value.mask)
    else:
        try:
            masked = np.ma.array(value)
        except Exception:  # objects may raise anything
            masked = np.ma.array(None)
        array, missing = np.asarray(masked.data), np.ma.getmaskarray(masked)
    if array.dtype.kind not in "fc":
        return array, missing
    gone: Any = missing
    gone = gone | np.isnan(array)
    for mark in checks.FILL_VALUES:
        gone = gone | (np.abs(array.real - mark) <= 1e-5 * abs(mark))
    return np.where(gone, 0, array), gone


def _axes(n_axes: int) -> str:
    leading = ("", "(n,) + ", "(n, n_params) + ", "(n, 2, n_params) + ")
    return f"shape {leading[n_axes]}"


def _ndim(value: Any) -> int:
    ndim = getattr(value, "ndim", None)
    if isinstance(ndim, int):
        return ndim
    try:
        return np.asarray(value).ndim
    except Exception:  # lists of different lengths; objects may raise anything
        return -1


def _depth(value: Any) -> int:
    """Return the number of axes of nested lists of arrays: those of the first entries."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        return 1 + (_depth(value[0]) if len(value) else 0)
    return _ndim(value)


def _entries(context: str, value: Any) -> list[Any]:
    is_number = isinstance(value, np.ndarray) and value.ndim == 0
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable) or is_number:
        expected = "be a list of arrays, one for each simulation"
        raise TypeError(checks.wording(context, expected, checks.describe(value)))
    return list(value)


def _leaves(context: str, value: Any, n_axes: int) -> Iterator[Any]:
    if n_axes == 0:
        yield value
        return
    for one in _entries(context, value):
        yield from _leaves(context, one, n_axes - 1)


def _length(context: str, value: Any) -> int:
    try:
        return len(value)
    except TypeError:
        expected = "hold arrays of entries"
        raise TypeError(checks.wording(context, expected, checks.describe(value))) from None


def _kind(value: Any, n_axes: int) -> str:
    """Return the kind of the numbers of arrays: that of the first of nested lists."""
    while isinstance(value, list | tuple) and len(value) and n_axes > 0:
        value, n_axes = value[0], n_axes - 1
    dtype = getattr(value, "dtype", None)
    return getattr(dtype, "kind", None) or checks.as_array(value).dtype.kind
