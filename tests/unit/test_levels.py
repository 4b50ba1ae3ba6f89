"""Levels of augmentation, which fits choose and steer, and the ready-made augmentations."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, plain_imnn

from imnn_lab import IMNN, augmentations
from imnn_lab.dashboards.training.dashboard import TrainingDashboard
from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.source import Rows

MAP = tf.reshape(tf.range(32.0), (4, 4, 2))


def levelled(**changes):
    return plain_imnn(map_fn=augmentations.noise(1.0), **changes)


def test_more_noise_is_less_information():
    imnn = levelled()
    imnn.fit(2, level=0.0)
    quiet = imnn.history["val_det_F"][-1]
    run = imnn.fit(2, level=1.0)
    assert imnn.history["val_det_F"][-1] < 0.7 * quiet
    assert imnn.validation.det_F < 0.7 * quiet  # statistics are at the level of the fit
    assert imnn.level == run.level == 1.0
    assert imnn.history["level"].tolist() == [0, 0, 0, 1, 1]


def test_steering_marks_the_level_and_stays():
    imnn = levelled()

    def steer(run):
        if run.iteration >= 3 and not imnn.history.marks:
            run.steer(level=0.25)

    imnn.fit(20, level=1.0, callback=steer)
    (mark,) = imnn.history.marks
    assert (mark.name, mark.value, mark.previous) == ("level", 0.25, 1.0)
    levels = imnn.history["level"]
    assert (levels[: mark.iteration] == 1).all()
    assert (levels[mark.iteration :] == 0.25).all()
    imnn.fit(2)
    assert (imnn.history["level"][-2:] == 0.25).all()
    imnn.fit(2, reset=True)
    assert imnn.history["level"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "schedule",
    [
        lambda iteration: max(0.0, 1 - iteration / 4),
        keras.optimizers.schedules.PolynomialDecay(1.0, 4, 0.0),
    ],
)
def test_annealed_noise_follows_its_schedule_and_the_best_are_of_the_last_level(schedule):
    imnn = levelled()
    imnn.fit(30, level=schedule, patience=6)
    levels = imnn.history["level"]
    np.testing.assert_allclose(levels[:6], [1, 0.75, 0.5, 0.25, 0, 0], atol=1e-6)
    assert len(levels) > 10  # patience begins where the level rests
    assert imnn.validation.det_F >= imnn.history["val_det_F"][levels == 0].max() * (1 - 1e-4)


def test_an_interrupted_fit_goes_on_bit_by_bit(tmp_path):
    def schedule(iteration):
        return 1 / (1 + iteration // 4)

    where = {"directory": str(tmp_path), "filename": "levels"}
    whole = levelled()
    whole.fit(12, level=schedule)
    levelled(**where).fit(12, level=schedule, checkpoint=6, callback=stop_at(6))
    names = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
    data = dict(zip(names, gaussian_data(), strict=True))
    again = IMNN.load(tmp_path / "levels", **data, map_fn=augmentations.noise(1.0))
    assert again.level == schedule(6)
    again.fit(12 - (len(again.history) - 1), level=schedule)
    assert again.history["level"].tolist() == whole.history["level"].tolist()
    assert again.history["loss"].tolist() == whole.history["loss"].tolist()


def stop_at(iteration):
    def callback(run):
        if run.iteration >= iteration:
            run.stop()

    return callback


@pytest.mark.parametrize(
    ("level", "words"),
    [(-1, "`level` must not be negative"), ("much", "`level` must be a finite number")],
)
def test_levels_are_numbers_that_are_not_negative(level, words):
    imnn = levelled()
    with pytest.raises((TypeError, ValueError), match=words):
        imnn.fit(2, level=level)
    with pytest.raises((TypeError, ValueError), match=words):
        imnn.fit(2, level=lambda iteration: level)
    imnn.fit(1)


def test_a_level_needs_a_function_that_takes_one():
    imnn = plain_imnn()
    assert imnn.level is None
    with pytest.raises(ValueError, match="`level` must be left out without a `map_fn`"):
        imnn.fit(1, level=1.0)
    run = imnn.start(1000)
    with pytest.raises(ValueError, match="`level` must be left out"):
        run.steer(level=1.0)
    run.stop()
    run.wait()


def test_the_page_has_a_slider_where_there_is_a_level():
    dashboard = TrainingDashboard(levelled())
    assert "level" in dashboard.page().controls.sliders
    assert "level" not in TrainingDashboard(plain_imnn()).page().controls.sliders
    state = dashboard.state
    state.level, state.n_iterations = 0.5, 2
    state.apply_level()
    assert "level=0.5" in state.python_call()
    state.start()
    assert state.run.wait(60)
    assert state.imnn.history["level"].tolist() == [0.5] * 3


@pytest.mark.parametrize(
    "make", [lambda: augmentations.noise(0.3), augmentations.rotations, augmentations.reflections]
)
def test_pairs_stay_together(make):
    settings = plain_imnn().settings
    augment = Augmentation(make(), replace(settings, input_shape=(4, 4, 2)))
    maps = tf.stack([MAP, MAP + 100, MAP, MAP + 100])
    rows = Rows(maps, tf.range(4))
    seeds = tf.constant([5, 5, 6, 6])
    results = [augment(rows, seeds, tf.constant(k, tf.int64)).simulations.numpy() for k in range(8)]
    for x in results:
        np.testing.assert_allclose(x[1] - x[0], 100, rtol=1e-5)
        np.testing.assert_allclose(x[3] - x[2], 100, rtol=1e-5)
    assert any((x[0] != x[2]).any() for x in results)  # other seeds
    assert any((x[0] != results[0][0]).any() for x in results)  # other iterations


def all_of(map_fn):
    seeds = [tf.constant([seed, 1]) for seed in range(64)]
    return {map_fn(MAP, seed).numpy().tobytes() for seed in seeds}


def test_rotations_are_the_four_and_reflections_those_of_each_axis():
    x = MAP.numpy()
    assert all_of(augmentations.rotations()) == {np.rot90(x, k).tobytes() for k in range(4)}
    flipped = {x[::a, ::b].tobytes() for a in (1, -1) for b in (1, -1)}
    assert all_of(augmentations.reflections()) == flipped
    assert all_of(augmentations.reflections([1])) == {x.tobytes(), x[:, ::-1].tobytes()}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: augmentations.noise(0), "`σ` must be a finite number above 0"),
        (lambda: augmentations.rotations([0]), "`axes` must be 2 different axes"),
        (lambda: augmentations.reflections([]), "`axes` must be different axes"),
        (lambda: augmentations.rotations()(MAP[:3], [1, 2]), "of equal length"),
        (lambda: augmentations.reflections([3])(MAP, [1, 2]), "`axes` must be axes of a"),
    ],
)
def test_augmentations_refuse_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
