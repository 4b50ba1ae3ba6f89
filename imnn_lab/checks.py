"""Checks of arguments, and the wording of errors.

The error of a wrong value has four parts: context, expected, received, remedy (see `wording`). The
error of a wrong state says what to do instead: "No draws yet: call `ABC(draws=...)` first."
Arguments are checked once, where a user passes them (`Settings`, `as_source`, `Regularisation`,
`as_prior` and the façades); the functions behind do not check them again.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import os
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

FOR_READERS = ValueError, TypeError, RuntimeError, OSError
MOST = 10**12  # of anything that is made at once: eight terabytes of float64
LARGEST_SEED = 2**128 - 1  # as long as those that NumPy draws
LONGEST_NAME = 100  # bytes; file systems take 255, some for suffixes and temporary names
HUGE = 1e20  # no smaller number is taken for one that stands for missing data
MASK = 'IMNN(missing="mask") takes simulations and observations in which values are missing.'
FILL_VALUES = (-1.6375e30, 9.969209968386869e36)  # of healpy (UNSEEN) and netCDF


def wording(context: str, expected: str, received: Any, remedy: str = "") -> str:
    """Return the message ``context must expected. Received received. remedy``."""
    return f"{context} must {expected}. Received {received}. {remedy}".strip()


def warn(message: str) -> None:
    """Warn with the first line outside this package as the origin.

    Python 3.12 has `skip_file_prefixes` for this; 3.11 needs the number of frames.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and _is_of_package(frame.f_globals):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _is_of_package(names: Mapping[str, Any]) -> bool:
    return f"{names.get('__name__')}.".startswith("imnn_lab.")


def describe(value: Any) -> str:
    """Describe a value in a few words: shape and dtype of an array, otherwise its repr."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def words_of(error: BaseException) -> str:
    """Return what an error says, for readers of a page.

    That is the message alone if it is of a kind that this package raises, from its code; of any
    other, of a library or by mistake, it is the kind as well.
    """
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    is_ours = at is not None and _is_of_package(at.tb_frame.f_globals)
    if is_ours and isinstance(error, FOR_READERS) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"


def integer(
    name: str,
    value: Any,
    minimum: int | None = None,
    remedy: str = "",
    *,
    maximum: int = 2**63 - 1,
) -> int:
    """Return `value` as an int; NumPy integers and 0-d integer arrays are accepted, bools not."""
    bound = "" if minimum is None else f" of at least {minimum}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        result = operator.index(value)
    except TypeError:
        message = wording(f"`{name}`", f"be an integer{bound}", describe(value), remedy)
        raise TypeError(message) from None
    if minimum is not None and result < minimum:
        raise ValueError(wording(f"`{name}`", f"be an integer{bound}", result, remedy))
    if result > maximum or result < -(2**63):
        expected = f"be an integer of at most {maximum:g} in size"
        raise ValueError(wording(f"`{name}`", expected, describe(result), remedy))
    return result


def integers(
    name: str, value: Any, minimum: int, remedy: str = "", *, maximum: int = MOST
) -> tuple[int, ...]:
    """Return a list, a tuple or a vector of integers as a tuple of ints."""
    return tuple(
        integer(name, entry, minimum, remedy, maximum=maximum)
        for entry in entries(name, value, "integers", remedy)
    )


def entries(name: str, value: Any, of_what: str, remedy: str = "") -> list[Any]:
    """Return the entries of a list, a tuple, an array or what else has them in an order."""
    try:
        if isinstance(value, str | bytes | Mapping | Set):
            raise TypeError
        return list(value)
    except TypeError:
        message = wording(f"`{name}`", f"be a list of {of_what}", describe(value), remedy)
        raise TypeError(message) from None


def optional_integer(
    name: str, value: Any, minimum: int | None = None, *, maximum: int = 2**63 - 1
) -> int | None:
    """Return None for None, otherwise as `integer`."""
    remedy = "None leaves it out."
    return None if value is None else integer(name, value, minimum, remedy, maximum=maximum)


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    below: float | None = None,
    remedy: str = "",
) -> float:
    """Return `value` as a finite float, strictly between `above` and `below` if they are set."""
    limits = [f"above {above}"] * (above is not None) + [f"below {below}"] * (below is not None)
    expected = " ".join(["be a finite number", *limits])
    refuse_annotated(f"`{name}`", value)
    array = as_array(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise TypeError(wording(f"`{name}`", expected, describe(value), remedy))
    result = float(array.reshape(()))
    inside = (above is None or result > above) and (below is None or result < below)
    if not np.isfinite(result) or not inside:
        raise ValueError(wording(f"`{name}`", expected, result, remedy))
    return result


def fraction(name: str, value: Any) -> float:
    """Return `value` as a float from 0 to 1, both included."""
    result = number(name, value)
    if not 0 <= result <= 1:
        raise ValueError(wording(f"`{name}`", "be a fraction from 0 to 1", result))
    return result


def boolean(name: str, value: Any) -> bool:
    """Return `value` as a bool; anything other than True or False is refused."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(wording(f"`{name}`", "be True or False", describe(value)))
    return bool(value)


def package(module: str, name: str) -> Any:
    """Return a module of a package that is needed only here, if it is installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"This hands over to {name}, which is not installed: `python -m pip install {name}`."
        ) from None


def text(name: str, value: Any, remedy: str = "") -> str:
    """Return `value` as a non-empty string; paths are accepted."""
    result = str(value) if hasattr(value, "__fspath__") else value
    if not isinstance(result, str) or not result:
        raise TypeError(wording(f"`{name}`", "be a non-empty string", describe(value), remedy))
    return result


def path(name: str, value: Any, remedy: str = "") -> Path:
    """Return a name of a file or a directory as a path, if the file system can have it."""
    result = text(name, value, remedy)
    try:
        os.lstat(result)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:
        received = f"{result[:80]!r} ({getattr(error, 'strerror', None) or error})"
        expected = "be a name that files can have"
        raise ValueError(wording(f"`{name}`", expected, received, remedy)) from None
    return Path(result)


def file_name(name: str, value: Any, remedy: str = "") -> str:
    """Return `value` as a name for a file in a directory given elsewhere, never outside it."""
    result = text(name, value, remedy)
    is_name = all(kind(result).name == result for kind in (PurePosixPath, PureWindowsPath))
    is_name &= result != ".." and result.isprintable() and not result.isspace()
    if not is_name or len(result.encode()) > LONGEST_NAME:
        expected = f"be the name of a file, without a directory, of at most {LONGEST_NAME} bytes"
        remedy = remedy or "Name the directory in `directory`."
        raise ValueError(wording(f"`{name}`", expected, repr(result), remedy))
    return result


def refuse_annotated(context: str, value: Any) -> None:
    """Refuse arrays with masked values or units, within lists and tuples as well.

    NumPy would make plain numbers of them.
    """
    for each in _leaves(value):
        if type(each) not in (float, int, np.ndarray) and _is_masked(each):
            expected, received = "hold data only", "a masked array, whose mask would be lost"
            remedy = f"Fill or cut out what is masked: a number is needed everywhere. {MASK}"
            raise TypeError(wording(context, expected, received, remedy))
    refuse_units(context, value)


def refuse_units(context: str, value: Any) -> None:
    """Refuse arrays with units, within lists and tuples as well."""
    for each in _leaves(value):
        if type(each) not in (float, int, np.ndarray) and (unit := _unit(each)):
            expected = "hold plain numbers"
            received = f"a quantity in {unit}: its unit would be lost"
            remedy = (
                "Convert all that belong together to one unit: x.to_value(unit) of Astropy, "
                "x.to(unit).magnitude of Pint."
            )
            raise TypeError(wording(context, expected, received, remedy))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _is_masked(value: Any) -> bool:
    if isinstance(value, np.ma.MaskedArray):
        return bool(np.ma.is_masked(value))
    return hasattr(value, "unmasked") and bool(np.any(value.mask))  # Astropy's


def _unit(value: Any) -> str:
    """Return the unit of a quantity of Astropy, Pint or unyt, or of a column of a table, or ""."""
    if not any(hasattr(value, name) for name in ("to_value", "magnitude", "quantity")):
        return ""
    unit = getattr(value, "unit", getattr(value, "units", None))
    return "" if unit is None or str(unit) == "dimensionless" else str(unit)


def real_array(name: str, value: Any, remedy: str = "") -> np.ndarray:
    """Return `value` as an array of real numbers; text, objects, complex numbers are refused."""
    refuse_annotated(f"`{name}`", value)
    array = as_array(value)
    if array.dtype.kind not in "iufb":
        message = wording(f"`{name}`", "be an array of real numbers", describe(value), remedy)
        raise TypeError(message)
    return array


def as_array(value: Any) -> np.ndarray:
    """Return `value` as NumPy sees it, as an array of objects where it sees none."""
    try:
        return np.asarray(value)
    except Exception:  # objects may raise anything
        return np.asarray(None)


def one_of(name: str, value: Any, allowed: Sequence[Any], remedy: str = "") -> Any:
    """Return `value` if it is one of those, which are strings or None."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        expected = f"be one of {', '.join(map(repr, allowed))}"
        raise ValueError(wording(f"`{name}`", expected, describe(value), remedy))
    return value


def function(name: str, value: Any, mapping: str) -> Callable[..., Any]:
    """Return a callable that maps what `mapping` says."""
    if not callable(value):
        expected = f"be a function from {mapping}"
        raise TypeError(wording(f"`{name}`", expected, describe(value)))
    return value


def generator(name: str, value: Any) -> np.random.Generator:
    """Return a generator of random numbers: `value` itself, or one with it as the seed."""
    try:
        return np.random.default_rng(value)
    except (TypeError, ValueError):
        expected = "be a numpy.random.Generator, a seed of at least 0, or None"
        raise TypeError(wording(f"`{name}`", expected, describe(value))) from None


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """Return `array` if all its values are finite; otherwise name the first that is not."""
    if array.dtype.kind == "f" and not np.isfinite(_extremes(array)).all():
        _refuse(
            f"`{name}`", "contain finite numbers only", "non-finite", array, ~np.isfinite(array)
        )
    return array


def data(context: str, array: np.ndarray, dtype: Any = None, *, guess: bool = True) -> np.ndarray:
    """Return `array` if all its values are data: finite numbers, and none that stands for a gap.

    Parameters
    ----------
    context : str
        Start of an error's message.
    array : ndarray
        Real numbers.
    dtype : str, optional
        What the values are converted to; they must be finite in it as well.
    guess : bool
        Whether a huge number that is repeated among small ones stands for a gap; otherwise only
        the numbers that healpy and netCDF use do.

    Raises
    ------
    ValueError
        If any is not; the message names the first.
    """
    if array.dtype.kind != "f":
        return array
    extremes = _extremes(array)
    if not np.isfinite(extremes).all():
        expected = "contain finite numbers only"
        _refuse(context, expected, "non-finite", array, ~np.isfinite(array))
    for value in extremes[np.abs(extremes) >= HUGE]:
        if _is_fill_value(value, array, guess):
            expected = "hold data only"
            _refuse(context, expected, "equal and huge", array, array == value)
        if dtype is not None and abs(value) > np.finfo(dtype).max:
            expected = f"hold numbers below {np.finfo(dtype).max:.1e}, the largest of {dtype}"
            _refuse(context, expected, "larger", array, np.abs(array) > np.finfo(dtype).max)
    return array


def _extremes(array: np.ndarray) -> np.ndarray:
    """Return the least and the largest value, which are NaN if any is."""
    with np.errstate(invalid="ignore"):
        return np.array([array.min(), array.max()]) if array.size else np.zeros(2)


def _is_fill_value(value: float, array: np.ndarray, guess: bool) -> bool:
    if np.isclose(value, FILL_VALUES, rtol=1e-5).any():
        return True
    others = array[array != value]
    is_repeated = 0 < len(others) < array.size - 1
    return guess and is_repeated and float(np.abs(others).max()) < 1e-6 * abs(value)


REMEDIES = {
    "non-finite": f"Remove or repair the simulations that failed. {MASK}",
    "equal and huge": f"They look like marks of missing data: cut them out, or fill them. {MASK}",
    "larger": "Change the units, or use dtype='float64'.",
}


def _refuse(context: str, expected: str, what: str, array: np.ndarray, bad: np.ndarray) -> None:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    at = f" at index {first}" if first else ""
    received = f"{int(bad.sum())} {what} values, the first ({array[first]}){at}"
    raise ValueError(wording(context, expected, received, REMEDIES[what]))


def vector(name: str, value: Any, length: int) -> np.ndarray:
    """Return `value` as a finite float64 vector of `length` entries (a scalar counts as one)."""
    array = np.atleast_1d(real_array(name, value))
    if array.shape != (length,):
        expected = f"have one entry for each parameter, shape ({length},)"
        raise ValueError(wording(f"`{name}`", expected, f"shape {array.shape}"))
    return finite(name, array.astype(np.float64))


def default_labels(n_params: int) -> tuple[str, ...]:
    """Return labels for unnamed parameters: θ for a single one, otherwise θ₁, θ₂, ..."""
    subscripts = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    numbered = tuple("θ" + str(i + 1).translate(subscripts) for i in range(n_params))
    return ("θ",) if n_params == 1 else numbered


def seed_or_none(name: str, value: Any) -> int | None:
    """Return a seed, an integer from 0 to 2³¹−1, or None for a random one."""
    result = optional_integer(name, value, 0)
    if result is not None and result >= 2**31:
        raise ValueError(wording(f"`{name}`", "be below 2**31", result, "Choose a smaller seed."))
    return result


def normalise(keyword: str) -> str:
    """Normalise a keyword as Python does identifiers (NFKC): U+03F5 to ε, U+00B5 to μ."""
    return unicodedata.normalize("NFKC", keyword)


def normalised_keywords(keywords: Mapping[str, Any], context: str) -> dict[str, Any]:
    """Normalise the names of keyword arguments; two spellings of one name are refused.

    Python does so for ``f(name=1)``, but not for ``f(**{name: 1})``.
    """
    result: dict[str, Any] = {}
    for keyword, value in keywords.items():
        if normalise(keyword) in result:
            received = f"{normalise(keyword)!r} in two spellings"
            raise TypeError(wording(context, "get each keyword once", received, "Keep one."))
        result[normalise(keyword)] = value
    return result


def greek_keywords(function: Function) -> Function:
    """Decorate a function to accept any spelling of its Greek keywords."""

    @functools.wraps(function)
    def called(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **normalised_keywords(keywords, f"`{function.__name__}`"))

    return called  # type: ignore[return-value]
