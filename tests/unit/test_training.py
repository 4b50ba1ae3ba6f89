"""Exact semantics of fitting: what is recorded, when it stops, what is kept."""

import os
import signal

import keras
import numpy as np
import pytest
from makers import gaussian_data, plain_imnn, small_imnn, small_network

from imnn_lab import IMNN, History, problems
from imnn_lab.history import COLUMNS, MATRICES
from imnn_lab.loss import non_gaussianity
from imnn_lab.training.loop import next_count


class Poison(keras.layers.Layer):
    """Gives NaN once training has reached a number of calls."""

    def __init__(self, at, **keywords):
        super().__init__(**keywords)
        self.at = at
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x, training=False):
        if training:
            self.calls.assign_add(1.0)
            return keras.ops.where(self.calls > self.at, float("nan"), 1.0) * x
        return x


@pytest.fixture(scope="module")
def untrained_and_trained():
    """The statistics of a network before any training, and the IMNN after it: to be read alone."""
    imnn = plain_imnn()
    before = imnn.training, imnn.validation
    imnn.fit(150)
    return before, imnn


@pytest.fixture
def trained(untrained_and_trained):
    return untrained_and_trained[1]


def test_iteration_zero_is_the_untrained_network(untrained_and_trained):
    before, imnn = untrained_and_trained
    assert imnn.history["iteration"][:3].tolist() == [0, 1, 2]
    assert imnn.history["det_F"][0] == pytest.approx(before[0].det_F, rel=1e-5)
    assert imnn.history["val_det_F"][0] == pytest.approx(before[1].det_F, rel=1e-5)
    assert imnn.history["det_C"][0] == pytest.approx(1, rel=1e-4)


def test_every_iteration_is_recorded_whatever_the_chunks(trained):
    history = trained.history
    assert history["iteration"].tolist() == list(range(151))
    assert np.isfinite([history[key] for key in ("det_F", "r", "loss", "val_reg", "seconds")]).all()
    assert (np.diff(history["seconds"]) > 0).all()
    assert history["dμ_dθ"].shape == (151, 2, 2)
    assert history["F"].shape == history["val_F"].shape == (151, 2, 2)
    det_F = np.linalg.det(history["val_F"])
    np.testing.assert_allclose(det_F, history["val_det_F"], rtol=1e-9)
    np.testing.assert_allclose(history["det_C"] * history["det_Cinv"], 1)
    assert history.statistics(7).det_F == pytest.approx(history["det_F"][7])


def test_a_second_fit_goes_on():
    imnn = plain_imnn()
    imnn.fit(10)
    imnn.fit(5)
    assert imnn.history["iteration"].tolist() == list(range(16))


def test_the_best_weights_are_kept():
    imnn = plain_imnn(warm_start=False)
    imnn.fit(60)
    # Statistics are found anew for the kept weights, in another graph: float32 rounding.
    assert imnn.validation.det_F == pytest.approx(imnn.history["val_det_F"].max(), rel=1e-3)
    assert imnn.statistics_from == "validation"
    np.testing.assert_array_equal(imnn.F, imnn.validation.F)


def test_the_last_weights_are_kept_on_request():
    imnn = plain_imnn(optimiser=keras.optimizers.Adam(1e-2))
    imnn.fit(60, best=False)
    assert imnn.validation.det_F == pytest.approx(imnn.history["val_det_F"][-1], rel=1e-3)
    assert imnn.history["val_det_F"][-1] < 0.98 * imnn.history["val_det_F"].max()


def test_the_last_layer_is_solved_again_only_for_the_better(trained):
    assert trained.validation.det_F >= trained.history["val_det_F"].max() * (1 - 1e-3)


def test_without_validation_training_decides():
    imnn = plain_imnn(validation_fiducial=None, validation_derivative=None, warm_start=False)
    imnn.fit(30)
    assert imnn.validation is None
    assert imnn.statistics_from == "training"
    assert np.isnan(imnn.history["val_det_F"]).all()
    assert imnn.training.det_F == pytest.approx(imnn.history["det_F"].max(), rel=1e-3)


@pytest.mark.parametrize("patience", [1, 7])
def test_patience_counts_iterations_without_improvement(patience):
    imnn = plain_imnn()
    run = imnn.fit(patience=patience)
    values = imnn.history["val_log_det_F"]
    best = int(np.argmax(values))
    assert len(values) - 1 == best + patience
    assert run.reason == f"no improvement in {patience} iterations"
    # Nowhere before were there so many iterations in a row without improvement.
    records = np.flatnonzero(values >= np.maximum.accumulate(values))
    assert np.diff([0, *records]).max(initial=0) <= patience


def test_patience_waits_for_min_iterations():
    imnn = plain_imnn()
    imnn.fit(patience=3, min_iterations=50)
    values = imnn.history["val_log_det_F"]
    assert len(values) - 1 == max(50, int(np.argmax(values)) + 3)


def test_n_iterations_bounds_patience():
    imnn = plain_imnn()
    imnn.fit(4, patience=1000)
    assert imnn.history["iteration"][-1] == 4


def test_λ_and_ε_of_a_second_fit_are_used_without_a_new_trace():
    imnn = plain_imnn()
    imnn.fit(3, λ=10.0, ε=0.1)
    graph = imnn.run.graph
    traces = graph.advance.experimental_get_tracing_count()
    imnn.fit(3, λ=2.0, **{"\u03f5": 0.3})
    assert graph.advance.experimental_get_tracing_count() == traces == 1
    assert imnn.history["λ"].tolist() == [10.0] * 4 + [2.0] * 3
    assert imnn.history["ϵ"].tolist() == [0.1] * 4 + [0.3] * 3
    reg, r, α = (imnn.history[key] for key in ("reg", "r", "α"))
    np.testing.assert_allclose(
        r, imnn.history["λ"] * reg / (reg + np.exp(-α * reg)), rtol=1e-6, atol=1e-12
    )
    loss = -imnn.history["log_det_F"] + r * reg
    np.testing.assert_allclose(imnn.history["loss"], loss, rtol=1e-9)


def test_reset_starts_from_scratch_exactly():
    imnn = plain_imnn()
    imnn.fit(20)
    first = imnn.history["val_det_F"]
    imnn.fit(20, reset=True)
    np.testing.assert_allclose(imnn.history["val_det_F"], first, rtol=1e-6)
    # The control: without a reset the optimiser's moments and the weights are others.
    imnn.fit(20)
    assert not np.allclose(imnn.history["val_det_F"][21:], first[1:], rtol=1e-4)


def test_ctrl_c_keeps_the_best_and_whole_iterations():
    imnn = plain_imnn()

    def interrupt(run):
        if run.iteration >= 10:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        imnn.fit(10**6, callback=interrupt)
    assert imnn.run.state == "stopped"
    assert imnn.history["iteration"].tolist() == list(range(len(imnn.history)))
    assert imnn.validation.det_F >= imnn.history["val_det_F"].max() * (1 - 1e-3)
    imnn.fit(2)


def test_an_exception_in_a_callback_keeps_the_best():
    imnn = plain_imnn()

    def fail(run):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        imnn.fit(50, callback=fail)
    assert imnn.run.state == "failed"
    assert imnn.validation.det_F >= imnn.history["val_det_F"].max() * (1 - 1e-3)


@pytest.mark.parametrize("at", [0, 4])
def test_a_number_that_is_not_finite_stops_the_run(at):
    model = keras.Sequential([keras.Input((10,)), small_network(), Poison(at)])
    imnn = plain_imnn(model=model)
    with pytest.raises(FloatingPointError, match=f"at iteration {at} .*smaller learning rate"):
        imnn.fit(50)
    assert len(imnn.history) == at + 1
    assert imnn.run.state == "failed"
    assert np.isfinite(imnn.validation.det_F)
    assert np.isfinite(imnn.get_estimate(np.zeros(10))).all()
    if at:
        best = np.nanmax(imnn.history["val_det_F"][:at])
        assert imnn.validation.det_F == pytest.approx(best, rel=1e-3)


def fail_by_a_huge_learning_rate(imnn, **options):
    def steer(run):
        if run.iteration >= 5:
            run.steer(learning_rate=1e30)

    with pytest.raises(FloatingPointError, match="optimiser starts anew"):
        imnn.fit(10**4, callback=steer, **options)


def assert_trains(imnn):
    failed = len(imnn.history) - 1
    imnn.fit(10)
    rows = slice(failed + 1, None)
    assert len(imnn.history["det_F"][rows]) == 10
    assert np.isfinite(imnn.history["loss"][rows]).all()
    np.testing.assert_allclose(imnn.history["learning_rate"][rows], 1e-3, rtol=1e-6)
    assert np.ptp(imnn.history["det_F"][rows]) > 0
    return imnn.history["loss"][rows]


@pytest.mark.parametrize("best", [True, False])
def test_after_a_number_that_is_not_finite_a_network_trains_again(best):
    imnn = small_imnn()
    fail_by_a_huge_learning_rate(imnn, best=best)
    assert np.isfinite(imnn.get_estimate(np.zeros(10))).all()
    assert imnn.validation.det_F == pytest.approx(np.nanmax(imnn.history["val_det_F"]), rel=1e-3)
    assert_trains(imnn)


def test_what_was_saved_after_a_number_that_is_not_finite_trains_again(tmp_path):
    imnn = plain_imnn(directory=str(tmp_path), filename="model", save=True)
    fail_by_a_huge_learning_rate(imnn)
    loaded = plain_imnn(directory=str(tmp_path), filename="model", load=True, optimiser=None)
    np.testing.assert_allclose(assert_trains(loaded), assert_trains(imnn), rtol=1e-6)


def test_an_optimiser_that_is_not_finite_starts_anew():
    imnn = plain_imnn()
    imnn.fit(3)
    for variable in imnn.optimiser.variables[2:]:
        variable.assign(np.full(variable.shape, np.nan))
    imnn.run.graph.learning_rate.factor.assign(np.nan)
    assert_trains(imnn)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_dtypes_train(dtype):
    imnn = plain_imnn(dtype=dtype)
    imnn.fit(5)
    assert imnn.get_estimate(np.zeros((3, 10))).shape == (3, 2)
    assert imnn.model.outputs[0].dtype == dtype
    assert imnn.history["det_F"].dtype == np.float64


@pytest.mark.parametrize(
    "optimiser",
    [
        keras.optimizers.SGD(1e-4, momentum=0.9),
        keras.optimizers.AdamW(1e-3, weight_decay=1e-3),
        keras.optimizers.RMSprop(1e-3),
        keras.optimizers.Lion(1e-4),
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(1e-3, 20), global_clipnorm=1.0
        ),
    ],
    ids=lambda optimiser: optimiser.name,
)
def test_any_keras_optimiser_trains_a_copy(optimiser):
    imnn = plain_imnn(optimiser=optimiser)
    imnn.fit(3)
    assert imnn.optimiser is not optimiser
    assert not optimiser.built
    assert (np.diff(imnn.history["det_F"]) != 0).all()


def test_a_schedule_is_followed():
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    imnn = plain_imnn(optimiser=keras.optimizers.Adam(schedule))
    imnn.fit(10)
    expected = [float(schedule(step)) for step in range(11)]
    np.testing.assert_allclose(imnn.history["learning_rate"], expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [keras.layers.Dropout(0.2), keras.layers.BatchNormalization(), keras.layers.GaussianNoise(0.1)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_act_in_training_only_are_honoured(layer):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(16, "gelu"), layer, keras.layers.Dense(2)]
    )
    imnn = plain_imnn(model=model)
    imnn.fit(10)
    history = imnn.history
    # What is recorded is the network as it is used, without noise: the loss is another number.
    loss = -history["log_det_F"] + history["r"] * history["reg"]
    assert not np.allclose(history["loss"][1:], loss[1:], rtol=1e-6)
    at = int(np.argmax(history["val_det_F"]))
    assert imnn.validation.det_F >= history["val_det_F"][at] * (1 - 1e-3)


def test_a_subclassed_model_trains():
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(16, "gelu")
            self.last = keras.layers.Dense(2)

        def call(self, x):
            return self.last(self.first(x))

    imnn = plain_imnn(model=Mine())
    assert imnn.training.det_C == pytest.approx(1, rel=1e-3)
    assert not imnn.model.layers[-1].trainable
    imnn.fit(10)
    assert np.isfinite(imnn.F).all()


def test_more_summaries_than_parameters():
    imnn = plain_imnn(n_summaries=4, model=small_network(outputs=4))
    imnn.fit(5)
    assert (imnn.F.shape, imnn.C.shape, imnn.dμ_dθ.shape) == ((2, 2), (4, 4), (2, 4))
    assert imnn.training.det_C > 0.5


def test_training_with_one_parameter():
    problem = problems.variance()
    data = problem.training_set(200, 200, 1)
    imnn = IMNN(
        200, 200, 1, 1, 1.0, 0.1, (10,), *data, *problem.training_set(100, 50, 2),
        model=small_network(outputs=1), verbose=False,
    )  # fmt: skip
    imnn.fit(5)
    assert (imnn.validation.n_s, imnn.validation.n_d) == (100, 50)
    assert imnn.get_estimate(data[0][0]).shape == (1,)


def test_at_once_bounds_the_chunks_and_changes_nothing():
    whole, parts = plain_imnn(dtype="float64"), plain_imnn(dtype="float64", at_once=130)
    for imnn in (whole, parts):
        imnn.fit(4)
    np.testing.assert_allclose(parts.history["det_F"], whole.history["det_F"], rtol=1e-7)


def test_the_same_seeds_give_the_same_training(trained):
    second = plain_imnn()
    second.fit(30)
    np.testing.assert_allclose(second.history["det_F"], trained.history["det_F"][:31], rtol=1e-6)


def test_the_number_of_iterations_in_a_call_adapts():
    assert next_count(1, 3.0) == 1
    assert next_count(8, 0.001) == 16
    assert next_count(100, 0.1) == 50


def test_evaluate_agrees_with_the_statistics_of_the_same_set():
    imnn = plain_imnn()
    fiducial, derivative, *_ = gaussian_data()
    found = imnn.evaluate(fiducial, derivative)
    np.testing.assert_allclose(found.F, imnn.training.F, rtol=1e-4)
    assert (found.n_s, found.n_d) == (200, 200)


def test_every_column_can_be_read_before_any_training(trained):
    assert set(trained.history) == {*COLUMNS, *MATRICES, "snapshot_iteration"}
    assert all(History()[name].shape == (0,) for name in trained.history)


@pytest.fixture(scope="module")
def exponential_data():
    """Exponential values of which a simulation has one, of scale 1: data of skewness 2."""
    random = np.random.default_rng(1)
    noise = [random.exponential(size=(400, 1)) for _ in range(4)]
    sides = np.array([0.95, 1.05])[:, None, None]
    one, two = ((x, y[:, None, None] * sides) for x, y in (noise[:2], noise[2:]))
    return *one, *two


def trained_on(data, gaussianity, n=120, **options):
    layers = keras.layers
    kernel = keras.initializers.GlorotUniform
    model = keras.Sequential(
        [
            keras.Input((1,)),
            layers.Dense(12, "gelu", kernel_initializer=kernel(1)),
            layers.Dense(1, kernel_initializer=kernel(2)),
        ]
    )
    given = {"optimiser": keras.optimizers.Adam(0.01), "verbose": False} | options
    imnn = IMNN(400, 400, 1, 1, [1.0], [0.1], (1,), *data, model=model, **given)
    imnn.fit(n, gaussianity=gaussianity)
    return imnn


def departure(imnn, data):
    return float(non_gaussianity(imnn.model.predict(data[2], verbose=0)))


def test_skewed_summaries_become_gaussian_where_that_is_asked_for(exponential_data, tmp_path):
    data = exponential_data
    imnn = trained_on(data, 0.1, save=True, directory=str(tmp_path), filename="model")
    assert imnn.validation.log_det_F > -0.6  # 0 is exact; the most Gaussian power has −0.19
    # The control: without it, det F is larger, and the summary remains skewed.
    control = trained_on(data, 0.0)
    assert departure(control, data) > 4 * departure(imnn, data)
    assert control.validation.log_det_F > imnn.validation.log_det_F
    # What remains of the loss is the penalty.
    loss, information, reg, r = (imnn.history[key] for key in ("loss", "log_det_F", "reg", "r"))
    penalty = loss + information - r * reg
    assert penalty[0] > 10 * penalty[-1] > 0
    for history in (imnn.history, IMNN.load(tmp_path / "model").history):
        assert (history["gaussianity"] == 0.1).all()
    assert (control.history["gaussianity"] == 0).all()


def test_gaussianity_is_the_same_in_chunks(exponential_data):
    found = [
        trained_on(exponential_data, 0.1, n=4, **options).history["loss"]
        for options in ({}, {"at_once": 300})
    ]
    np.testing.assert_allclose(*found, rtol=1e-4)  # float32 sums in another order
