"""Whether TensorFlow's forward mode gives the derivatives of a network, layer by layer.

It has no tangent for some operations (bilinear resizing), and drops what goes through them without
a word. Seen from the summaries that may be little, whatever it does to F; seen from the layer that
it happens in, it is all. So the tangent of the whole network is compared with finite differences at
the output of each layer.

Simulations, as they are and normalised to mean 0 and variance 1 (a `Normalization` layer may not be
adapted yet), move along random directions of at most their spread, and at most their values, so
that zeros stay zeros, and positive values positive. The central difference of a step h is wrong by
h², by more where it meets the kink of a ReLU, by the rounding of the output y, ROUNDING ε |y|/h,
and by that of the moved x. A layer is refused if no step agrees for most of the simulations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.keras_private import recorded_outputs
from imnn_lab.sources.source import Source

ROWS = 4
STEPS = (3e-2, 3e-3, 3e-4)
TOLERANCE, ROUNDING = 0.05, 100.0


def check_tangents(model: keras.Model, training: Source) -> None:
    """Refuse a model through which TensorFlow's forward mode gives no, or other, derivatives.

    Raises
    ------
    ValueError
        If it is one; the message names the layer.
    """
    remedy = (
        "Recurrent layers (LSTM, GRU, SimpleRNN, RNN) are differentiable with unroll=True; "
        "otherwise use other layers, or δθ for central differences."
    )
    expected = "be differentiable in forward mode for exact derivatives (δθ=None)"
    names: list[str] = []
    graph = tf.function(lambda *given: _compared(model, names, *given), autograph=False)
    specs = [tf.TensorSpec((2, *training.input_shape), training.dtype)] * 2
    try:
        compare = graph.get_concrete_function(*specs, tf.TensorSpec((), training.dtype))
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(checks.wording("`model`", expected, reason, remedy)) from error
    sizes = np.array([_closest(compare, training, *both) for both in _rows(training)])
    wrong = (sizes[..., 2] > sizes[..., 3]).mean(axis=0).max(axis=-1) > 1 / 2  # of each layer
    if wrong.any():
        first = int(np.argmax(wrong))
        kind = int(np.argmax((sizes[:, first, :, 2] > sizes[:, first, :, 3]).mean(axis=0)))
        forward, difference = np.median(sizes[:, first, kind, :2], axis=0)
        received = (
            f"the derivative {forward:.6g}, and {difference:.6g} by finite differences, in "
            f"its layer {names[first]}"
        )
        raise ValueError(checks.wording("`model`", expected, received, remedy))


def _rows(training: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of a simulation as it is and normalised, and their directions."""
    random, simulations = np.random.default_rng(0), training.fiducial(ROWS)
    scale = float(simulations.std()) or 1.0
    for i in range(ROWS):
        one = simulations[i % len(simulations)].astype(np.float64)
        both = np.stack([one, (one - simulations.mean()) / scale])
        size = np.stack([np.minimum(np.abs(both[0]), scale), np.minimum(np.abs(both[1]), 1)])
        yield both, size * random.normal(size=both.shape)


def _closest(
    compare: Callable[..., tf.Tensor], training: Source, x: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """Return what `_compared` does, for each layer with the step that agrees best."""
    best = np.array(np.inf)
    for h in STEPS:
        found = compare(*(tf.constant(value, training.dtype) for value in (x, direction, h)))
        found = np.nan_to_num(found.numpy(), nan=0.0, posinf=0.0)  # where nothing can be compared
        if not best.ndim:
            best = found
        is_better = found[..., 2] - found[..., 3] < best[..., 2] - best[..., 3]
        best = np.where(is_better[..., None], found, best)
        if (best[..., 2] <= best[..., 3]).all():
            break
    return best


def _compared(
    model: keras.Model, names: list[str], x: tf.Tensor, direction: tf.Tensor, h: tf.Tensor
) -> tf.Tensor:
    """Compare tangents with finite differences at the output of each layer.

    Returns
    -------
    tensor, shape (layers, 2, 4)
        For the simulation as it is and normalised, the sizes of the tangent, of the difference, of
        their disagreement, and of what is allowed of it.
    """
    with recorded_outputs(model) as forward:
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            forward.append(("at its end", model(x, training=False)))
        zero = tf.UnconnectedGradients.ZERO
        tangents = [accumulator.jvp(y, unconnected_gradients=zero) for _, y in forward]
    with recorded_outputs(model) as moved:
        batch = tf.concat([x, x + h * direction, x - h * direction], 0)
        moved.append(("at its end", model(batch, training=False)))
    ε = np.finfo(x.dtype.as_numpy_dtype).eps
    flat = tf.reshape(x, (2, -1)), h * tf.reshape(direction, (2, -1))
    length, step = (tf.cast(tf.norm(part, axis=1), tf.float64) for part in flat)
    tolerance = TOLERANCE + ε * length / step
    result = []
    for (name, _), tangent, (_, y) in zip(forward, tangents, moved, strict=True):
        rows = tangent.shape[0] if tangent.shape.rank else None
        if not rows or rows % 2 or y.shape[0] != 3 * rows or not tangent.shape.num_elements():
            continue  # not one output for each simulation
        names.append(name)
        here, on, back = tf.unstack(tf.reshape(y, (3, 2, -1)))
        difference = (on - back) / (2 * tf.cast(h, y.dtype))
        parts = (
            tf.reshape(tangent, (2, -1)),
            difference,
            difference - tf.reshape(tangent, (2, -1)),
        )
        sizes = [tf.cast(tf.norm(part, axis=1), tf.float64) for part in (*parts, here)]
        allowed = tolerance * sizes[1] + ROUNDING * ε * sizes[3] / tf.cast(h, tf.float64)
        result.append(tf.stack([*sizes[:3], allowed], axis=1))
    return tf.stack(result)
