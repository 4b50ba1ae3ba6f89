"""Layers of Keras that take (n, values) or (n, length, channels): right in each way, or refused.

The ways are arrays, chunks (`at_once`) and exact derivatives. "Right" is: the gradient of the loss
and the derivatives of the summaries agree with finite differences.
"""

import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from imnn_lab import summaries
from imnn_lab.networks import setup
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor
from imnn_lab.training.step import loss_gradient

N, SHAPE = 6, (6, 2)
WAYS = ("arrays", "at_once", "exact")
STEP = 1e-6  # of finite differences in float64, right to about 1e-8 of the values


@pytest.fixture(autouse=True)
def float64():
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def once(make):
    return lambda x: make()(x)


def flat(make):
    return lambda x: make()(L.Flatten()(x))


def short(make):
    return lambda x: make()(L.Reshape((3, 4))(x))


def merged(layer, **options):
    return lambda x: getattr(L, layer)(**options)([x, x**2 + x])


PLAIN = {
    "Activation": once(lambda: L.Activation("tanh")),
    "Dense": flat(lambda: L.Dense(3, "tanh", kernel_regularizer="l2")),
    "ELU": once(L.ELU),
    "EinsumDense": once(lambda: L.EinsumDense("abc,cd->abd", (SHAPE[0], 3))),
    "Flatten": once(L.Flatten),
    "GroupNormalization": once(lambda: L.GroupNormalization(1)),
    "Identity": once(L.Identity),
    "Lambda": once(lambda: L.Lambda(lambda x: x**2)),
    "LayerNormalization": flat(L.LayerNormalization),
    "LeakyReLU": once(L.LeakyReLU),
    "Masking": once(L.Masking),
    "Normalization": once(lambda: L.Normalization(mean=0.1, variance=2.0)),
    "PReLU": once(L.PReLU),
    "Permute": once(lambda: L.Permute((2, 1))),
    "RMSNormalization": flat(L.RMSNormalization),
    "ReLU": once(L.ReLU),
    "RepeatVector": flat(lambda: L.RepeatVector(2)),
    "Rescaling": once(lambda: L.Rescaling(2.0, 1.0)),
    "Reshape": once(lambda: L.Reshape((4, 3))),
    "Softmax": flat(L.Softmax),
    "TimeDistributed": once(lambda: L.TimeDistributed(L.Dense(3))),
    "UnitNormalization": flat(L.UnitNormalization),
}
ALONG = {
    "AdaptiveAveragePooling1D": once(lambda: L.AdaptiveAveragePooling1D(4)),
    "AdaptiveMaxPooling1D": once(lambda: L.AdaptiveMaxPooling1D(4)),
    "AveragePooling1D": once(lambda: L.AveragePooling1D(2)),
    "Conv1D": once(lambda: L.Conv1D(3, 3)),
    "Conv1DTranspose": once(lambda: L.Conv1DTranspose(3, 3)),
    "Cropping1D": once(lambda: L.Cropping1D(1)),
    "DepthwiseConv1D": once(lambda: L.DepthwiseConv1D(3)),
    "GlobalAveragePooling1D": once(L.GlobalAveragePooling1D),
    "GlobalMaxPooling1D": once(L.GlobalMaxPooling1D),
    "MaxPooling1D": once(L.MaxPooling1D),
    "SeparableConv1D": once(lambda: L.SeparableConv1D(3, 3)),
    "STFTSpectrogram": once(lambda: L.STFTSpectrogram(frame_length=4, frame_step=2, fft_length=4)),
    "UpSampling1D": once(L.UpSampling1D),
    "ZeroPadding1D": once(L.ZeroPadding1D),
}
TOGETHER = {
    "Add": merged("Add"),
    "AdditiveAttention": merged("AdditiveAttention"),
    "Attention": merged("Attention"),
    "Average": merged("Average"),
    "Concatenate": merged("Concatenate"),
    "Dot": merged("Dot", axes=2),
    "GroupedQueryAttention": lambda x: L.GroupQueryAttention(8, 1, 1)(x, x),
    "Maximum": merged("Maximum"),
    "Minimum": merged("Minimum"),
    "MultiHeadAttention": lambda x: L.MultiHeadAttention(1, 8)(x, x),
    "Multiply": merged("Multiply"),
    "Subtract": merged("Subtract"),
}
UNROLLED = {
    "GRU, unrolled": short(lambda: L.GRU(2, unroll=True)),
    "LSTM, unrolled": short(lambda: L.LSTM(2, unroll=True)),
    "SimpleRNN, unrolled": short(lambda: L.SimpleRNN(2, unroll=True)),
}
RECURRENT = {
    "Bidirectional": once(lambda: L.Bidirectional(L.GRU(2))),
    "ConvLSTM1D": lambda x: L.ConvLSTM1D(2, 2)(L.Reshape((2, 3, 2))(x)),
    "GRU": once(lambda: L.GRU(2)),
    "LSTM": once(lambda: L.LSTM(2, return_sequences=True)),
    "RNN": once(lambda: L.RNN(L.StackedRNNCells([L.LSTMCell(2), L.GRUCell(2)]))),
    "SimpleRNN": once(lambda: L.SimpleRNN(2)),
}
LOOP = {"SimpleRNN": RECURRENT["SimpleRNN"]}  # the gradient of others is traced for half a minute
RANDOM = {
    "AlphaDropout": once(lambda: L.AlphaDropout(0.2)),
    "Dropout": once(lambda: L.Dropout(0.2)),
    "GRU with dropout": once(lambda: L.GRU(2, dropout=0.2, unroll=True)),
    "GaussianDropout": once(lambda: L.GaussianDropout(0.2)),
    "GaussianNoise": once(lambda: L.GaussianNoise(0.2)),
    "MultiHeadAttention with dropout": lambda x: L.MultiHeadAttention(1, 2, dropout=0.2)(x, x),
    "SpatialDropout1D": once(lambda: L.SpatialDropout1D(0.2)),
}
OF_BATCH = {"BatchNormalization": once(L.BatchNormalization)}
PENALISED = {"ActivityRegularization": once(lambda: L.ActivityRegularization(0.1))}
CHANGING = {"SpectralNormalization": once(lambda: L.SpectralNormalization(L.Dense(3)))}
BILINEAR = {
    "UpSampling2D": lambda x: L.UpSampling2D(interpolation="bilinear")(L.Reshape((4, 3, 1))(x)),
    "Resizing": lambda x: L.Resizing(3, 3)(L.Reshape((4, 3, 1))(x)),
}

RIGHT = [
    (PLAIN, "arrays"), (PLAIN, "at_once"), (PLAIN, "exact"),
    (ALONG, "arrays"), (ALONG, "at_once"), (ALONG, "exact"),
    (TOGETHER, "arrays"), (TOGETHER, "at_once"), (TOGETHER, "exact"),
    (RECURRENT, "arrays"), (RECURRENT, "at_once"), (UNROLLED, "exact"),
    (LOOP, "exact"),
    (RANDOM, "arrays"), (RANDOM, "whole exact"),
    (OF_BATCH, "arrays"),
    (PENALISED, "arrays"), (PENALISED, "whole exact"),
]  # fmt: skip
REFUSED = [
    (RANDOM, "at_once", "draw random numbers"),
    (RANDOM, "exact", "draw random numbers"),
    (OF_BATCH, "at_once", "statistics of the batch"),
    (OF_BATCH, "exact", "Use LayerNormalization"),
    (PENALISED, "at_once", "use kernel_regularizer"),
    (PENALISED, "exact", "use kernel_regularizer"),
    (CHANGING, "at_once", "change their weights"),
    (CHANGING, "exact", "change their weights"),
    (BILINEAR, "exact", "the derivative 0, and"),
]

OTHER = (
    r".*[23]D(Transpose)?|ConvLSTM.*|.*Cell|StackedRNNCells|Layer|Wrapper|InputLayer|Random.*|RandAugment|"
    r"AugMix|AutoContrast|CenterCrop|ContrastLimited.*|CutMix|MixUp|Equalization|Solarization|"
    r"MaxNumBoundingBoxes|Pipeline|MelSpectrogram|"  # images, sound and their augmentation
    r"CategoryEncoding|Discretization|Embedding|ReversibleEmbedding|Hash.*|.*Lookup|"
    r"TextVectorization|"  # of integers and text
    r"FlaxLayer|JaxLayer|TFSMLayer|TorchModuleWrapper"  # of other libraries
)


def test_every_layer_is_in_a_group():
    classes = {
        value: value.__name__
        for _, value in inspect.getmembers(L, inspect.isclass)
        if issubclass(value, keras.Layer)
    }
    groups = [group for group, *_ in (*RIGHT, *REFUSED)]
    tried = {name.split(",")[0] for group in groups for name in group}
    assert [n for n in classes.values() if n not in tried and not re.fullmatch(OTHER, n)] == []


def network(makes):
    keras.utils.set_random_seed(2)
    x = keras.Input(SHAPE)
    branches = [L.Flatten()(make(x)) for make in makes]
    return keras.Model(x, L.Dense(2)(L.Concatenate()(branches) if branches[1:] else branches[0]))


def simulations(way):
    random = np.random.default_rng(1)
    fiducial = random.normal(size=(N, *SHAPE))
    is_exact = way.endswith("exact")
    derivative = random.normal(size=(N, 2, *SHAPE) if is_exact else (N, 2, 2, *SHAPE))
    δθ = None if is_exact else np.array([0.1, 0.2])
    return ArraySource(
        fiducial, derivative, δθ, "float64", 4 if way in ("at_once", "exact") else None
    )


def gradient_and_differences(model, source):
    """Return the derivative of the loss along a direction, by its gradient and by differences."""
    one = tf.ones((), tf.float64)
    compressor = Compressor(model)
    graph = tf.function(lambda: loss_gradient(compressor, source, one, one), autograph=False)
    state = [variable.numpy() for variable in model.variables]
    random = np.random.default_rng(3)
    directions = [random.normal(size=weight.shape) for weight in model.trainable_variables]

    def shifted(step):
        for variable, value in zip(model.variables, state, strict=True):
            variable.assign(value)
        for weight, direction in zip(model.trainable_variables, directions, strict=True):
            weight.assign_add(step * direction)
        return graph()

    gradient = sum(
        float(tf.reduce_sum(part * direction))
        for part, direction in zip(shifted(0.0).gradient, directions, strict=True)
    )
    upper, lower = shifted(STEP), shifted(-STEP)
    difference = float(upper.terms.loss - lower.terms.loss) / (2 * STEP)
    shifted(0.0)
    return gradient, difference


@pytest.mark.parametrize(
    ("group", "way"), RIGHT, ids=[f"{next(iter(group))}… {way}" for group, way in RIGHT]
)
def test_layers_are_right(group, way):
    model, source = network(group.values()), simulations(way)
    setup.check_layers(model, source)
    gradient, difference = gradient_and_differences(model, source)
    if group is not PENALISED:  # whose penalty is in the gradient, but not in the loss
        assert gradient == pytest.approx(difference, rel=1e-3)
    if source.is_exact:
        assert_tangents_are_right(model, source)


@pytest.mark.parametrize("name", RECURRENT)
def test_loops_have_exact_derivatives(name, monkeypatch):
    monkeypatch.setattr(summaries, "SMALL_VALUES", 0)  # in a graph, as in training
    model, source = network([RECURRENT[name]]), simulations("whole exact")
    setup.check_layers(model, source)
    assert_tangents_are_right(model, source)


def assert_tangents_are_right(model, source):
    x, tangents = source.feed(0).pieces[0].simulations, source.feed(0).pieces[1].tangents
    tangents = np.reshape(tangents, (N, 2, *SHAPE))
    sides = [
        [np.mean(model(x + sign * STEP * tangents[:, i]), axis=0) for i in range(2)]
        for sign in (-1, 1)
    ]
    expected = (np.array(sides[1]) - sides[0]) / (2 * STEP)
    found = Compressor(model).statistics(source).dμ_dθ
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@tf.custom_gradient
def forgetful_product(x, kernel):
    def gradient(dy):
        of_kernel = tf.matmul(x, dy, transpose_a=True)
        unknown = tf.compat.v1.placeholder_with_default(of_kernel, (None, kernel.shape[1]))
        return tf.matmul(dy, kernel, transpose_b=True), unknown

    return tf.matmul(x, kernel), gradient


class Forgetful(L.Layer):
    """A dense layer whose gradient has no static shape, as einsum's does in some versions."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 8))

    def call(self, x):
        return forgetful_product(x, tf.convert_to_tensor(self.kernel.value))


@pytest.mark.parametrize("way", ["arrays", "at_once"])
def test_layers_that_forget_the_shapes_of_their_gradients_are_right(way):
    # (None, 8) and (1, 8) add up to (None, 8); any other number than 1 would be known again
    makes = [lambda x: Forgetful()(L.Dense(1)(L.Flatten()(x))), PLAIN["Dense"]]
    gradient, difference = gradient_and_differences(network(makes), simulations(way))
    assert gradient == pytest.approx(difference, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "way", "words"),
    [
        pytest.param(make, way, words, id=f"{name} {way}")
        for group, way, words in REFUSED
        for name, make in group.items()
    ],
)
def test_layers_are_refused_in_our_words(make, way, words):
    with pytest.raises(ValueError, match=words):
        setup.check_layers(network([make]), simulations(way))
