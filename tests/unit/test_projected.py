"""The projected objective: features trained for their best linear readout."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, gaussian_simulator, small_imnn

from imnn_lab import IMNN, problems
from imnn_lab.networks import last_layer
from imnn_lab.networks.last_layer import ClosedForm
from imnn_lab.sources.source import FIRST
from imnn_lab.training import projected
from imnn_lab.training.projected import Projected, cross_fitted_loss

DATA = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
δθ = np.array([0.1, 0.2])
problem = problems.gaussian()


def features(n=61, m=42, width=7):
    """Return features that differ in scale, with a derivative, of a fiducial and a derivative set.

    Numbers are odd, so that the halves differ in size.
    """
    random = np.random.default_rng(1)
    mix = random.normal(size=(width, width)) * np.logspace(-1, 1, width)
    shift = random.normal(size=(2, width)) * δθ[:, None] / 2
    noise = random.normal(size=(m, 1, 1, width))
    derivative = noise + np.stack([-shift, shift]) + 0.1 * random.normal(size=(m, 2, 2, width))
    return random.normal(size=(n, width)) @ mix, derivative @ mix


def tensors(*arrays):
    return tuple(tf.constant(array, tf.float64) for array in arrays)


def numpy_loss(fiducial, derivative, ridge):
    """The formula of the module, from sums over simulations."""
    n, m = len(fiducial) // 2, len(derivative) // 2
    halves = []
    for f, d in ((fiducial[:n], derivative[:m]), (fiducial[n:], derivative[m:])):
        covariances = [np.cov(f.T)]
        beside = [np.cov(d[:, side, parameter].T) for side in (0, 1) for parameter in (0, 1)]
        C = np.average([*covariances, np.mean(beside, 0)], axis=0, weights=(len(f), len(d)))
        dμ_dθ = (d[:, 1] - d[:, 0]).mean(0) / δθ[:, None]
        halves.append((C, dμ_dθ, np.linalg.inv(C + np.diag(ridge * np.diag(C))) @ dμ_dθ.T))
    total = 0.0
    for (C, dμ_dθ, _), (_, _, W) in (halves, halves[::-1]):
        F = dμ_dθ @ W @ np.linalg.inv(W.T @ C @ W) @ W.T @ dμ_dθ.T
        total -= np.log(np.linalg.det(F)) / 2
    return total


def cut_off(*last):
    """A small network that ends in these layers."""
    first = keras.layers.Dense(8, "gelu", kernel_initializer=keras.initializers.Orthogonal(seed=1))
    return keras.Sequential([keras.Input((10,)), first, *last])


def small(outputs=2, **keywords):
    return cut_off(keras.layers.Dense(outputs, **keywords))


def projected_of(imnn):
    return Projected(ClosedForm.of(imnn.model), imnn._trainer.training)


RIDGE = np.linspace(0.01, 0.3, 7)


def test_the_loss_is_that_of_the_formula():
    value = cross_fitted_loss(*tensors(*features()), *tensors(δθ, RIDGE))
    expected = numpy_loss(*features(), RIDGE)
    assert float(value) == pytest.approx(expected, rel=1e-10)
    # The control: solved and evaluated on the same half, or with another ridge, it is another.
    assert abs(expected - numpy_loss(*features(), 2 * RIDGE)) > 1e-4


def differentiated(fiducial, derivative):
    """Return the derivative of the loss along a direction: by the tape, and by differences."""
    sets, random = tensors(fiducial, derivative), np.random.default_rng(2)
    with tf.GradientTape() as tape:
        tape.watch(sets)
        value = cross_fitted_loss(*sets, *tensors(δθ, RIDGE))
    gradients = [x.numpy() for x in tape.gradient(value, sets)]
    direction = [random.normal(size=x.shape) for x in gradients]
    h = 1e-5
    above, below = (
        numpy_loss(
            *(x + sign * h * d for x, d in zip((fiducial, derivative), direction, strict=True)),
            RIDGE,
        )
        for sign in (1, -1)
    )
    by_tape = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    return by_tape, (above - below) / (2 * h)


def test_its_gradient_flows_through_the_readout(monkeypatch):
    by_tape, by_differences = differentiated(*features())
    assert by_tape == pytest.approx(by_differences, rel=1e-6)  # the error of h² and of 1e-16/h
    # The control: with a readout that is held fixed it is another.
    real = projected.readout
    monkeypatch.setattr(projected, "readout", lambda *given: tf.stop_gradient(real(*given)))
    by_tape, by_differences = differentiated(*features())
    assert abs(by_tape - by_differences) > 0.01 * abs(by_differences)


def test_of_given_features_it_is_the_closed_form_fitted_crosswise():
    """The same as `last_layer` solves on each half of the seeds and evaluates on the other."""
    imnn = small_imnn(model=linear_network())
    source, objective = imnn._trainer.training, projected_of(imnn)
    moments = last_layer.feature_moments(objective.compressor, source)
    halves = moments.pooled.plain().halves
    value = 0.0
    for solved, other in (halves, halves[::-1]):
        readouts = last_layer.Scores(solved.whole).readouts(2)
        ρ = last_layer.RIDGES[10]
        (found,) = (r for r in readouts if r.each and r.ρ == ρ)
        value -= found.log_det_F(other) / 2
    features = objective.compressor.summaries(source, source.feed(FIRST), training=True)
    ridge = tf.fill(objective.ridge.shape, tf.constant(ρ, tf.float64))
    found = cross_fitted_loss(*objective._parts(source, features), source.δθ, ridge)
    assert float(found) == pytest.approx(value, rel=1e-6)


def test_each_iteration_draws_its_half_of_the_seeds():
    imnn = small_imnn(model=small())
    source, objective = imnn._trainer.training, projected_of(imnn)
    objective.ridge.assign(objective.choose_ridge(source, None))
    one = tf.constant(1.0, tf.float64)
    losses = [
        float(objective.gradient(source, one, one, tf.constant(step, tf.int64)).terms.loss)
        for step in (3, 3, 4)
    ]
    assert losses[0] == losses[1] != losses[2]


def linear_network():
    """A network whose features are linear in the values and their squares."""
    inputs = keras.Input((10,))
    squares = keras.layers.Multiply()([inputs, inputs])
    joined = keras.layers.Concatenate()([inputs, squares])
    start = keras.initializers.Orthogonal(seed=1)
    mixed = keras.layers.Dense(20, kernel_initializer=start)(joined)
    return keras.Model(inputs, keras.layers.Dense(2)(mixed))


@pytest.fixture(scope="module")
def untrained_and_trained():
    """The statistics before training, and the IMNN after it: to be read alone."""
    imnn = small_imnn(model=small())
    before = imnn.training, imnn.validation
    imnn.fit(20, objective="projected", best=False)
    return before, imnn


def test_iteration_zero_has_the_untrained_features():
    imnn = small_imnn(model=small())
    source, objective = imnn._trainer.training, projected_of(imnn)
    moments = last_layer.feature_moments(objective.compressor, source)
    imnn.fit(0, objective="projected")
    ridge = imnn._network.ridge
    assert ridge.min() >= projected.LEAST
    pooled, fiducial = moments.pooled.whole, moments.fiducial
    C = pooled.C + np.diag(ridge * np.diag(pooled.C))
    found = last_layer.Readout(np.linalg.solve(C, pooled.dμ_dθ.T), 0.0, True)
    expected = found.log_det_F(last_layer.Pooled(fiducial, (fiducial.dμ_dθ, fiducial.dμ_dθ)))
    assert imnn.history["log_det_F"][0] == pytest.approx(expected, rel=1e-5)


def test_training_gains_and_columns_are_those_of_the_summaries(untrained_and_trained):
    before, imnn = untrained_and_trained
    history, (fiducial, derivative, *validation) = imnn.history, gaussian_data()
    assert history["log_det_F"][-1] > before[0].log_det_F
    np.testing.assert_allclose(history["det_C"], 1, rtol=1e-3)
    for name, data in (("", (fiducial, derivative)), ("val_", validation)):
        found = imnn.evaluate(*data)
        assert history[name + "det_F"][-1] == pytest.approx(found.det_F, rel=1e-4)
        np.testing.assert_allclose(history[name + "μ"][-1], found.μ, atol=1e-4)


def test_the_last_layer_is_the_readout_of_the_whole_set(untrained_and_trained):
    _, imnn = untrained_and_trained
    source, objective = imnn._trainer.training, projected_of(imnn)
    moments = last_layer.feature_moments(objective.compressor, source).pooled.whole
    R = imnn._network.ridge * np.diag(moments.C)
    W = np.linalg.solve(moments.C + np.diag(R), moments.dμ_dθ.T)
    kernel = imnn.model.layers[-1].kernel.numpy()
    coefficients, *_ = np.linalg.lstsq(W, kernel, rcond=None)
    np.testing.assert_allclose(W @ coefficients, kernel, atol=1e-4 * np.abs(kernel).max())


def fitted(fit=(), **changes):
    imnn = small_imnn(**{"model": small()} | changes)
    imnn.fit(**{"n_iterations": 3, "objective": "projected"} | dict(fit))
    return imnn


@pytest.mark.parametrize(
    "changes",
    [{"at_once": 70}, {"fit": {"λ": 2.0, "ε": 0.3}, "whiten": False}],
    ids=["chunks", "the regulariser"],
)
def test_what_changes_nothing(changes):
    one, other = fitted(), fitted(**changes)
    for key in ("loss", "det_F", "val_det_F"):
        np.testing.assert_allclose(one.history[key], other.history[key], rtol=1e-4)


def mean(data):
    return data.mean(-1, keepdims=True)


BESIDE = tuple(map(mean, gaussian_data()))
AVERAGED = keras.optimizers.SGD(1e-3, weight_decay=0.1, use_ema=True, ema_overwrite_frequency=2)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_summaries": 4, "model": small(4)},
        {"external": BESIDE},
        {"validation_fiducial": None, "validation_derivative": None},
        {"optimiser": AVERAGED},
        {"model": cut_off(keras.layers.Dropout(0.1), keras.layers.Dense(2, use_bias=False))},
        {"model": cut_off(keras.layers.BatchNormalization(), keras.layers.Dense(2))},
        dict.fromkeys(DATA) | {"simulator": gaussian_simulator},
        dict.fromkeys(DATA) | {"simulator": gaussian_simulator, "δθ": None},
    ],
    ids=[
        "more summaries", "external", "alone", "averages", "dropout", "batch", "fresh", "exact",
    ],
)  # fmt: skip
def test_it_trains_with(changes):
    imnn = fitted({"best": False}, **changes)
    history, first, kernel = imnn.history, imnn._network.initial[0], imnn.model.variables[0]
    assert np.isfinite(history["loss"]).all()
    assert not np.array_equal(history["F"][0], history["F"][-1])
    assert not np.array_equal(first, kernel.numpy())
    assert imnn.statistics.det_F > 0.5 * history["det_F"][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": cut_off(keras.layers.Dense(2, "tanh"))}, "end in a linear Dense layer"),
        (
            {"model": keras.Sequential([keras.Input((10,)), keras.layers.Dense(2)])},
            "layers to train before the last",
        ),
        ({"model": small(1), "n_summaries": 1, "external": BESIDE}, "n_summaries ≥ n_params = 2"),
        (
            {"n_s": 200, "n_d": 3, **dict(zip(DATA, gaussian_data(200, 3), strict=True))},
            "at least 8 simulations of each kind",
        ),
    ],
    ids=["another layer", "nothing to train", "few summaries", "few simulations"],
)
def test_what_cannot_work_is_refused_before_any_work(changes, words):
    imnn = small_imnn(**{"model": small()} | changes)
    before = [variable.numpy() for variable in imnn.model.variables]
    for method in (imnn.fit, imnn.start):
        with pytest.raises(ValueError, match=f"objective='projected' must be used with .*{words}"):
            method(2, objective="projected")
    assert imnn.run is None
    assert not len(imnn.history)
    for value, variable in zip(before, imnn.model.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())
    assert imnn.fit(1).state == "finished"


def test_both_objectives_take_turns():
    imnn = fitted({"n_iterations": 2})
    assert imnn.run.objective == "projected"
    first = imnn.history["loss"]
    assert imnn.fit(2).objective == "imnn"
    imnn.fit(2, objective="projected", reset=True)
    np.testing.assert_allclose(imnn.history["loss"], first, rtol=1e-5)


def test_what_does_not_improve_validation_is_not_kept():
    harmful = {"optimiser": keras.optimizers.Adam(10.0)}
    before = small_imnn(model=small()).validation.log_det_F
    assert fitted(**harmful).validation.log_det_F >= before - 1e-6
    # The control: the last weights are worse.
    assert fitted({"best": False}, **harmful).validation.log_det_F < before - 0.1


def test_training_goes_on_after_a_kill_as_if_nothing_had_happened(tmp_path):
    fit = {"n_iterations": 7, "objective": "projected", "best": False}
    whole = fitted(fit)
    # Nothing is saved at the end: as after a kill.
    fitted(fit | {"checkpoint": 4}, directory=str(tmp_path), filename="model")

    def loaded(factor):
        imnn = IMNN.load(tmp_path / "model", **dict(zip(DATA, gaussian_data(), strict=True)))
        assert len(imnn.history) == 5
        imnn._network.ridge *= factor
        imnn.fit(**fit | {"n_iterations": 3})
        return imnn

    again = loaded(1.0)
    for key in ("iteration", "loss", "det_F", "val_det_F"):
        np.testing.assert_array_equal(again.history[key], whole.history[key])
    for mine, other in zip(again.model.variables, whole.model.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())
    # The control: with another ridge it goes on in another way.
    assert not np.array_equal(loaded(2.0).history["loss"], whole.history["loss"])
