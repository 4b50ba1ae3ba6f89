"""Whether derivatives can be trusted: not zero, from shared seeds, over steps not too wide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab import checks
from imnn_lab.encoding import Encoding
from imnn_lab.matched.pairing import FIDUCIAL_SIDES, pairing, warn_of_pairing
from imnn_lab.sources.collection import Layout
from imnn_lab.sources.data.points import PointsLayout
from imnn_lab.stencils import in_words

WIDEST = 10.0  # times the error that a parameter may be moved by without a warning
ROUNDED = 0.01  # of the scatter of a value, that rounding may add without a warning
ROUNDED_VALUES = 0.05  # part of the values of a simulation, that may be rounded further


def check_derivatives(
    layout: Layout, derivative: np.ndarray, is_exact: bool, encoding: Encoding | None = None
) -> None:
    """Refuse exact derivatives that vanish; warn of pairs that look unmatched.

    Parameters
    ----------
    layout : Layout
        What they are.
    derivative : ndarray, shape (n, 2, n_params) + input_shape
        All or the first; (n, n_params) + input_shape for exact derivatives, and (n,) + input_shape
        for the points of stencils.
    is_exact : bool
        Whether they are exact derivatives.
    encoding : Encoding, optional
        Where they have masks.
    """
    if is_exact:
        check_tangents(layout.name, derivative)
    elif isinstance(layout, PointsLayout):
        warn_of_unmatched_points(layout, layout.by_point(derivative), encoding)
    else:
        warn_of_unmatched_seeds(layout.name, derivative)
        if encoding is not None:
            warn_of_masks(layout.name, derivative, encoding)


def warn_of_masks(name: str, derivative: np.ndarray, encoding: Encoding) -> None:
    """Warn when other values are missing below θ_fid than above it, (n, 2, n_params, …)."""
    flat = derivative.reshape(*derivative.shape[:3], -1)
    differ = np.zeros(derivative.shape[:1] + derivative.shape[2:3], bool)
    for where, part in encoding.masked:
        if part.takes_gaps and not part.is_ragged:
            channels = flat[..., where].reshape(*flat.shape[:3], -1, part.encoded_shape[-1])
            masks = channels[..., -part.masks :] > 0
            differ |= (masks[:, 0] != masks[:, 1]).any(axis=(-2, -1))
    if differ.any():
        checks.warn(
            f"`{name}`: in {differ.sum()} of {differ.size} pairs other values are missing below "
            "θ_fid than above it. Unless what is missing depends on the parameters, this adds "
            "noise to the derivatives: use one mask for both simulations of a pair."
        )


def warn_of_unmatched_points(
    layout: PointsLayout, points: Sequence[np.ndarray], encoding: Encoding | None = None
) -> None:
    """Warn when simulations at points of a stencil are unmatched with those at its first one.

    Parameters
    ----------
    layout : PointsLayout
    points : sequence of ndarray, shape (n,) + input_shape
        All simulations or the first of each point.
    encoding : Encoding, optional
        Where they have masks.
    """
    first: dict[int, int] = {}
    for k, point in enumerate(layout.points):
        j = first.setdefault(point.parameter, k)
        if j != k:
            pair = np.stack([points[j], points[k]], axis=1)[:, :, None]
            where = f"at {in_words(layout.points[j].offset)} and {in_words(point.offset)}"
            warn_of_unmatched_seeds(f"{layout.name} of {point.name}", pair, where=where)
            if encoding is not None:
                warn_of_masks(f"{layout.name} of {point.name}", pair, encoding)


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


def warn_of_unmatched_seeds(
    name: str, derivative: np.ndarray, sample: int = 200, where: str = FIDUCIAL_SIDES
) -> None:
    """Warn when simulations below and above are unmatched, all of them or in part.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    derivative : ndarray, shape (n, 2, n_params) + input_shape
        All or the first.
    sample : int
        How many of them, at most, are compared: some from everywhere.
    where : str
        Where the two sides are.
    """
    n = len(derivative)
    if n >= 20:
        rows = np.unique(np.linspace(0, n - 1, min(n, sample)).astype(int))
        warn_of_pairing(f"`{name}`", pairing(derivative[rows]), where)


def warn_of_offsets(
    name: str, simulations: np.ndarray, dtype: str, sample: int = 200, max_values: int = 2**22
) -> None:
    """Warn when `dtype` rounds simulations so much that their scatter is lost.

    Rounding to steps of s has an error of s/√12.

    Parameters
    ----------
    name : str
        Name of the argument, for messages.
    simulations : ndarray, shape (n,) + input_shape
        All or the first.
    dtype : str
        Type that the network takes.
    """
    n = min(sample, max(2, max_values // simulations[0].size))
    x = simulations[:n].reshape(min(n, len(simulations)), -1).astype(np.float64)
    σ, typical = x.std(axis=0), np.abs(x).max(axis=0)
    step = np.maximum(np.spacing(typical.astype(dtype)), np.finfo(dtype).tiny).astype(np.float64)
    is_lost = (step / np.sqrt(12) > ROUNDED * σ) & (σ > 0)
    if is_lost.sum() > ROUNDED_VALUES * (σ > 0).sum():
        i = int(is_lost.argmax())
        checks.warn(
            f"`{name}`: {dtype} rounds values such as {x[0, i]:.9g} to steps of {step[i]:.2g}, but "
            f"they scatter by {σ[i]:.2g}, so that information is lost. Subtract a constant from "
            "all simulations and data, or change their units, or use dtype='float64'.",
        )


def warn_of_wide_differences(F: np.ndarray, δθ: np.ndarray | None) -> None:
    """Warn when simulations lie much farther apart than the parameters can be told apart.

    F is then a mean over that whole range rather than the information at θ_fid.

    Parameters
    ----------
    F : ndarray, shape (n_params, n_params)
    δθ : ndarray, shape (n_params,), or None for exact derivatives
    """
    if δθ is None:
        return
    widths = np.nan_to_num(δθ * np.sqrt(np.diag(F)))  # in errors of each, the others known
    i = int(widths.argmax())
    if widths[i] > WIDEST:
        error = δθ[i] / widths[i]
        checks.warn(
            f"`δθ` of parameter {i} is {δθ[i]:.3g}, {widths[i]:.0f} times the error of "
            f"{error:.2g} that F forecasts with the others known. Over so wide a step the "
            "response is unlikely to be linear, and F and the estimates will be biased. "
            f"Make simulations with a δθ of about {error:.1g}.",
        )
