"""Data that are no array of one shape: complex, with gaps, of any length, of several arrays."""

import pickle
import warnings

import keras
import kinds_of_data
import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES
from makers import gaussian_data

from imnn_lab import IMNN, LFI, Files, Stencils, problems
from imnn_lab.encoding import Encoding
from imnn_lab.inference import Uniform
from imnn_lab.networks.layers import Layers
from imnn_lab.settings import Settings
from imnn_lab.sources import encoded, sources

SIZE = 60
problem = problems.gaussian()
DATA = [x.astype("float64") for x in gaussian_data(SIZE, SIZE)]
UNSEEN = -1.6375e30


def settings(**changes):
    return kinds_of_data.settings(**{"n_s": SIZE, "n_d": SIZE} | changes)


def read(data, map_fn=None, **changes):
    """Return the settings and the training simulations as IMNN gets them, n_s + n_d · 4."""
    found = encoded(settings(**changes), **dict(zip(NAMES, data, strict=False)))
    source, _ = sources(found, *data[:2], map_fn=map_fn)
    return found, source.fiducial(SIZE)


def small(data, input_shape=(10,), model=None, **changes):
    """Return an IMNN of two layers; `model` makes the network for the encoded shape."""
    shape = encoded(
        settings(input_shape=input_shape, **{k: changes[k] for k in changes if k == "missing"}),
        **dict(zip(NAMES, data, strict=False)),
    ).input_shape
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers) if model is None else model(shape)
    given = (SIZE, SIZE, 2, 2, problem.θ_fid, problem.δθ, input_shape, *data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few simulations
        return IMNN(*given, model=model, **{"verbose": False, "seed": 1} | changes)


def assert_copies_agree(imnn, data, directory):
    """Check that saved, loaded, pickled and shortened forms give the same estimates."""
    expected = imnn.get_estimate(data)
    assert np.isfinite(expected).all()
    for other in (
        IMNN.load(imnn.save(directory / "saved")).get_estimate,
        pickle.loads(pickle.dumps(imnn.estimator)),
        lambda x: imnn.get_estimate(imnn.encode(x)),
    ):
        np.testing.assert_allclose(other(data), expected, rtol=1e-4, atol=1e-5)


# Complex numbers ------------------------------------------------------------------------------


def turned(array):
    return array[..., :5] + 1j * array[..., 5:]


def test_complex_numbers_become_real_and_imaginary_parts(tmp_path, capsys):
    data = [turned(x) for x in DATA]
    imnn = small(data, (5,), verbose=True)
    assert capsys.readouterr().out.count("real and imaginary parts") == 1
    assert imnn.settings.input_shape == (5, 2)
    np.testing.assert_array_equal(
        imnn.encode(data[0][3]), np.stack([data[0][3].real, data[0][3].imag], -1)[None]
    )
    assert imnn.get_estimate(data[0][3]).shape == (2,)
    assert imnn.evaluate(*data[2:]).det_F == pytest.approx(imnn.F[0, 0] * imnn.F[1, 1], rel=0.9)
    assert_copies_agree(imnn, data[0][:3], tmp_path)
    with pytest.raises(TypeError, match="`data` must be complex, as the simulations"):
        imnn.get_estimate(data[0][3].real)
    with pytest.raises(ValueError, match=r"input_shape = \(5,\)"):
        imnn.get_estimate(data[0][3, :4])


def test_functions_that_return_complex_numbers():
    fiducial, derivative = (turned(x) for x in DATA[:2])
    found, simulations = read([lambda i: fiducial[i], lambda *i: derivative[i]], input_shape=(5,))
    assert found.input_shape == (5, 2)
    np.testing.assert_allclose(simulations[..., 0], fiducial.real, rtol=1e-6)


def test_complex_and_real_simulations_are_not_mixed():
    with pytest.raises(TypeError, match="`derivative` must be an array of real numbers"):
        read([DATA[0], DATA[1] * 1j])


# Missing values -------------------------------------------------------------------------------


def with_filled_gaps(shape):
    """Return the smallest network that fills gaps."""
    inputs, layers = keras.Input(shape), Layers("float32", 1)
    filled = layers.flat(layers.filled(inputs, 1))
    return keras.Model(inputs, layers.readout([filled, layers.square(filled)], 2))


def holed(array, seed=0, share=0.1, value=np.nan):
    """Return an array with values missing at random, the same for the simulations of a pair."""
    shape = (len(array), *(1,) * (array.ndim - 2), array.shape[-1])
    gone = np.broadcast_to(np.random.default_rng(seed).random(shape) < share, array.shape)
    if value is np.ma.masked:
        return np.ma.array(array, mask=gone)
    return np.where(gone, value, array)


GAPS = [holed(x, seed) for seed, x in enumerate(DATA)]


@pytest.mark.parametrize("value", [np.ma.masked, UNSEEN, 9.969209968386869e36, np.nan])
def test_all_marks_of_missing_values_give_the_same_array(value):
    marked = [holed(x, seed, value=value) for seed, x in enumerate(DATA)]
    found, simulations = read(marked[:2], missing="mask")
    assert found.input_shape == (10, 2)
    present = np.isfinite(GAPS[0])
    np.testing.assert_array_equal(simulations[..., 1], present)
    np.testing.assert_allclose(simulations[..., 0], np.nan_to_num(GAPS[0]), rtol=1e-6)


def test_the_error_without_it_names_the_argument():
    for data in (GAPS, [holed(x, value=np.ma.masked) for x in DATA]):
        with pytest.raises((TypeError, ValueError), match=r'IMNN\(missing="mask"\)'):
            read(data[:2])
        with pytest.raises((TypeError, ValueError), match=r'IMNN\(missing="mask"\)'):
            read([lambda i, x=data[0]: x[i], DATA[1]])
    with pytest.raises(ValueError, match="`missing` must be one of None, 'mask'"):
        settings(missing="fill")
    with pytest.raises(ValueError, match="contain finite numbers only"):
        read([np.where(np.isnan(GAPS[0]), np.inf, GAPS[0]), DATA[1]], missing="mask")


def test_observations_with_gaps(tmp_path):
    imnn = small(GAPS, missing="mask", model=with_filled_gaps)
    assert_copies_agree(imnn, GAPS[0][:3], tmp_path)
    one = GAPS[0][0].copy()
    one[:4] = np.nan
    masked = np.ma.masked_invalid(one)
    np.testing.assert_array_equal(imnn.get_estimate(one), imnn.get_estimate(masked))
    other = np.where(np.isnan(one), 7.0, one)
    filled = np.ma.array(other, mask=np.isnan(one))
    np.testing.assert_array_equal(imnn.get_estimate(one), imnn.get_estimate(filled))
    assert imnn.novelty(GAPS[0][:2]).is_novel.shape == (2,)
    assert np.isfinite(imnn.evaluate(*GAPS[2:]).F).all()
    with pytest.raises(ValueError, match=r"An IMNN that is retrained must .* encoded"):
        imnn.retrain_at_estimate(one, problem.simulator, 1)


def test_a_mask_of_all_simulations_is_dropped():
    gone = np.arange(10) < 3
    data = [np.where(gone, np.nan, x) for x in DATA]
    found, simulations = read(data, missing="mask")
    assert found.input_shape == (7,)
    np.testing.assert_allclose(simulations, DATA[0][:, 3:], rtol=1e-6)
    imnn = small(data, missing="mask")
    expected = imnn.get_estimate(data[0][:3])
    np.testing.assert_array_equal(imnn.get_estimate(DATA[0][:3]), expected)  # there is a value
    with pytest.raises(ValueError, match=r"`data` must have all the values .* 1 .* index \(5,\)"):
        imnn.get_estimate(np.where(np.arange(10) == 5, np.nan, DATA[0][0]))
    images = [x.reshape(*x.shape[:-1], 5, 2, 1) + 4 for x in data]
    found, simulations = read(images, input_shape=(5, 2, 1), missing="mask")
    assert found.input_shape == (5, 2, 1)
    constant = simulations.reshape(SIZE, 10)[:, :3]
    assert (constant == constant[0, 0]).all()
    assert constant[0, 0] == pytest.approx(4, abs=0.2)  # as the values that are present


def test_masks_of_channels():
    images = [x.reshape(*x.shape[:-1], 5, 2) for x in GAPS]
    found, simulations = read(images, input_shape=(5, 2), missing="mask")
    assert found.input_shape == (5, 4)
    np.testing.assert_array_equal(simulations[..., 2:], np.isfinite(images[0]))
    together = [np.where(np.isnan(x[..., :1]), np.nan, x) for x in images]
    together = [np.where(np.isnan(x.sum(-1, keepdims=True)), np.nan, x) for x in together]
    found, simulations = read(together, input_shape=(5, 2), missing="mask")
    assert found.input_shape == (5, 3)
    np.testing.assert_array_equal(simulations[..., 2], np.isfinite(together[0][..., 0]))


def test_complex_numbers_with_gaps():
    found, simulations = read([turned(x) for x in GAPS], input_shape=(5,), missing="mask")
    assert found.input_shape == (5, 3)
    np.testing.assert_array_equal(simulations[..., 2], np.isfinite(turned(GAPS[0])))


def test_masks_that_differ_by_side_are_warned_of():
    spoilt = GAPS[1].copy()
    spoilt[7, 1, 0, 4] = np.nan if np.isfinite(spoilt[7, 1, 0, 4]) else 0.0
    words = "`derivative`: in 1 of 120 pairs other values are missing below"
    with pytest.warns(UserWarning, match=words):
        read([GAPS[0], spoilt], missing="mask")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*other values are missing")
        read(GAPS[:2], missing="mask")


def test_exact_derivatives_have_no_derivative_of_masks():
    derivative = np.ones((SIZE, 2, 10)) * np.arange(1, 3)[:, None]
    gone = np.isnan(GAPS[0])
    derivative = np.where(gone[:, None], np.nan, derivative)
    found = encoded(settings(δθ=None, missing="mask"), fiducial=GAPS[0], derivative=derivative)
    source, _ = sources(found, GAPS[0], derivative)
    assert source.is_exact
    assert found.encoding.encoded("d", derivative, 2, True)[..., 1].max() == 0


def test_functions_and_what_map_fn_gets():
    shapes = []

    def doubled(simulation):
        shapes.append(simulation.shape)
        return simulation * (2, 1)

    data = [lambda i: GAPS[0][i], lambda *i: GAPS[1][i]]
    for given in (data, GAPS[:2]):
        found, simulations = read(given, map_fn=doubled, missing="mask")
        assert found.input_shape == (10, 2)
        np.testing.assert_allclose(simulations[..., 0], 2 * np.nan_to_num(GAPS[0]), rtol=1e-6)
    assert set(shapes) == {(10, 2)}


def test_simulators_give_what_the_network_takes():
    for changes in ({"missing": "mask"}, {"input_shape": (None,)}):
        with pytest.raises(ValueError, match="`simulator` must be used with an `input_shape` of"):
            encoded(settings(**changes), simulator=lambda θ, seed: θ)


def test_inference_with_encoded_data():
    imnn = small(GAPS, missing="mask")
    rng = np.random.default_rng(1)

    def simulator(θ):
        x = θ[:, :1] + np.sqrt(θ[:, 1:]) * rng.normal(size=(len(θ), 10))
        return imnn.encode(np.where(rng.random(x.shape) < 0.1, np.nan, x))

    abc = LFI.ApproximateBayesianComputation(
        imnn.encode(GAPS[0][0]), Uniform([-3, 0.1], [3, 4]), imnn.F, imnn.get_estimate, simulator,
        verbose=False, seed=1,
    )  # fmt: skip
    abc.ABC(50)
    assert len(abc.draws.parameters) == 50
    with pytest.raises(TypeError, match=r"give what `imnn.encode\(data\)` returns"):
        LFI.GaussianApproximation(
            GAPS[0][:1] * 1j, Uniform([-3, 0.1], [3, 4]), imnn.F, imnn.get_estimate
        )


# Sets of any length ---------------------------------------------------------------------------


def sets_of(array, seed):
    """Return nested lists of the first 4 to 10 values."""
    rng = np.random.default_rng(seed)
    if array.ndim == 2:
        return [one[: rng.integers(4, 11)] for one in array]
    lengths = rng.integers(4, 11, len(array))
    return [
        [[one[:n] for one in side] for side in row]
        for row, n in zip(array, lengths, strict=True)
    ]  # fmt: skip


SETS = [sets_of(x, seed) for seed, x in enumerate(DATA)]


def of_sums(shape):
    """Return the smallest network for sets."""
    inputs, layers = keras.Input(shape), Layers("float32", 1)
    entries, present = layers.entries(inputs, 1)
    sums = layers.joined(layers.pooled(layers.joined([entries, layers.square(entries)]), present))
    return keras.Model(inputs, layers.readout([sums], 2))


TO_DEEP_SET = {"model": of_sums}


def test_sets_of_any_length_are_padded_with_a_mask(tmp_path):
    found, simulations = read(SETS, input_shape=(None,))
    assert found.input_shape == (10, 2)
    for one, padded in zip(SETS[0], simulations, strict=True):
        np.testing.assert_allclose(padded[: len(one), 0], one, rtol=1e-6)
        np.testing.assert_array_equal(padded[:, 1], np.arange(10) < len(one))
    imnn = small(SETS, (None,), **TO_DEEP_SET)
    assert_copies_agree(imnn, SETS[0][:3], tmp_path)
    one = SETS[0][0]
    expected = imnn.get_estimate(one)
    assert expected.shape == (2,)
    np.testing.assert_array_equal(imnn.get_estimate(one.tolist()), expected)
    np.testing.assert_allclose(imnn.get_estimate([one, one[:1], []])[0], expected, rtol=1e-5)
    np.testing.assert_allclose(imnn.get_estimate(one[::-1]), expected, rtol=1e-3, atol=1e-4)


def test_entries_of_several_values_and_objects():
    pairs = [[np.stack([x, x + 1], -1) for x in SETS[0]], None]
    pairs[1] = [[[np.stack([x, x], -1) for x in s] for s in row] for row in SETS[1]]
    found, simulations = read(pairs, input_shape=(None, 2))
    assert found.input_shape == (10, 3)
    as_objects = np.empty(SIZE, object)
    as_objects[:] = pairs[0]
    other = read([as_objects, pairs[1]], input_shape=(None, 2))[1]
    np.testing.assert_array_equal(other, simulations)
    functions = [lambda i: pairs[0][i], lambda i, s, p: pairs[1][i][s][p]]
    np.testing.assert_array_equal(read(functions, input_shape=(None, 2))[1], simulations)
    assert found.encoding.batch("d", pairs[0][0])[1]
    assert not found.encoding.batch("d", pairs[0][:1])[1]


def test_longer_observations_are_refused_unless_they_were_planned():
    imnn = small(SETS, (None,), **TO_DEEP_SET)
    with pytest.raises(
        ValueError, match=r"at most 10 entries.* Received 12. Train with longest=12"
    ):
        imnn.get_estimate(np.zeros(12))
    assert read(SETS, input_shape=(None,), longest=12)[0].input_shape == (12, 2)
    with pytest.raises(ValueError, match="`fiducial` must have at most 8 entries"):
        read(SETS, input_shape=(None,), longest=8)
    with pytest.raises(ValueError, match="`longest` must be None: no axis"):
        settings(longest=8)
    with pytest.raises(ValueError, match=r"`input_shape` must be \(None,\) or \(None, values"):
        settings(input_shape=(None, 3, 2))


def test_lists_that_are_no_sets_are_refused():
    for data, words in (
        ([3.0, SETS[1]], "`fiducial` must be a list of arrays"),
        ([[np.zeros((4, 2))] * SIZE, SETS[1]], "must hold arrays of shape"),
        ([SETS[0], [row[:1] for row in SETS[1][:3]] + SETS[1][3:]], "as many simulations"),
        ([SETS[0][:9], SETS[1]], r"`fiducial` must have shape"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            read(data, input_shape=(None,))


# Several arrays -------------------------------------------------------------------------------


def parts(array):
    return {"map": array[..., :8].reshape(*array.shape[:-1], 4, 2), "spectrum": array[..., 7:]}


SHAPES = {"map": (4, 2), "spectrum": (3,)}


def test_several_arrays_stand_one_after_another(tmp_path):
    data = [parts(x) for x in DATA]
    found, simulations = read(data, input_shape=SHAPES)
    assert found.input_shape == (11,)
    np.testing.assert_allclose(simulations[:, :8], DATA[0][:, :8], rtol=1e-6)
    np.testing.assert_allclose(simulations[:, 8:], DATA[0][:, 7:], rtol=1e-6)
    imnn = small(data, SHAPES)
    assert_copies_agree(imnn, parts(DATA[0][:3]), tmp_path)
    assert imnn.get_estimate(parts(DATA[0][0])).shape == (2,)
    as_lists = [list(x.values()) for x in data]
    np.testing.assert_array_equal(read(as_lists, input_shape=list(SHAPES.values()))[1], simulations)
    functions = [lambda i: parts(DATA[0][i]), lambda *i: parts(DATA[1][i])]
    np.testing.assert_array_equal(read(functions, input_shape=SHAPES)[1], simulations)
    for wrong, words in (
        ({"map": data[0]["map"]}, "be a dict with the keys 'map', 'spectrum'"),
        ({**data[0], "spectrum": data[0]["spectrum"][:9]}, "hold as many simulations in each"),
        ({**data[0], "spectrum": data[0]["map"]}, "`fiducial`: 'spectrum' must have shape"),
    ):
        with pytest.raises(ValueError, match=words):
            read([wrong, data[1]], input_shape=SHAPES)


def test_each_array_may_be_complex_have_gaps_or_any_length():
    data = [
        {"a": turned(gaps), "b": gaps[..., :3], "c": sets}
        for gaps, sets in zip(GAPS[:2], SETS[:2], strict=True)
    ]
    shapes = {"a": (5,), "b": (3,), "c": (None,)}
    found, simulations = read(data, input_shape=shapes, missing="mask")
    assert [part.encoded_shape for part in found.encoding.parts] == [(5, 3), (3, 2), (10, 2)]
    np.testing.assert_array_equal(simulations[:, 16:21:2], np.isfinite(GAPS[0][:, :3]))


def test_shapes_that_are_none():
    for wrong in ({}, {1: (3,)}, {"a": 3}, [], [(3,), 2], {"a": (0,)}):
        with pytest.raises((TypeError, ValueError), match="`input_shape` must"):
            settings(input_shape=wrong)


# Settings -------------------------------------------------------------------------------------


def test_settings_with_an_encoding_are_saved():
    found = read([turned(x) for x in GAPS], input_shape=(5,), missing="mask")[0]
    assert Settings.from_dict(found.as_dict()) == found
    old = settings().as_dict()
    del old["encoding"]
    assert Settings.from_dict(old) == settings()
    wrong = found.as_dict()
    wrong["encoding"]["kind"] = "heap"
    with pytest.raises(ValueError, match="`kind` must be one of"):
        Settings.from_dict(wrong)


def test_load_with_the_same_arguments_takes_the_saved_encoding(tmp_path):
    given = {"missing": "mask", "directory": tmp_path, "filename": "a"}
    imnn = small(GAPS, save=True, **given)
    imnn.save()
    again = small(GAPS, load=True, **given, model=lambda s: imnn.model)
    assert again.settings.encoding == imnn.settings.encoding
    with pytest.raises(ValueError, match="as in the saved IMNN"):
        small(DATA, load=True, directory=tmp_path, filename="a", model=lambda s: imnn.model)


def test_plain_data_have_no_encoding():
    assert read(DATA)[0].encoding is None
    assert Encoding.declared((10,)).is_plain


def in_arrays(array, kind):
    """Return the two arrays of `SHAPES` as a dict or a list."""
    arrays = parts(array)
    return arrays if kind == "dict" else list(arrays.values())


def shapes_of(kind):
    return SHAPES if kind == "dict" else list(SHAPES.values())


def flat(array):
    """Return what `parts` gives as one array."""
    return np.concatenate([array[..., :8], array[..., 7:]], axis=-1)


def stencils_of(array, of=lambda x: x):
    """Return pairs as stencils, the second parameter against the fiducial simulations."""
    μ = {-0.05: of(array[:, 0, 0]), 0.05: of(array[:, 1, 0])}
    return Stencils({"μ": μ, "Σ": {0: "fiducial", 0.1: of(array[:, 1, 1])}})


def of_stencils(fiducial, derivative, input_shape, **changes):
    given = {"parameters": {"μ": 0, "Σ": 1}, "n_s": SIZE, "dtype": "float64", "verbose": False}
    kernel = keras.initializers.GlorotUniform(1)
    dense = keras.layers.Dense(2, kernel_initializer=kernel, dtype="float64")
    layers = [keras.Input((11,), dtype="float64"), dense]
    return IMNN(
        **given | changes, fiducial=fiducial, derivative=derivative, input_shape=input_shape,
        model=keras.Sequential(layers),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of few simulations
@pytest.mark.parametrize("kind", ["dict", "list"])
def test_stencils_of_several_arrays_are_counted_by_simulations(kind):
    fiducial, derivative = DATA[:2]
    plain = of_stencils(flat(fiducial), stencils_of(derivative, flat), (11,))
    several = of_stencils(
        in_arrays(fiducial, kind),
        stencils_of(derivative, lambda x: in_arrays(x, kind)),
        shapes_of(kind),
    )
    np.testing.assert_allclose(several.F, plain.F, rtol=1e-9)
    assert several.settings.n_d == SIZE


@pytest.mark.parametrize("is_complex", [False, True])
def test_datasets_of_several_arrays(is_complex):
    arrays, pairs = (parts(x * (1j if is_complex else 1)) for x in DATA[:2])
    dataset = tf.data.Dataset.from_tensor_slices((arrays, np.arange(SIZE)))
    found = [read((x, pairs), input_shape=SHAPES) for x in (arrays, dataset)]
    assert found[0][0].encoding == found[1][0].encoding
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.filterwarnings("ignore")  # of few simulations
@pytest.mark.parametrize("cache", [None, "disk", "memory"])
def test_several_arrays_of_files_are_read_in_slices(cache, tmp_path, monkeypatch):
    most = []
    read_slice = Files._read
    monkeypatch.setattr(
        Files, "_read", lambda self, rows: most.append(len(rows)) or read_slice(self, rows)
    )
    fiducial, derivative = DATA[:2]

    def kept(arrays, place):
        found = {}
        for name, array in arrays.items():
            (tmp_path / place / name).mkdir(parents=True)
            for seed, one in enumerate(array):
                np.save(tmp_path / place / name / f"{2 * seed}.npy", one)
            found[name] = Files(tmp_path / place / name / "{seed}.npy")
        return found

    places = map(str, range(9))
    files = of_stencils(
        kept(parts(fiducial), "fiducial"),
        stencils_of(derivative, lambda x: kept(parts(x), next(places))), SHAPES, cache=cache,
        at_once=8,
    )  # fmt: skip
    plain = of_stencils(flat(fiducial), stencils_of(derivative, flat), (11,))
    np.testing.assert_allclose(files.F, plain.F, rtol=1e-9)
    assert max(most) <= 8


def test_several_arrays_of_files_of_other_seeds_are_refused(tmp_path):
    for name, array in parts(DATA[0]).items():
        (tmp_path / name).mkdir()
        for seed, one in enumerate(array):
            np.save(tmp_path / name / f"{seed + (name == 'map' and seed > 5)}.npy", one)
    files = {name: Files(tmp_path / name / "{seed}.npy") for name in SHAPES}
    with pytest.raises(ValueError, match="`fiducial` must hold arrays of the same seeds"):
        read((files, parts(DATA[1])), input_shape=SHAPES)
