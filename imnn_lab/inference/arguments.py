"""Checks of what all ways of inference are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from imnn_lab import checks


def as_fisher(Fisher: Any) -> np.ndarray:
    """Return the Fisher matrix as float64 (n_params, n_params), symmetric, positive definite.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    array = np.asarray(checks.real_array("Fisher", Fisher), np.float64)
    array = checks.finite("Fisher", array.reshape(1, 1) if array.size == 1 else array)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        expected = "be a square matrix, shape (n_params, n_params)"
        raise ValueError(checks.wording("`Fisher`", expected, f"shape {array.shape}"))
    symmetric = np.allclose(array, array.T, rtol=1e-4, atol=1e-6 * np.abs(array).max())
    if not symmetric or np.linalg.eigvalsh(array).min() <= 0:
        received = f"eigenvalues {np.linalg.eigvals(array).tolist()}"
        remedy = "A parameter the summaries know nothing about makes it singular."
        expected = "be symmetric and positive definite"
        raise ValueError(checks.wording("`Fisher`", expected, received, remedy))
    return (array + array.T) / 2


def as_labels(labels: Any, n_params: int) -> tuple[str, ...]:
    """Return a label for each parameter: those given, or θ₁, θ₂, ..."""
    if labels is None:
        digits = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
        return (
            ("θ",)
            if n_params == 1
            else tuple("θ" + str(i + 1).translate(digits) for i in range(n_params))
        )
    entries = [labels] if isinstance(labels, str) else list(labels)
    if len(entries) != n_params or not all(isinstance(label, str) for label in entries):
        expected = f"be {n_params} strings, one for each parameter"
        raise ValueError(checks.wording("`labels`", expected, checks.describe(labels)))
    return tuple(entries)


def as_target_data(target_data: Any) -> Any:
    """Return observed data as a finite array, or a tuple of such arrays."""
    if isinstance(target_data, tuple):
        return tuple(as_target_data(leaf) for leaf in target_data)
    array = np.atleast_1d(checks.real_array("target_data", target_data))
    if array.size == 0:
        expected = "have shape (n_targets,) + input_shape with at least one target"
        raise ValueError(checks.wording("`target_data`", expected, f"shape {array.shape}"))
    return checks.finite("target_data", array)
