import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imnn_lab import storage

LONG = "x" * 300


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "there" / "file.txt"
    with storage.aside(path) as place:
        place.write_text("first")

    def fail():
        with storage.aside(path) as place:
            place.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "first"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_files_written_together_move_together(tmp_path):
    def fail(place):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        storage.write_together(
            {tmp_path / "a": lambda place: place.write_text("a"), tmp_path / "b": fail}
        )
    assert list(tmp_path.iterdir()) == []


def test_files_written_together_move_in_their_order(tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr(os, "replace", lambda source, target: moved.append(target.name))
    names = ["c", "a", "d", "b"]
    storage.write_together({tmp_path / name: lambda place: place.write_text("") for name in names})
    assert moved == names


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    dead = ended_process()
    with storage.aside(tmp_path / "state.npz") as mine:
        mine.write_text("still being written")
        name = mine.name
        ours = name.replace(str(os.getpid()), str(dead))
        elsewhere = name.replace(storage._machine(), "00000000")
        old = name.replace(storage._machine(), "11111111")
        for left in (ours, elsewhere, old, ".hidden", "state.npz"):
            (tmp_path / left).write_text("left")
        os.utime(tmp_path / old, (0, 0))
        storage.remove_leftovers(tmp_path)
        kept = {file.name for file in tmp_path.iterdir()}
        assert kept == {name, elsewhere, ".hidden", "state.npz"}


def ended_process():
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_arrays_come_back_without_pickle(tmp_path):
    path = tmp_path / "a.npz"
    storage.write_npz(path, {"θ_fid": np.arange(3), "settings": storage.pack({"λ": [1, 2]})})
    found = storage.read_npz(path)
    np.testing.assert_array_equal(found["θ_fid"], [0, 1, 2])
    assert storage.unpack(found["settings"]) == {"λ": [1, 2]}
    np.savez(tmp_path / "b.npz", bad=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        storage.read_npz(tmp_path / "b.npz")


def test_compressed_arrays_are_read_unless_they_unpack_to_far_more(tmp_path):
    path, array = tmp_path / "a.npz", np.arange(10_000)
    np.savez_compressed(path, array=array)
    assert path.stat().st_size < array.nbytes / 4
    np.testing.assert_array_equal(storage.read_npz(path)["array"], array)
    np.savez_compressed(path, array=np.zeros(10**6))
    with pytest.raises(ValueError, match=r"a\.npz must .* unpack to 8000128 bytes, over 100 times"):
        storage.read_npz(path)


def test_weights_are_named_with_or_without_the_suffix(tmp_path):
    assert storage.weights_path(tmp_path, "best") == tmp_path / "best.weights.h5"
    assert storage.weights_path(tmp_path, "best.weights.h5") == tmp_path / "best.weights.h5"


@pytest.mark.parametrize("place", ["file", "file/below", "linked", "/proc/imnn_lab", "a\0b", LONG])
def test_directories_that_cannot_be_written_are_refused(place, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "linked").symlink_to(tmp_path / "lost")
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        storage.check_writable(tmp_path / place)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "linked"}


@pytest.mark.parametrize("place", ["", "new", "new/deep/er"])
def test_directories_that_can_be_written_are_taken_and_not_made(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage.check_writable(tmp_path / place)
    storage.check_writable(Path(place))
    assert list(tmp_path.iterdir()) == []
