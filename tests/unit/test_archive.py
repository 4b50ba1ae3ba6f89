"""Saved networks: what one save guarantees, and directories that are used again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from makers import gaussian_data, small_imnn, small_network

from imnn_lab import IMNN

FIDUCIAL, *_ = gaussian_data()
OBSERVED = FIDUCIAL[:5]
NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
DATA = dict(zip(NAMES, gaussian_data(), strict=True))


def place(tmp_path, **options):
    return {"directory": str(tmp_path), "filename": "model", **options}


def other_network():
    """Return a network with the weights' shapes of `small_network`, but another function."""
    made = small_network(seed=4)
    for layer in made.layers:
        if layer.get_config().get("activation") == "gelu":
            layer.activation = keras.activations.tanh
    assert activations(made) != activations(small_network())
    return made


def activations(model):
    return [layer.get_config().get("activation") for layer in model.layers]


@pytest.fixture(scope="module")
def imnn():
    made = small_imnn()
    made.fit(3)
    return made


# A directory that is used again -----------------------------------------------------------------


def test_another_networks_directory_is_refused_before_any_work(imnn, tmp_path):
    imnn.save(tmp_path / "model")
    estimates = imnn.get_estimate(OBSERVED)
    words = "where another network is saved. Go on with that network .*overwrite=True"
    with pytest.raises(ValueError, match=words):
        small_imnn(model=other_network(), **place(tmp_path, save=True))
    other = small_imnn(model=other_network(), **place(tmp_path))
    for act in (lambda: other.fit(5, checkpoint=2), other.save):
        with pytest.raises(ValueError, match=words):
            act()
    assert len(other.history) == 0
    loaded = IMNN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), estimates)
    loaded.save()  # the same network, loaded


def test_a_directory_that_is_a_file_is_refused_before_training(imnn, tmp_path):
    (tmp_path / "model").write_text("")
    made = small_imnn(**place(tmp_path))
    for act in (lambda: made.fit(5, checkpoint=2), made.save, lambda: imnn.save("/proc/imnn")):
        with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
            act()
    assert len(made.history) == 0


def test_a_checkpoint_in_a_directory_that_is_overwritten_is_whole(imnn, tmp_path):
    imnn.save(tmp_path / "model")
    other = small_imnn(model=other_network(), **place(tmp_path, overwrite=True))
    other.fit(4, checkpoint=2, best=False)  # nothing is saved at the end: as after a kill
    loaded = IMNN.load(tmp_path / "model", **DATA)
    assert activations(loaded.model) == activations(other.model)
    columns = [made.history["val_det_F"][:5] for made in (loaded, other)]
    np.testing.assert_array_equal(*columns)
    assert loaded.validation.det_F == pytest.approx(other.history["val_det_F"].max(), rel=1e-3)


def test_the_files_of_one_save_carry_one_fingerprint(imnn, tmp_path):
    from imnn_lab.archive import fingerprint
    from imnn_lab.archive.state import saved_fingerprint, state_arrays

    imnn.save(tmp_path)
    found = {
        fingerprint.network_fingerprint(tmp_path / "model.keras"),
        fingerprint.weights_fingerprint(tmp_path / "weights.weights.h5"),
        str(np.load(tmp_path / "estimator.npz")["fingerprint"]),
        saved_fingerprint(state_arrays(tmp_path)),
    }
    assert len(found) == 1
    assert len(found.pop()) == 32
    model = keras.models.load_model(tmp_path / "model.keras")
    model.load_weights(tmp_path / "weights.weights.h5")


def test_weights_of_another_network_are_refused(imnn, tmp_path):
    imnn.save(tmp_path / "model", weight_file="early")
    other = small_imnn(model=small_network(seed=8))
    other.save(tmp_path / "model", overwrite=True)
    words = "early.*must hold weights of the network that is saved beside it"
    with pytest.raises(ValueError, match=words):
        small_imnn(load=True, weights="early", **place(tmp_path))


# Death between the moves of one save ------------------------------------------------------------


class Death(BaseException):
    pass


def die_at_move(monkeypatch, number):
    """Let the process "die" instead of the move of that number."""
    moves, replace = [], os.replace

    def counted(source, target):
        moves.append(Path(target).name)
        if len(moves) > number:
            raise Death
        replace(source, target)

    monkeypatch.setattr(os, "replace", counted)
    return moves


MOVES = ("model.keras", "weights.weights.h5", "estimator.npz", "state.npz")


def trained_further(tmp_path):
    """Return a network that was saved and then trained further, and its saved estimates."""
    made = small_imnn(**place(tmp_path))
    made.save()
    estimates = made.get_estimate(OBSERVED)
    made.fit(20, best=False)
    assert not np.allclose(made.get_estimate(OBSERVED), estimates)
    return made, estimates


def test_a_save_that_was_cut_short_leaves_the_one_before(tmp_path, monkeypatch):
    made, before = trained_further(tmp_path)
    for number in range(len(MOVES)):
        with monkeypatch.context() as context:
            moved = die_at_move(context, number)
            with pytest.raises(Death):
                made.save()
        assert moved == list(MOVES[: number + 1])
        loaded = IMNN.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), before)
    made.save()
    loaded = IMNN.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), made.get_estimate(OBSERVED))


@pytest.mark.parametrize("moves", [1, 3])
def test_a_network_is_never_loaded_with_the_state_of_another(moves, imnn, tmp_path, monkeypatch):
    imnn.save(tmp_path)
    other = small_imnn(model=other_network())
    with monkeypatch.context() as context:
        die_at_move(context, moves)
        with pytest.raises(Death):
            other.save(tmp_path, overwrite=True)
    words = "must hold the network that was saved with state.npz.*a save .* was interrupted"
    with pytest.raises(ValueError, match=words):
        IMNN.load(tmp_path)
    loaded = IMNN.load(tmp_path, model=small_network())
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), imnn.get_estimate(OBSERVED))


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from makers import gaussian_data
from imnn_lab import IMNN
imnn = IMNN.load({place!r}, **dict(zip({names!r}, gaussian_data())))
imnn.fit(20, best=False)
replace, moves = os.replace, []
def counted(source, target):
    moves.append(target)
    if len(moves) > {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = counted
imnn.save()
"""


def assert_a_killed_save_loses_nothing(tmp_path, imnn, number):
    directory = imnn.save(tmp_path / "model")
    tests = str(Path(__file__).parents[1])
    script = KILLED.format(tests=tests, place=str(directory), names=NAMES, number=number)
    ended = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    loaded = IMNN.load(directory)
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), imnn.get_estimate(OBSERVED))
    left = [*directory.glob(".*")]
    assert len(left) == len(MOVES) - number
    loaded.save()
    assert not [*directory.glob(".*")]


def test_a_killed_save_leaves_the_one_before_and_no_rubbish(imnn, tmp_path):
    assert_a_killed_save_loses_nothing(tmp_path, imnn, 2)


@pytest.mark.endurance
@pytest.mark.parametrize("number", [number for number in range(4) for _ in range(5)])
def test_twenty_killed_saves_lose_nothing(number, imnn, tmp_path):
    assert_a_killed_save_loses_nothing(tmp_path, imnn, number)
