"""Derivatives from points, offsets and weights of their own for each parameter."""

import copy
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from suites import EXACT, N_S, N_VALUES, NAMES, J, Seeded, slopes_by_hand, suite

from imnn_lab import IMNN, Stencil, Stencils, networks
from imnn_lab.diagnostics import (
    covariance_check,
    derivative_doctor,
    honest_fisher,
    over_fitting,
)
from imnn_lab.networks import choice
from imnn_lab.sources.differences import Points
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor
from imnn_lab.training.step import loss_gradient

δ = 0.1
WEIGHTS = {  # by hand, in the order of POINTS
    "Ω_m": (-50, 50), "w": (10, -10), "h": (-25, 25),
    "M_ν": tuple(np.array([-21, 32, -12, 1]) / (12 * δ)),
}  # fmt: skip


@pytest.fixture(scope="module")
def training():
    return suite()


@pytest.fixture(scope="module")
def validation():
    return suite(start=100)


def linear(outputs=4, dtype="float64", seed=1):
    layers = [keras.Input((N_VALUES,), dtype=dtype)]
    kernel = keras.initializers.GlorotUniform(seed)
    layers.append(keras.layers.Dense(outputs, kernel_initializer=kernel, dtype=dtype))
    return keras.Sequential(layers)


def made(training, validation=(None, None), **changes):
    fiducial, derivative = training
    given = {
        "n_s": N_S, "n_d": None, "n_params": 4, "n_summaries": 4, "θ_fid": [0.3, -1, 0.7, 0],
        "δθ": None, "input_shape": (N_VALUES,), "fiducial": fiducial,
        "derivative": Stencils(derivative) if isinstance(derivative, dict) else derivative,
        "validation_fiducial": validation[0],
        "validation_derivative": validation[1] and Stencils(validation[1]),
        "verbose": False, "seed": 1, "dtype": "float64",
    }  # fmt: skip
    if "model" not in changes:
        given["model"] = linear()
    return IMNN(**given | changes)


@pytest.fixture(scope="module")
def imnn(training, validation):
    return made(training, validation)


def by_hand(function, fiducial, derivative):
    """Return F of summaries with derivatives that are put together here, and the slopes."""
    x = function(fiducial)
    slopes = {}
    for name, points in derivative.items():
        seeds, _ = slopes_by_hand(points, WEIGHTS[name])
        parts = [np.asarray(function(np.asarray(data.select(seeds)))) for data in points.values()]
        slopes[name] = seeds, sum(w * y for w, y in zip(WEIGHTS[name], parts, strict=True))
    dμ = np.stack([slope.mean(0) for _, slope in slopes.values()])
    return dμ @ np.linalg.solve(np.cov(x, rowvar=False), dμ.T), slopes


def off(F, exact=EXACT):
    """Return how far F is off, in units of the exact one."""
    L = np.linalg.cholesky(exact)
    return np.abs(np.linalg.solve(L, np.linalg.solve(L, F).T) - np.eye(4)).max()


# Stencils -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ((0, δ), (-1 / δ, 1 / δ)),
        ((0, δ, 2 * δ), tuple(np.array([-3, 4, -1]) / (2 * δ))),
        ((0, δ, 2 * δ, 4 * δ), tuple(np.array([-21, 32, -12, 1]) / (12 * δ))),
        ((-δ, δ), (-0.5 / δ, 0.5 / δ)),
        ((-2 * δ, -δ, 0, δ, 2 * δ), tuple(np.array([1, -8, 0, 8, -1]) / (12 * δ))),
        ((-0.05, 0.2), (-4, 4)),
        ((-5e-4, -5e-5, -5e-6, -5e-7), None),
    ],
)
def test_weights_are_those_of_highest_order(offsets, expected):
    stencil = Stencil(dict.fromkeys(offsets, np.zeros((3, 2))))
    if expected is not None:
        np.testing.assert_allclose(stencil.weights, expected, rtol=1e-10, atol=1e-10)
    x = np.array(stencil.offsets) / max(np.abs(offsets))
    for power in range(len(offsets)):
        found = np.sum(np.array(stencil.weights) * x**power) * max(np.abs(offsets))
        # Weights are kept to 14 digits, and cancel where steps are of other orders of magnitude.
        scale = np.abs(np.array(stencil.weights) * x**power).max() * max(np.abs(offsets))
        assert abs(found - (power == 1)) < 1e-10 * scale


def test_points_may_be_in_any_order_and_given_by_value():
    low, high = np.zeros((2, 3, 2))
    stencil = Stencil({0.1: high, -0.1: low}, weights=[5, -5])
    assert stencil.offsets == (-0.1, 0.1)
    assert stencil.weights == (-5, 5)
    assert stencil.simulations[0] is low
    by_value = Stencil.at({-0.95: high, -1.05: low}, fiducial=-1)
    assert by_value.offsets == (-0.05, 0.05)
    assert by_value.simulations[1] is high
    assert Stencil({0.1: high, -0.1: low}, weights={0.1: 5, -0.1: -5}).weights == (-5, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: Stencil({0.1: x}), "at 2 points or more. Received 1"),
        (lambda x: Stencil({0.1: x, 0.1 + 1e-15: x}), "offsets that differ"),
        (lambda x: Stencil({0.1: x, 0.2: "fiducial"}), "at offset 0 alone"),
        (lambda x: Stencil({0.1: x, 0: "fidcial"}), "at offset 0 alone"),
        (lambda x: Stencil({0.1: x, 0: None}), "be simulations"),
        (lambda x: Stencil({0.1: x, -0.1: x}, [5, -4]), "have the sum 0.* Received 1"),
        (lambda x: Stencil({0.1: x, -0.1: x}, [4, -4]), r"Σ w · offset = 1.* Received 0.8"),
        (lambda x: Stencil({0.1: x, -0.1: x}, [4, -4, 1]), "for each of 2 points. Received 3"),
        (lambda x: Stencil({0.1: x, -0.1: x}, {0.1: 5, 0.2: -5}), "have the offsets"),
        (lambda x: Stencil([x, x]), "be a mapping from offsets"),
        (lambda x: Stencils({"M_ν": {0.1: x}}), "of M_ν.*2 points"),
        (lambda x: Stencils({}), "a stencil for each parameter"),
        (lambda x: Stencils.central([1], x), r"\(n_d, 2, n_params\)"),
        (lambda x: Stencils.forward([-1], x[:, :1]), "be positive"),
    ],
)
def test_what_is_no_stencil_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(np.zeros((3, 2, 4)))


# F ------------------------------------------------------------------------------------------


def test_F_is_that_of_the_same_numbers_by_hand(imnn, training, validation):
    for statistics, data in ((imnn.training, training), (imnn.validation, validation)):
        F, slopes = by_hand(imnn.model.predict_on_batch, *data)
        np.testing.assert_allclose(statistics.F, F, rtol=1e-6)
        assert statistics.n_d == min(len(seeds) for seeds, _ in slopes.values())
    assert imnn.settings.n_d == imnn.training.n_d
    assert imnn.δθ is None


def test_F_is_the_exact_one_within_its_error(imnn):
    """The relative error of F is √(2/n_s), and the noise of the derivatives less than that."""
    assert off(imnn.F) < 5 * np.sqrt(2 / N_S)


def test_the_error_of_F_notices_a_stencil_of_too_low_an_order(training, validation):
    """The control: a response that bends by M_ν, with the two points next to each other alone."""

    def of_two(data):
        points = {k: v for k, v in data[1]["M_ν"].items() if k in (0, 0.1)}
        return data[0], data[1] | {"M_ν": points}

    found = made(of_two(training), of_two(validation))
    assert off(found.F) > 5 * np.sqrt(2 / N_S)


def test_points_that_are_not_matched_are_warned_of(training, recwarn):
    fiducial, derivative = training
    points = derivative["M_ν"]
    other = suite(start=7)[1]["M_ν"][0.2]
    made((fiducial, derivative))
    assert not [w for w in recwarn if "different seeds" in str(w.message)]
    mixed = derivative | {"M_ν": points | {0.2: other}}
    with pytest.warns(
        UserWarning, match=r"derivative of M_ν`: the simulations at 0 and \+0.2 .*different"
    ):
        made((fiducial, mixed))


@pytest.mark.parametrize("cache", [None, "disk", "memory"])
def test_functions_at_points_give_the_same_F_however_they_are_read(training, imnn, cache):
    fiducial, derivative = training
    of_functions, n = {}, 100
    for name, points in derivative.items():
        seeds = slopes_by_hand(points, WEIGHTS[name])[0][:n]
        arrays = {offset: np.asarray(data.select(seeds)) for offset, data in points.items()}
        of_functions[name] = {k: (lambda i, x=x: (x[i], i)) for k, x in arrays.items()}
        of_functions[name][min(points)] = arrays[min(points)]  # one of another kind
    given = fiducial, of_functions
    found = made(given, model=imnn.model, warm_start=False, whiten=False, cache=cache)
    cut = {
        name: {
            k: np.asarray(x.select(slopes_by_hand(points, WEIGHTS[name])[0][:n]))
            for k, x in points.items()
        }
        for name, points in derivative.items()
    }
    expected = imnn.evaluate(fiducial, Stencils(cut))
    np.testing.assert_allclose(found.F, expected.F, rtol=1e-9)
    assert found.training.n_d == n


def test_the_fiducial_set_may_be_a_point(training):
    fiducial, derivative = training
    points = derivative["Ω_m"]
    seeds = points[0.01].seeds
    x = np.asarray(points[0.01])
    by_word = {"Ω_m": {0: "fiducial", 0.01: x}}
    by_array = {"Ω_m": {0: fiducial[: len(x)], 0.01: x}}
    changes = {"n_params": 1, "n_summaries": 1, "θ_fid": [0.3], "model": linear(1)}
    same = Seeded(fiducial, list(range(N_S)))
    found = [
        made((one, {"Ω_m": each}), **changes | {"model": linear(1)}).F
        for one, each in (
            (same, {0: "fiducial", 0.01: points[0.01]}),
            (fiducial, {0: fiducial[seeds], 0.01: x}),
        )
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)
    with pytest.warns(UserWarning, match="different seeds"):  # position is not seed here
        unmatched = made((fiducial, by_word), **changes)
    with pytest.warns(UserWarning, match="different seeds"):
        np.testing.assert_allclose(made((fiducial, by_array), **changes).F, unmatched.F, rtol=1e-9)


def test_a_streamed_fiducial_set_may_be_a_point():
    fiducial, derivative = suite(share=2.0)
    x = np.asarray(derivative["Ω_m"][0.01])
    changes = {"n_params": 1, "n_summaries": 1, "θ_fid": [0.3]}
    stencils = Stencils({"Ω_m": {0: "fiducial", 0.01: x}})
    expected = made((fiducial, stencils), model=linear(1), **changes).F

    def dataset():
        for seed in np.random.default_rng(1).permutation(N_S):
            yield fiducial[seed], seed

    signature = (tf.TensorSpec((N_VALUES,), tf.float64), tf.TensorSpec((), tf.int64))
    data = tf.data.Dataset.from_generator(dataset, output_signature=signature)
    for kind, cache in ((data, None), (lambda seed: fiducial[seed], "memory")):
        found = made((kind, stencils), model=linear(1), cache=cache, **changes).F
        np.testing.assert_allclose(found, expected, rtol=1e-7)


class Slices:
    """An array of which slices are read, and how long each was."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

    def __getitem__(self, index):
        found = self.array[index]
        self.read.append(len(found))
        return found


@pytest.mark.parametrize("missing", [None, "mask"])
def test_a_fiducial_set_that_is_read_in_slices_stays_so_as_a_point(missing):
    x, y = np.random.default_rng(3).normal(size=(2, N_S, N_VALUES))
    x[:, 0] = x[:, 0] if missing is None else np.nan
    shape = N_VALUES - (missing is not None)
    layers = [keras.Input((shape,), dtype="float64"), keras.layers.Dense(1, dtype="float64")]
    changes = {
        "n_params": 1, "n_summaries": 1, "θ_fid": [0.3], "missing": missing, "cache": None,
        "model": keras.Sequential(layers), "at_once": 8,
    }  # fmt: skip
    moved = (x + 0.01 * y)[: N_S // 2]
    values, upper = Slices(x), Slices(moved)
    found = made((values, Stencils({"Ω_m": {0: "fiducial", 0.01: upper}})), **changes)
    expected = made((x, Stencils({"Ω_m": {0: x[: len(moved)], 0.01: moved}})), **changes)
    np.testing.assert_allclose(found.F, expected.F, rtol=1e-9)
    assert max(values.read + upper.read) == 8


def test_central_stencils_are_pairs():
    rng = np.random.default_rng(3)
    z, d = rng.normal(size=(300, N_VALUES)), rng.normal(size=(200, 1, 1, N_VALUES))
    θ = np.array([-0.5, 0.5])[:, None, None] * np.diag([0.1, 0.2])
    moved = np.einsum("spa,av->spv", θ, J[:2] / 10)
    derivative = d + moved
    given = {"n_s": 300, "n_params": 2, "n_summaries": 2, "θ_fid": [0, 0]}
    pairs = made(
        (z, derivative), n_d=200, **given | {"δθ": [0.1, 0.2], "model": linear(2)}, warm_start=False
    )
    central = Stencils.central([0.1, 0.2], derivative)
    stencil = made((z, central), **given, model=linear(2), warm_start=False)
    np.testing.assert_allclose(stencil.F, pairs.F, rtol=1e-9)
    test = pairs.evaluate(z, central)
    np.testing.assert_allclose(test.F, pairs.F, rtol=1e-9)
    five = np.einsum(
        "spa,av->spv", np.array([-1, -0.5, 0.5, 1])[:, None, None] * np.diag([0.1, 0.2]), J[:2] / 10
    )
    five = Stencils.five_point([0.1, 0.2], d + five)
    np.testing.assert_allclose(pairs.evaluate(z, five).F, pairs.F, rtol=1e-9)
    forward = Stencils.forward([0.1, 0.2], z[:200, None] + 2 * moved[1])
    np.testing.assert_allclose(pairs.evaluate(z, forward).F, pairs.F, rtol=1e-9)


# Whatever else works for pairs -------------------------------------------------------------


def source(data, at_once=None, augmentation=None, dtype="float64"):
    """Return a source of the points of a suite, and slopes by hand need no more than this."""
    fiducial, derivative = data
    chosen = {name: slopes_by_hand(points, WEIGHTS[name])[0] for name, points in derivative.items()}
    rows = [
        np.asarray(x.select(chosen[name]))
        for name, points in derivative.items()
        for _, x in sorted(points.items())
    ]
    weights = [Stencil(points).weights for points in derivative.values()]
    differences = Points(weights, [np.array(seeds) for seeds in chosen.values()])
    given = differences, dtype, at_once, None, augmentation
    return ArraySource(fiducial, np.concatenate(rows), *given)


def test_chunks_give_the_same_gradient(training):
    kernel = keras.initializers.GlorotUniform(3)
    layers = [
        keras.layers.Dense(n, a, kernel_initializer=kernel, dtype="float64")
        for n, a in ((9, "gelu"), (4, None))
    ]
    compressor = Compressor(keras.Sequential([keras.Input((N_VALUES,), dtype="float64"), *layers]))
    λ, α = (tf.constant(value, tf.float64) for value in (10.0, 1.0))
    ours, theirs = (loss_gradient(compressor, source(training, n), λ, α) for n in (401, None))
    for a, b in zip(ours.gradient, theirs.gradient, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    "layer", [keras.layers.Dropout(0.5, seed=3), keras.layers.BatchNormalization()]
)
def test_all_points_of_a_seed_see_the_same_random_numbers(training, layer):
    """Points that are equal have no derivative, whatever the layer draws."""
    fiducial, derivative = training
    equal = {}
    for name, points in derivative.items():
        first = next(iter(points.values()))
        equal[name] = dict.fromkeys(points, first)
    layer = type(layer).from_config(layer.get_config() | {"dtype": "float64"})
    model = keras.Sequential([keras.Input((N_VALUES,), dtype="float64"), layer, *linear().layers])
    made_of = source((fiducial, equal))
    summaries = Compressor(model).summaries(made_of, made_of.feed(tf.constant(0)), training=True)
    slopes = made_of.differences.derivative(summaries[N_S:]).numpy()
    there = made_of.is_present
    assert np.isnan(slopes[~there]).all()
    np.testing.assert_allclose(slopes[there], 0, atol=1e-10)  # weights of up to 270
    spread = summaries[N_S:].numpy()
    assert spread.std() > 0.1  # the control: they are not all the same number


def test_augmentation_is_shared_by_the_points_of_a_seed(training):
    seen = source(training)
    seeds = seen.seeds(tf.range(seen.size)).numpy()
    assert (seeds[:N_S] == np.arange(N_S)).all()
    assert seeds[N_S:].min() >= N_S
    groups = seen.groups(tf.range(seen.size)).numpy()
    of_points = [seeds[groups == k] for k in range(1, 1 + seen.differences.n_groups)]
    for k, j in ((0, 1), (2, 3), (4, 5), (6, 7), (6, 8), (6, 9)):
        np.testing.assert_array_equal(of_points[k], of_points[j])
    labels = (
        slopes_by_hand(training[1]["Ω_m"], WEIGHTS["Ω_m"])[0],
        slopes_by_hand(training[1]["M_ν"], WEIGHTS["M_ν"])[0],
    )
    common = set(labels[0]) & set(labels[1])
    assert len(set(of_points[0]) & set(of_points[6])) == len(common)


def test_quarters_are_fair_shares_of_every_parameter(training):
    seen = source(training)
    positions = tf.range(N_S, seen.size)
    groups, quarters = (x(positions).numpy() for x in (seen.groups, seen.quarters))
    for k in range(1, 1 + seen.differences.n_groups):
        shares = np.bincount(quarters[groups == k], minlength=4) / (groups == k).sum()
        np.testing.assert_allclose(shares, 0.25, atol=0.05)


def test_an_augmentation_of_noise_leaves_F_of_matched_points(training, validation):
    def noisy(x, seed):
        return x + 0.1 * tf.random.stateless_normal((N_VALUES,), seed, dtype=x.dtype)

    found = made(training, validation, map_fn=noisy)
    assert off(1.01 * found.F) < 5 * np.sqrt(2 / N_S)


def test_a_network_is_trained_for_its_best_linear_readout(training, validation):
    """In float32; it may find what the scatter tells, 0.23 in ln det F, and its error is 0.2."""
    model = networks.dense((N_VALUES,), 4, hidden=(16,), seed=1)
    imnn = made(training, validation, model=model, dtype="float32")
    before = imnn.statistics.log_det_F
    imnn.fit(3, objective="projected")
    assert imnn.statistics.log_det_F >= before - 1e-6
    assert abs(imnn.statistics.log_det_F - np.linalg.slogdet(EXACT)[1]) < 1


def test_a_network_is_chosen_and_trained(training, validation, monkeypatch):
    readings = list(choice.readings_of((N_VALUES,)))[:1]
    monkeypatch.setattr(choice, "readings_of", lambda *given: readings)
    imnn = made(training, validation, model=None)
    imnn.fit(2)
    assert off(imnn.F) < 5 * np.sqrt(2 / N_S)  # a linear network
    monkeypatch.setattr(choice, "MOST_ROWS", 900)
    monkeypatch.setattr(choice, "FEWEST_ROWS", 900)
    few = networks.choose(
        training[0], Stencils(training[1]), δθ=None, dtype="float64", seed=1, verbose=False
    )
    assert len(few.candidates) == 1


def test_some_seeds_are_the_same_share_of_every_parameter(training):
    seen = source(training)
    few = seen.first(100, seen.n_d // 2)
    whole, part = (x.differences.is_present.sum(0) for x in (seen, few))
    np.testing.assert_allclose(part / whole, 0.5, atol=0.1)
    F, half = (Compressor(linear()).statistics(x).F for x in (seen, few))
    assert off(half, F) < 5 * np.sqrt(2 / 100)  # from 100 simulations


def test_saved_loaded_pickled(imnn, training, tmp_path):
    found = IMNN.load(imnn.save(tmp_path / "saved"))
    np.testing.assert_array_equal(found.F, imnn.F)
    assert found.settings == imnn.settings
    np.testing.assert_array_equal(found.summary_set().slopes, imnn.summary_set().slopes)
    assert str(found.report()) == str(imnn.report())
    assert copy.deepcopy(imnn).honest_fisher().det_F == imnn.honest_fisher().det_F
    again = IMNN.load(tmp_path / "saved", fiducial=training[0], derivative=Stencils(training[1]))
    again.fit(1)
    other = training[1] | {"h": {k / 2: x for k, x in training[1]["h"].items()}}
    with pytest.raises(
        ValueError, match=r"have h: the points -0.02, \+0.02 .* for h, as in training"
    ):
        IMNN.load(tmp_path / "saved", fiducial=training[0], derivative=Stencils(other))


def test_external_summaries_stand_at_the_same_points(training, imnn):
    fiducial, derivative = training
    known = {
        name: {k: Seeded(x.values[:, :2], x.seeds) for k, x in points.items()}
        for name, points in derivative.items()
    }
    external = fiducial[:, :2], Stencils(known)
    found = made(training, external=external, n_summaries=2, model=linear(2))
    both = by_hand(
        lambda x: np.concatenate([x[:, :2], found.model.predict_on_batch(x)], 1), *training
    )
    np.testing.assert_allclose(found.F, both[0], rtol=1e-6)
    with pytest.raises(TypeError, match=r"`external\[derivative\]` must hold Stencils"):
        made(training, external=(fiducial[:, :2], np.zeros((200, 4, 2))), n_summaries=2)


# How far to trust it ------------------------------------------------------------------------


def test_the_noise_of_the_derivative_is_that_of_its_own_counts(imnn, validation):
    summaries = imnn.summary_set()
    _, slopes = by_hand(imnn.model.predict_on_batch, *validation)
    Cinv = np.linalg.inv(np.cov(summaries.fiducial, rowvar=False))
    B = np.zeros((4, 4))
    for α, (seeds, x) in enumerate(slopes.values()):
        for β, (others, y) in enumerate(slopes.values()):
            common = sorted(set(seeds) & set(others))
            at = [np.searchsorted(each, common) for each in (seeds, others)]
            a, b = x - x.mean(0), y - y.mean(0)
            unbiased = np.sqrt((len(x) - 1) / len(x) * (len(y) - 1) / len(y))
            S = np.einsum("is,st,it->", a[at[0]], Cinv, b[at[1]]) / unbiased
            B[α, β] = S / (len(x) * len(y))
    found = derivative_doctor(summaries, labels=NAMES)
    np.testing.assert_allclose(found.noise, B, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found.counts, [len(seeds) for seeds, _ in slopes.values()])
    assert found.verdicts["noise"].words.endswith(
        f"{', '.join(f'{n} ({name})' for name, n in zip(NAMES, found.counts, strict=True))} rows."
    )
    estimates = honest_fisher(summaries, repetitions=50)
    h = (N_S - 6) / (N_S - 1)
    np.testing.assert_allclose(estimates.noise, h * B, rtol=1e-6, atol=1e-9)


def test_the_bracket_holds_the_exact_F_and_cross_fitting_works(imnn, training):
    for found in (imnn.honest_fisher(), imnn.honest_fisher(cross_fit=True)):
        low, high = found.det_bracket
        assert low < np.linalg.det(EXACT) < high
    assert imnn.fisher_flow().now[-1] == pytest.approx(imnn.statistics.log_det_F, abs=0.5)
    assert over_fitting(imnn.training, imnn.summary_set()).verdict.light.name in ("GREEN", "GREY")
    assert imnn.novelty(training[0][:3]) is not None


def test_an_outlying_row_is_found_by_its_seed(imnn, validation):
    fiducial, derivative = validation
    points = derivative["M_ν"]
    common, _ = slopes_by_hand(points, WEIGHTS["M_ν"])
    x = points[0.2]
    values = x.values.copy()
    values[list(x.seeds).index(common[5])] += 1000
    spoilt = derivative | {"M_ν": points | {0.2: Seeded(values, x.seeds)}}
    found = derivative_doctor(imnn.summary_set(fiducial, Stencils(spoilt)), labels=NAMES)
    every = sorted(set().union(*(slopes_by_hand(p, WEIGHTS[n])[0] for n, p in spoilt.items())))
    assert [len(rows) for rows in found.outliers] == [0, 0, 0, 1]
    assert every[found.outliers[3][0]] == common[5]


def test_what_needs_pairs_says_so(imnn):
    with pytest.raises(ValueError, match="Received derivatives of stencils"):
        covariance_check(imnn.summary_set())
    lights = {x.question: x.verdict.light.name for x in imnn.report().answers}
    assert lights["Is the covariance the same at other parameters?"] == "GREY"
    assert lights["Is their mean linear in the parameters?"] == "GREY"
    with pytest.raises(ValueError, match="Received stencils"):
        imnn.retrain_at_estimate(np.zeros(N_VALUES), lambda θ, seed: θ, 1)


# Refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"δθ": [1, 1, 1, 1]}, "`δθ` must be None if `derivative` holds Stencils"),
        (
            {"n_params": 3, "θ_fid": [0] * 3},
            r"n_params = 3 parameters. Received 4 \(Ω_m, w, h, M_ν\)",
        ),
        ({"n_d": 7}, "`n_d` must be None, or the smallest number"),
        ({"n_d": 7, "resample": True}, "`resample` must be False with Stencils"),
        ({"input_shape": (7,)}, r"`derivative of Ω_m at -0.01` must have shape|`fiducial` must"),
        (
            {"validation_derivative": np.zeros((20, 2, 4, N_VALUES))},
            "`validation_derivative` must hold Stencils",
        ),
    ],
)
def test_arguments_that_do_not_fit_stencils_are_refused(training, change, message):
    fiducial, _ = training
    if "validation_derivative" in change:
        change["validation_fiducial"] = fiducial + 1
    with pytest.raises((TypeError, ValueError), match=message):
        made(training, **change)


def changed(derivative, name, offset, value):
    return derivative | {name: derivative[name] | {offset: value}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: changed(d, "h", 0.02, d["h"][0.02].values),
            r"of h at \+0.02 must tell its `seeds`",
        ),
        (
            lambda d: changed(d, "h", 0.02, Seeded(d["h"][0.02].values, [1] * len(d["h"][0.02]))),
            "different integers",
        ),
        (
            lambda d: changed(
                d, "h", 0.02, Seeded(d["h"][0.02].values[:9], list(range(1000, 1009)))
            ),
            "`derivative` of h must hold at least 2 .* Received 0",
        ),
        (
            lambda d: changed(d, "h", 0.02, Seeded(d["h"][0.02].values[:, :3], d["h"][0.02].seeds)),
            r"derivative of h at \+0.02` must have shape",
        ),
        (
            lambda d: changed(
                d, "h", 0.02, Seeded(d["h"][0.02].values * np.nan, d["h"][0.02].seeds)
            ),
            r"derivative of h at \+0.02`",
        ),
        (
            lambda d: d | {"h": {-0.02: np.zeros((9, N_VALUES)), 0.02: np.zeros((8, N_VALUES))}},
            r"`derivative` of h must hold the same number .* 9 at -0.02, 8 at \+0.02",
        ),
        (
            lambda d: d | {"h": {-0.02: lambda seed: 1, 0.02: lambda seed: 1}},
            "`derivative` of h must be data that tell their number.*n_d",
        ),
        (lambda d: d | {"h": {-0.02: d["h"][0.02], 0.02: d["h"][0.02]}}, "all equal for h"),
        (
            lambda d: d | {"h": {0: "fiducial", 0.02: np.zeros((N_S + 1, N_VALUES))}},
            f"at most as many simulations as the fiducial ones, {N_S}",
        ),
    ],
)
def test_simulations_that_do_not_match_are_refused_by_name(training, change, message):
    fiducial, derivative = training
    with pytest.raises((TypeError, ValueError), match=re.compile(message, re.S)):
        made((fiducial, change(derivative)))


def test_left_out_realisations_are_counted(training, capsys):
    _, derivative = training
    made(training, verbose=True)
    shown = capsys.readouterr().out
    kept = len(slopes_by_hand(derivative["M_ν"], WEIGHTS["M_ν"])[0])
    assert f"`derivative` of M_ν: {kept} seeds are there at all points; left out are" in shown


def test_stencils_are_refused_as_validation_of_pairs():
    rng = np.random.default_rng(1)
    fiducial, pairs = rng.normal(size=(2, 50, N_VALUES)), rng.normal(size=(2, 20, 2, 1, N_VALUES))
    validation = {
        "validation_fiducial": fiducial[1],
        "validation_derivative": Stencils.central([0.1], pairs[1]),
    }
    given = {"n_s": 50, "n_d": 20, "n_params": 1, "n_summaries": 1, "θ_fid": [0], "δθ": [0.1]}
    with pytest.raises(
        TypeError, match="`validation_derivative` must hold no Stencils, as in training"
    ):
        made((fiducial[0], pairs[0]), model=linear(1), **given | validation)
