import numpy as np
import pytest

from imnn_lab import storage


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


def test_arrays_come_back_without_pickle(tmp_path):
    path = tmp_path / "a.npz"
    storage.write_npz(path, {"θ_fid": np.arange(3), "settings": storage.pack({"λ": [1, 2]})})
    found = storage.read_npz(path)
    np.testing.assert_array_equal(found["θ_fid"], [0, 1, 2])
    assert storage.unpack(found["settings"]) == {"λ": [1, 2]}
    np.savez(tmp_path / "b.npz", bad=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        storage.read_npz(tmp_path / "b.npz")


def test_weights_are_named_with_or_without_the_suffix(tmp_path):
    assert storage.weights_path(tmp_path, "best") == tmp_path / "best.weights.h5"
    assert storage.weights_path(tmp_path, "best.weights.h5") == tmp_path / "best.weights.h5"
