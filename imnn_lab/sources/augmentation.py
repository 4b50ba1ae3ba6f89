"""Augmentation: what a user's function does to every simulation, anew in every iteration.

``map_fn(simulation)`` is preprocessing without random numbers, done once where simulations are kept
in memory. ``map_fn(simulation, seed)`` is TensorFlow code with random numbers from
``tf.random.stateless_*`` and `seed`, an int32 tensor of shape (2,): another one in every iteration,
and the same for all simulations that share a seed, so that a pair stays matched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.feeds import Rows
from imnn_lab.sources.tangents import tangent

MOST = 2**31 - 1


class Augmentation:
    """A function of a simulation and a seed, for rows of them.

    Parameters
    ----------
    map_fn : callable
        Takes a simulation and a seed, returns a simulation of the same shape.
    seed : int
        What the random numbers of all iterations follow from.
    is_fixed : bool
        Whether every iteration has the same random numbers, as validation should.
    """

    def __init__(self, map_fn: Callable[..., Any], seed: int, is_fixed: bool = False) -> None:
        self.map_fn, self.seed, self.is_fixed = map_fn, seed, is_fixed

    @classmethod
    def of(cls, map_fn: Callable[..., Any], settings: Settings, is_fixed: bool) -> Augmentation:
        """Return the augmentation of an IMNN.

        Raises
        ------
        ValueError
            If the function fails, or gives something else than a simulation.
        """
        shape, numbers = settings.input_shape, tf.zeros(1, tf.int32)
        made = cls(map_fn, settings.simulation_seed, is_fixed)
        try:
            tf.function(
                lambda x: made(Rows(x, numbers), numbers, tf.zeros((), tf.int64))
            ).get_concrete_function(tf.TensorSpec((1, *shape), settings.dtype))
        except Exception as error:
            expected = f"be TensorFlow code that returns a simulation of shape {shape}"
            received = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
            raise ValueError(checks.wording("`map_fn`", expected, received)) from error
        return made

    def __call__(self, rows: Rows, numbers: tf.Tensor, step: tf.Tensor) -> Rows:
        """Return the rows of an iteration; `numbers` (k,) tell which rows share a seed."""
        of_step = step_seed(self.seed, tf.zeros_like(step) if self.is_fixed else step)
        seeds = tf.stack([tf.fill(tf.shape(numbers), of_step[0]), numbers], axis=1)

        def mapped(simulations: tf.Tensor) -> tf.Tensor:
            found = tf.vectorized_map(lambda x: self.map_fn(x[0], x[1]), (simulations, seeds))
            return tf.ensure_shape(tf.cast(found, simulations.dtype), simulations.shape)

        tangents = rows.tangents
        if tangents is not None:
            tangents = tangent(mapped, rows.simulations, tangents)
        return Rows(mapped(rows.simulations), rows.positions, tangents)


def step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Return a seed (2,) of non-negative int32 for an iteration."""
    of_step = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    return tf.random.stateless_uniform((2,), of_step, 0, MOST, tf.int32)
