"""Sets of simulations in files, of which only what is asked for is read."""

import pickle
import sys

import h5py
import numpy as np
import pytest
import zarr
from astropy.io import fits

from imnn_lab import Files
from imnn_lab.files import formats

RNG = np.random.default_rng(1)
MAPS = RNG.normal(size=(6, 4, 3))
SEEDS = [0, 2, 3, 7, 10, 11]


@pytest.fixture
def pattern(tmp_path):
    for seed, one in zip(SEEDS, MAPS, strict=True):
        (tmp_path / str(seed)).mkdir()
        np.save(tmp_path / str(seed) / "df_m_64.npy", one)
    (tmp_path / "5").mkdir()  # a realisation that failed
    (tmp_path / "notes").mkdir()
    return str(tmp_path / "{seed}" / "df_m_64.npy")


def test_what_is_there_is_known_without_opening_all(pattern, monkeypatch):
    opened = []
    whole = formats.whole
    monkeypatch.setattr("imnn_lab.files.sets.whole", lambda *a: opened.append(a[0]) or whole(*a))
    files = Files(pattern)
    assert len(opened) == 1
    assert files.seeds.tolist() == SEEDS
    assert (len(files), files.shape, files.ndim, files.dtype) == (6, (6, 4, 3), 3, MAPS.dtype)
    assert "6 of float64, shape (4, 3), seeds 0 to 11" in repr(files)


INDICES = [
    0, -1, np.int64(2), slice(None), slice(1, 3), slice(None, None, -2), [4, 0, 4],
    np.array([1, 2]), np.array(SEEDS) > 2, ..., (0, 1), (slice(1, 4), slice(None), 2),
    (2, slice(0, 2)), slice(3, 3),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("kind", ["each", "one", "part of one"])
def test_they_are_indexed_as_arrays_are(index, kind, pattern, tmp_path):
    if kind == "each":
        files = Files(pattern)
    elif kind == "one":
        np.save(tmp_path / "all.npy", MAPS)
        files = Files(tmp_path / "all.npy")
    else:
        np.save(tmp_path / "all.npy", np.concatenate([MAPS[:2], MAPS, MAPS]))
        files = Files(tmp_path / "all.npy").split(2)[1].split(6)[0]
    found = files[index]
    np.testing.assert_array_equal(found, MAPS[index])
    assert found.dtype == MAPS.dtype


def test_an_index_beyond_the_end_ends_a_loop(pattern):
    assert len(list(Files(pattern))) == 6
    np.testing.assert_array_equal(np.asarray(Files(pattern)), MAPS)


def test_realisations_are_selected_by_number_and_split(pattern):
    files = Files(pattern)
    chosen = files.select([7, 0])
    np.testing.assert_array_equal(chosen[:], MAPS[[3, 0]])
    assert chosen.seeds.tolist() == [7, 0]
    first, rest = files.split(2)
    assert first.seeds.tolist() + rest.seeds.tolist() == SEEDS
    np.testing.assert_array_equal(rest.split(1)[1][0], MAPS[3])
    with pytest.raises(ValueError, match=r"must be numbers of files.*2 that are not \(1, 5"):
        files.select([0, 1, 5])
    with pytest.raises(ValueError, match="`n` must be an integer of at most 5"):
        files.split(6)


def test_one_file_has_no_seeds_to_select(tmp_path):
    np.save(tmp_path / "all.npy", MAPS)
    files = Files(tmp_path / "all.npy")
    assert files.seeds is None
    with pytest.raises(ValueError, match="`seeds` must be left out for one file"):
        files.select([1])


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["0007.npy", "12.npy"], "{seed}.npy"),
        (["7/map_0007.npy", "12/map_0012.npy", "3/map_4.npy"], "{seed}/map_{seed}.npy"),
        (["z=0/m7_a[1].npy", "z=0/m12_a[1].npy", "z=1/m3_a[1].npy"], "z=0/m{seed}_a[1].npy"),
    ],
)
def test_numbers_are_found_in_names(names, pattern, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / name, np.zeros(2))
    assert Files(tmp_path / pattern).seeds.tolist() == [7, 12]


def test_patterns_are_relative_to_the_working_directory(pattern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Files("{seed}/df_m_64.npy").seeds.tolist() == SEEDS


def test_two_files_of_one_number_are_refused(tmp_path):
    for name in ("3.npy", "003.npy"):
        np.save(tmp_path / name, np.zeros(2))
    with pytest.raises(ValueError, match=r"`pattern` must give one file per seed.*3\.npy"):
        Files(tmp_path / "{seed}.npy")


WRONG = {
    "{seed}.npy": (FileNotFoundError, "fit files.*which fits none"),
    "no/{seed}.npy": (FileNotFoundError, "'.*no' is no directory"),
    "{seeds}/a.npy": (ValueError, "hold no braces but {seed}"),
    "{seed}.txt": (ValueError, "end as a format does: .npy"),
    "a.npy": (FileNotFoundError, "be a file that exists"),
    "": (TypeError, "`pattern` must be a non-empty string"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_patterns_are_refused(name, tmp_path):
    error, words = WRONG[name]
    with pytest.raises(error, match=words):
        Files(str(tmp_path / name) if name else "")


def spoil_shape(path):
    np.save(path, np.zeros((4, 2)))


def spoil_type(path):
    np.save(path, np.zeros((4, 3), np.int32))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def other_format(path):
    path.write_bytes(b"x" * 300)


def pickled(path):
    np.save(path, np.array([{}], object), allow_pickle=True)


def archived(path):
    with path.open("wb") as file:
        np.savez(file, MAPS[0])


@pytest.mark.parametrize(
    "spoil", [spoil_shape, spoil_type, truncate, empty, remove, other_format, pickled, archived]
)
def test_a_wrong_file_is_named(spoil, pattern, tmp_path):
    files = Files(pattern)
    path = tmp_path / "7" / "df_m_64.npy"
    spoil(path)
    words = r"`Files`: '.*7/df_m_64\.npy' must .*Received "
    with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
        files[:]
    assert "allow_pickle" not in str(caught.value), "NumPy's advice is not for readers"
    assert caught.traceback[-1].path.match("imnn_lab/files/*.py")
    assert files[:3].shape == (3, 4, 3)
    if spoil is not remove:
        (tmp_path / "7").rename(tmp_path / "00")
        (tmp_path / "0").rename(tmp_path / "20")
        if spoil not in (spoil_shape, spoil_type):
            with pytest.raises(ValueError, match=r"00/df_m_64\.npy"):
                Files(pattern)


def several(kind, path):
    if kind == "npz":
        np.savez(path, maps=MAPS, other=MAPS[:2])
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["group/maps"], file["other"] = MAPS, MAPS[:2]
    elif kind == "zarr":
        group = zarr.open_group(str(path), mode="w")
        for name, array in (("group/maps", MAPS), ("other", MAPS[:2])):
            made = group.create(name, shape=array.shape, dtype=array.dtype) if hasattr(
                group, "create") else group.create_array(
                    name, shape=array.shape, dtype=array.dtype)  # fmt: skip
            made[...] = array
    else:
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(MAPS, name="MAPS"), fits.ImageHDU(MAPS[:2])]
        fits.HDUList(hdus).writeto(path)


PARTS = {
    "npz": [{"key": "maps"}],
    "h5": [{"dataset": "group/maps"}],
    "zarr": [{"dataset": "group/maps"}],
    "fits": [{"hdu": 1}, {"hdu": "MAPS"}, {"hdu": np.int64(1)}],
}


@pytest.mark.parametrize("kind", PARTS)
def test_one_of_several_arrays_is_chosen(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    several(kind, path)
    for part in PARTS[kind]:
        np.testing.assert_array_equal(Files(path, **part)[:], MAPS)
    word = next(iter(PARTS[kind][0]))
    with pytest.raises(ValueError, match=rf"must hold one array\. Received 2 .*{word}="):
        Files(path)
    for wrong in ("absent", *([0, 7] if kind == "fits" else ["group", "/"])):
        with pytest.raises(ValueError, match=r"must hold .*Received 2 \("):
            Files(path, **{word: wrong})
    for other in {"key", "dataset", "hdu"} - {word}:
        with pytest.raises(ValueError, match=f"`{other}` must be left out"):
            Files(path, **{other: "maps"})


def test_scaled_images_are_read_as_their_header_says(tmp_path):
    """Unsigned integers are stored with an offset, BZERO."""
    images = RNG.integers(0, 60_000, (5, 4), np.uint16)
    fits.writeto(tmp_path / "all.fits", images)
    fits.CompImageHDU(images).writeto(tmp_path / "all.fits.fz")
    for seed, one in enumerate(images):
        fits.writeto(tmp_path / f"{seed}.fits.gz", one)
    for name in ("all.fits", "all.fits.fz", "{seed}.fits.gz"):
        found = Files(tmp_path / name)
        np.testing.assert_array_equal(found[1:4], images[1:4])
        assert found[:].dtype == images.dtype


@pytest.mark.parametrize("kind", ["h5", "npy", "fits", "zarr"])
def test_handles_stay_here_when_they_are_sent_elsewhere(kind, tmp_path):
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        np.save(path, MAPS)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("maps", data=MAPS, chunks=(2, 4, 3))
    elif kind == "fits":
        fits.writeto(path, MAPS)
    else:
        zarr.save(str(path), MAPS)
    files = Files(path)
    sent = pickle.loads(pickle.dumps(files))
    np.testing.assert_array_equal(sent[:], files[:])
    assert len(pickle.dumps(files)) < 2000
    assert files.chunks == ((2, 4, 3) if kind == "h5" else files.chunks)


@pytest.mark.parametrize(("kind", "package"), [("fits", "astropy"), ("zarr", "zarr")])
def test_a_package_that_is_not_installed_is_named(kind, package, tmp_path, monkeypatch):
    (tmp_path / f"x.{kind}").mkdir()
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{package}.*pip install \"imnn_lab\[files\]\""):
        Files(tmp_path / f"x.{kind}")


def test_a_missing_plugin_for_compression_is_named(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["maps"] = MAPS

    def fails(*arguments):
        raise OSError("Can't read data (required filter 'blosc' is not registered)")

    monkeypatch.setitem(formats._OPEN, "HDF5", fails)
    with pytest.raises(ValueError, match="pip install hdf5plugin"):
        Files(tmp_path / "x.h5")
