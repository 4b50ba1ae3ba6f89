"""Simulations that are drawn from a larger pool in every iteration.

Each draw follows from a seed and the number of the iteration, so that a fit that was interrupted
draws what it would have drawn.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.augmentation import step_seed
from imnn_lab.sources.collection import Data, Layout
from imnn_lab.sources.data.arrays import ArrayData
from imnn_lab.sources.differences import Columns
from imnn_lab.sources.source import ArraySource, MemoryFeed, Rows, Source

FIDUCIAL, DERIVATIVE = 0, 1  # what is drawn


class DrawnSource(Source):
    """The simulations of a pool that are drawn for an iteration, without replacement.

    Parameters
    ----------
    pool : ArraySource
        All simulations; its `drawn` says how many of them, and the seed.
    """

    def __init__(self, pool: ArraySource) -> None:
        assert pool.drawn is not None
        n_s, n_d, self._seed = pool.drawn
        differences = Columns(n_d, pool.n_params, pool.δθ)
        super().__init__(
            n_s, differences, pool.input_shape, pool.dtype, augmentation=pool.augmentation
        )
        self.pool = pool
        self.at_once = min(pool.at_once, self.size)

    def feed(self, step: tf.Tensor) -> MemoryFeed:
        """Return the pass of an iteration."""
        pool, each = self.pool, self.differences.n_groups
        fiducial = self._chosen(pool.n_s, self.n_s, step, FIDUCIAL)
        rows = self._chosen(pool.n_d, self.n_d, step, DERIVATIVE)
        derivative = tf.reshape(rows[:, None] * each + tf.range(each), (-1,))
        first, *others = pool.pieces
        pieces = (
            [self._taken(first, fiducial, 0), self._taken(others[0], derivative, self.n_s)]
            if others
            else [self._taken(first, tf.concat([fiducial, pool.n_s + derivative], 0), 0)]
        )
        return MemoryFeed([self._augment(piece, step) for piece in pieces], self.at_once)

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations of the pool."""
        return self.pool.fiducial(most)

    def fixed(self) -> ArraySource:
        """Return the pool."""
        return self.pool

    def _chosen(self, size: int, n: int, step: tf.Tensor, what: int) -> tf.Tensor:
        """Return n different numbers below `size`, of type int32."""
        seed = step_seed(self._seed, step) + tf.constant([0, what], tf.int32)
        order = tf.argsort(tf.random.stateless_uniform((size,), seed), stable=True)
        return order[:n]

    def _taken(self, rows: Rows, chosen: tf.Tensor, start: int) -> Rows:
        """Return some rows, numbered from `start` on."""
        numbers = tf.range(start, start + chosen.shape[0])
        taken = (None if x is None else tf.gather(x, chosen) for x in (rows[0], rows.tangents))
        simulations, tangents = taken
        return Rows(simulations, numbers, tangents)


def check_pool(parts: tuple[Data, Data], has_external: bool, settings: Settings) -> None:
    """Refuse simulations that n_s and n_d cannot be drawn from.

    Raises
    ------
    ValueError
        If they are not arrays, fewer than n_s and n_d, or have external summaries.
    """
    for part in parts:
        if not isinstance(part, ArrayData):
            expected = f"be False unless `{part.layout.name}` is an array in memory"
            raise ValueError(checks.wording("`resample`", expected, "True", "Pass an array."))
    if has_external:
        expected = "be False with `external` summaries"
        raise ValueError(checks.wording("`resample`", expected, "True"))
    counts = {"n_s": settings.n_s, "n_d": settings.n_d}
    for part, (name, n) in zip(parts, counts.items(), strict=True):
        layout: Layout = part.layout
        if layout.counts[0] < n:
            expected = f"hold at least {name} = {n} simulations to draw them from"
            raise ValueError(checks.wording(f"`{layout.name}`", expected, layout.counts[0]))
