"""A network made ready for training: checked, normalised, started in closed form, whitened."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np

from imnn_lab import checks, networks, warm_start
from imnn_lab.adaptation import adapt
from imnn_lab.compression import Compressor, all_layers
from imnn_lab.settings import Settings
from imnn_lab.sources.source import Source

MOST_VALUES = 2**25  # of the simulations that layers are adapted to
WIDEST = 10.0  # times the error that a parameter may be moved by without a warning


def default_network(settings: Settings) -> keras.Model:
    """Return the network that suits the shape of the data, for users who brought none."""
    make = networks.convolutional if len(settings.input_shape) in (2, 3) else networks.dense
    return make(
        settings.input_shape, settings.n_summaries, dtype=settings.dtype, seed=settings.seed
    )


def checked_network(model: Any, settings: Settings) -> keras.Model:
    """Return a Keras model that maps input_shape to n_summaries in the right dtype.

    Raises
    ------
    TypeError, ValueError
        If it is not a Keras model, its output has another shape, or its dtype differs.
    """
    if not isinstance(model, keras.Model):
        remedy = "Use imnn_lab.networks.dense, convolutional or deep_set, or keras.Sequential."
        raise TypeError(
            checks.wording("`model`", "be a Keras model", checks.describe(model), remedy)
        )
    one = np.zeros((1, *settings.input_shape), settings.dtype)
    try:
        output = model(one, training=False)
    except Exception as error:
        expected = f"take simulations of shape input_shape = {settings.input_shape}"
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ValueError(checks.wording("`model`", expected, reason)) from error
    shape = getattr(output, "shape", None)
    if shape is None or tuple(shape) != (1, settings.n_summaries):
        expected = f"have one output of shape (None, n_summaries) = (None, {settings.n_summaries})"
        received = repr(shape) if shape is None else f"(None, {', '.join(map(str, shape[1:]))})"
        raise ValueError(checks.wording("`model`", expected, received, "Change its last layer."))
    weighted = [layer for layer in all_layers(model) if layer.weights]
    types = {layer.compute_dtype for layer in weighted} | {output.dtype.name}
    if types != {settings.dtype}:
        expected = f"compute in the dtype of the IMNN, {settings.dtype}, in all its layers"
        remedy = "Make the network with dtype=..., or pass its dtype to IMNN."
        raise ValueError(checks.wording("`model`", expected, ", ".join(sorted(types)), remedy))
    return model


def prepared_network(
    model: keras.Model, settings: Settings, training: Source, validation: Source | None
) -> keras.Model:
    """Adapt, start in closed form and whiten a network; return the one to train.

    It is `model` itself where its linear last layer could take the whitening, otherwise `model`
    with a fixed `Dense` layer behind it.
    """
    training = training.settled()
    most = max(MOST_VALUES // math.prod(settings.input_shape), 100)
    adapt(model, training.fiducial(most))
    layer = warm_start.last_dense_layer(model)
    if settings.warm_start and layer is not None:
        warm_start.start(layer, model, training, validation, whitened=settings.whiten)
        return model
    return _whitened(model, settings, training) if settings.whiten else model


def _whitened(model: keras.Model, settings: Settings, training: Source) -> keras.Model:
    found = Compressor(model).statistics(training)
    A = warm_start.whiten(found.network_C)
    if A is None:
        remedy = "Two summaries may be copies of each other, or the network ignores its input."
        expected = "give summaries with a regular covariance for the training set"
        received = f"a covariance with the diagonal {np.diag(found.network_C).tolist()}"
        raise ValueError(checks.wording("`model`", expected, received, remedy))
    inputs = keras.Input(settings.input_shape, dtype=settings.dtype)
    layer = keras.layers.Dense(
        settings.n_summaries, trainable=False, dtype=settings.dtype, name="whitening"
    )
    result = keras.Model(inputs, layer(model(inputs)))
    layer.kernel.assign(A)
    layer.bias.assign(-found.μ[found.n_external :] @ A)
    return result


def warn_of_wide_differences(F: np.ndarray, δθ: np.ndarray | None) -> None:
    """Warn when simulations lie much farther apart than the parameters can be told apart.

    F is then a mean over that whole range rather than the information at θ_fid.

    Parameters
    ----------
    F : ndarray, shape (n_params, n_params)
    δθ : ndarray, shape (n_params,), or None for exact derivatives
    """
    if δθ is None:
        return
    widths = np.nan_to_num(δθ * np.sqrt(np.diag(F)))  # in errors of each, the others known
    i = int(widths.argmax())
    if widths[i] > WIDEST:
        error = δθ[i] / widths[i]
        warnings.warn(
            f"`δθ` of parameter {i} is {δθ[i]:.3g}, {widths[i]:.0f} times the error of "
            f"{error:.2g} that F forecasts with the others known. Unless the summaries "
            "depend linearly on it so far, F and the estimates are off. "
            f"Make simulations with a δθ of about {error:.1g}.",
            stacklevel=5,
        )
