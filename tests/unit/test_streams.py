"""Training from simulations that are read anew in every pass is training from arrays."""

import gc
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, dataset, plain, read, write
from loaders import yielding
from makers import gaussian_data, plain_imnn, plain_network, small_imnn

from imnn_lab import sources
from imnn_lab.summaries import Compressor
from imnn_lab.training.step import loss_gradient

SIZE = 60
DATA = dict(zip(NAMES, gaussian_data(SIZE, SIZE), strict=True))


def imnn_of(data, make=plain_imnn, **changes):
    return make(n_s=SIZE, n_d=SIZE, **DATA | data, **changes)


def read_of(data, **changes):
    return read(DATA | data, n_s=SIZE, n_d=SIZE, **changes)


@pytest.fixture(scope="module")
def reference():
    imnn = imnn_of({})
    imnn.fit(3)
    return imnn


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    place = tmp_path_factory.mktemp("records")
    return {
        name: write(place, array.astype("float32"), 0.01, filename=name)
        for name, array in DATA.items()
    }


def data_of(kind, records):
    if kind == "records":
        return records
    kinds = {"functions": yielding, "datasets": lambda array: dataset(array, -1)}
    return {name: kinds[kind](array) for name, array in DATA.items()}


@pytest.mark.parametrize("at_once", [7, 60, 90, None])
def test_moments_and_gradient_are_those_in_memory(at_once):
    """For any size of chunk, dividing the counts or not; float32 sums differ in their order."""
    compressor = Compressor(plain_network())
    functions = {name: plain(array) for name, array in DATA.items()}

    λ, α = tf.constant(0.0, tf.float64), tf.constant(1.0, tf.float64)  # the loss is −ln det F

    def found(source):
        return tf.function(lambda: loss_gradient(compressor, source, λ, α), autograph=False)()

    whole = found(read_of({})[0])
    for cache in (None, "disk"):
        parts = found(read_of(functions, cache=cache, at_once=at_once)[0])
        np.testing.assert_allclose(parts.terms.F, whole.terms.F, rtol=1e-5)
        ours, theirs = (
            np.concatenate([g.numpy().ravel() for g in x.gradient]) for x in (parts, whole)
        )
        assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


@pytest.mark.parametrize(
    ("kind", "cache"),
    [("functions", None), ("records", None), ("datasets", None), ("functions", "disk")],
)
def test_three_iterations_are_those_in_memory(kind, cache, records, reference):
    """A different order of float32 sums is a relative error of about 1e-6 in F."""
    imnn = imnn_of(data_of(kind, records), cache=cache, at_once=45)
    imnn.fit(3)
    for key in ("det_F", "val_det_F", "det_C"):
        np.testing.assert_allclose(imnn.history[key], reference.history[key], rtol=1e-3)
    np.testing.assert_allclose(imnn.F, reference.F, rtol=1e-3)
    assert np.ptp(imnn.history["det_F"]) > 0.1, "training moved"


def test_layers_are_fitted_to_streams_as_to_arrays():
    functions = {name: plain(array) for name, array in DATA.items()}
    found, expected = (
        imnn_of(data, small_imnn, cache=cache, at_once=45)
        for data, cache in ((functions, None), ({}, "auto"))
    )
    np.testing.assert_allclose(found.F, expected.F, rtol=1e-3)


def test_arrays_may_stand_beside_streams(reference):
    imnn = imnn_of({"derivative": yielding(DATA["derivative"])}, cache=None)
    imnn.fit(3)
    np.testing.assert_allclose(imnn.history["det_F"], reference.history["det_F"], rtol=1e-3)


def test_a_function_that_fails_later_ends_the_fit_with_its_own_error():
    calls, broken = [], [True]

    def fiducial(seed):
        calls.append(seed)
        if broken and len(calls) > 5 * SIZE:
            raise OSError("the disk is gone")
        return DATA["fiducial"][seed]

    imnn = imnn_of({"fiducial": fiducial}, cache=None)
    with pytest.raises(RuntimeError, match=r"`fiducial` at seed \d+ .*the disk is gone"):
        imnn.fit(20)
    assert imnn.run.state == "failed"
    broken.clear()
    imnn.fit(1)
    assert imnn.run.state == "finished", "what was mended is read from its start"


def test_a_dataset_that_changes_later_is_refused():
    times = tf.Variable(0, dtype=tf.int64)
    n = SIZE

    def elements(seed):
        first = tf.cast(times.assign_add(1) <= n, tf.int64)
        return tf.gather(DATA["fiducial"], seed), seed * first

    changing = tf.data.Dataset.range(n).map(elements)
    with pytest.raises(tf.errors.InvalidArgumentError, match="missing or repeated in this pass"):
        imnn_of({"fiducial": changing}, cache=None)


@pytest.mark.parametrize("cache", [None, "disk"])
def test_missing_simulations_are_counted_before_training(cache, records):
    files = records["derivative"][:-1]
    with pytest.raises(ValueError, match=r"missing \(seed \d+, derivative 0"):
        imnn_of({"derivative": files}, cache=cache)


def test_the_file_on_disk_goes_with_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    imnn = imnn_of({"fiducial": plain(DATA["fiducial"])}, cache="disk")
    assert list(tmp_path.glob("imnn_lab-*/simulations"))
    del imnn
    gc.collect()
    assert not list(tmp_path.glob("imnn_lab-*"))


@pytest.mark.parametrize("layer", [keras.layers.Dropout(0.1), keras.layers.BatchNormalization()])
def test_layers_that_need_all_simulations_together_are_refused(layer):
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(4), layer])
    model.add(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="all simulations in the network at once"):
        imnn_of({"fiducial": plain(DATA["fiducial"])}, cache=None, model=model)


@pytest.mark.parametrize("cache", [None, "disk", "memory", "auto"])
@pytest.mark.parametrize("free", ["1", "1000000000"])
def test_a_cache_that_arrays_do_not_use_is_warned_of_if_they_are_large(
    cache, free, tmp_path, monkeypatch
):
    (tmp_path / "meminfo").write_text(f"MemTotal: 2000000000 kB\nMemAvailable: {free} kB\n")
    monkeypatch.setattr(sources, "MEMORY", tmp_path / "meminfo")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_of({}, cache=cache)
        read_of({name: plain(array) for name, array in DATA.items()}, cache=cache)
    found = [str(each.message) for each in caught if "has no effect on arrays" in str(each.message)]
    is_expected = free == "1" and cache in (None, "disk")
    assert len(found) == 2 * is_expected, "one for training and one for validation"
    assert all("`fiducial` and `derivative`" in each or "validation" in each for each in found)


def test_the_memory_that_is_free_is_unknown_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MEMORY", tmp_path / "none")
    assert sources.free_memory() is None
    (tmp_path / "none").write_text("MemTotal: 2 kB\n")
    assert sources.free_memory() is None
