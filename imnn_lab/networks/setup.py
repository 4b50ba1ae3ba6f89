"""Sets up a network for training: checks, fitted layers, the closed-form start, whitening."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.keras_private import (
    all_layers,
    excludes_from_weight_decay,
    innermost,
    rate_of,
)
from imnn_lab.networks.fitted_layers import fit_layers
from imnn_lab.networks.last_layer import ClosedForm, whiten
from imnn_lab.networks.tangents import check_tangents
from imnn_lab.settings import Settings
from imnn_lab.sources.source import Source
from imnn_lab.summaries import Compressor, changed_by_training

MOST_VALUES = 2**25  # of the simulations that layers are fitted to
DEFAULT_LEARNING_RATE = 3e-4
OWN_OPTIMISER = (
    "Register an optimiser or schedule of your own with keras.saving.register_keras_serializable."
)


def checked_network(model: Any, settings: Settings) -> keras.Model:
    """Return a Keras model that maps input_shape to n_summaries in the right dtype.

    Raises
    ------
    TypeError, ValueError
        If it is not a Keras model, its output has another shape, or its dtype differs.
    """
    if any(base.__module__.startswith("tf_keras.") for base in type(model).__mro__):
        remedy = (
            "Make it with `keras` instead of `tf_keras` or, with TF_USE_LEGACY_KERAS, `tf.keras`."
        )
        received = "a model of tf_keras, which is Keras 2"
        raise TypeError(checks.wording("`model`", "be a model of Keras 3", received, remedy))
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


def check_layers(model: keras.Model, training: Source) -> None:
    """Refuse layers that the way in which simulations enter the network does not suit.

    Raises
    ------
    ValueError
        If a layer's output depends on which simulations are in the network together, where they are
        not together; or if exact derivatives cannot be computed through it.
    """
    compressor = Compressor(model)
    if training.is_exact and compressor.batch_normalisations:
        raise ValueError(
            "`model` has BatchNormalization layers, whose statistics depend on the parameters as "
            "well, which exact derivatives (δθ=None) of single simulations leave out. "
            "Use LayerNormalization, or central differences."
        )
    if training.in_chunks and not compressor.is_plain:
        raise ValueError(
            "`model` has layers that draw random numbers or use statistics of the batch (Dropout, "
            "BatchNormalization), which need all simulations in the network at once. "
            f"Received at_once={training.at_once} for {training.size} simulations. "
            "Leave `at_once` out, or use another layer (LayerNormalization, kernel_regularizer)."
        )
    layers = all_layers(model)
    penalised = [layer.name for layer in layers if getattr(layer, "activity_regularizer", None)]
    if training.in_chunks and penalised:
        raise ValueError(
            f"`model` has regularisers of what its layers give out ({', '.join(penalised)}), which "
            "need all simulations in the network at once. "
            f"Received at_once={training.at_once} for {training.size} simulations. "
            "Leave `at_once` out, or use kernel_regularizer."
        )
    if training.in_chunks or training.is_exact or not compressor.is_plain:
        _check_weights_stay(model, compressor, training)
    if training.is_exact:
        check_tangents(model, training)


def check_shared(model: keras.Model, n_replicas: int) -> None:
    """Refuse layers that need all simulations on one device, if several devices share them."""
    if n_replicas == 1:
        return
    layers = [x.name for x in all_layers(model) if getattr(x, "activity_regularizer", None)]
    if layers or not Compressor(model).is_plain:
        raise ValueError(
            "`model` has layers that draw random numbers, use statistics of the batch or have "
            "regularisers of what they give out (Dropout, BatchNormalization, "
            "activity_regularizer), which need all simulations on one device. Received a "
            f"`strategy` of {n_replicas} replicas. Use other layers (LayerNormalization, "
            "kernel_regularizer), or one replica."
        )


def _check_weights_stay(model: keras.Model, compressor: Compressor, training: Source) -> None:
    """Refuse weights that change with each pass, where an iteration has several passes."""
    known = [*compressor.seeds]
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            known += layer.weights
    expected = {id(variable) for variable in known}
    changed = changed_by_training(model, np.zeros((2, *training.input_shape)))
    paths = [variable.path for variable in changed if id(variable) not in expected]
    if paths:
        raise ValueError(
            "`model` has layers that change their weights whenever simulations pass through them "
            f"(as SpectralNormalization does): {', '.join(paths)}. With `at_once`, exact "
            "derivatives or Dropout they would not be the same for all simulations of an "
            "iteration. Leave those layers out."
        )


def copied_optimiser(optimiser: Any) -> keras.optimizers.Optimizer:
    """Return a fresh optimiser with the same settings, so that IMNNs share no state.

    Raises
    ------
    TypeError, ValueError
        If it is not a Keras optimiser, has no learning rate or a function as such, averages weights
        to no effect, or has settings that cannot be copied.
    """
    if optimiser is None:
        return keras.optimizers.Adam(learning_rate=DEFAULT_LEARNING_RATE)
    if not isinstance(optimiser, keras.optimizers.Optimizer):
        remedy = "For example keras.optimizers.Adam(1e-3)."
        received = checks.describe(optimiser)
        raise TypeError(checks.wording("`optimiser`", "be a Keras optimiser", received, remedy))
    _check_optimiser(optimiser)
    try:
        return same_optimiser(optimiser)
    except Exception as error:
        reason = f"one that cannot ({checks.first_line(error)})"
        expected = "be one that Keras can make again from its configuration"
        raise ValueError(checks.wording("`optimiser`", expected, reason, OWN_OPTIMISER)) from error


def check_type(optimiser: keras.optimizers.Optimizer, dtype: str) -> None:
    """Refuse an optimiser that mixes the type of the weights with that of Keras, as Muon does."""
    if dtype == keras.config.floatx():
        return
    weights = [keras.Variable(np.ones(shape), dtype=dtype) for shape in ((2,), (2, 2))]
    trial = same_optimiser(optimiser)
    try:
        trial.build(weights)
        trial.apply([tf.ones(weight.shape, dtype) for weight in weights], weights)
    except Exception as error:
        received = f"{type(optimiser).__name__} ({checks.first_line(error)})"
        remedy = (
            f"Use another optimiser or dtype={keras.config.floatx()!r}, or call "
            f"keras.config.set_floatx({dtype!r}) first."
        )
        raise ValueError(
            checks.wording("`optimiser`", f"compute in {dtype}", received, remedy)
        ) from error


def same_optimiser(optimiser: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a fresh optimiser with the same settings."""
    return type(optimiser).from_config(optimiser.get_config())


def saved_optimiser(config: Any) -> keras.optimizers.Optimizer:
    """Return a fresh optimiser from what Keras wrote down of it.

    `keras.optimizers.deserialize` does not know all optimisers of Keras (not Lamb).

    Raises
    ------
    Exception
        Whatever Keras raises for what is no configuration of an optimiser.
    """
    optimiser = keras.saving.deserialize_keras_object(config)
    if not isinstance(optimiser, keras.optimizers.Optimizer):
        raise TypeError(f"it describes {checks.describe(optimiser)}")
    return optimiser


def _check_optimiser(optimiser: keras.optimizers.Optimizer) -> None:
    """Refuse an optimiser of which something would have no effect here, or not be saved."""
    inner = innermost(optimiser)
    rate = rate_of(inner)
    is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
    if callable(rate) and not is_schedule:
        expected = "have a number or a LearningRateSchedule as learning rate"
        received = f"a function ({checks.describe(rate)}), which cannot be saved"
        remedy = "Steer the rate with run.steer(learning_rate=...), or write a schedule."
        raise ValueError(checks.wording("`optimiser`", expected, received, remedy))
    if "learning_rate" not in inner.get_config():
        expected = "have one learning rate, which a run records and can steer"
        raise ValueError(
            checks.wording("`optimiser`", expected, type(inner).__name__, "Choose one optimiser.")
        )
    if inner.use_ema and not inner.ema_overwrite_frequency:
        received = "use_ema=True, which would have no effect"
        remedy = (
            "Leave it out: the best weights of all iterations are kept, with `simulator` an "
            "average of the latest. With `ema_overwrite_frequency` it acts while training."
        )
        raise ValueError(
            checks.wording("`optimiser`", "leave the weights to the IMNN", received, remedy)
        )
    if excludes_from_weight_decay(inner):
        expected = "have all its settings in its configuration, to be copied and saved"
        remedy = "Use kernel_regularizer in the layers that are to decay."
        raise ValueError(
            checks.wording("`optimiser`", expected, "exclude_from_weight_decay", remedy)
        )


def prepared_network(
    model: keras.Model,
    settings: Settings,
    training: Source,
    validation: Source | None,
    closed_form: ClosedForm | None,
) -> keras.Model:
    """Fit the layers of a network, start it in closed form and whiten it; return the one to train.

    That is `model` itself if its linear last layer takes the whitening, otherwise `model` followed
    by a fixed `Dense` layer.
    """
    training = training.fixed()
    most = max(MOST_VALUES // math.prod(settings.input_shape), 100)
    fit_layers(model, training.fiducial(most))
    n_features = math.inf if closed_form is None else closed_form.layer.input.shape[-1]
    if n_features < settings.n_summaries:
        expected = (
            f"have at least n_summaries = {settings.n_summaries} features before its last layer"
        )
        remedy = "Its summaries would be copies of each other: give the layer before more units."
        raise ValueError(checks.wording("`model`", expected, f"{n_features}", remedy))
    if settings.warm_start and closed_form is not None:
        closed_form.start(training, validation, whitened=settings.whiten)
        return model
    return _whitened(model, settings, training) if settings.whiten else model


def _whitened(model: keras.Model, settings: Settings, training: Source) -> keras.Model:
    statistics = Compressor(model).statistics(training)
    A = whiten(statistics.network_C)
    if A is None:
        remedy = "Two summaries may be copies of each other, or the network ignores its input."
        expected = "give summaries with a regular covariance for the training set"
        received = f"a covariance with the diagonal {np.diag(statistics.network_C).tolist()}"
        raise ValueError(checks.wording("`model`", expected, received, remedy))
    inputs = keras.Input(settings.input_shape, dtype=settings.dtype)
    layer = keras.layers.Dense(
        settings.n_summaries, trainable=False, dtype=settings.dtype, name="whitening"
    )
    result = keras.Model(inputs, layer(model(inputs)))
    layer.kernel.assign(A)
    layer.bias.assign(-statistics.μ[statistics.n_external :] @ A)
    return result
