"""Where distributions of other packages have a density, and the bounds of that support.

The formula of a density is right inside the support alone. Outside, packages give −∞, NaN or what
the formula says there (e^0.1 at −0.1 for an exponential distribution), or raise. So what knows its
support is asked first: distributions of TensorFlow Probability have a bijector from all numbers
onto it, whose inverse is NaN outside, those of PyTorch and NumPyro have constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imnn_lab.inference.layout import Layout, Structure, as_array, each_row
from imnn_lab.inference.priors import Prior

Check = Callable[[Structure, int], np.ndarray]  # of n values, which lie in the support, shape (n,)
FAR = 1e30  # that far out among all numbers, a bijector gives the bounds of a support
ROUNDING = 1e-9  # of the width of the draws, within which a bound is zero
SAME = 1e-4  # of the width, within which ends seen from several draws are one bound
OVERFLOW = -1e30  # a log density below it ends since numbers do, not since the support does


def support_check(distribution: Any, example: Structure) -> Check | None:
    """Return a function that tells which values lie in the support; None if nothing says so.

    Parameters
    ----------
    distribution : object
        Of TensorFlow Probability, PyTorch, NumPyro or zuko, or any with `support.check`.
    example : structure of arrays or tensors, shape (2, ...) each
        Two draws.
    """
    parts = parts_of(distribution)
    if parts is not None:
        return _check_of_parts(parts, example)
    found = [
        check
        for check in (
            _check_of_bijector(distribution),
            _check_of_constraint(distribution, example),
            _check_before_transforms(distribution, example),
        )
        if check is not None
    ]
    if not found:
        return None
    return lambda values, n: np.all([check(values, n) for check in found], axis=0)


def event_space_bijector(distribution: Any) -> Any:
    """Return TensorFlow Probability's bijector from all numbers onto the support, or None."""
    make = getattr(distribution, "experimental_default_event_space_bijector", None)
    try:
        return make() if callable(make) else None
    except Exception:  # not implemented, or broken by a newer NumPy
        return None


def parts_of(distribution: Any) -> Sequence[Any] | None:
    """Return the distributions whose events Blockwise of TFP or Joint of zuko concatenates."""
    names = {"Blockwise": "distributions", "Joint": "marginals"}
    for name, attribute in names.items():
        parts = getattr(distribution, attribute, None)
        if name in class_names(distribution) and isinstance(parts, list | tuple):
            return parts
    return None


def known_attribute(distribution: Any, name: str) -> Any:
    """Return an attribute, None if there is none or the distribution does not know it."""
    try:
        return getattr(distribution, name, None)
    except NotImplementedError:  # as PyTorch says of the supports of most of zuko
        return None


def class_names(distribution: Any) -> set[str]:
    """Return the names of an object's class and of those that it derives from."""
    return {base.__name__ for base in type(distribution).__mro__}


def _check_of_parts(parts: Sequence[Any], example: Structure) -> Check | None:
    sizes = [int(np.prod(tuple(part.event_shape))) for part in parts]
    ends = np.cumsum([0, *sizes])

    def pieces(values: Any) -> list[Any]:
        return [
            values[..., start:end].reshape((*values.shape[:-1], *tuple(part.event_shape)))
            for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True)
        ]

    found = [support_check(part, piece) for part, piece in zip(parts, pieces(example), strict=True)]
    return lambda values, n: np.all(
        [
            np.ones(n, bool) if check is None else check(piece, n)
            for check, piece in zip(found, pieces(values), strict=True)
        ],
        axis=0,
    )


def _check_of_bijector(distribution: Any) -> Check | None:
    bijector = event_space_bijector(distribution)
    if bijector is None:
        return None

    def check(values: Structure, n: int) -> np.ndarray:
        numbers = Layout(values).matrix(bijector.inverse(values))
        return ~np.isnan(numbers).any(axis=1)

    return check


def _check_of_constraint(distribution: Any, example: Structure) -> Check | None:
    check = getattr(known_attribute(distribution, "support"), "check", None)
    if not callable(check):
        return None
    try:
        check(example)
    except (NotImplementedError, ValueError):  # some of PyTorch depend on what is not known
        return None
    return lambda values, n: np.all(each_row(check(values), n), axis=1)


def _check_before_transforms(distribution: Any, example: Structure) -> Check | None:
    """Return a check of what values were before transforms, which do not know of it."""
    base = getattr(distribution, "base_dist", None)
    if base is None:
        return None
    transforms = list(getattr(distribution, "transforms", ()))[::-1]

    def before(values: Structure) -> Structure:
        for transform in transforms:
            values = transform.inv(values)
        return values

    check = support_check(base, before(example))
    return None if check is None else lambda values, n: check(before(values), n)


def bounds_of(prior: Prior, distribution: Any, layout: Layout, example: Structure) -> np.ndarray:
    """Return the bounds of a prior's support, shape (2, n_params), infinite where not known.

    They are what the distribution states, where its bijector leads from very far out, or where
    its density vanishes; bounds that exclude a draw are not used.

    Parameters
    ----------
    prior : Prior
        With `sample` and `log_prob`; its own bounds are not used.
    distribution : object
        What it adapts.
    layout : Layout
        Of its draws.
    example : structure of arrays or tensors, shape (2, ...) each
        Two draws.
    """
    draws = prior.sample(2000, 0)
    bounds = _stated_bounds(distribution, layout.n_params)
    if bounds is None:
        bounds = _event_space_bounds(distribution, layout, example)
        unknown = ~np.isfinite(bounds) | _continues(prior, draws, bounds)
        bounds = np.where(unknown, probed_bounds(prior, unknown), bounds)
        bounds[np.abs(bounds) < ROUNDING * np.ptp(draws, axis=0)] = 0.0
    return without_false_bounds(bounds, draws)


def without_false_bounds(bounds: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return bounds (2, n_params), infinite where they exclude one of draws (n, n_params)."""
    low = np.where(bounds[0] <= draws.min(axis=0), bounds[0], -np.inf)
    return np.stack([low, np.where(bounds[1] >= draws.max(axis=0), bounds[1], np.inf)])


def probed_bounds(prior: Prior, wanted: np.ndarray | None = None) -> np.ndarray:
    """Find the bounds of a prior's support by asking where its density vanishes.

    From a few draws, each parameter moves outwards while the others stay; a change from finite to
    −∞ within a thousand widths of the draws is a bound, found by section, unless it depends on
    the other parameters, or the density had become too small there for a number.

    Parameters
    ----------
    prior : Prior
        With `sample` and `log_prob`.
    wanted : ndarray of bool, shape (2, n_params), optional
        Which bounds to look for; the others stay infinite.

    Returns
    -------
    ndarray, shape (2, n_params)
    """
    draws = np.asarray(prior.sample(256, np.random.default_rng(0)))
    width = np.maximum(np.ptp(draws, axis=0), np.finfo(float).tiny)
    starts = draws[np.isfinite(prior.log_prob(draws))][:16]
    bounds = np.repeat([[-np.inf], [np.inf]], draws.shape[1], axis=1)
    sides, axes = np.nonzero(np.ones(bounds.shape, bool) if wanted is None else wanted)
    if len(starts) and len(axes):
        ends = _ends(prior, starts, axes, np.where(sides, 1e3, -1e3) * width[axes])
        tolerance = SAME * width[axes][:, None]
        alike = np.isclose(ends, ends[:, :1], rtol=0, atol=tolerance).all(axis=1)
        outermost = np.where(sides, ends.max(axis=1), ends.min(axis=1))
        known = alike | (draws.shape[1] == 1)  # one parameter has unlike ends at gaps alone
        bounds[sides, axes] = np.where(known, outermost, bounds[sides, axes])
    bounds[np.abs(bounds) < ROUNDING * width] = 0.0
    return bounds


def _ends(prior: Prior, starts: np.ndarray, axes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return where the density vanishes along axes (m,), for each of s starts: shape (m, s).

    Each round cuts the intervals in 32, all at once, so that a slow density is asked a few times
    only. An end is infinite where the density is finite a whole step away, or left the numbers.
    """

    def values(fractions: np.ndarray) -> np.ndarray:  # shape (m, s, k), as the result
        m, s, k = fractions.shape
        moved = np.tile(starts[:, None], (m, 1, k, 1))
        moved[np.arange(m), :, :, axes] += fractions * steps[:, None, None]
        return np.asarray(prior.log_prob(moved.reshape(m * s * k, -1))).reshape(m, s, k)

    inside, width = np.zeros((len(axes), len(starts), 1)), 1.0
    endless = np.isfinite(values(inside + 1))
    for _ in range(0 if endless.any(axis=1).all() else 10):
        width /= 32
        is_finite = np.isfinite(values(inside + width * np.arange(1, 32)))
        reached = np.logical_and.accumulate(is_finite, axis=-1).sum(axis=-1, keepdims=True)
        inside = inside + width * reached
    endless |= values(inside) < OVERFLOW
    ends = starts[:, axes].T + inside[..., 0] * steps[:, None]
    return np.where(endless[..., 0], np.copysign(np.inf, steps)[:, None], ends)


def _stated_bounds(distribution: Any, n: int) -> np.ndarray | None:
    """Return `low` and `high` of a distribution, or of what an Independent one wraps."""
    # those that transform have a `distribution`, too
    names = ("distribution", "base_dist") if "Independent" in class_names(distribution) else ()
    for owner in (distribution, *(getattr(distribution, name, None) for name in names)):
        low, high = getattr(owner, "low", None), getattr(owner, "high", None)
        if low is not None and high is not None and not callable(low):
            sides = [as_array(side).astype(np.float64).reshape(-1) for side in (low, high)]
            if all(side.size in (1, n) for side in sides):
                return np.stack([np.broadcast_to(side, n) for side in sides])
    return None


def _event_space_bounds(distribution: Any, layout: Layout, example: Structure) -> np.ndarray:
    """Return where a bijector leads from very far out, infinite where it does not tell.

    It tells the bounds of a parameter that moves with the number of its own place alone.
    """
    n = layout.n_params
    unknown = np.stack([np.full(n, -np.inf), np.full(n, np.inf)])
    bijector = None if parts_of(distribution) else event_space_bijector(distribution)
    if bijector is None or not layout.same_as(numbers := bijector.inverse(example)):
        return unknown
    points = np.repeat(layout.matrix(numbers)[:1], 1 + 2 * n, axis=0)
    points[1 : 1 + n][np.diag_indices(n)] = -FAR
    points[1 + n :][np.diag_indices(n)] = FAR
    θ = layout.matrix(bijector.forward(layout.structure(points)))
    own = np.tile(np.eye(n, dtype=bool), (2, 1))
    alone = (np.isclose(θ[1:], θ[0], rtol=1e-5) | own).all(axis=0)
    ends = np.sort([np.diag(θ[1 : 1 + n]), np.diag(θ[1 + n :])], axis=0)
    return np.where(alone & (np.abs(ends) < FAR / 1e6), ends, unknown)


def _continues(prior: Prior, draws: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Tell which bounds, shape (2, n_params), have a finite density behind them."""
    sides, axes = np.nonzero(np.isfinite(bounds))
    behind = np.zeros(bounds.shape, bool)
    if len(axes):
        step = 1e-3 * np.ptp(draws, axis=0)[axes]
        points = np.tile(draws[:16], (len(axes), 1, 1))
        points[np.arange(len(axes)), :, axes] = (
            bounds[sides, axes] + np.where(sides, step, -step)
        )[:, None]
        density = prior.log_prob(points.reshape(-1, draws.shape[1])).reshape(len(axes), -1)
        behind[sides, axes] = np.isfinite(density).any(axis=1)
    return behind
