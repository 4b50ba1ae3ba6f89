"""Preprocessing and augmentation: a user's function `map_fn` of every simulation.

``map_fn(simulation)`` is preprocessing without random numbers, done when a simulation is read.
``map_fn(simulation, seed)`` is augmentation: TensorFlow code with random numbers from
``tf.random.stateless_*`` and `seed`, an int32 tensor of shape (2,). The seed differs between
iterations, and is shared by all simulations of one seed, so that a pair stays matched.
``map_fn(simulation, seed, level)`` has a level as well, a number that a fit chooses and steers.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.collection import Data, LabelledSimulations, Layout
from imnn_lab.sources.source import Rows, tangent

MapFunction = Callable[..., Any]
LARGEST_SEED = 2**31 - 1
FIXED_STEP = -1  # of validation; training starts at 0 and must not have the same noise


def is_augmentation(map_fn: MapFunction) -> bool:
    """Whether a `map_fn` takes (simulation, seed) or a level as well, not (simulation) alone.

    Raises
    ------
    TypeError
        If it is not callable, or takes another number of arguments.
    """
    return _n_arguments(map_fn) > 1


def has_level(map_fn: MapFunction | None) -> bool:
    """Whether a `map_fn` takes (simulation, seed, level)."""
    return map_fn is not None and _n_arguments(map_fn) == 3


def _n_arguments(map_fn: MapFunction) -> int:
    expected = "take (simulation) or (simulation, seed) or (simulation, seed, level)"
    if not callable(map_fn):
        raise TypeError(checks.wording("`map_fn`", expected, checks.describe(map_fn)))
    try:
        parameters = inspect.signature(map_fn).parameters.values()
    except ValueError:
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    if len(needed) not in (1, 2, 3):
        received = f"{len(needed)} arguments without a default"
        raise TypeError(checks.wording("`map_fn`", expected, received))
    return len(needed)


@dataclass(frozen=True)
class PreprocessedData(Data):
    """Data, here `value`, whose simulations are mapped as they are read."""

    map_fn: MapFunction

    def checked(self) -> PreprocessedData:
        """Return the data after the checks that are possible before they are read."""
        data = self.value.checked()
        return replace(self, value=data, layout=data.layout)

    def simulations(self) -> LabelledSimulations:
        """Iterate over the mapped simulations."""
        return preprocess(self.value.simulations(), self.map_fn, self.layout)


def preprocess(
    simulations: LabelledSimulations, map_fn: MapFunction, layout: Layout
) -> LabelledSimulations:
    """Apply `map_fn` to each simulation.

    Raises
    ------
    RuntimeError
        If it raises.
    ValueError
        If it is random.
    """
    for n, (index, value, origin) in enumerate(simulations):
        context = layout.at(index, origin)
        mapped = _call(map_fn, value, context)
        if n == 0 and not np.array_equal(mapped, _call(map_fn, value, context)):
            received = "another result for the same simulation when called again"
            expected = "give the same simulation every time"
            remedy = "For augmentation take a seed: map_fn(simulation, seed)."
            raise ValueError(checks.wording("`map_fn`", expected, received, remedy))
        yield index, mapped, origin


def _call(map_fn: MapFunction, value: Any, context: str) -> np.ndarray:
    try:
        mapped = map_fn(copy.deepcopy(value))
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        message = checks.wording(f"`map_fn`: {context}", "be mapped", received)
        raise RuntimeError(message) from error
    checks.refuse_annotated(f"`map_fn`: {context}", mapped)
    return np.array(mapped)  # it may be filled again


class Augmentation:
    """A random function of simulations.

    Parameters
    ----------
    map_fn : callable
        Takes a simulation, a seed and possibly a level, returns a simulation of the same shape.
    settings : Settings
        Shape and type of a simulation, and the seed of all random numbers.
    is_fixed : bool
        Whether every iteration has the same random numbers, as validation should.

    Attributes
    ----------
    level : tf.Variable or None
        The level, 1 at first; None if the function takes none.

    Raises
    ------
    ValueError
        If the function fails, or does not return a simulation.
    """

    def __init__(self, map_fn: MapFunction, settings: Settings, is_fixed: bool = False) -> None:
        self.map_fn, self.seed, self.is_fixed = map_fn, settings.simulation_seed, is_fixed
        self.level = tf.Variable(1.0, False, dtype=tf.float64) if has_level(map_fn) else None
        shape, seeds = settings.input_shape, tf.zeros(1, tf.int32)
        try:
            tf.function(
                lambda x: self(Rows(x, seeds), seeds, tf.zeros((), tf.int64))
            ).get_concrete_function(tf.TensorSpec((1, *shape), settings.dtype))
        except Exception as error:
            expected = f"be TensorFlow code that returns a simulation of shape {shape}"
            received = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
            raise ValueError(checks.wording("`map_fn`", expected, received)) from error

    def __call__(self, rows: Rows, seeds: tf.Tensor, step: tf.Tensor) -> Rows:
        """Return the rows of an iteration; rows with equal `seeds` (k,) share random numbers."""
        of_step = step_seed(self.seed, tf.fill((), FIXED_STEP) if self.is_fixed else step)
        pairs = tf.stack([tf.fill(tf.shape(seeds), of_step[0]), seeds], axis=1)

        def augment(simulations: tf.Tensor) -> tf.Tensor:
            level = () if self.level is None else (tf.cast(self.level, simulations.dtype),)
            result = tf.vectorized_map(lambda x: self.map_fn(*x, *level), (simulations, pairs))
            return tf.ensure_shape(tf.cast(result, simulations.dtype), simulations.shape)

        tangents = rows.tangents
        if tangents is not None:
            tangents = tangent(augment, rows.simulations, tangents)
        return Rows(augment(rows.simulations), rows.positions, tangents)


def step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Return a seed (2,) of non-negative int32 for an iteration."""
    of_step = tf.stack([tf.constant(seed, tf.int64), tf.cast(step, tf.int64)])
    return tf.random.stateless_uniform((2,), of_step, 0, LARGEST_SEED, tf.int32)
