"""Simulations that occur twice: in training and validation, or within a set."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, dataset, plain, read, settings, write
from makers import SIZE, gaussian_data, plain_imnn, plain_network

from imnn_lab import IMNN, networks, sources

DATA = dict(zip(NAMES, gaussian_data(), strict=True))
ORDER = np.random.default_rng(1).permutation(SIZE)


def copied(array):
    return array.copy()


def permuted(array):
    return array[ORDER]


def in_single_precision(array):
    return array.astype("float32")


def halved(array):
    return array[SIZE // 2 :]


@pytest.mark.parametrize("copy", [np.asarray, copied, permuted, in_single_precision, halved])
@pytest.mark.parametrize("name", ["fiducial", "derivative"])
def test_validation_with_simulations_of_training_is_refused(copy, name):
    words = rf"`validation_{name}` must hold no simulation of `{name}`. Received \d+ of \d+"
    with pytest.raises(ValueError, match=words + r".*\(seed \d+.* is seed \d+.*; seed"):
        plain_imnn(**{f"validation_{name}": copy(DATA[name])})


def test_a_single_simulation_of_both_sets_is_named():
    shared = DATA["validation_fiducial"].copy()
    shared[3] = DATA["fiducial"][17]
    words = r"1 of 200 that are \(seed 3 is seed 17 of `fiducial`\)"
    with pytest.raises(ValueError, match=words):
        plain_imnn(validation_fiducial=shared)


@pytest.mark.parametrize("kind", ["functions", "records", "datasets"])
@pytest.mark.parametrize("cache", ["memory", "disk", None])
def test_they_are_refused_while_they_are_read(kind, cache, tmp_path):
    def of_kind(name, array):
        if kind == "records":
            return write(tmp_path, array.astype("float32"), filename=name)
        return (plain if kind == "functions" else dataset)(array)

    sets = DATA | {"validation_derivative": DATA["derivative"][ORDER]}
    words = (
        rf"seed 0, derivative 0, parameter 0 is seed {ORDER[0]}, derivative 0, parameter 0 of "
        "`derivative`"
    )
    with pytest.raises(ValueError, match=words):
        read({name: of_kind(name, array) for name, array in sets.items()}, cache=cache)


def test_preprocessed_simulations_are_compared():
    plain_imnn(validation_fiducial=-DATA["fiducial"])  # the control
    with pytest.raises(ValueError, match="must hold no simulation"):
        plain_imnn(validation_fiducial=-DATA["fiducial"], map_fn=np.abs)


def test_a_saved_imnn_is_loaded_with_different_sets_alone(tmp_path):
    plain_imnn().save(tmp_path / "saved")
    sets = DATA | {"validation_fiducial": DATA["fiducial"]}
    with pytest.raises(ValueError, match="must hold no simulation"):
        IMNN.load(tmp_path / "saved", **sets)


def counts(mean, shape, seed):
    return np.random.default_rng(seed).poisson(mean, shape).astype(float)


def set_of_counts(mean, length, seed):
    """Return counts about `mean` for δθ = 2 in their one parameter, the mean."""
    pairs = [[counts(mean + d, (1, length), (seed, i)) for d in (-1, 1)] for i in range(SIZE)]
    return counts(mean, (SIZE, length), seed), np.array(pairs)


def imnn_of(training, validation, length):
    return IMNN(
        SIZE, SIZE, 1, 1, [10.0], [2.0], (length,), *training, *validation, verbose=False, seed=1,
        model=networks.linear((length,), 1),
    )  # fmt: skip


@pytest.mark.parametrize(("mean", "length"), [(10, 1), (5, 3), (100, 2), (2, 10)])
def test_counts_may_be_equal_by_chance(mean, length):
    sets = set_of_counts(mean, length, 1), set_of_counts(mean, length, 2)
    rows = [{tuple(row) for row in fiducial} for fiducial, _ in sets]
    assert bool(rows[0] & rows[1]) == (length < 10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        imnn_of(*sets, length)
    assert not [each for each in caught if "equal" in str(each.message)]


@pytest.mark.parametrize(("mean", "length"), [(10, 1), (5, 3), (100, 2), (2, 10)])
def test_copies_of_counts_are_refused(mean, length):
    training = set_of_counts(mean, length, 1)
    with pytest.raises(ValueError, match="must hold no simulation"):
        imnn_of(training, training, length)


def test_exact_derivatives_may_be_equal():
    """∂d/∂μ is 1 in every simulation of μ + z."""
    z = [np.random.default_rng(seed).normal(size=(SIZE, 10)) for seed in (1, 2)]
    tangents = np.ones((SIZE, 1, 10))
    imnn = IMNN(
        SIZE, SIZE, 1, 1, [0.0], None, (10,), z[0], tangents, z[1], tangents, verbose=False,
        model=plain_network(outputs=1),
    )  # fmt: skip
    assert np.isfinite(imnn.F).all()


def test_repeats_within_a_set_are_warned_of():
    fiducial = DATA["fiducial"].copy()
    fiducial[[7, 9]] = fiducial[2]
    words = r"`fiducial` holds 2 simulations .*\(seed 7 is seed 2; seed 9 is seed 7\)"
    with pytest.warns(UserWarning, match=words) as caught:
        plain_imnn(fiducial=fiducial)
    assert caught[0].filename.endswith("makers.py"), "the line outside the package"
    with pytest.warns(UserWarning, match=words):
        plain_imnn(fiducial=plain(fiducial), cache=None)
    imnn = plain_imnn()
    with pytest.warns(UserWarning, match=words):
        imnn.evaluate(fiducial, DATA["derivative"])


@pytest.fixture
def stored(tmp_path):
    """Return a function that writes an array to HDF5, but for its last quarter."""
    h5py = pytest.importorskip("h5py")

    def written(array):
        file = h5py.File(tmp_path / f"{len(list(tmp_path.iterdir()))}.h5", "w")
        dataset = file.create_dataset("simulations", array.shape, array.dtype)
        dataset[: 3 * len(array) // 4] = array[: 3 * len(array) // 4]
        return dataset

    return written


@pytest.mark.parametrize("name", NAMES)
def test_what_was_never_written_to_a_file_is_warned_of(name, stored):
    n = {"fiducial": 50, "derivative": 200}[name.removeprefix("validation_")]
    words = rf"`{name}` holds {n} simulations with one number everywhere \(seed 150.*never written"
    with pytest.warns(UserWarning, match=words):
        read({name: stored(DATA[name])})


@pytest.mark.parametrize("place", [0, 1])
def test_counts_and_summaries_that_were_never_written_are_warned_of(place, stored):
    def partly(sets):
        return [stored(x) if i == place else x for i, x in enumerate(sets)]

    of_counts = settings(n_params=1, n_summaries=1, θ_fid=[10.0], δθ=[2.0])
    with pytest.warns(UserWarning, match=r"with one number everywhere \(seed 150"):
        sources.sources(of_counts, *partly(set_of_counts(100, 10, 1)))
    external = [DATA[name].mean(-1, keepdims=True) for name in NAMES]
    with pytest.warns(UserWarning, match=rf"`external.{NAMES[place]}.` holds .* equal"):
        sources.sources(settings(), *DATA.values(), external=partly(external))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sources.sources(settings(), *DATA.values(), external=[x.round(1) for x in external])
    assert not [each for each in caught if "equal" in str(each.message)]


def test_counts_that_were_written_twice_are_warned_of():
    fiducial, derivative = set_of_counts(100, 10, 1)
    fiducial[100:] = fiducial[:100]
    with pytest.warns(UserWarning, match=r"100 simulations that are equal .*seed 100 is seed 0"):
        sources.sources(
            settings(n_params=1, n_summaries=1, θ_fid=[10.0], δθ=[2.0]), fiducial, derivative
        )


def test_exact_derivatives_that_were_never_written_are_warned_of(stored):
    z = np.random.default_rng(1).normal(size=(2, SIZE, 10))
    tangents = np.stack([np.ones_like(z[0]), z[0]], axis=1)  # of μ + σ z
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sources.sources(settings(δθ=None), z[0], tangents)
    with pytest.warns(UserWarning, match=r"`derivative` holds 100 .*\(seed 150, parameter 0"):
        sources.sources(settings(δθ=None), z[0], stored(tangents))


def test_sides_of_a_pair_may_be_equal():
    """A parameter may leave a simulation as it is, within one seed."""
    derivative = DATA["derivative"].copy()
    derivative[4, 1] = derivative[4, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain_imnn(derivative=derivative)


def test_one_signal_may_be_in_all_sets_if_noise_is_added(recwarn):
    def noisy(signal, seed):
        return signal + tf.random.stateless_normal(tf.shape(signal), seed, dtype=signal.dtype)

    signal = np.linspace(0, 1, 10)
    sides = np.array([0.9, 1.1])[:, None, None] * signal
    training = np.tile(signal, (SIZE, 1)), np.tile(sides, (SIZE, 1, 1, 1))
    imnn = IMNN(
        SIZE, SIZE, 1, 1, [1.0], [0.2], (10,), *training, *training, map_fn=noisy, verbose=False,
        seed=1, model=networks.linear((10,), 1),
    )  # fmt: skip
    assert not [each for each in recwarn if "equal" in str(each.message)]
    # F = Σ signal² = 3.5; ln F of 200 simulations scatters by sqrt(2/200), 10 %, and more of ∂μ.
    assert imnn.F.item() == pytest.approx(np.sum(signal**2), rel=0.5)
