"""Arrays of simulations, checked: shapes, numbers, and whether pairs share their seeds."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from imnn_lab import checks

AXES = {
    "fiducial": "(n_s,) + input_shape",
    "derivative": "(n_d, 2, n_params) + input_shape",
    "exact": "(n_d, n_params) + input_shape",
}


def checked_arrays(
    fiducial: Any,
    derivative: Any,
    n_s: int | None,
    n_d: int | None,
    n_params: int,
    input_shape: tuple[int, ...],
    is_exact: bool = False,
    check_shape: bool = True,
    prefix: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Return fiducial and derivative simulations as arrays of the right shape; see `as_source`."""
    inner = (n_params, *input_shape) if is_exact else (2, n_params, *input_shape)
    axes = AXES["exact" if is_exact else "derivative"]
    x = checked_array(
        prefix + "fiducial", fiducial, n_s, input_shape, AXES["fiducial"], check_shape
    )
    d = checked_array(prefix + "derivative", derivative, n_d, inner, axes, check_shape)
    if is_exact:
        _check_numbers(prefix, len(x), len(d))
        check_tangents(prefix + "derivative", d)
    else:
        warn_of_unmatched_seeds(prefix + "derivative", d)
    return x, d


def checked_array(
    name: str, value: Any, n: int | None, inner: tuple[int, ...], axes: str, check_shape: bool
) -> np.ndarray:
    """Return n simulations as an array of shape (n,) + inner, of finite numbers."""
    array = checks.real_array(name, value, f"Pass an array of shape {axes}.")
    count = n or (len(array) if array.ndim else 1)
    shape = (count, *inner)
    if check_shape or array.size != math.prod(shape):
        _check_shape(name, array, shape, axes)
    if count < 2:
        raise ValueError(checks.wording(f"`{name}`", "hold at least 2 simulations", count))
    return checks.finite(name, array.reshape(shape))


def _check_numbers(prefix: str, n_s: int, n_d: int) -> None:
    if n_d > n_s:
        expected = f"hold at most as many as `{prefix}fiducial`, {n_s}"
        remedy = "Exact derivatives are those of the first n_d fiducial simulations."
        raise ValueError(checks.wording(f"`{prefix}derivative`", expected, n_d, remedy))


def check_tangents(name: str, derivative: np.ndarray) -> None:
    """Refuse derivatives (n_d, n_params, ...) that are exactly zero for a parameter."""
    for parameter in range(derivative.shape[1]):
        if not derivative[:, parameter].any():
            expected = "change with every parameter"
            received = f"derivatives by parameter {parameter} that are all exactly zero"
            remedy = (
                "Some random numbers (Poisson, numpy_function) have no derivative: pass δθ for "
                "central differences."
            )
            raise ValueError(checks.wording(f"`{name}`", expected, received, remedy))


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...], axes: str) -> None:
    if array.shape == shape:
        return
    expected = f"have shape {axes} = {shape}"
    received = f"shape {array.shape}"
    raise ValueError(checks.wording(f"`{name}`", expected, received, _guess(array.shape, shape)))


def _guess(received: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Say which axes look swapped, missing or different."""
    if sorted(received) == sorted(expected):
        moved = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
        return f"Axes {moved} look swapped: use np.moveaxis to reorder them."
    if len(received) != len(expected):
        difference = len(received) - len(expected)
        what = f"{abs(difference)} axis too {'many' if difference > 0 else 'few'}"
        return f"There is {what}; a single value still needs an axis of length 1."
    wrong = [i for i, (a, b) in enumerate(zip(received, expected, strict=True)) if a != b]
    return f"The length of axis {', '.join(map(str, wrong))} differs."


def warn_of_unmatched_seeds(name: str, derivative: np.ndarray, sample: int = 200) -> None:
    """Warn when simulations below and above scatter as if they had different seeds.

    With the same seeds the scatter of the difference is far below √2 times that of a simulation.
    """
    part = derivative[:sample].astype(np.float64)
    if len(part) < 20:
        return
    lower, upper = part[:, 0], part[:, 1]
    axes = tuple(range(1, lower.ndim - 1))
    of_difference = np.var(upper - lower, axis=0).sum(axes)
    scatter = np.var(lower, axis=0).sum(axes) + np.var(upper, axis=0).sum(axes)
    share = of_difference / np.where(scatter > 0, scatter, np.inf)
    if share.max() > 0.8:
        warnings.warn(
            f"`{name}`: the simulations below and above the fiducial parameters look as if they "
            f"were made from different seeds (for parameter {share.argmax()} the variance of their "
            f"difference is {share.max():.2f} of the sum of their variances). "
            "The derivative is then mostly noise and F is overestimated. "
            "Make each pair from the same seed.",
            stacklevel=4,
        )
