"""What does not change in training is computed once, and nothing else changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, gaussian_simulator, plain_network, small_imnn

from imnn_lab import IMNN, networks, problems
from imnn_lab.networks import frozen
from imnn_lab.networks.fitted_layers import fit_layers
from imnn_lab.regularisation import Regularisation
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor
from imnn_lab.training import step
from imnn_lab.training.step import loss_gradient

layers = keras.layers
PAIR = Regularisation(10, 0.1)
CONSTANTS = [tf.constant(value, tf.float64) for value in (PAIR.λ, PAIR.α)]
DTYPE = {"dtype": "float64"}
IMAGE, ROW = (8, 8, 1), (10,)


def random_source(shape=ROW, at_once=None, exact=False, external=False, seed=1):
    """Return simulations x = noise + θ t of 2 parameters with templates t, in pairs or exact."""
    rng = np.random.default_rng(seed)
    n_s, n_d, δθ = 30, 12, np.array([0.2, 0.4])
    templates = np.random.default_rng(0).normal(size=(2, *shape))
    fiducial = rng.normal(size=(n_s, *shape))
    if exact:
        derivative, δθ = np.repeat(templates[None], n_d, 0) + 0.1 * fiducial[:n_d, None], None
    else:
        noise = rng.normal(size=(n_d, 1, 1, *shape))
        widths = δθ.reshape(-1, *[1] * len(shape)) / 2
        derivative = noise + np.stack([-widths * templates, widths * templates])
    rows = n_s + derivative.size // np.prod(shape)
    known = rng.normal(size=(rows, 1)) if external else None
    return ArraySource(fiducial, derivative, δθ, "float64", at_once, known)


def backbone(shape=IMAGE):
    """Return layers of a user's that were trained before and are frozen."""
    model = keras.Sequential(
        [
            keras.Input(shape, **DTYPE),
            layers.Conv2D(4, 3, strides=2, activation="relu", **DTYPE),
            layers.BatchNormalization(**DTYPE),
            layers.GlobalAveragePooling2D(**DTYPE),
        ]
    )
    model.trainable = False
    return model


def dense_behind(*first, shape=ROW, last=()):
    return keras.Sequential(
        [
            keras.Input(shape, **DTYPE),
            *first,
            layers.Dense(6, "gelu", kernel_regularizer="l2", **DTYPE),
            *last,
            layers.Dense(2, **DTYPE),
        ]
    )


def frozen_dense(units=8, **options):
    return layers.Dense(units, "tanh", trainable=False, **DTYPE | options)


def shared():
    """Return a model with a frozen layer that is called before and behind a trained one."""
    x, twice = keras.Input(ROW, **DTYPE), frozen_dense(10)
    y = layers.Dense(10, "gelu", **DTYPE)(twice(x))
    return keras.Model(
        x, layers.Dense(2, **DTYPE)(layers.Add(**DTYPE)([twice(y), keras.ops.abs(x)]))
    )


MODELS = {
    "dense": lambda: networks.dense(ROW, 2, hidden=(8,), seed=1, **DTYPE),
    "deep_set": lambda: networks.deep_set(ROW, 2, each=(8,), hidden=(8,), seed=1, **DTYPE),
    "convolutional": lambda: networks.convolutional(
        IMAGE, 2, filters=(4,), hidden=(4,), coordinates=True, seed=1, **DTYPE
    ),
    "backbone": lambda: dense_behind(backbone(), shape=IMAGE),
    "dropout": lambda: dense_behind(frozen_dense(), last=[layers.Dropout(0.5, seed=3, **DTYPE)]),
    "normalised": lambda: dense_behind(frozen_dense(), last=[layers.BatchNormalization(**DTYPE)]),
    "shared": shared,
}  # fmt: skip


def made(name, source):
    keras.utils.set_random_seed(2)
    model = MODELS[name]()
    fit_layers(model, source.fiducial(100))
    return model


def assert_same(found, expected, rtol=1e-9):
    for one, other in zip(found.moments, expected.moments, strict=True):
        np.testing.assert_allclose(one, other, rtol, 1e-12)
    for one, other in zip(found.gradient, expected.gradient, strict=True):
        np.testing.assert_allclose(one, other, 1e-7, 1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in MODELS),
        ("dense", {"at_once": 7}),
        ("backbone", {"at_once": 7, "external": True}),
        ("dense", {"exact": True}),
        ("backbone", {"exact": True}),
        ("deep_set", {"external": True}),
    ],
)
def test_a_cut_network_gives_the_same_moments_and_gradient(name, options):
    source = random_source(IMAGE if name in ("convolutional", "backbone") else ROW, **options)
    model = made(name, source)
    found = frozen.cut(model, [source])
    features = found.features(source)
    assert features.size == source.size
    state = [variable.numpy() for variable in model.variables]
    results = []
    for compressor, rows in (
        (Compressor(model), source),
        (Compressor(model, found.second), features),
    ):
        for variable, value in zip(model.variables, state, strict=True):
            variable.assign(value)
        gradient = tf.function(lambda c=compressor, r=rows: loss_gradient(c, r, *CONSTANTS))
        results.append((gradient(), compressor.moments(rows)))
    (expected, without_training), (gradient, moments) = results
    assert_same(gradient, expected)
    for one, other in zip(moments, without_training, strict=True):
        np.testing.assert_allclose(one, other, 1e-9, 1e-12)


def test_only_what_trained_layers_take_is_kept():
    source = random_source()
    model = made("dense", source)
    # The whitened values for the hidden layers, and what stands beside their outputs.
    assert frozen.cut(model, [source]).features(source).input_shape == (10 + 40,)
    source = random_source(IMAGE)
    found = frozen.cut(made("backbone", source), [source])
    assert found.features(source).input_shape == (4,)
    assert found.first(source.feed(0).pieces[0].simulations[:3]).shape == (3, 4)


# What cannot be computed once ---------------------------------------------------------------


class Centred(layers.Layer):
    """Subtracts the mean over the simulations that are in the network together."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0)


class Shifting(layers.Layer):
    """Counts its calls in training, and adds the count."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.calls.assign_add(1.0)
        return x + self.calls


class Noisy(layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x), dtype=x.dtype)


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = dense_behind(frozen_dense())

    def call(self, x):
        return self.inner(x)


UNCUT = {
    "trained from the first layer on": lambda: dense_behind(),
    "views": lambda: dense_behind(layers.Reshape((5, 2), **DTYPE), layers.Flatten(**DTYPE)),
    "random": lambda: dense_behind(Noisy(**DTYPE)),
    "random with a seed": lambda: dense_behind(layers.GaussianNoise(0.1, **DTYPE)),
    "of the batch": lambda: dense_behind(Centred(**DTYPE)),
    "statistics": lambda: dense_behind(
        layers.BatchNormalization(center=False, scale=False, **DTYPE)
    ),
    "changes": lambda: dense_behind(Shifting(**DTYPE)),
    "penalty": lambda: dense_behind(frozen_dense(activity_regularizer="l2")),
    "a class of its own": Subclass,
    "nothing trained": lambda: keras.Sequential([keras.Input(ROW, **DTYPE), frozen_dense(2)]),
}


@pytest.mark.parametrize("name", UNCUT)
def test_what_may_change_is_computed_anew(name):
    assert frozen.cut(UNCUT[name](), [random_source()]) is None


def test_layers_behind_one_that_may_change_are_computed_anew():
    model = dense_behind(frozen_dense(5), layers.GaussianNoise(0.1, **DTYPE), frozen_dense(3))
    source = random_source()
    assert frozen.cut(model, [source]).features(source).input_shape == (5,)


def test_random_and_fresh_simulations_are_computed_anew():
    model, source = dense_behind(frozen_dense()), random_source()
    assert frozen.cut(model, [source]) is not None
    problem = problems.gaussian()
    augmented = random_source()
    augmented.augmentation = lambda rows, seeds, step: rows
    assert frozen.cut(model, [source, augmented]) is None
    imnn = IMNN(
        50, 50, 2, 2, problem.θ_fid, problem.δθ, ROW, model=plain_network(),
        simulator=gaussian_simulator, verbose=False,
    )  # fmt: skip
    imnn.fit(1)
    assert imnn.run.graph.training.is_fresh
    assert imnn.run.graph.training.input_shape == ROW


# Memory -------------------------------------------------------------------------------------


def test_little_memory_moves_the_cut_towards_the_data(monkeypatch):
    source = random_source()
    model = dense_behind(frozen_dense(20), frozen_dense(100))
    sizes = {}
    for values in (100, 99, 20, 19, 10, 9):
        free = values * source.size * 8 / frozen.SHARE
        monkeypatch.setattr(frozen, "free_memory", lambda free=free: free)
        found = frozen.cut(model, [source])
        sizes[values] = found and found.features(source).input_shape
    assert sizes == {100: (100,), 99: (20,), 20: (20,), 19: None, 10: None, 9: None}


def test_both_sets_and_repeated_rows_count(monkeypatch):
    model, source = dense_behind(frozen_dense(20)), random_source(exact=True)
    rows = source.size + 12 * 2  # each derivative has a fiducial simulation of its own
    for sources, free in (([source], 20 * rows * 8), ([source, source], 20 * 2 * rows * 8)):
        for less, is_cut in ((0, True), (1, False)):
            monkeypatch.setattr(
                frozen, "free_memory", lambda free=free, less=less: free / frozen.SHARE - less
            )
            assert (frozen.cut(model, sources) is not None) == is_cut


# In training --------------------------------------------------------------------------------


def trained(monkeypatch, make, is_cut=True, iterations=4, objective="imnn", **options):
    keras.utils.set_random_seed(7)
    if not is_cut:
        monkeypatch.setattr(step, "cut", lambda *_: None)
    imnn = small_imnn(model=make(), dtype="float64", **options)
    imnn.fit(iterations, objective=objective)
    monkeypatch.undo()
    assert (imnn.run.graph.training.input_shape != ROW) == is_cut
    return imnn


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dense", {}),
        ("dropout", {}),
        ("normalised", {}),
        ("dropout", {"objective": "projected"}),
        ("shared", {"objective": "projected", "at_once": 150}),
    ],
)
def test_training_is_the_same(name, options, monkeypatch):
    one, other = (trained(monkeypatch, MODELS[name], is_cut, **options) for is_cut in (True, False))
    for column in ("loss", "det_F", "val_det_F", "r"):
        np.testing.assert_allclose(one.history[column], other.history[column], 1e-7)
    np.testing.assert_allclose(one.F, other.F, 1e-7)
    assert len(one.history) == 5
    assert np.ptp(one.history["loss"]) > 0


def test_saved_training_resumes_with_and_without_a_cut(monkeypatch, tmp_path):
    imnn = trained(monkeypatch, lambda: dense_behind(frozen_dense()))
    data = dict(zip(NAMES, gaussian_data(), strict=True))
    again = IMNN.load(imnn.save(tmp_path / "saved"), **data)
    monkeypatch.setattr(step, "cut", lambda *_: None)
    for each in (imnn, again):
        each.fit(3)
    np.testing.assert_allclose(again.history["loss"], imnn.history["loss"], 1e-7)


NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def test_weights_that_were_changed_between_fits_are_used():
    imnn = small_imnn(model=dense_behind(frozen_dense(name="frozen")), dtype="float64")
    imnn.fit(2, best=False)
    graph = imnn.run.graph
    imnn.fit(1, best=False)
    assert imnn.run.graph is graph
    assert graph.advance.experimental_get_tracing_count() == 1
    kernel = imnn.model.get_layer("frozen").kernel
    kernel.assign(0.5 * kernel.numpy())
    imnn.fit(1, best=False)
    # The statistics are found by the whole network, the history from the features.
    assert imnn.history["val_det_F"][-1] == pytest.approx(imnn.validation.det_F, rel=1e-9)


def test_a_layer_that_is_trained_from_now_on_is_trained():
    imnn = small_imnn(model=dense_behind(frozen_dense(name="frozen")), dtype="float64")
    imnn.fit(2, best=False)
    layer = imnn.model.get_layer("frozen")
    before = layer.kernel.numpy()
    layer.trainable = True
    imnn.fit(3, best=False)
    assert not np.allclose(layer.kernel.numpy(), before, rtol=1e-6)
    assert imnn.history["iteration"].tolist() == list(range(6))
    assert imnn.history["val_det_F"][-1] == pytest.approx(imnn.validation.det_F, rel=1e-9)
    layer.trainable = False
    before = layer.kernel.numpy()
    imnn.fit(2, best=False)
    np.testing.assert_array_equal(layer.kernel.numpy(), before)
