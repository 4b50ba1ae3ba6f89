"""Adapt the normalisation layers of a network to the training set."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np


def adapt_normalisation(model: keras.Model, fiducial: np.ndarray) -> None:
    """Adapt every `Normalization` layer that is not adapted yet to the fiducial simulations."""
    for layer in _normalisations(model):
        if layer.input_mean is None and not int(layer.count) and _is_reachable(layer, model):
            inputs = keras.Model(model.inputs[0], layer.input)
            layer.adapt(np.concatenate([inputs(part) for part in _parts(fiducial)]))
            layer.count.assign(len(fiducial))


def refresh_normalisation(model: keras.Model) -> None:
    """Let normalisation layers take note of weights that were assigned to them."""
    for layer in _normalisations(model):
        layer.finalize_state()


def _normalisations(model: keras.Model) -> Iterator[keras.layers.Normalization]:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            yield layer


def _is_reachable(layer: keras.layers.Layer, model: keras.Model) -> bool:
    return any(layer is own for own in getattr(model, "layers", [])) and bool(
        getattr(model, "inputs", None)
    )


def _parts(simulations: np.ndarray, size: int = 4096) -> Iterator[np.ndarray]:
    for start in range(0, len(simulations), size):
        yield simulations[start : start + size]
