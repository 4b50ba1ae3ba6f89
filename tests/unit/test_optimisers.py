"""Every optimiser of Keras trains as in Keras, and goes on after a save; or it is refused."""

import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import optimizers as O

from imnn_lab import IMNN, Regularisation, problems
from imnn_lab.networks import setup
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor
from imnn_lab.training.step import SteeredLearningRate, loss_gradient

N, RATE, STEERED = 100, 1e-3, 2e-3
problem = problems.gaussian()
DATA = problem.training_set(N, N, seed=1)

CLASSES = {
    name: value
    for name, value in inspect.getmembers(O, inspect.isclass)
    if issubclass(value, O.Optimizer) and value is not O.Optimizer
}
EXTREME = {
    "Muon, scheduled, accumulated, scaled": lambda: O.LossScaleOptimizer(
        O.Muon(O.schedules.ExponentialDecay(RATE, 1, 0.5), gradient_accumulation_steps=2)
    ),
    "SGD, clipped, scaled": lambda: O.SGD(RATE, loss_scale_factor=8.0, clipnorm=0.1),
    "Adam, decaying, averaged": lambda: O.Adam(
        RATE, weight_decay=0.1, global_clipnorm=0.1, use_ema=True, ema_overwrite_frequency=2
    ),
}  # fmt: skip
MADE = {
    name: lambda kind=kind: kind(RATE)
    for name, kind in CLASSES.items()
    if name not in ("LossScaleOptimizer", "MultiOptimizer")
} | EXTREME
SHORT = ("Lamb", "Muon, scheduled, accumulated, scaled")


class Own(O.schedules.LearningRateSchedule):
    def __call__(self, step):
        return RATE / (1.0 + tf.cast(step, tf.float32))

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("test_optimisers")
class Registered(Own):
    pass


SCHEDULES = {
    "Registered": Registered,
    "CosineDecay": lambda: O.schedules.CosineDecay(RATE, 4),
    "CosineDecayRestarts": lambda: O.schedules.CosineDecayRestarts(RATE, 4),
    "ExponentialDecay": lambda: O.schedules.ExponentialDecay(RATE, 1, 0.5),
    "InverseTimeDecay": lambda: O.schedules.InverseTimeDecay(RATE, 4, 0.5),
    "PiecewiseConstantDecay": lambda: O.schedules.PiecewiseConstantDecay([1, 4], [RATE, 0.1, 0.2]),
    "PolynomialDecay": lambda: O.schedules.PolynomialDecay(RATE, 4),
}

GO_ON = """
import json, sys
import numpy as np
from imnn_lab import IMNN, problems

names, directory, n = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
data = problems.gaussian().training_set(n, n, seed=1)
for i, name in enumerate(names):
    imnn = IMNN.load(f"{directory}/{i}", fiducial=data[0], derivative=data[1])
    imnn.fit(3, best=False)
    weights = {str(k): variable.numpy() for k, variable in enumerate(imnn.model.variables)}
    rate = imnn.history["learning_rate"]
    np.savez(f"{directory}/{i}/after.npz", loss=imnn.history["loss"], rate=rate, **weights)
"""


def made(optimiser, dtype="float32"):
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((10,), dtype=dtype), layer(4, "tanh", dtype=dtype), layer(2, dtype=dtype)]
    )
    return IMNN(
        N, N, 2, 2, problem.θ_fid, problem.δθ, (10,), *DATA, model=model, optimiser=optimiser,
        dtype=dtype, verbose=False, seed=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def keras_alone():
    """Return a function that gives the weights after updates by Keras alone, and before them."""
    model, pair = made(None).model, Regularisation(10.0, 0.1)
    compressor, source = Compressor(model), ArraySource(*DATA, problem.δθ, "float32")
    λ, α = (tf.constant(x, tf.float64) for x in (pair.λ, pair.α))
    gradient = tf.function(lambda: loss_gradient(compressor, source, λ, α).gradient)
    initial = model.get_weights()

    def weights(optimiser, n):
        model.set_weights(initial)
        optimiser.build(model.trainable_variables)
        for _ in range(n):
            scaled = [optimiser.scale_loss(part) for part in gradient()]
            optimiser.apply_gradients(zip(scaled, model.trainable_variables, strict=True))
        return model.get_weights(), initial

    return weights


def assert_right(names, keras_alone, directory):
    """Train, steer, save, train; and train what another process loads from the saves."""
    trained = []
    for i, name in enumerate(names):
        imnn = made(MADE[name]())
        imnn.fit(3, best=False)
        all_weights = imnn.model.get_weights(), *keras_alone(MADE[name](), 3)
        # No loss depends on the last bias: its gradient is rounding, which optimisers normalise.
        for ours, theirs, start in zip(*(weights[:-1] for weights in all_weights), strict=True):
            # Sums in another order: float32, and what Muon's iterations make of it.
            atol = 1e-2 * np.abs(theirs - start).max()
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=atol, err_msg=name)
        imnn.fit(3, best=False, callback=once_steered())
        imnn.save(directory / str(i))
        imnn.fit(3, best=False)
        trained.append(imnn)
    arguments = json.dumps(list(names)), str(directory), str(N)
    subprocess.run([sys.executable, "-c", GO_ON, *arguments], check=True)
    for i, (name, imnn) in enumerate(zip(names, trained, strict=True)):
        history = imnn.history
        assert np.isfinite(history["loss"]).all(), name
        assert np.unique(history["det_F"]).size > 3, name
        at = next(mark.iteration for mark in history.marks if mark.name == "learning_rate")
        assert history["learning_rate"][at] == pytest.approx(STEERED, rel=1e-6), name
        after = np.load(directory / str(i) / "after.npz")
        np.testing.assert_array_equal(after["loss"], history["loss"], name)
        np.testing.assert_array_equal(after["rate"], history["learning_rate"], name)
        for k, weights in enumerate(imnn.model.get_weights()):
            np.testing.assert_array_equal(after[str(k)], weights, name)


def once_steered():
    def steer(run):
        if not run.history.marks:
            run.steer(learning_rate=STEERED, λ=5.0)

    return steer


def test_optimisers_train_as_in_keras_and_go_on_after_a_save(keras_alone, tmp_path):
    assert_right(SHORT, keras_alone, tmp_path)


@pytest.mark.endurance
def test_every_optimiser_trains_as_in_keras_and_goes_on_after_a_save(keras_alone, tmp_path):
    assert_right([name for name in MADE if name not in SHORT], keras_alone, tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_every_optimiser_is_copied_and_written_down(name):
    """As in a save: what is read from its JSON has the same settings."""
    copied = setup.copied_optimiser(MADE[name]())
    text = json.dumps(O.serialize(copied))
    assert setup.saved_optimiser(json.loads(text)).get_config() == copied.get_config()


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_copied_and_written_down(name):
    copied = setup.copied_optimiser(O.SGD(SCHEDULES[name]()))
    saved = setup.saved_optimiser(json.loads(json.dumps(O.serialize(copied))))
    rates = [
        [
            float(SteeredLearningRate.of(optimiser, "float32")(tf.constant(i, tf.int64)))
            for i in range(6)
        ]
        for optimiser in (O.SGD(SCHEDULES[name]()), copied, saved)
    ]
    assert rates[0] == rates[1] == rates[2]
    assert len(set(rates[0])) > 1


def test_every_class_is_tried():
    wrappers = {"LossScaleOptimizer", "MultiOptimizer"}  # see EXTREME and REFUSED
    assert set(CLASSES) - set(MADE) == wrappers
    schedules = {name for name, _ in inspect.getmembers(O.schedules, inspect.isclass)}
    assert schedules - set(SCHEDULES) == {"LearningRateSchedule"}


def test_an_optimiser_that_cannot_compute_in_float64_is_refused():
    with pytest.raises(ValueError, match=r"`optimiser` must compute in float64.*Muon.*set_floatx"):
        made(O.Muon(RATE), dtype="float64")
    made(O.Adam(RATE), dtype="float64").fit(1)


def excluding():
    optimiser = O.AdamW(RATE)
    optimiser.exclude_from_weight_decay(var_names=["bias"])
    return optimiser


REFUSED = {
    "lambda": (lambda: O.Adam(lambda: RATE), "number or a LearningRateSchedule"),
    "function": (lambda: O.LossScaleOptimizer(O.Adam(excluding)), "number or a LearningRate"),
    "MultiOptimizer": (lambda: O.MultiOptimizer(O.OptimizerMap(O.Adam())), "one learning rate"),
    "use_ema": (lambda: O.Adam(RATE, use_ema=True), "use_ema=True, which would have no effect"),
    "use_ema inside": (
        lambda: O.LossScaleOptimizer(O.Adam(RATE, use_ema=True)), "ema_overwrite_frequency"
    ),
    "exclude_from_weight_decay": (excluding, "exclude_from_weight_decay"),
    "a schedule that is not registered": (lambda: O.SGD(Own()), "register_keras_serializable"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_is_refused_before_any_work(name):
    make, words = REFUSED[name]

    def fiducial(seed):
        raise AssertionError("data were read")

    with pytest.raises(ValueError, match=f"`optimiser` must .*{words}"):
        IMNN(
            N, N, 2, 2, problem.θ_fid, problem.δθ, (10,), fiducial, fiducial, optimiser=make(),
        )  # fmt: skip


def test_a_reset_of_what_was_loaded_starts_from_the_initial_weights(tmp_path):
    """ScheduleFreeAdamW holds a copy of the weights, which it returns to."""
    imnn = made(O.ScheduleFreeAdamW(RATE))
    imnn.fit(3)
    loaded = IMNN.load(imnn.save(tmp_path), fiducial=DATA[0], derivative=DATA[1])
    loaded.fit(3, reset=True)
    np.testing.assert_array_equal(loaded.history["loss"], imnn.history["loss"])
