"""Whether TensorFlow gives the derivatives of a network, layer by layer.

It has none of some operations (bilinear resizing, twice), and drops what goes through others
without a word. Seen from the summaries that may be little, whatever it does to F; seen from the
layer that it happens in, it is all. So the tangent of the whole network is compared with finite
differences at the output of each layer.

Simulations, as they are and normalised to mean 0 and variance 1 (a `Normalization` layer may not be
adapted yet), move along random directions of at most their spread, and at most their values, so
that zeros stay zeros, and positive values positive. The central difference of a step h is wrong by
h², by more where it meets the kink of a ReLU, by the rounding of the output y, ROUNDING ε |y|/h,
and by that of the moved x. A layer is refused if no step agrees for most of the simulations.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.keras_private import recorded_outputs
from imnn_lab.sources.source import Source, tangent

ROWS = 4
STEPS = (3e-2, 3e-3, 3e-4)
TOLERANCE, ROUNDING = 0.05, 100.0


def check_tangents(model: keras.Model, training: Source) -> None:
    """Refuse a model of which TensorFlow gives no, or other, derivatives.

    Raises
    ------
    ValueError
        If it is one; the message names the layer.
    """
    remedy = "Use other layers, or δθ for central differences."
    expected = "be differentiable twice for exact derivatives (δθ=None)"
    try:
        names, sizes = _compared(model, *_rows(training), training.dtype)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(checks.wording("`model`", expected, reason, remedy)) from error
    is_wrong = sizes[..., 2] > sizes[..., 3]
    wrong = is_wrong.mean(axis=1).max(axis=-1) > 1 / 2  # of each layer
    if wrong.any():
        first = int(np.argmax(wrong))
        kind = int(np.argmax(is_wrong[first].mean(axis=0)))
        found, difference = np.median(sizes[first, :, kind, :2], axis=0)
        received = (
            f"the derivative {found:.6g}, and {difference:.6g} by finite differences, in "
            f"its layer {names[first]}"
        )
        raise ValueError(checks.wording("`model`", expected, received, remedy))


def _rows(training: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return simulations, each as it is and then normalised, and their directions."""
    random, simulations = np.random.default_rng(0), training.fiducial(ROWS)
    scale = float(simulations.std()) or 1.0
    rows, directions = [], []
    for i in range(ROWS):
        one = simulations[i % len(simulations)].astype(np.float64)
        both = np.stack([one, (one - simulations.mean()) / scale])
        size = np.stack([np.minimum(np.abs(both[0]), scale), np.minimum(np.abs(both[1]), 1)])
        rows.append(both)
        directions.append(size * random.normal(size=both.shape))
    return np.concatenate(rows), np.concatenate(directions)


def _compared(
    model: keras.Model, x: np.ndarray, direction: np.ndarray, dtype: str
) -> tuple[list[str], np.ndarray]:
    """Compare tangents with finite differences at the output of each layer.

    Returns
    -------
    list of str
        Names of the layers.
    ndarray, shape (layers, ROWS, 2, 4)
        For each simulation as it is and normalised, with the step that agrees best, the sizes of
        the tangent, of the difference, of their disagreement, and of what is allowed of it.
    """
    x, direction = (tf.constant(value, dtype) for value in (x, direction))
    here, n, ε = _outputs(model, x), len(x), np.finfo(dtype).eps
    kept = [i for i, (_, y) in enumerate(here) if _is_of_rows(y, n)]
    tangents = _tangents(model, x, direction, kept)
    best = np.zeros((len(kept), n, 4))
    best[..., 2] = np.inf
    for h in STEPS:
        upper, lower = (_outputs(model, x + step * direction) for step in (h, -h))
        differences = [(upper[i][1] - lower[i][1]) / (2 * h) for i in kept]
        with np.errstate(all="ignore"):  # where nothing can be compared
            share = TOLERANCE + ε * _sizes(x, n) / _sizes(h * direction, n)
            found = np.zeros_like(best)
            for sizes, t, d, i in zip(found, tangents, differences, kept, strict=True):
                sizes[:, :3] = np.stack([_sizes(part, n) for part in (t, d, d - t)], axis=1)
                sizes[:, 3] = share * sizes[:, 1] + ROUNDING * ε * _sizes(here[i][1], n) / h
        found = np.nan_to_num(found, nan=0.0, posinf=0.0)
        is_better = found[..., 2] - found[..., 3] < best[..., 2] - best[..., 3]
        best = np.where(is_better[..., None], found, best)
        if (best[..., 2] <= best[..., 3]).all():
            break
    return [here[i][0] for i in kept], best.reshape(len(kept), ROWS, 2, 4)


def _outputs(model: keras.Model, x: tf.Tensor) -> list[tuple[str, tf.Tensor]]:
    """Return what layers give out, by their names for readers, and then the model."""
    with recorded_outputs(model) as outputs:
        outputs.append(("at its end", model(x, training=False)))
    return outputs


def _is_of_rows(y: tf.Tensor, n: int) -> bool:
    """Whether there is an output for each of n simulations."""
    rows = y.shape[0] if y.shape.rank else 0
    return bool(rows) and rows % n == 0 and y.shape.num_elements() > 0


def _sizes(x: tf.Tensor, n: int) -> np.ndarray:
    """Return the norm of what is of each of n simulations."""
    return np.linalg.norm(np.reshape(x, (n, -1)), axis=1).astype(np.float64)


def _tangents(
    model: keras.Model, x: tf.Tensor, direction: tf.Tensor, chosen: list[int]
) -> list[tf.Tensor]:
    """Return the derivatives of chosen outputs of layers; zero where TensorFlow has none."""

    def of(some: list[int]) -> list[tf.Tensor]:
        def outputs(x: tf.Tensor) -> list[tf.Tensor]:
            every = _outputs(model, x)
            return [every[i][1] for i in some]

        return tangent(outputs, x, direction)

    try:
        return of(chosen)
    except LookupError:  # of one of them
        if len(chosen) == 1:
            return [tf.zeros_like(_outputs(model, x)[chosen[0]][1])]
        return [each for i in chosen for each in _tangents(model, x, direction, [i])]
