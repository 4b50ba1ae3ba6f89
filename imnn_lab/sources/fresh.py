"""Fresh simulations: a simulator makes new simulations for every iteration.

``simulator(parameters, seed)`` takes parameters (n, n_params) and an int32 seed (2,), and returns
simulations (n,) + input_shape with the same random numbers for the same seed. TensorFlow code runs
in the graph of training, and can be differentiated; NumPy code runs in a thread, one iteration
ahead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab.settings import Settings
from imnn_lab.sources.augmentation import Augmentation, MapFunction, is_augmentation
from imnn_lab.sources.checking import warn_of_offsets, warn_of_unmatched_seeds
from imnn_lab.sources.collection import Layout
from imnn_lab.sources.differences import Columns
from imnn_lab.sources.repeats import Fingerprints, check_simulations
from imnn_lab.sources.simulators import SimulationMaker, simulation_maker
from imnn_lab.sources.source import ArraySource, Augment, MemoryFeed, Source

START_SIMULATIONS, START_VALUES = 5000, 2**27
START_STEP, VALIDATION_STEP = -1, -2  # steps of sets outside training, which starts at 0


class SimulatorSource(Source):
    """Simulations that are made anew for every iteration.

    Parameters
    ----------
    maker : SimulationMaker
        Makes the simulations of a step.
    settings : Settings
        Numbers, shape and type of the simulations.
    augmentation : callable, optional
        As for `Source`.
    """

    is_fresh = True

    def __init__(
        self, maker: SimulationMaker, settings: Settings, augmentation: Augment | None
    ) -> None:
        differences = Columns(settings.n_d, settings.n_params, settings.widths)
        super().__init__(
            settings.n_s, differences, settings.input_shape, settings.dtype, settings.at_once,
            augmentation=augmentation,
        )  # fmt: skip
        self._maker, self._settings = maker, settings
        self.failures = maker.failures

    def feed(self, step: tf.Tensor) -> MemoryFeed:
        """Return the pass of an iteration."""
        pieces = self._pieces_of(*self._maker(self.n_s, self.n_d, step))
        return MemoryFeed([self._augment(piece, step) for piece in pieces], self.at_once)

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations."""
        return self.fixed().fiducial(most)

    def fixed(self) -> ArraySource:
        """Return one set, of at least 5,000 simulations unless they are very large."""
        rows = self.size // self.n_s * math.prod(self.input_shape)
        most = max(self.n_s, START_VALUES // rows)
        n_s = min(most, max(self.n_s, START_SIMULATIONS))
        n_d = min(n_s, max(self.n_d, START_SIMULATIONS))
        arrays = _arrays(self._maker, n_s, n_d, START_STEP)
        return _array_source(arrays, self._settings, self.augmentation)


def _arrays(maker: SimulationMaker, n_s: int, n_d: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    fiducial, derivative = maker(n_s, n_d, tf.constant(step, tf.int64))
    return fiducial.numpy(), derivative.numpy()


def _array_source(
    arrays: tuple[np.ndarray, np.ndarray], settings: Settings, augmentation: Augment | None
) -> ArraySource:
    δθ, dtype, at_once = settings.widths, settings.dtype, settings.at_once
    return ArraySource(*arrays, δθ, dtype, at_once, augmentation=augmentation)


def simulator_sources(
    simulator: Any, settings: Settings, map_fn: MapFunction | None
) -> tuple[SimulatorSource, ArraySource]:
    """Return the fresh simulations of training, and a set for validation with its own seed.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If the simulator is not callable, raises, returns something other than simulations, or does
        not follow its seed; if it lacks derivatives that are needed; or if simulations are equal
        that should differ.
    """
    maker = simulation_maker(simulator, settings)
    augmentations: list[Augment | None] = [None, None]
    if map_fn is not None:
        mapped = map_fn if is_augmentation(map_fn) else lambda x, _: map_fn(x)
        augmentations = [Augmentation(mapped, settings, is_fixed) for is_fixed in (False, True)]
    source = SimulatorSource(maker, settings, augmentations[0])
    n_s, n_d = settings.validation_n_s or settings.n_s, settings.validation_n_d or settings.n_d
    arrays = _arrays(maker, n_s, n_d, VALIDATION_STEP)
    warn_of_offsets("simulator", arrays[0], settings.dtype)
    if augmentations[1] is None:
        _check_simulations(arrays, settings)
    if not settings.is_exact:
        warn_of_unmatched_seeds("simulator", arrays[1])
    return source, _array_source(arrays, settings, augmentations[1])


def _check_simulations(arrays: tuple[np.ndarray, np.ndarray], settings: Settings) -> None:
    sets = []
    axes = len(settings.input_shape)
    for array in arrays[: 1 if settings.is_exact else 2]:
        sets.append(Fingerprints(Layout("simulator", array.shape[: array.ndim - axes]), settings))
        sets[-1].take_all(array)
    check_simulations(sets, settings.n_summaries, has_external=False)
