"""Draws made by other packages, as one matrix with a name for each column.

Known by what they have, without importing a package: arrays; tensors of PyTorch (sbi); a dict of
arrays (BayesFlow); InferenceData, DataTree and Dataset (ArviZ before and since 1.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.layout import as_array

KINDS = "be an array or tensor (n, n_params), a dict of arrays (n,) or (n, d), or ArviZ's data"
SLASH = "\u2215"  # which stands for a slash where xarray refuses them


def matrix_of(samples: Any) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return draws as an array of shape (n, n_params), and names if the draws have them.

    Parameters
    ----------
    samples : array, tensor, dict, or ArviZ's data
        As for `Posterior.from_draws`.

    Raises
    ------
    TypeError
        If they are none of these.
    ValueError
        If they are those of several observations, differ in number, or are not finite.
    """
    variables = _variables_of_arviz(samples)
    if variables is not None:
        named = {
            str(name).replace(SLASH, "/"): _flat_chains(one) for name, one in variables.items()
        }
        return _side_by_side(named)
    if isinstance(samples, Mapping):
        return _side_by_side({name: _of_one("samples", one) for name, one in samples.items()})
    matrix = _of_one("samples", samples)
    if matrix.ndim == 2 and matrix.shape[1]:
        return matrix, None
    raise ValueError(checks.wording("`samples`", KINDS, f"shape {matrix.shape}"))


def weights_of(weights: Any, n: int) -> np.ndarray:
    """Return the weights of n draws, shape (n,); equal ones for None.

    Parameters
    ----------
    weights : array or tensor of n entries, or None
    n : int

    Raises
    ------
    TypeError, ValueError
        If they are no real numbers, of another number, negative or not finite.
    """
    if weights is None:
        return np.ones(n)
    array = checks.real_array("weights", _detached(weights)).astype(np.float64).reshape(-1)
    if array.shape != (n,):
        expected = f"have one entry for each of {n} draws"
        raise ValueError(checks.wording("`weights`", expected, f"{array.size} entries"))
    if not (checks.finite("weights", array) >= 0).all():
        raise ValueError(checks.wording("`weights`", "not be negative", array.min()))
    return array


def _variables_of_arviz(samples: Any) -> Mapping[str, Any] | None:
    """Return the variables of the group `posterior`, or of a dataset; None of anything else."""
    for one in (getattr(samples, "posterior", None), samples):
        variables = getattr(one, "data_vars", None)
        if isinstance(variables, Mapping) and variables:
            return variables
    return None


def _flat_chains(variable: Any) -> np.ndarray:
    """Return the draws of all chains one after another, shape (n, ...)."""
    first = [name for name in ("chain", "draw", "sample") if name in variable.dims]
    if not first:
        expected = "have the dimensions `chain` and `draw`, or `sample`"
        raise ValueError(checks.wording("`samples`", expected, f"{variable.dims}"))
    values = checks.real_array("samples", variable.transpose(*first, ...).values)
    return values.reshape(-1, *values.shape[len(first) :])


def _of_one(name: str, values: Any) -> np.ndarray:
    """Return draws without the axis of observations, of which there must be one."""
    array = checks.real_array(name, _detached(values), "Pass " + KINDS[3:] + ".")
    if array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim in (1, 2):
        return array
    remedy = "Take the draws of one observation: samples[i]."
    raise ValueError(checks.wording(f"`{name}`", KINDS, f"shape {array.shape}", remedy))


def _side_by_side(named: Mapping[Any, np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return variables (n, ...) as columns; those of several entries are numbered."""
    columns, names, sizes = [], [], {len(one) for one in named.values()}
    if len(sizes) != 1:
        received = f"{', '.join(map(str, sorted(sizes))) or 'none'}"
        expected = "hold variables with one number of draws"
        raise ValueError(checks.wording("`samples`", expected, received))
    for name, values in named.items():
        flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
        columns.append(flat)
        one = values.ndim == 1 or flat.shape[1] == 1
        names += [str(name)] if one else [f"{name}[{k}]" for k in range(flat.shape[1])]
    return np.concatenate(columns, axis=1), tuple(names)


def _detached(values: Any) -> Any:
    return as_array(values) if hasattr(values, "detach") else values
