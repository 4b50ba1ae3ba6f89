"""One training step in the graph: the gradient of the loss, what is recorded, the best weights.

Iteration 0 is the network before any update. Each iteration computes the statistics of the training
and of the validation set for the present weights, records them, keeps the weights if they are the
best so far, and then updates them. With fresh simulations in every iteration there is no set to
overfit, and the average of the latest weights is kept instead. Many iterations run in one graph
call; patience, the best weights and the guard against non-finite numbers are exact for every
iteration, so they are in the graph as well.

A set that fits goes through the network in one piece. Otherwise two passes share the work: one for
the summaries of all chunks, which give the loss and its derivative with respect to every summary,
and one that carries these derivatives back through the network chunk by chunk. Both give the same
gradient; the chunk sets the memory. Replicas work in the same way: each has a share of the
simulations, sees the summaries of all and carries its own back, and gradients are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.fisher import Moments
from imnn_lab.keras_private import n_updates, rate_of
from imnn_lab.loss import LossTerms, loss_and_information, non_gaussianity
from imnn_lab.networks.frozen import Cut, cut
from imnn_lab.replicas import Replicas
from imnn_lab.sources.pool import DrawnSource
from imnn_lab.sources.source import FIRST, ArraySource, Feed, Rows, Source
from imnn_lab.summaries import Compressor, moments_of, split

AVERAGING = 0.02
CONTINUES, PATIENCE, NOT_FINITE = 0, 1, 2
COLUMNS = ("det_F", "det_C", "det_Cinv", "log_det_F", "reg", "r")
MATRICES = ("F", "C", "μ", "dμ_dθ")


class Gradient(NamedTuple):
    """Moments of the training set, their loss, and its gradient by the trainable weights."""

    moments: Moments
    terms: LossTerms
    gradient: list[tf.Tensor]


Loss = Callable[[tf.Tensor], tuple[tf.Tensor, Any]]


def loss_gradient(
    compressor: Compressor,
    source: Source,
    λ: tf.Tensor,
    α: tf.Tensor,
    step: tf.Tensor = FIRST,
    gaussianity: float = 0.0,
) -> Gradient:
    """Return the loss and its gradient, which includes the regularisers of the layers."""

    def loss(summaries: tf.Tensor) -> tuple[tf.Tensor, tuple[Moments, LossTerms]]:
        moments, terms = terms_of(source, summaries, λ, α, gaussianity)
        return terms.loss, (moments, terms)

    _, (moments, terms), gradient = gradient_of(loss, compressor, source, step)
    return Gradient(moments, terms, gradient)


def terms_of(
    source: Source, summaries: tf.Tensor, λ: tf.Tensor, α: tf.Tensor, gaussianity: float
) -> tuple[Moments, LossTerms]:
    """Return the moments of the summaries (size, s) of a source, and their loss."""
    moments = moments_of(source, summaries)
    terms = loss_and_information(moments, λ, α, source.n_external)
    if gaussianity:
        penalty = gaussianity * non_gaussianity(split(source, summaries)[0])
        terms = terms._replace(loss=terms.loss + penalty, value=terms.value - penalty)
    return moments, terms


def gradient_of(
    loss: Loss, compressor: Compressor, source: Source, step: tf.Tensor
) -> tuple[tf.Tensor, Any, list[tf.Tensor]]:
    """Return a loss of all summaries, what else it returns, and its gradient by the weights."""
    feed, model = source.feed(step), compressor.model
    if not source.is_whole:
        return _gradient_in_parts(loss, compressor, source, feed)
    with tf.GradientTape() as tape:
        value, more = loss(compressor.summaries(source, feed, training=True))
        total = value + _penalty(model)
    return value, more, _gradient_by_weights(tape, total, model)


def _gradient_in_parts(
    loss: Loss, compressor: Compressor, source: Source, feed: Feed
) -> tuple[tf.Tensor, Any, list[tf.Tensor]]:
    model, replicas = compressor.model, source.replicas
    parts, ways_back = [], []
    for device, share in feed.shares:
        with tf.device(device):
            part, back = _there_and_back(compressor, source, share)
        parts.append(part)
        ways_back.append(back)
    summaries = replicas.sum(parts)
    with tf.GradientTape() as tape:
        tape.watch(summaries)
        value, more = loss(summaries)
    sensitivity = tape.gradient(value, summaries)
    gradients = []
    for (device, _), back in zip(feed.shares, ways_back, strict=True):
        with tf.device(device):
            gradients.append(back(sensitivity))
    with tf.GradientTape() as tape:
        penalty = tf.identity(_penalty(model))
    of_penalty = _gradient_by_weights(tape, penalty, model)
    total = zip(replicas.sums(gradients), of_penalty, strict=True)
    return value, more, [a + b for a, b in total]


def _there_and_back(
    compressor: Compressor, source: Source, feed: Feed
) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
    """Return summaries (size, s), and how their derivatives of the loss become a gradient."""
    model = compressor.model
    if not source.in_chunks:
        with tf.GradientTape() as tape:
            summaries = compressor.placed(source, feed, training=True)
        return summaries, partial(_gradient_by_weights, tape, summaries, model)
    summaries = compressor.placed(source, feed, training=True)
    return summaries, partial(_back_in_chunks, compressor, feed)


def _back_in_chunks(compressor: Compressor, feed: Feed, sensitivity: tf.Tensor) -> list[tf.Tensor]:
    model = compressor.model

    def add(rows: Rows, total: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            part = compressor.compress(rows, training=True)
        weight = tf.gather(sensitivity, rows.positions)
        gradient = _gradient_by_weights(tape, part, model, weight)
        return tuple(a + b for a, b in zip(total, gradient, strict=True))

    zeros = tuple(tf.zeros(weight.shape, weight.dtype) for weight in model.trainable_variables)
    return list(feed.fold(add, zeros))


def _penalty(model: keras.Model) -> tf.Tensor:
    return tf.add_n([tf.cast(x, tf.float64) for x in model.losses] or [tf.zeros((), tf.float64)])


def _gradient_by_weights(
    tape: tf.GradientTape, value: tf.Tensor, model: keras.Model, weight: tf.Tensor | None = None
) -> list[tf.Tensor]:
    """Return the gradient by the trainable weights, zeros for those that `value` ignores."""
    variables = [variable.value for variable in model.trainable_variables]
    parts = tape.gradient(value, variables, output_gradients=weight, unconnected_gradients="zero")
    return [
        tf.ensure_shape(part, variable.shape)  # a loop needs the shapes, which einsum forgets
        for part, variable in zip(parts, variables, strict=True)
    ]


class Objective(Protocol):
    """Another loss than that of all weights."""

    compressor: Compressor

    def start_from(self, cut: Cut | None) -> None:
        """Take the features of a cut network from now on, or simulations for None."""

    def gradient(self, source: Source, λ: tf.Tensor, α: tf.Tensor, step: tf.Tensor) -> Gradient:
        """Return the loss and its gradient by the trainable weights of the compressor's model."""


class SteeredLearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate, constant or scheduled, times a factor that can change while training.

    Optimisers get it in the type of the weights (Muon multiplies them), records in float64.
    """

    def __init__(self, base: Any, dtype: str) -> None:
        self.base, self.dtype = base, dtype
        self.factor = tf.Variable(1.0, dtype=tf.float64, trainable=False)

    @classmethod
    def of(cls, optimiser: keras.optimizers.Optimizer, dtype: str) -> SteeredLearningRate:
        """Return the learning rate of an optimiser, as it was made with."""
        base = rate_of(optimiser)
        return cls(float(base) if isinstance(base, keras.Variable) else base, dtype)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate at a step of the optimiser."""
        return tf.cast(self.at(step), self.dtype)

    def at(self, step: tf.Tensor | int) -> tf.Tensor:
        """Return the learning rate at a step in float64."""
        return tf.cast(self._base(step), self.factor.dtype) * self.factor

    def set(self, learning_rate: float, step: int) -> None:
        """Set the factor so that the learning rate at `step` is `learning_rate`."""
        self.factor.assign(learning_rate / float(self._base(step)))

    def _base(self, step: tf.Tensor | int) -> tf.Tensor | float:
        return self.base(step) if callable(self.base) else self.base

    def get_config(self) -> dict[str, object]:
        """Return the base alone: the factor belongs to one training."""
        return {"base": self.base, "dtype": self.dtype}


class TrainingGraph:
    """The compiled step of one network, its optimiser and its data, with the best weights so far.

    λ, α and the learning rate are variables: a change of them compiles nothing again. After
    `prepare`, `training` and `validation` are the features of the simulations if a part of the
    network does not change, and otherwise the simulations.

    Attributes
    ----------
    objective : Objective or None
        What is trained for, None for the loss of the summaries.
    gaussianity : float
        Weight of Γ in the loss of the summaries.
    replicas : Replicas
        What shares the simulations.
    level_at : callable
        From the number of an iteration to the level of the `map_fn`, if it has one. The best
        weights are chosen anew where the level changes.
    """

    def __init__(
        self,
        model: keras.Model,
        optimiser: keras.optimizers.Optimizer,
        training: Source,
        validation: Source | None,
        replicas: Replicas | None = None,
    ) -> None:
        self.model, self.optimiser = model, optimiser
        self.replicas = replicas or Replicas()
        self._given = training, validation
        given = [x.level for x in (training, validation) if x is not None]
        self._levels = [level for level in given if level is not None]
        self.level_at: Callable[[int], float] = lambda iteration: 1.0
        self._trained = [id(variable) for variable in model.trainable_variables]
        self._cut: Cut | None = None
        self._is_prepared = False
        self._take_apart()
        self.learning_rate = SteeredLearningRate.of(optimiser, training.dtype)
        optimiser.learning_rate = self.learning_rate
        optimiser.build(model.trainable_variables)
        self.objective: Objective | None = None
        self.gaussianity = 0.0
        self.λ = tf.Variable(1.0, dtype=tf.float64, trainable=False)
        self.α = tf.Variable(1.0, dtype=tf.float64, trainable=False)
        self.best_value = tf.Variable(-np.inf, dtype=tf.float64, trainable=False)
        self.stale = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.averaged = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best = [tf.Variable(weight.value, trainable=False) for weight in model.weights]

    @property
    def is_current(self) -> bool:
        """Whether the weights that are trained are still those when this was made."""
        return self._trained == [id(variable) for variable in self.model.trainable_variables]

    def prepare(self) -> None:
        """Compute once what does not change in training, unless that is done and still holds."""
        if not self._is_prepared or (self._cut is not None and not self._cut.holds):
            self._cut = None
            self._take_apart()  # lets go of features that do not hold
            self._cut = cut(self.model, [x for x in self._given if x is not None])
            if self._cut is not None:
                self._take_apart()
            self._is_prepared = True
        if self.objective is not None:
            self.objective.start_from(self._cut)

    def _take_apart(self) -> None:
        """Take what is trained of the network, and what it is trained on."""
        self.training, self.validation = self._given
        self.compressor = Compressor(self.model)
        if self._cut is not None:
            self.compressor = Compressor(self.model, self._cut.second)
            self.training = self._cut.features(self.training)
            self.validation = self.validation and self._cut.features(self.validation)
        if isinstance(self.training, ArraySource) and self.training.drawn is not None:
            self.training = DrawnSource(self.training)
        if self.replicas.n > 1:
            self.training = _shared(self.training, self.replicas)
            self.validation = self.validation and _shared(self.validation, self.replicas)
        self._traced: dict[tuple[Objective | None, float], Callable[..., Any]] = {}

    @property
    def advance(self) -> Callable[..., Any]:
        """`_advance` as a `tf.function` for the present objective."""
        key = self.objective, self.gaussianity
        if key not in self._traced:
            # The step needs no AutoGraph, which takes longer than all the rest of tracing.
            self._traced[key] = tf.function(
                partial(self._placed, self.objective), reduce_retracing=True, autograph=False
            )
        return self._traced[key]

    def _placed(self, *arguments: Any) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        with self.replicas.placed():
            return self._advance(*arguments)

    @property
    def has_level(self) -> bool:
        """Whether the `map_fn` has a level."""
        return bool(self._levels)

    def levels_from(self, first: int, count: int) -> np.ndarray | None:
        """Return the level of each iteration from `first` on, None if there is none."""
        if not self.has_level:
            return None
        return np.array([self.level_at(i) for i in range(first, first + count)])

    def set_level(self, level: float) -> None:
        """Let all passes be at a level until an iteration has another."""
        for each in self._levels:
            each.assign(level)

    def _take_level(self, level: tf.Tensor) -> None:
        """Set the level of an iteration; if it is another one, forget what was best before."""
        is_same = tf.equal(level, self._levels[0])
        nothing = tf.constant(-np.inf, tf.float64)
        self.best_value.assign(tf.where(is_same, self.best_value, nothing))
        self.stale.assign(tf.where(is_same, self.stale, tf.zeros((), tf.int64)))
        for each in self._levels:
            each.assign(level)

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

    @property
    def rate(self) -> tf.Tensor:
        """The learning rate of the next update."""
        return self.learning_rate.at(n_updates(self.optimiser))

    def steer_rate(self, learning_rate: float) -> None:
        """Give the next update this learning rate; a schedule continues from it."""
        self.learning_rate.set(learning_rate, int(n_updates(self.optimiser)))

    def can_update(self) -> bool:
        """Return whether the optimiser's variables and its learning rate are finite numbers."""
        numbers = [self.rate, *self.optimiser.variables]
        return all(np.isfinite(np.asarray(x.numpy(), np.float64)).all() for x in numbers)

    def state(self) -> list[tf.Variable]:
        """Return the variables that, with λ, α and the data, determine all that follows."""
        mine = [self.best_value, self.stale, self.averaged, self.learning_rate.factor, *self.best]
        return [*self.model.variables, *self.optimiser.variables, *mine]

    def _advance(
        self,
        objective: Objective | None,
        first: tf.Tensor,
        count: tf.Tensor,
        last: tf.Tensor,
        patience: tf.Tensor,
        min_iterations: tf.Tensor,
        levels: tf.Tensor | None = None,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Record `count` iterations from `first` on, with an update after each but `last`.

        Returns what is recorded by its name in the history, with the iteration as first axis (fewer
        than `count` if training ended), and the status. `count` is that of the first worker.
        """
        count = self.replicas.of_chief(count)

        def iterate(k: tf.Tensor, status: tf.Tensor, recorded: dict[str, tf.TensorArray]) -> Any:
            if levels is not None:
                self._take_level(levels[k])
            record, gradient, value, is_finite = self._observe(objective, first + k)
            value, is_finite = self._of_chief(value, is_finite)
            self._compare(value, is_finite)
            is_over = (first + k >= min_iterations) & (self.stale >= patience)
            status = tf.where(is_finite, tf.where(is_over, PATIENCE, CONTINUES), NOT_FINITE)
            has_next = (status == CONTINUES) & (first + k < last)
            tf.cond(has_next, lambda: self._update(objective, gradient), tf.no_op)
            numbers = tf.stack([record.pop(name) for name in scalars])
            record, at = {"numbers": numbers} | record, tf.cast(k, tf.int32)
            return k + 1, status, {name: recorded[name].write(at, x) for name, x in record.items()}

        prefixes = ("",) if self.validation is None else ("", "val_")
        # Numbers share an array: each array costs more to trace than what is in it.
        scalars = ["loss", "learning_rate", *(p + name for p in prefixes for name in COLUMNS)]
        matrices = [prefix + name for prefix in prefixes for name in MATRICES]
        _, status, recorded = tf.while_loop(
            lambda k, status, recorded: (k < count) & (status == CONTINUES),
            iterate,
            (
                tf.zeros((), tf.int64),
                tf.constant(CONTINUES),
                {
                    name: tf.TensorArray(tf.float64, size=0, dynamic_size=True)
                    for name in ("numbers", *matrices)
                },
            ),
        )
        record = {name: array.stack() for name, array in recorded.items()}
        columns = tf.unstack(record.pop("numbers"), len(scalars), axis=1)
        return record | dict(zip(scalars, columns, strict=True)), status

    def _of_chief(self, value: tf.Tensor, is_finite: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Let all workers decide as the first, though rounding may differ between machines."""
        if not self.replicas.has_others:
            return value, is_finite
        both = self.replicas.of_chief(tf.stack([value, tf.cast(is_finite, value.dtype)]))
        return both[0], both[1] > 0

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

    def _update(self, objective: Objective | None, gradient: list[tf.Tensor]) -> tf.Operation:
        model = self.model if objective is None else objective.compressor.model
        scaled = [self.optimiser.scale_loss(part) for part in gradient]  # as `apply` expects it
        self.optimiser.apply(scaled, model.trainable_variables)
        return tf.no_op()

    def _observe(
        self, objective: Objective | None, step: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Return what is recorded, the gradient, what is to be largest, and if all is finite."""
        given = self.training, self.λ, self.α, step
        moments, terms, gradient = (
            loss_gradient(self.compressor, *given, self.gaussianity)
            if objective is None
            else objective.gradient(*given)
        )
        rate = self.rate
        record, decisive = {"loss": terms.loss, "learning_rate": rate}, [terms.loss, rate]
        if not self.compressor.is_plain:
            moments, terms = self._terms(self.training, step)
        sets = {"": (moments, terms)}
        if self.validation is not None:
            sets["val_"] = self._terms(self.validation, FIRST)
        for prefix, (moments, terms) in sets.items():
            record |= _recorded(prefix, moments, terms)
            decisive += [terms.log_det_F, terms.log_det_C, terms.Λ2, terms.coupling]
            value = terms.value  # of validation, if there is one
        is_finite = tf.reduce_all(tf.math.is_finite(tf.stack(decisive)))
        return record, gradient, value, is_finite

    def _terms(self, source: Source, step: tf.Tensor) -> tuple[Moments, LossTerms]:
        """Return moments and loss with the network as it is used after training."""
        summaries = self.compressor.summaries(source, source.feed(step), training=False)
        return terms_of(source, summaries, self.λ, self.α, self.gaussianity)


def _shared(source: Source, replicas: Replicas) -> Source:
    assert isinstance(source, ArraySource)  # others are refused
    return source.shared(replicas)


def _recorded(prefix: str, moments: Moments, terms: LossTerms) -> dict[str, tf.Tensor]:
    values = {
        "det_F": tf.exp(terms.log_det_F),
        "det_C": tf.exp(terms.log_det_C),
        "det_Cinv": tf.exp(-terms.log_det_C),
        "log_det_F": terms.log_det_F,
        "reg": terms.Λ2,
        "r": terms.coupling,
        "F": terms.F,
    } | moments._asdict()
    return {prefix + name: value for name, value in values.items()}
