"""A learning rate that can be steered while training, whether constant or scheduled."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class SteeredLearningRate(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate, constant or scheduled, times a factor that can change while training."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self.factor = tf.Variable(1.0, dtype=tf.float64, trainable=False)

    @classmethod
    def of(cls, optimiser: keras.optimizers.Optimizer) -> SteeredLearningRate:
        """Return the learning rate of an optimiser, as it was made with."""
        base = optimiser.get_config()["learning_rate"]
        if isinstance(base, dict):
            base = keras.optimizers.schedules.deserialize(base)
        return cls(base)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the learning rate at a step of the optimiser."""
        return tf.cast(self._base(step), self.factor.dtype) * self.factor

    def set(self, learning_rate: float, step: int) -> None:
        """Set the factor so that the learning rate at `step` is `learning_rate`."""
        self.factor.assign(learning_rate / float(self._base(step)))

    def _base(self, step: tf.Tensor | int) -> tf.Tensor | float:
        return self.base(step) if callable(self.base) else self.base

    def get_config(self) -> dict[str, object]:
        """Return the base alone: the factor belongs to one training."""
        return {"base": self.base}
