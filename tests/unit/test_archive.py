"""Saved networks: what one save guarantees, and directories that are used again."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from makers import gaussian_data, small_imnn, small_network

from imnn_lab import IMNN, storage
from imnn_lab.archive import fingerprint
from imnn_lab.archive.archive import Archive
from imnn_lab.archive.state import saved_fingerprint, state_arrays
from imnn_lab.training.trainer import arrays_of

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


# Damaged saves ----------------------------------------------------------------------------------


def changed_state(directory, change):
    """Apply a change to the arrays and the plain values of a state.npz."""
    arrays = storage.read_npz(directory / "state.npz")
    before = arrays["archive"]
    plain = storage.unpack(before)
    change(arrays, plain)
    if arrays.get("archive") is before:
        arrays["archive"] = storage.pack(plain)
    storage.write_npz(directory / "state.npz", arrays)


@pytest.fixture
def directory(imnn, tmp_path):
    return imnn.save(tmp_path / "saved")


def assert_refused(directory, name="state.npz"):
    with pytest.raises(ValueError, match=f"{name} must be a whole file. Received a damaged one"):
        IMNN.load(directory)


@pytest.mark.parametrize("name", ["state.npz", "model.keras"])
def test_truncated_and_flipped_files_are_named_or_harmless(name, directory, imnn):
    path = directory / name
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    for size in (0, 1, 30, 100, len(whole) // 2, len(whole) - 60):
        path.write_bytes(whole[:size])
        assert_refused(directory, name)
    read = IMNN.load if name == "model.keras" else Archive.read
    for at in rng.integers(0, len(whole), 30):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            found = read(directory)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            weights = arrays_of(found.model.variables) if name != "state.npz" else found.weights
            for mine, saved in zip(weights, arrays_of(imnn.model.variables), strict=True):
                np.testing.assert_array_equal(mine, saved)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
@pytest.mark.parametrize("name", ["state.npz", "model.keras"])
def test_other_files_under_these_names_are_refused(name, content, directory):
    (directory / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} must"):
        IMNN.load(directory)


def test_a_missing_network_is_named(directory):
    (directory / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.keras"):
        IMNN.load(directory)


def test_sizes_are_checked_before_anything_is_unpacked(directory, monkeypatch):
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive.npy", bytes(10**7))
    network = Archive.read(directory)._check_same_network
    checks = {"state.npz": storage.read_npz, "model.keras": network}
    for name in checks:
        with monkeypatch.context() as context:
            context.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))
            kept = (directory / name).read_bytes()
            (directory / name).write_bytes(bomb.getvalue())
            with pytest.raises(ValueError, match=rf"{name} .* unpack to 10000000 bytes"):
                checks[name](directory / name)
        (directory / name).write_bytes(kept)
    assert_refused_header(directory / "state.npz", (10**12,), "float64")
    assert_refused_header(directory / "state.npz", (3,), "O")


def test_saves_that_a_tool_compressed_are_loaded(directory, imnn):
    for path in (directory / "state.npz", directory / "model.keras"):
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
    assert path.stat().st_size < sum(map(len, members.values())), "nothing was compressed"
    loaded = IMNN.load(directory)
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), imnn.get_estimate(OBSERVED))


def test_a_network_marked_by_the_comment_of_its_file_is_loaded(directory):
    path = directory / "model.keras"
    mark = fingerprint.network_fingerprint(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist() if name != fingerprint.NAME}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
        file.comment = mark.encode()
    IMNN.load(directory)


def assert_refused_header(path, shape, dtype):
    header = io.BytesIO()
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive.npy", header.getvalue() + bytes(24))
    with pytest.raises(ValueError, match=r"state.npz must .*archive.npy holds"):
        storage.read_npz(path)


SETTINGS = ("n_s", "n_d", "n_params", "n_summaries", "θ_fid", "δθ", "input_shape", "dtype", "seed")
STRANGE = (None, -1, float("nan"), "x", [], [-3], {}, True, 1e400, [[1, 2]])


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be_are_refused(name, directory):
    whole = (directory / "state.npz").read_bytes()
    for value in STRANGE:
        if value is None and name in ("δθ", "seed"):
            continue
        changed_state(directory, lambda _, plain, v=value: plain["settings"].update({name: v}))
        assert_refused(directory)
        (directory / "state.npz").write_bytes(whole)
    changed_state(directory, lambda _, plain: plain["settings"].pop(name))
    assert_refused(directory)


def test_parts_that_are_missing_or_cannot_be_are_refused(directory):
    whole = (directory / "state.npz").read_bytes()
    arrays = storage.read_npz(directory / "state.npz")
    needed = ("archive", "weight_000000", "initial_000000", "training/C", "history/thinning")
    nan = np.full_like
    changes = [
        *(lambda arrays, _, name=name: arrays.pop(name) for name in needed),
        *(lambda _, plain, key=key: plain.pop(key) for key in ("settings", "optimiser", "next")),
        *(
            lambda arrays, _, name=name: arrays.update({name: np.array("text")})
            for name in ("weight_000000", "state_000000", "training/μ", "archive")
        ),
        *(
            lambda arrays, _, name=name: arrays.update({name: nan(arrays[name], np.nan, float)})
            for name in ("weight_000004", "training/C", "validation/dμ_dθ")
        ),
        lambda arrays, _: arrays.update({"training/C": np.eye(5)}),
        lambda arrays, _: arrays.update({"training/n_external": np.array(-1)}),
        lambda arrays, _: arrays.update({"weight_000004": arrays["weight_000004"][:1]}),
        lambda arrays, _: arrays.update({"history/column_loss": np.zeros(1)}),
        lambda arrays, _: arrays.update({"archive": storage.pack([1])}),
        lambda _, plain: plain.update(next=-5),
        lambda _, plain: plain.update(optimiser={"class_name": "None", "config": {}}),
        lambda _, plain: plain.update(optimiser=3),
    ]
    assert set(needed) <= set(arrays)
    for change in changes:
        changed_state(directory, change)
        assert_refused(directory)
        (directory / "state.npz").write_bytes(whole)
    IMNN.load(directory)


def test_damaged_weights_are_named(directory):
    path = directory / "weights.weights.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"weights.weights.h5 must be a whole file"):
        small_imnn(load=True, weights="weights", directory=directory.parent, filename="saved")
