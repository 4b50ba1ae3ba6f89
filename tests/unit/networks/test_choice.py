"""The choice of a network: which are tried, how they are valued, which is taken."""

import keras
import numpy as np
import pytest

from imnn_lab import IMNN, networks, problems
from imnn_lab.networks import architectures, choice
from imnn_lab.sources.source import ArraySource


def rng(seed=0):
    return np.random.default_rng(seed)


def sets(problem, n=300):
    return [x for seed in (1, 2) for x in problem.training_set(n, n, seed)]


def names(found):
    return [candidate.name for candidate in found.candidates]


def the_chosen(found):
    (one,) = (candidate for candidate in found.candidates if candidate.is_chosen)
    return one


@pytest.fixture(scope="module")
def gaussian():
    return networks.choose(*sets(problems.gaussian()), δθ=(0.1, 0.1), seed=1, verbose=False)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5,), ["linear", "dense", "deep_set"]),
        ((1,), ["linear", "dense"]),
        ((20,), ["linear", "dense", "deep_set", "convolutional", "convolutional, coordinates"]),
        ((20, 2), ["linear", "dense", "deep_set", "convolutional", "convolutional, coordinates"]),
        ((9, 9, 1), ["linear", "dense", "convolutional", "convolutional, coordinates"]),
        ((64, 64, 1), ["convolutional", "convolutional, coordinates"]),
        ((4, 5, 6, 2), ["linear", "dense", "convolutional", "convolutional, coordinates"]),
        ((2, 2, 2, 2, 2), ["linear", "dense"]),
        ((5, 5, 5, 5, 5), ["dense"]),
    ],
)
def test_candidates_fit_the_shape(shape, expected):
    assert [reading.name for reading in choice.readings_of(shape)] == expected


@pytest.mark.parametrize(
    ("shape", "expected", "words"),
    [
        ((16, 16), ["series", "image"], "16 entries or positions of 16 values each, and as"),
        ((8, 8, 8), ["image", "cube"], "an image of 8 channels, and as a cube without channels"),
    ],
)  # fmt: skip
def test_a_shape_of_two_readings_is_tried_in_both_and_said_in_words(shape, expected, words):
    readings = [reading.name for reading in choice.readings_of(shape)]
    for name in expected:
        assert f"convolutional ({name})" in readings
    (note,) = choice.ambiguity(shape)
    assert words in note
    assert f"give {(*shape, 1)} if it is" in note


def test_score_of_a_candidate_is_that_of_readouts_on_simulations_they_do_not_know(gaussian):
    """Values scatter about the exact ln det F by √(2p/n) = .12 (n = 300), and lose by ridges."""
    values = {candidate.name: candidate.log_det_F for candidate in gaussian.candidates}
    exact = np.log(problems.gaussian().det_F)
    for name in ("dense", "deep_set"):
        assert abs(values[name] - exact) < 4 * 0.12
    assert values["linear"] < exact - 1  # control: it cannot know the variance
    assert all(c.error > 0 for c in gaussian.candidates if np.isfinite(c.log_det_F))


def test_the_simpler_of_two_that_are_nearly_as_good_is_taken(gaussian):
    one = the_chosen(gaussian)
    best = max(candidate.log_det_F for candidate in gaussian.candidates)
    good = [c for c in gaussian.candidates if c.log_det_F >= best - choice.TIE]
    assert one.name == "deep_set"
    assert one.n_weights == min(candidate.n_weights for candidate in good)
    assert gaussian.model.count_params() == one.n_weights


def test_a_linear_network_is_taken_for_a_linear_problem():
    """x = θ + noise: F = 1 for each of ten parameters, from 400 + 30 · 20 simulations."""
    θ = np.zeros(10)
    problem = problems.linear_gaussian(np.eye(10), np.eye(10), θ, np.full(10, 0.1))
    data = [x for seed in (1, 2) for x in problem.training_set(400, 30, seed)]
    fresh = problem.training_set(4000, 100, 3)
    imnn = IMNN(
        400, 30, 10, 10, θ, problem.δθ, (10,), *data, seed=1, verbose=False,
    )  # fmt: skip
    assert the_chosen(imnn).name == "linear"
    # Ten summaries of ten values lose nothing; ln det F of 4,000 simulations scatters by
    # √(2 · 10 / 4000) = .07, of which .9 is 1.5.
    assert imnn.evaluate(*fresh).det_F / problem.det_F > 0.9


def test_choice_is_that_of_the_seed_and_its_model_is_what_an_imnn_gets():
    problem = problems.gaussian()
    data = sets(problem)
    imnn = IMNN(300, 300, 2, 2, problem.θ_fid, problem.δθ, (10,), *data, seed=3, verbose=False)
    assert imnn.model.name == the_chosen(imnn).name
    models = [
        networks.choose(*data, δθ=problem.δθ, seed=seed, verbose=False).model for seed in (3, 4)
    ]
    first, same, other = (model.get_weights()[:-2] for model in (imnn.model, *models))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    given = IMNN(
        300, 300, 2, 2, problem.θ_fid, problem.δθ, (10,), *data, verbose=False,
        model=networks.dense((10,), 2, hidden=(4,), seed=1),
    )  # fmt: skip
    assert given.candidates == ()


def test_networks_side_by_side_are_one_network_that_saves_and_loads(tmp_path):
    """A mean that only `dense` finds beside a variance of exchangeable noise."""
    inputs = keras.Input((6,))
    parts = [
        make(inputs, choice.Layers("float32", seed, owner))
        for seed, (owner, make) in enumerate(
            (("a", architectures.dense_features), ("b", architectures.deep_set_features))
        )
    ]
    output = choice.Layers("float32", 5).readout(parts[0] + parts[1], 2)
    model = keras.Model(inputs, output)
    x = rng(1).normal(size=(200, 6)).astype("float32")
    choice.fit_layers(model, x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-5)


def test_a_union_is_tried_and_valued_as_one_network():
    problem = problems.gaussian(4)
    δθ = problem.δθ
    halves = [ArraySource(*problem.training_set(200, 200, seed), δθ, "float64") for seed in (1, 2)]
    inputs = keras.Input((4,), dtype="float64")
    settings = choice.Settings.checked(
        n_s=200, n_d=200, n_params=2, n_summaries=2, θ_fid=(0, 1), δθ=δθ, input_shape=(4,),
        validation_n_s=None, validation_n_d=None, at_once=None, check_shape=True, dtype="float64",
        itype="int32", verbose=False, warm_start=True, whiten=True, seed=1,
    )  # fmt: skip
    dense, deep_set = (
        choice._Single.of(inputs, reading, settings, 1)
        for reading in list(choice.readings_of((4,)))[1:]
    )
    for trial in (dense, deep_set):
        trial.value(halves, 2)
    both = dense.union(deep_set, halves, 2)
    whole = keras.Model(inputs, choice.Layers("float64", 1).joined(both.features))
    outputs = choice._outputs(choice.Compressor(whole), halves)
    for found, expected in zip(both.outputs, outputs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert both.n_weights == whole.count_params() + (sum(both.widths) + 1) * 2
    assert both.mean > dense.mean - 0.1  # nothing is lost by more features but their noise


def test_a_value_that_is_not_known_is_not_preferred():
    def trial(n_weights, *values):
        return choice._Trial((), (), [], n_weights, values=np.array(values))

    sure, better = trial(10, 2.0, 2.2, 2.1, 1.9), trial(20, 3.0, 3.1, 2.9, 3.2)
    wild, lost = trial(5, 40.0, 10.0, 20.0, 3.0), trial(1, *[-np.inf] * 4)
    assert choice._chosen([sure, better, wild, lost]) is better
    assert choice._chosen([sure, wild, lost]) is sure
    assert choice._chosen([wild, lost]) is wild  # where nothing is known
    assert choice._chosen([lost]) is lost


@pytest.mark.parametrize("is_exact", [False, True])
def test_choosing_takes_the_first_simulations_of_many(is_exact):
    x, sides = rng(1).normal(size=(50, 3)), () if is_exact else (2,)
    d = rng(2).normal(size=(20, *sides, 2, 3))
    external = rng(3).normal(size=(50 + d.size // 3, 1))
    δθ = None if is_exact else np.array([0.1, 0.2])
    for at_once in (None, 7):
        source = ArraySource(x, d, δθ, "float64", at_once, external)
        first = source.first(30, 11)
        np.testing.assert_array_equal(first.fiducial(100), x[:30])
        rows = first.feed(0).pieces[-1]
        values = rows.tangents if is_exact else rows.simulations[30:]
        np.testing.assert_array_equal(values.numpy().reshape(11, *sides, 2, 3), d[:11])
        kept = np.r_[:30, 50 : 50 + d[:11].size // 3]
        np.testing.assert_array_equal(first.external, external[kept])
        assert (first.n_s, first.n_d, first.is_exact) == (30, 11, is_exact)


def test_large_candidates_are_left_out_and_few_simulations_are_said(monkeypatch):
    problem = problems.gaussian()
    data = sets(problem)
    monkeypatch.setattr(choice, "MOST_ROWS", 800)
    monkeypatch.setattr(choice, "MOST_COMPUTED", 600 * 600)  # 600 values for a simulation
    found = networks.choose(*data, δθ=problem.δθ, seed=1, verbose=False)
    notes = {candidate.name: candidate.note for candidate in found.candidates}
    assert notes == {"linear": "", "dense": "left out: too slow", "deep_set": "left out: too slow"}
    assert "Tried with n_s = 160 of 300 and n_d = 160 of 300" in found.note
    assert "left out: too slow" in str(found)


def test_table_names_all_candidates_and_marks_the_chosen(gaussian):
    lines = str(gaussian).splitlines()
    assert len(lines) == 1 + len(gaussian.candidates)
    for candidate, line in zip(gaussian.candidates, lines[1:], strict=True):
        assert line[2:].startswith(candidate.name)
        assert line.startswith("→") == candidate.is_chosen
        assert candidate.result in line
        if np.isfinite(candidate.log_det_F):
            assert f"{candidate.log_det_F:.3f} ± {candidate.error:.3f}" in line


def test_table_is_printed(capsys):
    problem = problems.variance(3)
    found = networks.choose(*sets(problem, 100), δθ=problem.δθ, seed=1)
    assert str(found) in capsys.readouterr().out


def test_without_validation_the_halves_value_the_candidates():
    problem = problems.gaussian()
    found = networks.choose(
        *problem.training_set(600, 600, 1), δθ=problem.δθ, seed=1, verbose=False
    )
    exact = np.log(problem.det_F)
    assert abs(the_chosen(found).log_det_F - exact) < 4 * 0.12


def test_wrong_arrays_and_too_many_summaries_are_refused():
    problem = problems.gaussian()
    data = problem.training_set(30, 30, 1)
    with pytest.raises(ValueError, match="`fiducial` and `derivative` must be arrays"):
        networks.choose(data[0][0], data[1], δθ=problem.δθ)
    with pytest.raises(ValueError, match="δθ"):
        networks.choose(*data, δθ=(0.1,))
    with pytest.raises(ValueError, match="`n_summaries` must be at most the number of features"):
        networks.choose(*problem.training_set(5000, 30, 1), δθ=problem.δθ, n_summaries=450,
                        verbose=False)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cubes_have_their_power_spectrum(dtype):
    """White cubes of variance θ: F = n/2θ² for n values; positions tell nothing."""
    n_values, shape = 6**3, (6, 6, 6, 1)

    def simulated(θ, n, seed):
        return np.sqrt(θ) * rng(seed).normal(size=(n, *shape)).astype(dtype)

    data = []
    for seed in (1, 3):
        pairs = [simulated(θ, 300, seed + 1) for θ in (0.95, 1.05)]
        data += [simulated(1.0, 300, seed), np.stack(pairs, 1)[:, :, None]]
    model = networks.convolutional(shape, 1, filters=(4, 4), hidden=(4,), dtype=dtype, seed=1)
    imnn = IMNN(
        300, 300, 1, 1, [1.0], [0.1], shape, *data, model=model, dtype=dtype, verbose=False,
    )  # fmt: skip
    # F of 300 simulations scatters by √(2/300) = 8 %; ridges lose some.
    assert abs(imnn.F[0, 0] / (n_values / 2) - 1) < 0.3
