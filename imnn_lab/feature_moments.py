"""Moments of many features, added up chunk by chunk, for each half of the seeds.

Memory is set by the number of features and the chunk, not by the number of simulations. C is the
mean over the fiducial simulations and those above and below, each about its own mean, which
doubles the simulations that it is estimated from. Known summaries stand before the features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.compression import Compressor
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.feeds import Rows
from imnn_lab.sources.source import FIRST, Source


class Sums(NamedTuple):
    """Sums over rows, by half of the seeds.

    Attributes
    ----------
    count : tensor, shape (2, groups)
    first : tensor, shape (2, groups, D)
        Sums of the features; groups are fiducial, then each side and parameter.
    fiducial, pairs : tensor, shape (2, D, D)
        Sums of products of features of the fiducial simulations, and of the others.
    """

    count: tf.Tensor
    first: tf.Tensor
    fiducial: tf.Tensor
    pairs: tf.Tensor


@dataclass(frozen=True)
class FeatureMoments:
    """Statistics of features over all simulations, and over the halves of their seeds.

    Attributes
    ----------
    fiducial : FisherStatistics
        With C over the fiducial simulations alone.
    pooled : FisherStatistics
        With C over all simulations.
    halves : tuple of FisherStatistics
        Pooled, over each half of the seeds.
    """

    fiducial: FisherStatistics
    pooled: FisherStatistics
    halves: tuple[FisherStatistics, FisherStatistics]


def feature_moments(compressor: Compressor, source: Source) -> FeatureMoments:
    """Return the moments of what a network makes of a source."""
    width, groups = compressor.width(source), 1 + source.sides * source.n_params

    def add(rows: Rows, sums: Sums) -> Sums:
        found = source.stack(compressor.compress(rows, training=False), rows.positions)
        return _added(source, rows.positions, tf.cast(found, tf.float64), sums)

    def total() -> Sums:
        zeros = [(2, groups), (2, groups, width), (2, width, width), (2, width, width)]
        empty = Sums(*(tf.zeros(shape, tf.float64) for shape in zeros))
        return source.feed(FIRST).fold(add, empty)

    sums = [x.numpy() for x in tf.function(total, autograph=False).get_concrete_function()()]
    whole = [x.sum(0) for x in sums]
    first, second = (_statistics(source, *(x[half] for x in sums))[1] for half in (0, 1))
    return FeatureMoments(*_statistics(source, *whole), (first, second))


def _added(source: Source, positions: tf.Tensor, found: tf.Tensor, sums: Sums) -> Sums:
    groups = source.groups(positions)
    n = sums.count.shape[1]
    half = tf.cast(source.is_second_half(positions), tf.int32)
    place = half * n + groups
    one_hot = tf.one_hot(place, 2 * n, dtype=tf.float64)
    count = sums.count + tf.reshape(tf.reduce_sum(one_hot, 0), sums.count.shape)
    first = tf.reshape(tf.matmul(one_hot, found, transpose_a=True), sums.first.shape)
    products = []
    for kind in (groups == 0, groups > 0):
        parts = [tf.boolean_mask(found, kind & (half == which)) for which in (0, 1)]
        products.append(tf.stack([tf.matmul(x, x, transpose_a=True) for x in parts]))
    return Sums(count, sums.first + first, sums.fiducial + products[0], sums.pairs + products[1])


def _statistics(
    source: Source, count: np.ndarray, first: np.ndarray, fiducial: np.ndarray, pairs: np.ndarray
) -> tuple[FisherStatistics, FisherStatistics]:
    """Return the statistics with C over the fiducial simulations, and pooled."""
    means = first / count[:, None]
    n_s, n_d = int(count[0]), int(count[1])
    C = (fiducial - n_s * np.outer(means[0], means[0])) / (n_s - 1)
    others = means[1:]
    if source.δθ is None:
        dμ_dθ, pooled = others, C
    else:
        lower, upper = np.split(others, 2)
        dμ_dθ = (upper - lower) / source.δθ.numpy()[:, None]
        around = pairs - n_d * others.T @ others
        pooled = around / (n_d * len(others) * (1 - 1 / n_d))
        pooled = (n_s * C + n_d * pooled) / (n_s + n_d)
    found = FisherStatistics(means[0], C, dμ_dθ, n_s, n_d, source.n_external)
    return found, replace(found, C=pooled)
