"""Values that are no data are refused or warned of at every door."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import NAMES, plain, read, settings, write
from makers import SIZE, gaussian_data, gaussian_simulator, plain_imnn
from scipy import stats

from imnn_lab import LFI, problems, sources
from imnn_lab.inference import TruncatedNormal, Uniform

problem = problems.gaussian()
DATA = dict(zip(NAMES, gaussian_data(), strict=True))
UNSEEN = -1.6375e30


def masked(array):
    result = np.ma.array(array, dtype=float)
    result.mask = np.arange(result.size).reshape(result.shape) == 1
    return result


def holding(value):
    """Return a function that puts a value into the second place of an array."""

    def changed(array):
        result = np.array(array, float, order="C")
        result.reshape(-1)[1] = value
        return result

    return changed


@pytest.fixture(scope="module")
def imnn():
    return plain_imnn()


@pytest.fixture(scope="module")
def external():
    return tuple(array.mean(-1, keepdims=True) for array in DATA.values())


@pytest.fixture(params=[masked, holding(UNSEEN), holding(9.96921e36), holding(1e39)])
def spoilt(request):
    return request.param


WORDS = "mask|equal and huge|numbers below 3.4e.38"


@pytest.mark.parametrize("name", NAMES)
def test_arrays(name, spoilt):
    with pytest.raises((TypeError, ValueError), match=rf"^`{name}` must hold .*({WORDS})"):
        plain_imnn(**{name: spoilt(DATA[name])})


@pytest.mark.parametrize("cache", ["memory", "disk", None])
def test_simulations_that_are_read_one_by_one(cache, spoilt):
    def fiducial(seed):
        one = DATA["fiducial"][seed]
        return spoilt(one) if seed == 7 else one

    words = rf"^`fiducial` at seed 7 must hold .*({WORDS})"
    with pytest.raises((TypeError, ValueError), match=words):
        read({"fiducial": fiducial}, cache=cache)


def test_records(tmp_path):
    files = write(tmp_path, DATA["fiducial"])
    assert read({"fiducial": files})
    with pytest.raises(ValueError, match=r"at seed 0.* must hold .*equal and huge"):
        write(tmp_path, holding(UNSEEN)(DATA["fiducial"]))
    with pytest.raises(TypeError, match=r"at seed 0.* must hold .*mask"):
        write(tmp_path, masked(DATA["fiducial"]))


def test_lists_of_masked_arrays():
    with pytest.raises(TypeError, match="`fiducial` must hold data only"):
        plain_imnn(fiducial=list(masked(DATA["fiducial"])))


def test_masked_arrays_without_a_masked_value_are_arrays():
    plain_imnn(**{name: np.ma.array(array) for name, array in DATA.items()})


def test_what_map_fn_returns():
    for kind in (np.asarray, plain):
        data = {name: kind(array) for name, array in DATA.items()}
        with pytest.raises(TypeError, match="`map_fn`: `fiducial` at seed 0 must hold data only"):
            plain_imnn(**data, map_fn=lambda x: np.ma.masked_greater(x, -9))
        with pytest.raises(TypeError, match="be an array of real numbers"):
            plain_imnn(**data, map_fn=lambda x: x + 1j)


@pytest.mark.parametrize("name", ["θ_fid", "δθ"])
def test_parameters(name):
    with pytest.raises(TypeError, match=f"`{name}` must hold data only"):
        plain_imnn(**{name: masked(getattr(problem, name))})


def test_masked_numbers(imnn):
    with pytest.raises(TypeError, match="`λ` must hold data only"):
        imnn.fit(1, λ=np.ma.masked)


def test_external_summaries(external, spoilt):
    with pytest.raises((TypeError, ValueError), match=rf"`external\[fiducial\]` must .*({WORDS})"):
        plain_imnn(external=(spoilt(external[0]), *external[1:]))


def test_evaluate(imnn, spoilt):
    fiducial, derivative = DATA["fiducial"], DATA["derivative"]
    with pytest.raises((TypeError, ValueError), match=f"`fiducial` must .*({WORDS})"):
        imnn.evaluate(spoilt(fiducial), derivative)
    with pytest.raises((TypeError, ValueError), match=f"`derivative` must .*({WORDS})"):
        imnn.evaluate(fiducial, spoilt(derivative))


def test_one_datum(imnn, spoilt):
    with pytest.raises((TypeError, ValueError), match=f"`data` must .*({WORDS})"):
        imnn.get_estimate(spoilt(DATA["fiducial"][0]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_estimates_of_data_that_are_not_finite(imnn, value):
    spoilt = holding(value)
    with pytest.raises(ValueError, match=r"`data` must contain finite .* at index \(0, 1\)"):
        imnn.get_estimate(spoilt(DATA["fiducial"][0]))
    with pytest.raises(ValueError, match=r"`data` must contain finite .* at index \(0, 1\)"):
        imnn.get_estimate(spoilt(DATA["fiducial"][:3]))


def test_preprocessing_may_repair_data():
    def repaired(simulation):
        return np.nan_to_num(simulation)

    estimate = plain_imnn(map_fn=repaired).get_estimate(holding(np.nan)(DATA["fiducial"][0]))
    assert np.isfinite(estimate).all()


def test_external_summaries_of_data_that_are_not_finite(external):
    imnn = plain_imnn(external=external)
    with pytest.raises(ValueError, match="`external` must contain finite"):
        imnn.get_estimate(DATA["fiducial"][:3], holding(np.nan)(external[0][:3]))


def test_one_of_many_data_that_is_too_large_is_not_estimated(imnn):
    data = DATA["fiducial"][:3].copy()
    data[2, 4] = 1e39
    with pytest.warns(UserWarning, match=r"`data` holds numbers above 3.4e\+38.* index 2"):
        estimates = imnn.get_estimate(data)
    np.testing.assert_array_equal(np.isnan(estimates).any(axis=1), [False, False, True])
    for gap in (UNSEEN, np.ma.masked):
        holed = np.ma.array(DATA["fiducial"][:3], copy=True)
        holed[2, 4] = gap
        holed = holed if gap is np.ma.masked else holed.data
        with pytest.raises((TypeError, ValueError), match="`data` must hold"):
            imnn.get_estimate(holed)


def abc(**changes):
    given = {
        "target_data": np.zeros((1, 2)), "prior": Uniform([-1, -1], [1, 1]), "Fisher": np.eye(2),
        "get_estimate": np.asarray, "simulator": lambda θ: θ, "verbose": False,
    }  # fmt: skip
    return LFI.ApproximateBayesianComputation(**given | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target_data": masked(np.zeros((1, 2)))}, "`target_data` must hold data only"),
        ({"target_data": np.array([[0, UNSEEN]])}, "`target_data` must hold data only"),
        ({"Fisher": masked(np.eye(2))}, "`Fisher` must hold data only"),
        ({"get_estimate": lambda d: d + 0.1j}, "`get_estimate` must be an array of real numbers"),
        ({"get_estimate": masked}, "`get_estimate` must hold data only"),
    ],
)
def test_inference(changes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        abc(**changes)


def test_priors_draws_and_simulators_of_inference():
    with pytest.raises(TypeError, match="`low` must hold data only"):
        Uniform(masked([-1, -1]), [1, 1])
    with pytest.raises(TypeError, match="`draws` must hold data only"):
        abc().ABC(masked(np.zeros((4, 2))), predrawn=True)
    with pytest.raises(RuntimeError, match="`simulator` must hold data only"):
        abc(simulator=masked).ABC(4)
    with pytest.raises(TypeError, match="`get_estimate` must be an array of real numbers"):
        abc(get_estimate=lambda d: d + 0.1j * (len(d) > 1)).ABC(4)


def numpy_simulator(change):
    def simulator(parameters, seed):
        z = np.random.default_rng(seed).normal(size=(len(parameters), 10))
        return change(parameters[:, :1] + np.sqrt(parameters[:, 1:]) * z)

    return simulator


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        (numpy_simulator(masked), "`simulator` must hold data only.*mask"),
        (numpy_simulator(holding(UNSEEN)), "`simulator` must hold data only"),
        (numpy_simulator(holding(1e39)), "`simulator` must hold numbers below"),
        (numpy_simulator(lambda x: x * 1j), "`simulator` must be an array of real numbers"),
        (
            lambda θ, seed: tf.complex(gaussian_simulator(θ, seed), gaussian_simulator(θ, seed)),
            "`simulator` must be an array of real numbers",
        ),
    ],
)
def test_simulators_of_training(simulator, words):
    with pytest.raises((TypeError, ValueError), match=words):
        plain_imnn(**dict.fromkeys(NAMES), simulator=simulator)


def test_huge_numbers_that_are_repeated_among_small_ones():
    filled = DATA["fiducial"].copy()
    filled[4:6, 3] = -1e33
    with pytest.raises(ValueError, match=r"2 equal and huge values, the first \(-1e\+33\).*4, 3"):
        plain_imnn(fiducial=filled)
    read({name: 1e33 * array for name, array in DATA.items()})  # other units are no gaps


def test_offsets_that_single_precision_cannot_hold():
    offset = {name: array + 1e7 for name, array in DATA.items()}
    words = r"`{}`: float32 rounds values such as .* to steps of 1.*dtype='float64'"
    with pytest.warns(UserWarning, match=words.format("fiducial")):
        read(offset)
    with pytest.warns(UserWarning, match=words.format("validation_fiducial")):
        read(offset)
    with pytest.warns(UserWarning, match=words.format("fiducial")):
        read({name: plain(array) for name, array in offset.items()}, cache=None)
    with pytest.warns(UserWarning, match=words.format("fiducial")):
        read({name: plain(array) for name, array in offset.items()}, cache="disk")
    with pytest.warns(UserWarning, match="float32 rounds"):
        read({name: 1e-40 * array for name, array in DATA.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(offset, dtype="float64")
        read({name: array + 1e4 for name, array in DATA.items()})
        read({name: array * 1e7 for name, array in DATA.items()})


def test_whole_numbers_beside_others():
    rounded = np.round(20 * DATA["fiducial"] + 128).astype("uint8")
    words = "`fiducial` holds whole numbers only, but `derivative` does not"
    with pytest.warns(UserWarning, match=words):
        read({"fiducial": rounded})
    with pytest.warns(UserWarning, match=words):
        read({"fiducial": plain(rounded)}, cache=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read({name: np.round(100 * array).astype(int) for name, array in DATA.items()})


@pytest.mark.parametrize("name", ["fiducial", "validation_fiducial"])
@pytest.mark.parametrize("kind", [np.asarray, plain])
def test_constant_sets_are_refused(name, kind):
    words = rf"`{name}` must hold more than n_summaries = 2 simulations that differ.* 1 that differ"
    with pytest.raises(ValueError, match=words):
        read({name: kind(np.tile(DATA[name][0], (SIZE, 1)))}, cache=None)


@pytest.mark.parametrize("name", ["derivative", "validation_derivative"])
def test_pairs_that_do_not_move_are_refused(name):
    unmoved = DATA[name].copy()
    unmoved[:, 1, 1] = unmoved[:, 0, 1]
    with pytest.raises(ValueError, match=rf"`{name}` must change .* all equal for parameter 1"):
        plain_imnn(**{name: unmoved})


@pytest.mark.parametrize("name", NAMES)
def test_single_simulations_that_failed_are_named(name):
    failed = DATA[name].copy()
    failed[[3, 5]] = 0.5
    with (
        pytest.warns(UserWarning, match=rf"`{name}` holds \d simulations with one number.*seed 3"),
        pytest.warns(UserWarning, match=rf"`{name}` holds \d simulations that are equal.*seed 5"),
    ):
        read({name: failed})


def same_noise(θ, seed):
    return θ[:, :1] + np.sqrt(θ[:, 1:]) * np.random.default_rng(seed).normal(size=10)


def without_variance(θ, seed):
    return θ[:, :1] + np.random.default_rng(seed).normal(size=(len(θ), 10))


@pytest.mark.parametrize(
    ("simulator", "words"),
    [
        (same_noise, r"`simulator` must hold more than .* 1 that differ, of 200"),
        (without_variance, "`simulator` must change .* all equal for parameter 1"),
    ],
)
def test_simulators_that_make_equal_simulations_are_refused(simulator, words):
    with pytest.raises(ValueError, match=words):
        plain_imnn(**dict.fromkeys(NAMES), simulator=simulator)


# Units ----------------------------------------------------------------------------------------


def in_kilometres(array):
    from astropy import units

    return array * units.km


def in_columns(array):
    from astropy.table import Column

    return Column(array, unit="km")


def in_metres_of_pint(array):
    import pint

    return pint.get_application_registry().Quantity(array, "m")


def hidden(array):
    from astropy.utils.masked import Masked

    return Masked(array, mask=np.arange(array.size).reshape(array.shape) == 1)


LOST = r"must hold (plain numbers. Received a quantity in (km|meter)|data only. Received a masked)"


@pytest.fixture(params=[in_kilometres, in_columns, in_metres_of_pint, hidden])
def annotated(request):
    pytest.importorskip("astropy")
    pytest.importorskip("pint")
    return request.param


def test_units_of_simulations_and_parameters(annotated):
    for name in NAMES:
        with pytest.raises(TypeError, match=f"^`{name}` {LOST}"):
            read({name: annotated(DATA[name])})
    with pytest.raises(TypeError, match=f"^`fiducial` {LOST}"):
        read({"fiducial": [annotated(one) for one in DATA["fiducial"]]})
    with pytest.raises(TypeError, match=f"^`fiducial` at seed 0 {LOST}"):
        read({"fiducial": lambda seed: annotated(DATA["fiducial"][seed])})
    for name in ("θ_fid", "δθ"):
        with pytest.raises(TypeError, match=f"^`{name}` {LOST}"):
            settings(**{name: annotated(getattr(problem, name))})
    with pytest.raises(TypeError, match=f"^`simulator` {LOST}"):
        sources.sources(settings(), simulator=numpy_simulator(annotated))


def test_units_of_what_a_network_gets(imnn, external, annotated):
    fiducial, derivative = DATA["fiducial"], DATA["derivative"]
    with pytest.raises(TypeError, match=f"`fiducial` {LOST}"):
        imnn.evaluate(annotated(fiducial), derivative)
    with pytest.raises(TypeError, match=f"`derivative` {LOST}"):
        imnn.evaluate(fiducial, annotated(derivative))
    for data in (fiducial[0], fiducial[:3]):
        with pytest.raises(TypeError, match=f"`data` {LOST}"):
            imnn.get_estimate(annotated(data))
    with pytest.raises(TypeError, match=rf"`external\[fiducial\]` {LOST}"):
        sources.sources(
            settings(), *DATA.values(), external=(annotated(external[0]), *external[1:])
        )


def test_units_in_inference(annotated):
    for name, value in (("target_data", np.zeros((1, 2))), ("Fisher", np.eye(2))):
        with pytest.raises(TypeError, match=f"`{name}` {LOST}"):
            abc(**{name: annotated(value)})
    with pytest.raises(TypeError, match=f"`get_estimate` {LOST}"):
        abc(get_estimate=annotated)
    with pytest.raises(RuntimeError, match=f"`simulator` {LOST}"):
        abc(simulator=annotated).ABC(4)
    with pytest.raises(TypeError, match=f"`draws` {LOST}"):
        abc().ABC(annotated(np.zeros((4, 2))), predrawn=True)
    with pytest.raises(TypeError, match=f"`ranges` {LOST}"):
        abc().ABC(4) and abc().posterior(ε=9, draws=4, ranges=[annotated(np.arange(2.0))] * 2)
    bounds = annotated(np.arange(2.0))
    for given, name in (
        (lambda: Uniform(bounds, [3, 3]), "low"),
        (lambda: Uniform([-1, -1], bounds), "high"),
        (lambda: TruncatedNormal([0, 0], [1, 1], bounds, [9, 9]), "low"),
        (lambda: abc(prior=stats.uniform(bounds, 1)), "prior"),
        (lambda: abc(prior=[stats.norm(0, 1), stats.norm(0, scale=bounds)]), "prior"),
    ):
        with pytest.raises(TypeError, match=f"`{name}` {LOST}"):
            given()


def test_quantities_without_a_unit_are_numbers():
    pytest.importorskip("astropy")
    pytest.importorskip("pint")
    for quantity in (in_kilometres(np.array(3)), in_metres_of_pint(np.array(3))):
        assert settings(θ_fid=np.ones(2) * (quantity / quantity)).θ_fid == (1, 1)
