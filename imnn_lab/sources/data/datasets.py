"""tf.data.Dataset objects as data: each element is one labelled simulation.

Elements are (simulation, seed) or (simulation, (seed, derivative, parameter)), in any order, not
batched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.sources.collection import Data, Index, LabelledSimulations, Layout, as_index


class DatasetData(Data):
    """A dataset of labelled simulations."""

    def simulations(self) -> LabelledSimulations:
        """Iterate over the elements.

        Raises
        ------
        TypeError
            If the elements have another structure.
        RuntimeError
            If reading fails.
        """
        spec = self.value.element_spec
        if not isinstance(spec, tuple) or len(spec) != 2:
            raise _wrong_elements(self.layout, spec)
        elements = self.value.as_numpy_iterator()
        count = 0
        while (element := _next(elements, self.layout, count)) is not None:
            simulation, label = element
            yield _index(self.layout, label), simulation, f" (element {count})"
            count += 1

    def stream(self, at_once: int, failures: list[Exception]) -> tf.data.Dataset:
        """Return a dataset of chunks (simulations, positions); see `Data`."""
        layout, settings = self.layout, self.settings

        def convert(values: tf.Tensor, label: Any) -> tuple[tf.Tensor, tf.Tensor]:
            if not isinstance(label, tuple):
                label = (label,) if len(layout.counts) == 1 else tf.unstack(label, axis=-1)
            values = tf.reshape(tf.cast(values, settings.dtype), (-1, *settings.input_shape))
            return values, layout.positions([tf.cast(part, tf.int64) for part in label])

        return self.value.batch(at_once).map(convert).prefetch(2)


def _next(elements: Any, layout: Layout, count: int) -> tuple[Any, Any] | None:
    try:
        return next(elements, None)
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        message = checks.wording(f"`{layout.name}`: element {count}", "be readable", received)
        raise RuntimeError(message) from error


def _index(layout: Layout, label: Any) -> Index:
    parts = label if isinstance(label, tuple) else np.asarray(label)
    index = as_index(tuple(parts) if np.ndim(parts) else parts)
    if index is None or len(index) != len(layout.counts):
        raise _wrong_elements(layout, checks.describe(label))
    return index


def _wrong_elements(layout: Layout, received: Any) -> TypeError:
    expected = f"have elements (simulation, {layout.label}) with integer labels"
    remedy = "A dataset must not be batched; label each simulation."
    return TypeError(checks.wording(f"`{layout.name}`", expected, received, remedy))
