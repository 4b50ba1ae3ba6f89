"""The façade: its door, what it saves, and what it loads."""

import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from makers import SIZE, gaussian_data, plain_imnn, small_imnn, small_network

from imnn_lab import IMNN, networks, problems

FIDUCIAL, DERIVATIVE, *_ = gaussian_data()
HOLED = FIDUCIAL.copy()
HOLED[3, 4] = np.nan


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"n_s": 10.5}, TypeError, "`n_s` must be an integer"),
        ({"n_s": 0}, ValueError, "`n_s` must be an integer of at least 2"),
        ({"n_s": 3, "fiducial": FIDUCIAL[:3]}, ValueError, "C is singular"),
        ({"n_d": "many"}, TypeError, "`n_d` must be an integer"),
        ({"n_d": -4}, ValueError, "`n_d`"),
        ({"n_params": 0}, ValueError, "`n_params`"),
        ({"n_params": True}, TypeError, "`n_params`"),
        ({"n_summaries": 1}, ValueError, "at least n_params = 2, or F is singular"),
        ({"θ_fid": [0, 1, 2]}, ValueError, "`θ_fid` must have one entry for each parameter"),
        ({"θ_fid": [0, np.nan]}, ValueError, "`θ_fid` must contain finite numbers"),
        ({"θ_fid": "zero"}, TypeError, "`θ_fid` must be an array of real numbers"),
        ({"δθ": [0.1, -0.1]}, ValueError, "`δθ` must be positive"),
        ({"δθ": 0.1}, ValueError, "`δθ` must have one entry"),
        ({"input_shape": 10}, TypeError, "`input_shape` must be a tuple of integers"),
        ({"input_shape": ()}, ValueError, "`input_shape` must have at least one axis"),
        ({"input_shape": (10, 0)}, ValueError, "none of length 0"),
        ({"fiducial": None}, TypeError, "`fiducial` must be an array of real numbers"),
        ({"fiducial": FIDUCIAL[:100]}, ValueError, r"= \(200, 10\). Received shape \(100, 10\)"),
        ({"fiducial": FIDUCIAL.T}, ValueError, r"Axes \[0, 1\] look swapped"),
        ({"fiducial": FIDUCIAL[..., None]}, ValueError, "1 axis too many"),
        ({"fiducial": HOLED}, ValueError, r"first \(nan\) at index \(3, 4\)"),
        ({"fiducial": FIDUCIAL * 1j}, TypeError, "`fiducial` must be an array of real"),
        ({"fiducial": FIDUCIAL[:0]}, ValueError, "`fiducial` must have shape"),
        ({"derivative": DERIVATIVE[:, 0]}, ValueError, "1 axis too few"),
        (
            {"derivative": np.moveaxis(DERIVATIVE, 2, 3)},
            ValueError,
            r"\(n_d, 2, n_params\) \+ input_shape = \(200, 2, 2, 10\).*Axes \[2, 3\] look swapped",
        ),
        ({"derivative": [["a"]]}, TypeError, "`derivative`"),
        ({"validation_fiducial": None}, TypeError, "`validation_fiducial`"),
        ({"validation_derivative": DERIVATIVE[:, :1]}, ValueError, "`validation_derivative`"),
        ({"validation_n_s": 3}, ValueError, "`validation_fiducial` must have shape"),
        ({"model": "dense"}, TypeError, "`model` must be a Keras model"),
        ({"model": small_network(outputs=3)}, ValueError, r"\(None, 2\). Received \(None, 3\)"),
        ({"model": small_network(shape=(9,))}, ValueError, r"input_shape = \(10,\)"),
        ({"model": small_network(dtype="float64")}, ValueError, "dtype of the IMNN, float32"),
        ({"optimiser": "adam"}, TypeError, "`optimiser` must be a Keras optimiser"),
        ({"save": True}, ValueError, "need `directory` and `filename`"),
        ({"save": "yes", "directory": "a", "filename": "b"}, TypeError, "`save` must be True"),
        ({"load": True}, ValueError, "need `directory` and `filename`"),
        ({"weights": "w"}, ValueError, "need `directory` and `filename`"),
        ({"directory": "a"}, TypeError, "`filename` must be a non-empty string"),
        ({"directory": "a", "filename": "../b"}, ValueError, "`filename` must be the name of a"),
        ({"directory": "a", "filename": "b", "weights": "../c"}, ValueError, "`weights` must be"),
        ({"directory": "a", "filename": "b", "weights": "c"}, FileNotFoundError, r"has no c\."),
        ({"directory": "a", "filename": "b", "load": 1}, TypeError, "`load` must be True"),
        ({"directory": __file__, "filename": "b", "save": True}, ValueError, "Not a directory"),
        ({"at_once": 0}, ValueError, "`at_once`"),
        ({"check_shape": 1}, TypeError, "`check_shape` must be True or False"),
        ({"verbose": None}, TypeError, "`verbose` must be True or False"),
        ({"dtype": "float16", "model": small_network()}, ValueError, "`dtype` must be one of"),
        ({"dtype": "no type", "model": small_network()}, ValueError, "`dtype` must be one of"),
        ({"itype": "float32"}, ValueError, "`itype` must be one of"),
        ({"warm_start": "hot"}, TypeError, "`warm_start`"),
        ({"whiten": 0}, TypeError, "`whiten`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": 2**31}, ValueError, "`seed`"),
        ({"ε": 1}, TypeError, "unexpected keyword"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(changes, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        small_imnn(**changes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "needs `n_iterations`, `patience` or both"),
        ({"n_iterations": 1.5}, TypeError, "`n_iterations`"),
        ({"n_iterations": -1}, ValueError, "`n_iterations`"),
        ({"patience": 0}, ValueError, "`patience`"),
        ({"n_iterations": 1, "min_iterations": "a"}, TypeError, "`min_iterations`"),
        ({"n_iterations": 1, "λ": 100}, ValueError, "smaller ϵ"),
        ({"n_iterations": 1, "\u03f5": 1.0}, ValueError, "smaller ϵ"),
        ({"n_iterations": 1, "λ": None}, TypeError, "`λ`"),
        ({"n_iterations": 1, "checkpoint": 5}, ValueError, "needs a directory"),
        ({"n_iterations": 1, "weight_file": ""}, TypeError, "`weight_file`"),
        ({"n_iterations": 1, "weight_file": "../w"}, ValueError, "`weight_file`"),
        ({"n_iterations": 1, "best": "yes"}, TypeError, "`best`"),
        ({"n_iterations": 1, "reset": 1}, TypeError, "`reset`"),
        ({"n_iterations": 1, "callback": 3}, TypeError, "`callback`"),
        ({"n_iterations": 1, "objective": "F"}, ValueError, "`objective` must be one of 'imnn'"),
        (
            {"n_iterations": 1, "gaussianity": -0.1},
            ValueError,
            "`gaussianity` must not be negative",
        ),
        ({"n_iterations": 1, "gaussianity": "a"}, TypeError, "`gaussianity`"),
        (
            {"n_iterations": 1, "gaussianity": 0.1, "objective": "projected"},
            ValueError,
            "`gaussianity` must be 0 with objective='projected'",
        ),
        ({"n_iterations": 1, "\u03f5": 0.1, "ε": 0.1}, TypeError, "two spellings"),
    ],
)
def test_bad_arguments_of_fit_are_refused_before_any_training(imnn, arguments, error, words):
    for method in (imnn.fit, imnn.start):
        with pytest.raises(error, match=words):
            method(**arguments)
    assert len(imnn.history) == 0
    assert imnn.run is None


@pytest.fixture(scope="module")
def imnn():
    return small_imnn()


def test_layers_that_need_the_whole_set_are_refused_in_chunks():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dropout(0.1), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"Dropout.*Leave `at_once` out"):
        small_imnn(model=model, at_once=50)


def test_a_network_that_ignores_its_input_is_refused():
    model = keras.Sequential(
        [keras.Input((10,)), keras.layers.Rescaling(0.0), keras.layers.Dense(2, "tanh")]
    )
    with pytest.raises(ValueError, match="regular covariance"):
        small_imnn(model=model)


def test_unmatched_seeds_are_noticed():
    shuffled = DERIVATIVE.copy()
    shuffled[:, 1] = np.random.default_rng(1).permutation(shuffled[:, 1])
    with pytest.warns(UserWarning, match="made from different seeds"):
        small_imnn(derivative=shuffled)


def test_array_likes_and_numpy_numbers_are_taken():
    made = small_imnn(n_s=np.int64(200), fiducial=FIDUCIAL.tolist(), θ_fid=[0, 1], dtype=np.float32)
    assert made.F.shape == (2, 2)


def test_shapes_are_not_checked_on_request():
    made = small_imnn(fiducial=FIDUCIAL[..., None], check_shape=False)
    assert made.training.n_s == 200


def test_without_a_model_one_is_chosen_and_the_candidates_are_told(capsys):
    made = small_imnn(model=None, verbose=True, seed=1)
    (chosen,) = (candidate for candidate in made.candidates if candidate.is_chosen)
    assert made.model.name == chosen.name
    printed = capsys.readouterr().out
    for candidate in made.candidates:
        assert f"{candidate.name} " in printed
    assert f"→ {chosen.name} " in printed


def test_quiet_is_quiet(capsys):
    small_imnn(model=None).fit(2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_estimates_of_one_and_of_many(imnn):
    one = imnn.get_estimate(FIDUCIAL[0])
    many = imnn.get_estimate(FIDUCIAL[:4])
    assert one.shape == (2,)
    assert imnn.get_estimate(FIDUCIAL[:0]).shape == (0, 2)
    np.testing.assert_allclose(many[0], one, rtol=1e-4, atol=1e-6)
    for bad in (FIDUCIAL[:, :5], np.zeros((2, 3, 10)), 3.0):
        with pytest.raises(ValueError, match=r"input_shape = \(10,\) or \(n,\)"):
            imnn.get_estimate(bad)


def test_an_estimator_is_frozen():
    made = plain_imnn()
    estimator = made.estimator
    before = estimator(FIDUCIAL[:5])
    made.fit(30, best=False)
    np.testing.assert_array_equal(estimator(FIDUCIAL[:5]), before)
    assert not np.allclose(made.get_estimate(FIDUCIAL[:5]), before)


def saved(tmp_path, make=plain_imnn, **changes):
    made = make(directory=str(tmp_path), filename="model", save=True, **changes)
    made.fit(12)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_formula_of_the_description_works_with_the_saved_files_alone(tmp_path, dtype):
    made = saved(tmp_path, small_imnn, dtype=dtype)
    found = np.load(tmp_path / "model" / "estimator.npz")
    model = keras.models.load_model(tmp_path / "model" / "model.keras")
    data = FIDUCIAL[:6].astype(dtype)
    estimate = found["θ_fid"] + np.einsum(
        "ij,jk,kl,ml->mi", found["Finv"], found["dμ_dθ"], found["Cinv"], model(data) - found["μ"]
    )
    assert found["Finv"].dtype == dtype
    np.testing.assert_allclose(estimate, made.get_estimate(data), rtol=2e-3, atol=1e-4)


def test_a_loaded_imnn_is_the_same(tmp_path):
    made = saved(tmp_path)
    loaded = IMNN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.get_estimate(FIDUCIAL), made.get_estimate(FIDUCIAL))
    np.testing.assert_array_equal(loaded.F, made.F)
    assert loaded.settings == made.settings
    assert loaded.history.keys() == made.history.keys()
    np.testing.assert_array_equal(loaded.history["val_F"], made.history["val_F"])
    with pytest.raises(RuntimeError, match="loaded without data"):
        loaded.fit(2)


def test_a_loaded_imnn_with_data_goes_on_like_the_saved_one(tmp_path):
    made = saved(tmp_path)
    data = dict(
        zip(
            ("fiducial", "derivative", "validation_fiducial", "validation_derivative"),
            gaussian_data(),
            strict=True,
        )
    )
    loaded = IMNN.load(tmp_path / "model", **data)
    made.fit(10)
    loaded.fit(10)
    for key in ("det_F", "val_det_F", "loss"):
        np.testing.assert_allclose(loaded.history[key], made.history[key], rtol=1e-6)


def test_load_of_the_description_needs_no_model(tmp_path):
    made = saved(tmp_path)
    loaded = plain_imnn(
        model=None, optimiser=None, load=True, directory=str(tmp_path), filename="model"
    )
    np.testing.assert_array_equal(loaded.F, made.F)
    loaded.fit(2)
    with pytest.raises(ValueError, match=r"`θ_fid` must be .* as in the saved IMNN"):
        plain_imnn(load=True, directory=str(tmp_path), filename="model", θ_fid=[0, 2])


def test_weights_of_the_description_are_loaded(tmp_path):
    made = saved(tmp_path)
    made.save(weight_file="early")
    early = made.validation.det_F
    made.fit(40, best=False, weight_file="late")
    loaded = plain_imnn(load=True, weights="early", directory=str(tmp_path), filename="model")
    assert loaded.validation.det_F == pytest.approx(early, rel=1e-4)
    with pytest.raises(FileNotFoundError, match=r"has no lost\..*It has early\.[^,]*, late\."):
        plain_imnn(load=True, weights="lost", directory=str(tmp_path), filename="model")


def test_a_save_stays_in_its_directory(imnn, tmp_path):
    with pytest.raises(ValueError, match="`weight_file` must be the name of a file"):
        imnn.save(tmp_path / "model", weight_file="../outside")
    assert list(tmp_path.iterdir()) == []


def test_loading_from_an_empty_directory_is_refused(tmp_path):
    words = "`directory` must hold a saved IMNN. Received {}, which {}. An IMNN is saved in"
    for place, lack in ((tmp_path, "has no file state.npz"), ("nothing", "is no directory")):
        with pytest.raises(FileNotFoundError, match=words.format(f".*{place}.*", lack)):
            IMNN.load(place)


def test_an_unregistered_subclass_loads_with_its_code(tmp_path):
    class Mine(keras.Model):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.first, self.last = keras.layers.Dense(8, "gelu"), keras.layers.Dense(2)

        def call(self, x):
            return self.last(self.first(x))

    made = saved(tmp_path, model=Mine(), whiten=False)
    with pytest.raises(ValueError, match=r"pass it as\s+IMNN\.load"):
        IMNN.load(tmp_path / "model")
    network = Mine()
    network(FIDUCIAL[:1].astype("float32"))
    loaded = IMNN.load(tmp_path / "model", model=network)
    np.testing.assert_array_equal(loaded.get_estimate(FIDUCIAL), made.get_estimate(FIDUCIAL))


def test_plot_works_with_and_without_validation(tmp_path):
    made = saved(tmp_path)
    figure = made.plot(known_det_fisher=50, figsize=(4, 5))
    assert len(figure.axes) == 3
    assert len(made.plot(regulariser=False).axes) == 2
    alone = plain_imnn(validation_fiducial=None, validation_derivative=None)
    assert len(alone.plot().axes) == 3, "an empty history is drawn as empty axes"
    alone.fit(2)
    assert len(alone.plot().axes[0].lines) == 1


SCRIPT = """
import os, sys, time
sys.path.insert(0, {tests!r})
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from makers import gaussian_data, small_imnn
from imnn_lab import IMNN
place = {place!r}
if os.path.exists(place + "/model/state.npz"):
    imnn = IMNN.load(place + "/model", **dict(zip({names!r}, gaussian_data())))
else:
    imnn = small_imnn(directory=place, filename="model")
def slow(run):
    print(run.iteration, flush=True)
    time.sleep(0.02)
imnn.fit(100000, checkpoint=20, callback=slow)
"""
DATA = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def kill_a_fit(directory, random):
    """Let a fit go on for 30 to 90 iterations, then kill it; return the last it told of."""
    tests = str(Path(__file__).parents[1])
    script = SCRIPT.format(tests=tests, place=str(directory), names=DATA)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    first, further, moment = None, random.integers(30, 90), random.uniform(0, 0.1)
    for line in process.stdout:
        first = int(line) if first is None else first
        if int(line) >= first + further:
            time.sleep(moment)
            os.kill(process.pid, signal.SIGKILL)
            break
    told = [int(line), *map(int, process.stdout)][-1]
    process.stdout.close()
    assert process.wait(30) == -signal.SIGKILL
    return told


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.endurance)])
def test_training_goes_on_after_kill_9_as_if_nothing_had_happened(kills, tmp_path):
    random, data = np.random.default_rng(kills), dict(zip(DATA, gaussian_data(), strict=True))
    before = 0
    for _ in range(kills):
        told = kill_a_fit(tmp_path, random)
        loaded = IMNN.load(tmp_path / "model", **data)
        at = len(loaded.history) - 1
        assert at % 20 == 0
        assert max(before, told - 21) <= at  # all but what came after the last checkpoint
        before = at
    # Until it goes on, it is an estimator with the best weights so far.
    best = loaded.history["val_det_F"].max()
    assert loaded.validation.det_F == pytest.approx(best, rel=1e-3)
    loaded.fit(50)
    whole = small_imnn()
    whole.fit(at + 50)
    for key in ("iteration", "det_F", "val_det_F", "loss", "det_C"):
        assert len(loaded.history[key]) == at + 51
        np.testing.assert_array_equal(loaded.history[key], whole.history[key])
    # The control: one iteration further is not the same.
    assert not np.allclose(loaded.history["loss"][1:], whole.history["loss"][:-1], rtol=1e-6)
    loaded.save()  # clears what a kill left of a checkpoint
    assert not [p for p in (tmp_path / "model").iterdir() if p.name.startswith(".")]


def test_networks_are_reproducible():
    for make, shape in (
        (networks.dense, (10,)),
        (networks.convolutional, (8, 8, 1)),
        (networks.convolutional, (20, 2)),
        (networks.deep_set, (10, 2)),
        (networks.deep_set, (10,)),
    ):
        data = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
        first, second, other = (make(shape, 2, seed=seed)(data) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, other)


@pytest.mark.parametrize(("width", "warns"), [(0.1, False), (8.0, True)])
def test_simulations_too_far_apart_are_noticed(width, warns):
    # the error of μ is √0.1 ≈ 0.32: 8 is 25 of it, 0.1 a third
    problem = replace(problems.gaussian(), δθ=np.array([width, 0.1]))
    fiducial, derivative = problem.training_set(SIZE, SIZE, 1)
    data = {"fiducial": fiducial, "derivative": derivative, "δθ": problem.δθ}
    data |= {"validation_fiducial": None, "validation_derivative": None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        small_imnn(**data)
    told = [str(warning.message) for warning in caught if "times the error" in str(warning.message)]
    assert bool(told) is warns
    assert not warns or "parameter 0" in told[0]
