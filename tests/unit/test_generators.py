"""Functions and tf.data.Dataset objects as data."""

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, dataset, plain, read, rows, settings
from loaders import yielding
from makers import SIZE, gaussian_data, plain_imnn

from imnn_lab import IMNN, sources
from imnn_lab.sources.collection import Collection, Layout
from imnn_lab.sources.streams import StreamedSource

FIDUCIAL, DERIVATIVE, VALIDATION_FIDUCIAL, VALIDATION_DERIVATIVE = gaussian_data()
KEYS = ("det_F", "val_det_F", "loss", "det_C", "reg")


def pairs(array):
    def fiducial(seed):
        return array[seed].tolist(), np.int64(seed)

    def derivative(seed, derivative, parameter):
        return tf.constant(array[seed, derivative, parameter]), [seed, derivative, parameter]

    return fiducial if array.ndim == 2 else derivative


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows(one), rows(other))


@pytest.mark.parametrize("kind", [yielding, pairs, plain, dataset])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_simulations_are_those_of_arrays(kind, dtype):
    data = {name: kind(array) for name, array in zip(NAMES, gaussian_data(), strict=True)}
    found = read(data, dtype=dtype)
    assert rows(found[0]).dtype.name == dtype
    assert_same(found, read(dtype=dtype))


def test_training_from_generators_equals_training_from_arrays():
    kinds = (yielding, yielding, plain, dataset)
    data = zip(NAMES, kinds, gaussian_data(), strict=True)
    imnn = plain_imnn(**{name: kind(array) for name, kind, array in data})
    from_arrays = plain_imnn()
    imnn.fit(8)
    from_arrays.fit(8)
    for key in KEYS:
        np.testing.assert_allclose(imnn.history[key], from_arrays.history[key], rtol=1e-6)
    assert not np.allclose(imnn.history["loss"][1:], imnn.history["loss"][:-1], rtol=1e-6)


def test_kinds_of_data_mix_and_other_orders_are_put_right():
    data = {
        "fiducial": dataset(FIDUCIAL, order=-1),
        "derivative": yielding(DERIVATIVE),
        "validation_derivative": dataset(VALIDATION_DERIVATIVE, order=-1),
    }
    assert_same(read(data), read())


def test_numbers_of_validation_simulations():
    data = {"validation_fiducial": plain(VALIDATION_FIDUCIAL)}
    assert read(data)[1].n_s == SIZE
    reference = {"validation_fiducial": VALIDATION_FIDUCIAL[:50]}
    assert_same(read(data, validation_n_s=50), read(reference))


def test_a_loaded_imnn_takes_functions(tmp_path):
    made = plain_imnn(directory=str(tmp_path), filename="model", save=True, cache="memory")
    made.fit(3)
    data = {name: plain(array) for name, array in zip(NAMES, gaussian_data(), strict=True)}
    loaded = IMNN.load(tmp_path / "model", **data)
    assert loaded.settings.cache == "memory"
    made.fit(4)
    loaded.fit(4)
    np.testing.assert_allclose(loaded.history["loss"], made.history["loss"], rtol=1e-6)


def test_the_bar_is_shown_only_when_wanted(capsys):
    read({"fiducial": plain(FIDUCIAL)})
    assert capsys.readouterr().err == ""
    read({"fiducial": plain(FIDUCIAL)}, verbose=True)
    assert "fiducial" in capsys.readouterr().err


def spoilt(at, value):
    """Return a fiducial function whose result at one seed is something else."""
    return lambda seed: value(seed) if seed == at else FIDUCIAL[seed]


def raising(seed):
    raise KeyError("lost")


def raising_generator(seed):
    raise OSError("disk")
    yield


def empty(seed):
    return
    yield


def with_hole(seed):
    return np.where(np.arange(10) == 4, np.nan, 0.0)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (raising, RuntimeError, "give a simulation. Received KeyError: 'lost'"),
        (raising_generator, RuntimeError, "give a simulation. Received OSError: disk"),
        (empty, ValueError, r"give a simulation. Received nothing. .*\(simulation, seed\)"),
        (lambda seed: None, ValueError, "give a simulation. Received nothing"),
        (lambda seed: (FIDUCIAL[seed], seed + 1), ValueError, "be labelled 7. Received 8"),
        (lambda seed: (FIDUCIAL[seed], (7, 0, 0)), ValueError, r"labelled 7. Received \(7, 0, 0\)"),
        (lambda seed: FIDUCIAL[seed][:9], ValueError, r"= \(10,\). Received shape \(9,\)"),
        (lambda seed: FIDUCIAL[seed][None], ValueError, r"Received shape \(1, 10\)"),
        (lambda seed: FIDUCIAL[seed] * 1j, TypeError, "be an array of real numbers"),
        (lambda seed: (FIDUCIAL[seed], "seven"), TypeError, "be an array of real numbers"),
        (lambda seed: "a simulation", TypeError, "be an array of real numbers"),
        (lambda seed: FIDUCIAL, ValueError, r"Received shape \(200, 10\)"),
        (with_hole, ValueError, r"1 non-finite values, the first at index \(4,\)"),
    ],
)
def test_a_bad_simulation_is_named(value, error, words):
    with pytest.raises(error, match=f"^`fiducial` at seed 7 must .*{words}"):
        plain_imnn(fiducial=spoilt(7, value))


def test_a_bad_derivative_is_named():
    def wrong(seed, derivative, parameter):
        label = (seed, 1 - derivative, parameter) if seed == 3 else (seed, derivative, parameter)
        yield DERIVATIVE[seed, derivative, parameter], label

    words = r"`derivative` at seed 3, derivative 0, parameter 0 must be labelled \(3, 0, 0\)"
    with pytest.raises(ValueError, match=words + r". Received \(3, 1, 0\)"):
        plain_imnn(derivative=wrong)
    with pytest.raises(RuntimeError, match=r"TypeError.*called with 3 arguments"):
        plain_imnn(derivative=lambda seed: DERIVATIVE[seed])
    with pytest.raises(RuntimeError, match=r"^`validation_fiducial` at seed 200 .*IndexError"):
        plain_imnn(validation_fiducial=plain(VALIDATION_FIDUCIAL), validation_n_s=201)


def test_a_generator_that_never_ends_is_called_once_for_each_seed():
    def endless(seed):
        for value in itertools.repeat(FIDUCIAL[seed]):
            yield value, seed

    assert_same(read({"fiducial": endless}), read())


def test_shapes_are_not_checked_on_request():
    def column(seed):
        return FIDUCIAL[seed][:, None]

    assert_same(read({"fiducial": column}, check_shape=False), read())
    with pytest.raises(ValueError, match=r"shape \(9,\)"):
        read({"fiducial": lambda seed: FIDUCIAL[seed][:9]}, check_shape=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.skip(3).take(190), r"10 missing \(seed 0; seed 1; seed 2; seed 193; seed 194"),
        (lambda d: d.concatenate(d.take(1)), r"1 duplicated \(seed 0 \(element 200\)\)"),
        (lambda d: d.repeat(), "200 duplicated|201 duplicated"),
        (lambda d: d.map(lambda s, i: (s, i + 1)), r"1 missing \(seed 0\); 1 not in this range"),
    ],
)
def test_missing_duplicate_and_surplus_elements_are_counted(change, words):
    with pytest.raises(ValueError, match=r"`fiducial` must hold .* 200 in all") as caught:
        plain_imnn(fiducial=change(dataset(FIDUCIAL)))
    assert re.search(words, str(caught.value))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: d.batch(10), TypeError, "must not be batched"),
        (lambda d: d.map(lambda s, i: s), TypeError, r"elements \(simulation, seed\)"),
        (lambda d: d.map(lambda s, i: (s, tf.cast(i, "float32"))), TypeError, "integer labels"),
        (lambda d: d.map(lambda s, i: (s, (i, i, i))), TypeError, "integer labels"),
        (lambda d: d.map(lambda s, i: (s[:4], i)), ValueError, r"seed 0 .*shape \(4,\)"),
        (
            lambda d: d.map(lambda s, i: (tf.debugging.check_numerics(s / 0.0, "x"), i)),
            RuntimeError,
            "element 0 must be readable",
        ),
    ],
)
def test_bad_datasets_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        plain_imnn(fiducial=change(dataset(FIDUCIAL)))


def test_unknown_caches_are_rejected():
    for cache in ("cloud", 3, ["memory"]):
        with pytest.raises(ValueError, match="`cache` must be one of"):
            plain_imnn(cache=cache)


def test_a_set_that_is_too_large_for_memory_is_streamed(monkeypatch):
    size = SIZE * 10 * 4
    monkeypatch.setattr(sources, "LIMIT", size)
    data = {"fiducial": plain(FIDUCIAL)}
    assert isinstance(read(data)[0], StreamedSource)
    assert not isinstance(read(data, cache="memory")[0], StreamedSource)
    assert not isinstance(read()[0], StreamedSource), "arrays are in memory already"
    monkeypatch.setattr(sources, "LIMIT", size + 1)
    assert not isinstance(read(data)[0], StreamedSource)


def test_a_layout_knows_what_it_holds():
    layout = Layout("derivative", (3, 2, 2))
    assert layout.size == len(list(layout.indices())) == 12
    assert layout.holds((2, 1, 1))
    assert not any(map(layout.holds, [(3, 0, 0), (0, -1, 0), (0, 0), (0,)]))


def test_a_collection_is_whole_or_refused():
    collection = Collection(Layout("fiducial", (2,)), settings())
    collection.add((0,), FIDUCIAL[0])
    with pytest.raises(ValueError, match=r"1 missing \(seed 1\)"):
        collection.complete()
    collection.add((1,), FIDUCIAL[1])
    np.testing.assert_array_equal(collection.complete(), FIDUCIAL[:2].astype("float32"))
