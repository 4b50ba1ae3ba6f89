"""The set-up of a network: what is refused, what is whitened, and when a wide δθ is warned of."""

import warnings

import keras
import numpy as np
import pytest

from imnn_lab import networks
from imnn_lab.networks import setup
from imnn_lab.networks.last_layer import ClosedForm
from imnn_lab.settings import Settings
from imnn_lab.sources.checking import warn_of_wide_differences
from imnn_lab.sources.source import ArraySource

N = 400


def data(n=N):
    """Return simulations x = θ + noise in 4 values, of which θ moves the first two, and δθ."""
    rng = np.random.default_rng(1)
    sides = np.array([-0.5, 0.5])[:, None, None] * np.array([0.2, 0.4])[:, None] * np.eye(2, 4)
    fiducial, pairs = rng.normal(size=(n, 4)) + 3, rng.normal(size=(n, 1, 1, 4)) + 3
    return fiducial, pairs + sides, np.array([0.2, 0.4])


def settings(**changes):
    arguments = {
        "n_s": N, "n_d": N, "n_params": 2, "n_summaries": 2, "θ_fid": [0, 0], "δθ": [0.2, 0.4],
        "input_shape": (4,), "at_once": None, "check_shape": True, "verbose": False,
        "dtype": "float64", "itype": "int32", "warm_start": True, "whiten": True, "seed": 1,
        "validation_n_s": None, "validation_n_d": None, "cache": "auto", "has_external": False,
        "is_preprocessed": False,
    }  # fmt: skip
    return Settings.checked(**arguments | changes)


def nonlinear_ending():
    return keras.Sequential(
        [
            keras.Input((4,), dtype="float64"),
            keras.layers.Dense(2, "tanh", dtype="float64", kernel_initializer="glorot_normal"),
        ]
    )


def prepared_of(model, settings, source):
    return setup.prepared_network(model, settings, source, None, ClosedForm.of(model))


def ours():
    return networks.dense((4,), 2, hidden=(4,), dtype="float64", seed=1)


@pytest.mark.parametrize("make", [ours, nonlinear_ending])
@pytest.mark.parametrize("warm_start", [True, False])
def test_summaries_start_with_mean_0_and_unit_covariance(make, warm_start):
    fiducial, derivative, δθ = data()
    model = make()
    source = ArraySource(fiducial, derivative, δθ, "float64")
    prepared = prepared_of(model, settings(warm_start=warm_start), source)
    y = prepared(fiducial).numpy()
    # Sums of 400 simulations in float64.
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(y.T), np.eye(2), atol=1e-8)
    assert (prepared is model) == (warm_start and make is ours)


@pytest.mark.parametrize("make", [ours, nonlinear_ending])
def test_without_whitening_a_network_stays_as_it_is(make):
    fiducial, derivative, δθ = data()
    source, plain = ArraySource(fiducial, derivative, δθ, "float64"), make()
    prepared = prepared_of(plain, settings(whiten=False, warm_start=False), source)
    assert prepared is plain
    C = np.cov(prepared(fiducial).numpy().T)
    assert np.abs(C - np.eye(2)).max() > 1e-3  # control: unit covariance is no accident


def test_copies_of_a_summary_cannot_be_whitened():
    inputs = keras.Input((4,), dtype="float64")
    y = keras.layers.Dense(1, "tanh", dtype="float64")(inputs)
    model = keras.Model(inputs, keras.layers.Concatenate(dtype="float64")([y, y]))
    with pytest.raises(ValueError, match="regular covariance"):
        prepared_of(model, settings(), ArraySource(*data(), "float64"))


def test_a_copied_optimiser_has_the_settings_but_no_state_of_the_original():
    original = keras.optimizers.SGD(0.25, momentum=0.5)
    copied = setup.copied_optimiser(original)
    assert copied is not original
    assert copied.get_config() == original.get_config()
    assert float(setup.copied_optimiser(None).learning_rate) == pytest.approx(3e-4)
    with pytest.raises(TypeError, match="`optimiser` must be a Keras optimiser"):
        setup.copied_optimiser("adam")


@pytest.mark.parametrize(("width", "is_wide"), [(9.9, False), (10.1, True)])
def test_differences_of_more_than_ten_errors_are_warned_of(width, is_wide):
    """The error of θ_i with the others known is 1/√F_ii: here ½ and 1/5, whatever F_01 is."""
    F = np.array([[4.0, 9.0], [9.0, 25.0]])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_wide_differences(F, np.array([0.1, width / 5]))
        warn_of_wide_differences(F, None)
    assert len(caught) == is_wide
    if is_wide:
        message = str(caught[0].message)
        assert "`δθ` of parameter 1 is 2.02, 10 times the error of 0.2 " in message


def test_a_model_of_keras_2_is_refused_as_such():
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Input((4,)), tf_keras.layers.Dense(2)])
    with pytest.raises(TypeError, match="Received a model of tf_keras, which is Keras 2"):
        setup.checked_network(model, settings())


@pytest.mark.parametrize("warm_start", [True, False])
def test_fewer_features_than_summaries_are_refused(warm_start):
    layers = [
        keras.layers.Dense(1, "tanh", dtype="float64"),
        keras.layers.Dense(2, dtype="float64"),
    ]
    model = keras.Sequential([keras.Input((4,), dtype="float64"), *layers])
    source = ArraySource(*data(), "float64")
    with pytest.raises(ValueError, match=r"at least n_summaries = 2 features .* Received 1"):
        prepared_of(model, settings(warm_start=warm_start), source)
