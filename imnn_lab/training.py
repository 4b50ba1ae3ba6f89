"""The one training loop: a generator that yields chunks of iterations.

Iteration 0 is the network before any update. Each iteration finds the statistics of the training
and of the validation set for the weights as they are, records them, keeps the weights if they are
the best so far, and then updates them. With fresh simulations in every iteration, where there is
no set to fit too closely, it is the average of the latest weights that is kept. Many iterations run
in one graph call; patience, the best weights and the guard against non-finite numbers are exact for
every iteration, so they are in the graph as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.compression import Compressor
from imnn_lab.fisher import Information, Moments, information
from imnn_lab.learning_rate import SteeredLearningRate
from imnn_lab.loss import imnn_loss, strength
from imnn_lab.sources.source import Source

CALL_SECONDS = 0.05
AVERAGING = 0.02
CONTINUES, PATIENCE, NOT_FINITE = 0, 1, 2


@dataclass(frozen=True)
class Limits:
    """When training ends. `last` and `min_iterations` count from the untrained network as 0."""

    last: int | None
    patience: int | None
    min_iterations: int


class Chunk(NamedTuple):
    """A few iterations: columns and matrices with the iteration as first axis, and how it ended."""

    columns: dict[str, np.ndarray]
    matrices: dict[str, np.ndarray]
    status: int


class TrainingGraph:
    """The compiled step of one network, its optimiser and its data, and what it remembers.

    λ, α and the learning rate are variables: changing them does not compile anything anew.
    """

    def __init__(
        self,
        model: keras.Model,
        optimiser: keras.optimizers.Optimizer,
        training: Source,
        validation: Source | None,
    ) -> None:
        self.model, self.optimiser = model, optimiser
        self.training, self.validation = training, validation
        self.compressor = Compressor(model)
        self.learning_rate = SteeredLearningRate.of(optimiser)
        optimiser.learning_rate = self.learning_rate
        optimiser.build(model.trainable_variables)
        # Nothing in here needs AutoGraph, which takes longer than all the rest of tracing.
        self.advance = tf.function(self._advance, reduce_retracing=True, autograph=False)
        self.λ = tf.Variable(1.0, dtype=tf.float64, trainable=False)
        self.α = tf.Variable(1.0, dtype=tf.float64, trainable=False)
        self.best_value = tf.Variable(-np.inf, dtype=tf.float64, trainable=False)
        self.stale = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.averaged = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best = [tf.Variable(weight.value, trainable=False) for weight in model.weights]

    def forget_best(self) -> None:
        """Let the next iteration be the best so far."""
        self.best_value.assign(-np.inf)
        self.stale.assign(0)
        self.averaged.assign(0)

    def take_best(self) -> None:
        """Give the network the best weights so far."""
        if np.isfinite(float(self.best_value)):
            for weight, best in zip(self.model.weights, self.best, strict=True):
                weight.assign(best)

    def state(self) -> list[tf.Variable]:
        """Return the variables that, with λ, α and the data, determine all that follows."""
        mine = [self.best_value, self.stale, self.averaged, self.learning_rate.factor, *self.best]
        return [*self.model.variables, *self.optimiser.variables, *mine]

    def _advance(
        self,
        first: tf.Tensor,
        count: tf.Tensor,
        last: tf.Tensor,
        patience: tf.Tensor,
        min_iterations: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Record `count` iterations from `first` on, with an update after each but `last`.

        Returns the rows (n, width), where n < count if training ended, and the status.
        """

        def iterate(
            k: tf.Tensor, status: tf.Tensor, rows: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
            row, value, gradient = self._observe(first + k)
            is_finite = tf.reduce_all(tf.math.is_finite(row))
            self._compare(value, is_finite)
            is_over = (first + k >= min_iterations) & (self.stale >= patience)
            status = tf.where(is_finite, tf.where(is_over, PATIENCE, CONTINUES), NOT_FINITE)
            goes_on = (status == CONTINUES) & (first + k < last)
            tf.cond(goes_on, lambda: self._update(gradient), tf.no_op)
            return k + 1, status, rows.write(tf.cast(k, tf.int32), row)

        _, status, rows = tf.while_loop(
            lambda k, status, rows: (k < count) & (status == CONTINUES),
            iterate,
            (
                tf.zeros((), tf.int64),
                tf.constant(CONTINUES),
                tf.TensorArray(tf.float64, size=0, dynamic_size=True),
            ),
        )
        return rows.stack(), status

    def _compare(self, value: tf.Tensor, is_finite: tf.Tensor) -> None:
        """Keep the weights if they are the best so far."""
        is_better = is_finite & (value > self.best_value)
        tf.cond(is_better, lambda: self._keep(value), tf.no_op)
        if self.training.is_fresh:
            tf.cond(is_finite, self._average, tf.no_op)
        longer = self.stale + tf.cast(is_finite, tf.int64)
        self.stale.assign(tf.where(is_better, tf.zeros((), tf.int64), longer))

    def _keep(self, value: tf.Tensor) -> tf.Operation:
        self.best_value.assign(value)
        if not self.training.is_fresh:
            for best, weight in zip(self.best, self.model.weights, strict=True):
                best.assign(weight.value)
        return tf.no_op()

    def _average(self) -> tf.Operation:
        """Let the average of the weights follow them, over the last hundred or so iterations."""
        n = tf.cast(self.averaged, tf.float64)
        share = tf.maximum(1 / (1 + n / 2), AVERAGING)
        for mean, weight in zip(self.best, self.model.weights, strict=True):
            if mean.dtype.is_floating:
                mean.assign_add(tf.cast(share, mean.dtype) * (weight.value - mean))
            else:
                mean.assign(weight.value)
        self.averaged.assign_add(1)
        return tf.no_op()

    def _update(self, gradient: list[tf.Tensor]) -> tf.Operation:
        self.optimiser.apply(gradient, self.model.trainable_variables)
        return tf.no_op()

    def _observe(self, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Return one row of the history, the value that decides which weights are best, and the
        gradient of the loss.
        """
        found = self.compressor.gradient(self.training, self._loss, step)
        moments = found.moments
        if not self.compressor.is_plain:
            moments = self.compressor.moments(self.training, step)
        value = self._information(moments)
        row = [found.loss[None], *self._row(moments, value)]
        if self.validation is not None:
            moments = self.compressor.moments(self.validation)
            value = self._information(moments)
            row += self._row(moments, value)
        learning_rate = self.learning_rate(self.optimiser.iterations)
        row = tf.concat([*row, learning_rate[None]], 0)
        return row, value.log_det_F, found.gradient

    def _loss(self, moments: Moments) -> tf.Tensor:
        return imnn_loss(self._information(moments), self.λ, self.α)

    def _information(self, moments: Moments) -> Information:
        return information(moments.C, moments.dμ_dθ, self.training.n_external)

    def _row(self, moments: Moments, found: Information) -> list[tf.Tensor]:
        r = strength(found.Λ2, self.λ, self.α)
        scalars = tf.stack([found.log_det_F, found.log_det_C, found.Λ2, r])
        return [
            scalars,
            *(tf.reshape(x, [-1]) for x in (found.F, moments.C, moments.μ, moments.dμ_dθ)),
        ]

    def unpack(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Turn rows into named columns and matrices; validation columns are NaN without one."""
        columns, matrices = {"loss": rows[:, 0]}, {}
        p, s = self.training.n_params, self.compressor.width(self.training)
        at = 1
        for prefix in ("", "val_")[: 1 + (self.validation is not None)]:
            columns |= _scalars(rows[:, at : at + 4], prefix)
            at += 4
            for name, shape in {"F": (p, p), "C": (s, s), "μ": (s,), "dμ_dθ": (p, s)}.items():
                width = int(np.prod(shape))
                matrices[prefix + name] = rows[:, at : at + width].reshape(-1, *shape)
                at += width
        if self.validation is None:
            columns |= _scalars(np.full((len(rows), 4), np.nan), "val_")
        return columns | {"learning_rate": rows[:, at]}, matrices


def _scalars(values: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
    log_det_F, log_det_C, Λ2, r = values.T
    with np.errstate(over="ignore"):
        named = {
            "det_F": np.exp(log_det_F),
            "det_C": np.exp(log_det_C),
            "det_Cinv": np.exp(-log_det_C),
        }
    named |= {"log_det_F": log_det_F, "reg": Λ2, "r": r}
    return {prefix + name: column for name, column in named.items()}


def training_iterations(
    graph: TrainingGraph, first: int, limits: Limits, every: int | None = None
) -> Iterator[Chunk]:
    """Train, yielding chunks that take about 50 ms each, until a limit is reached.

    Parameters
    ----------
    graph : TrainingGraph
        What is trained; its variables are where training stands.
    first : int
        Number of the first iteration that is recorded.
    limits : Limits
        When training ends.
    every : int, optional
        Chunks end after iterations divisible by this, so that a caller can store their state.

    Yields
    ------
    Chunk
    """
    forever = np.iinfo(np.int64).max
    last = forever if limits.last is None else limits.last
    patience = forever if limits.patience is None else limits.patience
    count, status = 1, CONTINUES
    while first <= last and status == CONTINUES:
        until_mark = forever if every is None else every - (first - 1) % every
        count = min(count, last - first + 1, until_mark)
        arguments = (first, count, last, patience, limits.min_iterations)
        started = time.perf_counter()
        rows, code = _advanced(graph, arguments)
        rows, status = rows.numpy(), int(code)
        seconds = time.perf_counter() - started
        columns, matrices = graph.unpack(rows)
        columns["iteration"] = np.arange(first, first + len(rows))
        yield Chunk(columns, matrices, status)
        first += len(rows)
        count = adapted(count, seconds)


def _advanced(graph: TrainingGraph, arguments: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """Run a graph call; raise what a user's function raised in it as it was raised."""
    try:
        return graph.advance(*(tf.constant(n, tf.int64) for n in arguments))
    except tf.errors.OpError:
        for source in (graph.training, graph.validation):
            if source is not None and source.failures:
                raise source.failures[-1] from None
        raise


def adapted(count: int, seconds: float) -> int:
    """Return how many iterations the next call should have, at most twice as many as the last."""
    return int(np.clip(count * CALL_SECONDS / max(seconds, 1e-6), 1, 2 * count))
