"""Ready-made augmentations of simulations, for the argument `map_fn` of `IMNN`.

Each function returns a ``map_fn``. Its random numbers follow from the seed, which both simulations
of a pair share, so that their difference shows the parameters and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from imnn_lab import checks

NOISE, TURN, MIRROR = 1, 2, 3  # so that augmentations of one seed draw different numbers


def noise(σ: float) -> Callable[[Any, Any, Any], Any]:
    """Return ``map_fn(simulation, seed, level)`` that adds Gaussian noise.

    Parameters
    ----------
    σ : float
        Standard deviation at level 1, in the units of the simulations; it is σ · level otherwise.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from imnn_lab import augmentations
    >>> add = augmentations.noise(0.5)
    >>> add(tf.zeros(10), tf.constant([1, 2]), 0.0).numpy().any()
    np.False_
    """
    σ = checks.number("σ", σ, above=0)

    def add_noise(simulation: Any, seed: Any, level: Any) -> Any:
        own = _own(seed, NOISE)
        drawn = tf.random.stateless_normal(tf.shape(simulation), own, dtype=simulation.dtype)
        return simulation + σ * tf.cast(level, simulation.dtype) * drawn

    return add_noise


def rotations(axes: Sequence[int] = (0, 1)) -> Callable[[Any, Any], Any]:
    """Return ``map_fn(simulation, seed)`` that turns maps by 0, 90, 180 or 270 degrees.

    For simulations that are as probable when they are turned: square ones of a field without a
    direction.

    Parameters
    ----------
    axes : pair of int
        The axes of the plane, of equal length.

    Raises
    ------
    TypeError, ValueError
        If they are no such axes; the ``map_fn`` raises where those of a simulation are not.
    """
    first, second = _axes(axes, 2)

    def turn(simulation: Any, seed: Any) -> Any:
        _check_axes(simulation, (first, second))
        if simulation.shape[first] != simulation.shape[second]:
            expected = f"have axes {(first, second)} of equal length"
            received = f"shape {tuple(simulation.shape)}"
            raise ValueError(checks.wording("Simulations to turn", expected, received))
        bits = _drawn(seed, TURN, 2)
        by = 2 * bits[0] + bits[1]  # times 90 degrees
        order = list(range(len(simulation.shape)))
        order[first], order[second] = order[second], order[first]
        turned = tf.reverse(tf.transpose(simulation, order), [first])
        once = tf.where(by % 2 == 1, turned, simulation)
        return tf.where(by >= 2, tf.reverse(once, [first, second]), once)

    return turn


def reflections(axes: Sequence[int] = (0, 1)) -> Callable[[Any, Any], Any]:
    """Return ``map_fn(simulation, seed)`` that mirrors maps along each axis, or does not.

    Parameters
    ----------
    axes : sequence of int
        The axes that may be reversed.
    """
    axes = _axes(axes)

    def mirror(simulation: Any, seed: Any) -> Any:
        _check_axes(simulation, axes)
        drawn = _drawn(seed, MIRROR, len(axes))
        for k, axis in enumerate(axes):
            simulation = tf.where(drawn[k] == 1, tf.reverse(simulation, [axis]), simulation)
        return simulation

    return mirror


def _drawn(seed: Any, purpose: int, n: int) -> Any:
    """Return n numbers, 0 or 1."""
    return tf.random.stateless_uniform((n,), _own(seed, purpose), 0, 2, tf.int32)


def _own(seed: Any, purpose: int) -> Any:
    """Return the seed (2,) of a purpose; the second number of a seed is below 2²⁸."""
    return tf.bitwise.bitwise_xor(seed, tf.constant([0, purpose << 28], tf.int32))


def _axes(axes: Any, n: int | None = None) -> tuple[int, ...]:
    found = checks.integers("axes", axes, 0)
    if not found or len(set(found)) < len(found) or n not in (None, len(found)):
        expected = "be different axes" if n is None else f"be {n} different axes"
        raise ValueError(checks.wording("`axes`", expected, axes))
    return found


def _check_axes(simulation: Any, axes: tuple[int, ...]) -> None:
    if max(axes) >= len(simulation.shape):
        received = f"{axes}, and simulations of shape {tuple(simulation.shape)}"
        raise ValueError(checks.wording("`axes`", "be axes of a simulation", received))
