"""Preprocessing and augmentation."""

import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, dataset, plain, read, rows, write
from makers import SIZE, gaussian_data, gaussian_simulator, plain_imnn, small_imnn

from imnn_lab import IMNN
from imnn_lab.summaries import split

DATA = dict(zip(NAMES, gaussian_data(), strict=True))
FEW = {name: array[:50] for name, array in DATA.items()}


def doubled(simulation):
    return 2 * simulation


def noisy(simulation, seed):
    noise = tf.random.stateless_normal(tf.shape(simulation), seed, dtype=simulation.dtype)
    return simulation + 0.5 * noise


def data_of(kind, tmp_path):
    if kind == "records":
        return {
            name: write(tmp_path, array.astype("float32"), filename=name)
            for name, array in FEW.items()
        }
    return {name: kind(array) for name, array in FEW.items()}


KINDS = [np.asarray, plain, dataset, "records"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", ["auto", None])
def test_preprocessed_simulations_are_those_mapped_beforehand(kind, cache, tmp_path):
    few = {"n_s": 50, "n_d": 50, "cache": cache}
    found = read(data_of(kind, tmp_path), map_fn=doubled, **few)
    expected = read({name: 2 * array for name, array in FEW.items()}, **few)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows(one), rows(other))


@pytest.mark.parametrize("kind", [np.asarray, plain])
def test_training_with_preprocessing_is_training_beforehand(kind, tmp_path):
    before = plain_imnn(n_s=50, n_d=50, **{name: 2 * array for name, array in FEW.items()})
    imnn = plain_imnn(n_s=50, n_d=50, **data_of(kind, tmp_path), map_fn=doubled, cache=None)
    for each in (before, imnn):
        each.fit(2)
    np.testing.assert_allclose(imnn.history["det_F"], before.history["det_F"], rtol=1e-4)
    raw = DATA["fiducial"]
    np.testing.assert_allclose(
        imnn.get_estimate(raw), before.get_estimate(2 * raw), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", [np.asarray, plain])
def test_preprocessing_may_make_simulations_smaller(kind):
    long = {name: np.repeat(array, 2, axis=-1) for name, array in DATA.items()}
    shortened = plain_imnn(
        **{name: kind(array) for name, array in long.items()}, map_fn=lambda x: x[::2]
    )
    expected = plain_imnn().get_estimate(DATA["fiducial"][:3])
    raw = long["fiducial"][:3]
    np.testing.assert_allclose(shortened.get_estimate(raw), expected, rtol=1e-5)
    np.testing.assert_allclose(shortened.get_estimate(raw[0]), expected[0], rtol=1e-5)
    with pytest.raises(ValueError, match="must have shape input_shape"):
        shortened.get_estimate(raw[:, :5])
    with pytest.raises(ValueError, match="must have shape input_shape"):
        shortened.get_estimate(raw[None])


def test_preprocessing_is_asked_for_after_loading(tmp_path):
    imnn = plain_imnn(map_fn=doubled)
    imnn.save(tmp_path / "one")
    with pytest.raises(RuntimeError, match="map_fn"):
        IMNN.load(tmp_path / "one").get_estimate(DATA["fiducial"])
    loaded = IMNN.load(tmp_path / "one", map_fn=doubled)
    found = loaded.get_estimate(DATA["fiducial"])
    np.testing.assert_allclose(found, imnn.get_estimate(DATA["fiducial"]), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cache", ["auto", None])
def test_augmentation_is_fresh_every_iteration_and_shared_in_a_pair(kind, cache, tmp_path):
    data = {name: np.zeros_like(array) for name, array in DATA.items()}
    data["derivative"] = DATA["derivative"]
    given = {name: array if kind == "records" else kind(array) for name, array in data.items()}
    if kind == "records":
        given = {n: write(tmp_path, a.astype("float32"), filename=n) for n, a in data.items()}
    training, validation = read(given, map_fn=noisy, cache=cache)
    first, again, second = (rows(training, step) for step in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    x, d = (part.numpy() for part in split(training, first))
    assert x.std() == pytest.approx(0.5, rel=0.1), "2,000 values: 10 % is 6 standard deviations"
    assert not (x == split(training, second)[0].numpy()).any()
    difference = DATA["derivative"][:, 1] - DATA["derivative"][:, 0]
    np.testing.assert_allclose(d[:, 1] - d[:, 0], difference, atol=1e-5)
    np.testing.assert_array_equal(rows(validation, 0), rows(validation, 5))
    held_out = split(validation, rows(validation))[0].numpy()
    assert not (held_out == x).any(), "validation has noise of its own"


def test_in_memory_and_streamed_augmentation_agree():
    few = {"n_s": 50, "n_d": 50, "map_fn": noisy}
    functions = {name: plain(array) for name, array in FEW.items()}
    whole, parts = plain_imnn(**few, **FEW), plain_imnn(**few, **functions, cache=None, at_once=40)
    for imnn in (whole, parts):
        imnn.fit(3)
    np.testing.assert_allclose(parts.history["det_F"], whole.history["det_F"], rtol=1e-3)
    assert len(np.unique(whole.history["det_F"])) == 4


@pytest.mark.parametrize("map_fn", [doubled, noisy])
def test_fresh_simulations_are_mapped(map_fn):
    imnn = small_imnn(
        **dict.fromkeys(NAMES), simulator=gaussian_simulator, map_fn=map_fn, n_s=SIZE, n_d=SIZE
    )
    imnn.fit(2)
    # Doubling keeps the information, 50; noise of variance 1/4 leaves 10/1.25 · 5/1.25² = 25.6.
    expected = 50 if map_fn is doubled else 25.6
    assert imnn.validation.det_F == pytest.approx(expected, rel=0.5)


def test_exact_derivatives_go_through_augmentation():
    def stretched(simulation, seed):
        return simulation * (
            1 + 0.1 * tf.random.stateless_uniform((), seed, dtype=simulation.dtype)
        )

    z = np.random.default_rng(1).normal(size=(SIZE, 10))
    tangents = np.stack([np.ones_like(z), z / 2], axis=1)
    other = np.random.default_rng(2).normal(size=(SIZE, 10))
    data = dict(zip(NAMES, (z, tangents, other, tangents), strict=True))
    training, _ = read(data, map_fn=stretched, δθ=None)
    fiducial, derivative = training.feed(tf.constant(0, tf.int64)).pieces
    mapped = fiducial.simulations.numpy()
    found = derivative.tangents.numpy().reshape(SIZE, 2, 10)
    np.testing.assert_allclose(found[:, 1], mapped / 2, rtol=1e-5)


def randomly(simulation):
    return simulation + np.random.default_rng().normal(size=10)


def failing(simulation):
    raise OSError("no table")


@pytest.mark.parametrize(
    ("map_fn", "error", "words"),
    [
        (3, TypeError, r"take \(simulation\) or \(simulation, seed\)"),
        (lambda a, b, c, d: a, TypeError, "4 arguments"),
        (randomly, ValueError, "same simulation every time"),
        (failing, RuntimeError, "no table"),
        (lambda x: x[:4], ValueError, "shape"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, plain])
def test_unusable_map_functions_are_rejected(map_fn, error, words, kind):
    with pytest.raises(error, match=words):
        plain_imnn(**{name: kind(array) for name, array in DATA.items()}, map_fn=map_fn)


def test_an_augmentation_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match="`map_fn` must"):
        plain_imnn(map_fn=lambda x, seed: x[:4])


def test_preprocessing_in_place_leaves_the_data_as_they_are(tmp_path):
    def doubled_in_place(simulation):
        simulation *= 2
        return simulation

    plain_imnn(map_fn=doubled).save(tmp_path / "one")
    loaded = IMNN.load(tmp_path / "one", map_fn=doubled_in_place)
    data = DATA["fiducial"][:3].copy()
    first = loaded.get_estimate(data)
    np.testing.assert_array_equal(loaded.get_estimate(data), first)
    np.testing.assert_array_equal(data, DATA["fiducial"][:3])


@pytest.mark.parametrize("kind", [np.asarray, plain])
def test_preprocessing_in_place_that_fills_one_array_is_right(kind):
    filled = np.empty(10)

    def doubled_in_place(simulation):
        simulation *= 2
        filled[:] = simulation
        return filled

    data = {name: array.copy() for name, array in DATA.items()}
    found, expected = (
        plain_imnn(**{name: kind(array) for name, array in data.items()}, map_fn=map_fn)
        for map_fn in (doubled_in_place, doubled)
    )
    np.testing.assert_allclose(found.training.C, expected.training.C, rtol=1e-6)
    for name, array in data.items():
        np.testing.assert_array_equal(array, DATA[name])
