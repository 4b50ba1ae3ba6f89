"""Fresh simulations: a simulator that makes the simulations of every iteration anew.

``simulator(parameters, seed)`` takes parameters (n, n_params) and an int32 seed (2,), and returns
simulations (n,) + input_shape with the same random numbers for the same seed. TensorFlow code runs
in the graph of training, and can be differentiated; NumPy code runs beside it, one iteration ahead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources.arrays import ArraySource
from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.checking import warn_of_unmatched_seeds
from imnn_lab.sources.feeds import MemoryFeed
from imnn_lab.sources.making import Made, made_by
from imnn_lab.sources.preprocessing import MapFunction, takes_seed
from imnn_lab.sources.source import Source

START_SIMULATIONS, START_VALUES = 5000, 2**27


class SimulatorSource(Source):
    """Simulations that are made anew for every iteration.

    Parameters
    ----------
    made : callable
        Makes the simulations of a step: (n_s, n_d, step) → fiducial simulations and derivative
        simulations (or derivatives), as tensors.
    numbers
        Those of `Source`.
    """

    is_fresh = True

    def __init__(self, made: Made, *numbers: Any) -> None:
        super().__init__(*numbers)
        self._made = made
        self.failures = made.failures

    def feed(self, step: tf.Tensor) -> MemoryFeed:
        """Return the pass of an iteration."""
        pieces = self._pieces_of(*self._made(self.n_s, self.n_d, step))
        return MemoryFeed([self._augmented(piece, step) for piece in pieces], self.at_once)

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations."""
        return self.settled().fiducial(most)

    def settled(self) -> ArraySource:
        """Return one draw, of at least 5,000 simulations unless they are very large."""
        rows = self.size // self.n_s * math.prod(self.input_shape)
        most = max(self.n_s, START_VALUES // rows)
        n_s = min(most, max(self.n_s, START_SIMULATIONS))
        n_d = min(n_s, max(self.n_d, START_SIMULATIONS))
        return self.drawn(n_s, n_d, -1, self.augmentation)

    def drawn(
        self, n_s: int, n_d: int, step: int, augmentation: Augmentation | None
    ) -> ArraySource:
        """Return the simulations of a step as arrays."""
        both = self._made(n_s, n_d, tf.constant(step, tf.int64))
        fiducial, derivative = (part.numpy() for part in both)
        δθ = None if self.δθ is None else self.δθ.numpy()
        at_once = self.at_once if self._is_given else None
        return ArraySource(fiducial, derivative, δθ, self.dtype, at_once, augmentation=augmentation)


def simulator_sources(
    simulator: Any, settings: Settings, map_fn: MapFunction | None
) -> tuple[SimulatorSource, ArraySource]:
    """Return the fresh simulations of training, and a set for validation with its own seed.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If the simulator is none, raises, gives something else than simulations, or does not follow
        its seed; or if derivatives are asked of it that it does not have.
    """
    made = made_by(simulator, settings)
    augmentations: list[Augmentation | None] = [None, None]
    if map_fn is not None:
        mapped = map_fn if takes_seed(map_fn) else lambda x, _: map_fn(x)
        augmentations = [Augmentation.of(mapped, settings, fixed) for fixed in (False, True)]
    source = SimulatorSource(
        made, settings.n_s, settings.n_d, settings.n_params,
        settings.input_shape, settings.widths, settings.dtype, settings.at_once, None,
        augmentations[0],
    )  # fmt: skip
    n_s, n_d = settings.validation_n_s or settings.n_s, settings.validation_n_d or settings.n_d
    validation = source.drawn(n_s, n_d, -2, augmentations[1])
    if not source.is_exact:
        warn_of_unmatched_seeds("simulator", validation.pairs(200))
    return source, validation
