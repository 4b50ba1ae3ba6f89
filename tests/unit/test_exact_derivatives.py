"""∂d/∂θ given as arrays, functions, datasets or records."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, plain, settings, write
from makers import SIZE, plain_imnn, plain_network, small_network

from imnn_lab import problems, sources
from imnn_lab.networks.tangents import check_tangents
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor
from imnn_lab.training.step import loss_gradient

problem = problems.gaussian()


def exact_set(seed, n_s=SIZE, n_d=SIZE):
    """Return simulations μ + √Σ z at (0, 1), and their derivatives 1 and z/2."""
    z = np.random.default_rng(seed).normal(size=(n_s, 10))
    return z, np.stack([np.ones((n_d, 10)), z[:n_d] / 2], axis=1)


ARRAYS = dict(zip(NAMES, (*exact_set(1), *exact_set(2)), strict=True))


def central_set(z, δθ):
    """Return simulations below and above, from the same z."""
    sides = []
    for sign in (-1, 1):
        μ, Σ = np.array([0, 1]) + sign * np.diag(δθ) / 2
        sides.append([μ[0] + np.sqrt(μ[1]) * z, Σ[0] + np.sqrt(Σ[1]) * z])
    return np.moveaxis(np.array(sides), 2, 0)


@pytest.mark.parametrize("n_d", [SIZE, 70])
def test_exact_derivatives_give_the_F_of_small_central_differences(n_d):
    z, tangents = exact_set(1, n_d=n_d)
    δθ = np.full(2, 1e-4)
    compressor = Compressor(small_network(dtype="float64"))
    exact = compressor.statistics(ArraySource(z, tangents, None, "float64"))
    central = ArraySource(z, central_set(z[:n_d], δθ), δθ, "float64")
    # The central difference is wrong by δθ² f‴/24, about 1e-9.
    np.testing.assert_allclose(exact.F, compressor.statistics(central).F, rtol=1e-6)


@pytest.mark.parametrize("at_once", [17, 60, 130])
def test_chunks_of_exact_derivatives_give_the_same_gradient(at_once):
    z, tangents = exact_set(1, 60, 60)
    compressor = Compressor(plain_network(dtype="float64"))

    def found(chunk):
        source = ArraySource(z, tangents, None, "float64", chunk)
        λ, α = (tf.constant(value, tf.float64) for value in (10.0, 1.0))
        return loss_gradient(compressor, source, λ, α)

    for ours, theirs in zip(found(at_once).gradient, found(None).gradient, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.fixture(scope="module")
def reference():
    imnn = plain_imnn(δθ=None, **ARRAYS)
    imnn.fit(3)
    return imnn


@pytest.mark.parametrize("kind", ["records", "on disk"])
def test_every_kind_of_data_gives_the_same_training(kind, reference, tmp_path):
    data = {name: plain(array) for name, array in ARRAYS.items()}
    if kind == "records":
        data = {}
        for name, array in ARRAYS.items():
            options = {"exact": True, "fiducial": False, "n_params": 2} if array.ndim == 3 else {}
            data[name] = write(tmp_path, array.astype("float32"), filename=name, **options)
    imnn = plain_imnn(δθ=None, **data, cache="disk" if kind == "on disk" else "auto")
    imnn.fit(3)
    np.testing.assert_allclose(imnn.history["det_F"], reference.history["det_F"], rtol=1e-4)


def test_estimates_and_other_sets(reference):
    assert reference.δθ is None
    assert reference.get_estimate(ARRAYS["fiducial"]).mean(0) == pytest.approx([0, 1], abs=0.1)
    again = reference.evaluate(ARRAYS["validation_fiducial"], ARRAYS["validation_derivative"])
    np.testing.assert_allclose(again.F, reference.validation.F, rtol=1e-4)


def test_exact_derivatives_from_generators_need_a_cache():
    data = {name: plain(array) for name, array in ARRAYS.items()}
    with pytest.raises(ValueError, match='cache="disk"'):
        plain_imnn(δθ=None, **data, cache=None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"derivative": ARRAYS["derivative"] * [[[1.0], [0.0]]]}, "parameter 1 that are all"),
        ({"derivative": ARRAYS["derivative"][:, None]}, r"\(n_d, n_params\) \+ input_shape"),
        ({"n_d": SIZE + 1}, "at most n_s"),
        ({"validation_n_d": SIZE + 1}, "at most validation_n_s"),
    ],
)
def test_bad_derivatives_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        plain_imnn(**{"δθ": None, **ARRAYS, **change})


def test_batch_normalisation_is_refused():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(4)])
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(2))
    with pytest.raises(ValueError, match=r"BatchNormalization.* exact derivatives"):
        plain_imnn(δθ=None, **ARRAYS, model=model)


def test_dropout_trains_with_exact_derivatives():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(8, "gelu")])
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(2))
    imnn = plain_imnn(δθ=None, **ARRAYS, model=model)
    imnn.fit(3)
    assert np.isfinite(imnn.history["det_F"]).all()


def test_a_source_of_exact_derivatives_is_exact():
    found, _ = sources.sources(settings(δθ=None), **ARRAYS)
    assert found.is_exact
    assert found.size == SIZE + 2 * SIZE


IMAGE = (4, 4, 1)
RESIZES = {
    "Resizing": lambda: keras.layers.Resizing(2, 2),
    "UpSampling2D": lambda: keras.layers.UpSampling2D(interpolation="bilinear"),
    "Lambda": lambda: keras.layers.Lambda(tf.stop_gradient),
}


def images(model, x=None):
    """Check the tangents of a network of images; they keep their sign under small steps."""
    x = np.random.default_rng(1).normal(size=(5, *IMAGE)) if x is None else x
    check_tangents(model, ArraySource(x, np.stack([x, x], axis=1), None, "float32"))


def beside_a_skip(layer, share):
    x = keras.Input(IMAGE)
    branch = keras.layers.Rescaling(share)(keras.layers.Flatten()(layer(x)))
    both = keras.layers.Concatenate()([keras.layers.Flatten()(x), branch])
    return keras.Model(x, keras.layers.Dense(2)(both))


@pytest.mark.parametrize("share", [1.0, 1e-4])
@pytest.mark.parametrize("kind", RESIZES)
def test_a_layer_whose_tangent_is_dropped_is_named(kind, share):
    """However little it adds to the summaries."""
    with pytest.raises(ValueError, match=rf"derivative 0, and .* in its layer '.*' \({kind}\)"):
        images(beside_a_skip(RESIZES[kind](), share))


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_right_layers_are_not_refused(shift):
    """Kinks, ties, and rounding by float32 where values are far from 0 compared to their spread."""
    random = np.random.default_rng(2)
    x = keras.Input(IMAGE)
    layers = keras.layers.ReLU(), keras.layers.MaxPooling2D(), keras.layers.LayerNormalization()
    parts = [keras.layers.Flatten()(layer(x)) for layer in layers]
    images(
        keras.Model(x, keras.layers.Dense(2)(keras.layers.Concatenate()(parts))),
        random.normal(size=(5, *IMAGE)) + shift,
    )


def test_logarithms_of_positive_data_are_not_refused():
    x = keras.Input(IMAGE)
    logarithm = keras.layers.Lambda(tf.math.log)(x)
    data = np.random.default_rng(3).lognormal(sigma=3.0, size=(5, *IMAGE))
    images(keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(logarithm))), data)
