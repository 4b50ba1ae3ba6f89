"""Arrays that are not in memory give what the same numbers give as arrays."""

import os
import re
import warnings
from pathlib import Path

import dask.array
import h5py
import numpy as np
import pytest
import xarray
import zarr
from astropy.io import fits
from kinds_of_data import NAMES, read, rows, settings
from makers import gaussian_data, plain_imnn, plain_network

from imnn_lab import Files, Stencils, sources
from imnn_lab.estimator import Summariser
from imnn_lab.files.rows import Rows, as_rows
from imnn_lab.sources import smallest_count
from imnn_lab.sources.shapes import shapes_of

SIZE = 60
DATA = dict(zip(NAMES, gaussian_data(SIZE, SIZE), strict=True))
AXES = ("seed", "derivative", "parameter")


def memory_map(array, place):
    np.save(f"{place}.npy", array)
    return np.load(f"{place}.npy", mmap_mode="r")


def hdf5(array, place):
    file = h5py.File(f"{place}.h5", "w")
    chunks = (7, *array.shape[1:]) if len(array) else None
    return file.create_dataset("maps", data=array, chunks=chunks)


def zarr_array(array, place):
    chunks = tuple(max(1, n) for n in (7, *array.shape[1:]))
    made = zarr.create(array.shape, chunks=chunks, dtype=array.dtype, store=f"{place}.zarr")
    made[...] = array
    return made


def dask_array(array, place):
    return dask.array.from_array(array, chunks=(7, *array.shape[1:]))


def labelled(array, place):
    """Return an array of xarray with the realisations last."""
    names = ("realisation",) if array.ndim == 2 else ("realisation", "side", "parameters")
    found = xarray.DataArray(array, dims=(*names, *"xyz"[: array.ndim - len(names)]))
    return found.transpose(..., *names[::-1])


def one_file(end, write):
    def made(array, place):
        write(f"{place}{end}", array)
        return Files(f"{place}{end}")

    return made


def file_each(end, write):
    def made(array, place):
        place.mkdir()
        for seed, one in enumerate(array):
            write(place / f"{3 * seed:04}{end}", one)
        return Files(place / f"{{seed}}{end}")

    return made


def write_h5(path, array):
    with h5py.File(path, "w") as file:
        file["maps"] = array


def write_fits(path, array):
    fits.writeto(path, array)


KINDS = {
    "memory map": memory_map,
    "HDF5": hdf5,
    "zarr": zarr_array,
    "dask": dask_array,
    "xarray": labelled,
    ".npy": one_file(".npy", np.save),
    ".npz": one_file(".npz", np.savez),
    ".h5": one_file(".h5", write_h5),
    ".zarr": lambda array, place: zarr_array(array, place) is None or Files(f"{place}.zarr"),
    ".fits": one_file(".fits", write_fits),
    "{seed}.npy": file_each(".npy", np.save),
    "{seed}.npz": file_each(".npz", np.savez),
    "{seed}.h5": file_each(".h5", write_h5),
    "{seed}.fits": file_each(".fits", write_fits),
}


@pytest.fixture(scope="module")
def summariser():
    return Summariser(plain_network(), "float32")


@pytest.fixture(scope="module")
def reference(summariser):
    source = read_of({})[0]
    return rows(source).numpy(), summariser.statistics(source).F


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """The data as every kind."""
    made = {}

    def of(kind):
        if kind not in made:
            place = tmp_path_factory.mktemp("kinds")
            made[kind] = {name: KINDS[kind](array, place / name) for name, array in DATA.items()}
        return made[kind]

    return of


def read_of(data, **changes):
    return read(DATA | data, n_s=SIZE, n_d=SIZE, **changes)


@pytest.mark.parametrize("cache", [None, "disk", "memory"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_F_of_arrays(kind, cache, held, summariser, reference):
    """The numbers are the same; their sums have another order, 1e-6 of F in float32."""
    source, _ = read_of(held(kind), cache=cache, at_once=45)
    np.testing.assert_array_equal(rows(source), reference[0])
    np.testing.assert_array_equal(rows(source), reference[0], "a second pass")
    np.testing.assert_allclose(summariser.statistics(source).F, reference[1], rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_in_slices(kind, held):
    """The same numbers also come from a kind that is taken for an array, and read whole."""
    for name, array in DATA.items():
        found = as_rows(name, held(kind)[name], AXES if array.ndim > 2 else AXES[:1])
        assert found is not None
        assert found.shape == array.shape
        np.testing.assert_array_equal(found.read(3, 5), array[3:5])


# What the numbers may be, and whether they are taken as an array of the same is.
VARIANTS = {
    "whole": lambda x: x,
    "NaN": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 25, np.nan, x),
    "marked": lambda x: np.where(np.arange(x.size).reshape(x.shape) % 9 == 2, -1.6375e30, x),
    "complex": lambda x: x + 1j,
    "wrong shape": lambda x: x[..., :-1],
    "too few": lambda x: x[:-1],
    "empty": lambda x: x[:0],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "big-endian": lambda x: x.astype(">f8"),
    "float16": lambda x: x.astype(np.float16),
    "integers": lambda x: np.rint(100 * x).astype(np.int64),
    "bool": lambda x: x > 1,
    "constant": lambda x: np.where(np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)) == 3, 1.0, x),
    "repeated": lambda x: np.concatenate([x[:-1], x[:1]]),
}
REFUSED = {"NaN", "marked", "complex", "wrong shape", "too few", "empty"}
WARNED = {"constant", "repeated", "integers", "bool"}
CANNOT_HOLD = {(kind, variant) for kind in KINDS if "fits" in kind
               for variant in ("complex", "float16", "bool")} | {(".fits", "empty")}  # fmt: skip


def outcome(value):
    """Return the simulations that a value gives and what is warned of, or the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            source, _ = read_of({"fiducial": value()}, cache="memory")
        except (TypeError, ValueError, FileNotFoundError) as error:
            return error, set()
    messages = {str(each.message) for each in caught if "`fiducial`" in str(each.message)}
    return rows(source).numpy()[:SIZE], messages


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_right_refused_or_warned_of(kind, variant, tmp_path):
    if (kind, variant) in CANNOT_HOLD:
        pytest.skip("the format has no such numbers")
    array = VARIANTS[variant](DATA["fiducial"])
    expected, warned = outcome(lambda: array)
    found, said = outcome(lambda: KINDS[kind](array, tmp_path / "x"))
    if variant in REFUSED:
        assert isinstance(expected, TypeError | ValueError)
        assert isinstance(found, TypeError | ValueError | FileNotFoundError)
        assert " must " in str(found)
        assert "Received" in str(found)
    else:
        np.testing.assert_array_equal(found, expected)
        assert said == warned
        assert bool(said) == (variant in WARNED)


class Recorded:
    """An array that is read in slices, and says how."""

    def __init__(self, array, chunks=None):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, chunks
        self.read = []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        assert isinstance(index, slice)
        self.read.append((index.start, index.stop))
        return self.array[index]

    def __array__(self, *arguments, **keywords):
        raise AssertionError("all of it would be in memory")


@pytest.mark.parametrize("at_once", [7, 45, 60])
def test_a_pass_reads_each_row_once_and_no_more_than_at_once(at_once):
    fiducial = Recorded(DATA["fiducial"])
    source, _ = read_of({"fiducial": fiducial}, cache=None, at_once=at_once)
    fiducial.read.clear()
    rows(source)
    assert max(stop - start for start, stop in fiducial.read) <= at_once
    passes = [start for start, _ in fiducial.read]
    second = passes.index(0, 1) if 0 in passes[1:] else len(passes)  # it reads ahead
    spans = fiducial.read[:second]
    assert [stop for _, stop in spans[:-1]] == [start for start, _ in spans[1:]]
    assert (spans[0][0], spans[-1][1]) == (0, SIZE)


@pytest.mark.parametrize("kind", ["HDF5", "zarr", ".h5", ".zarr"])
def test_what_is_read_begins_where_tensorflow_shares_it(kind, held):
    """It copies arrays that do not begin at a multiple of 64 bytes."""
    value = as_rows("x", held(kind)["fiducial"], ("seed",))
    for start in range(5):
        assert value.read(start, start + 9).ctypes.data % 64 == 0


def memory_of_files():
    """Return the bytes of mapped files in the memory of this process."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssFile:\s+(\d+) kB", status).group(1))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux says it")
@pytest.mark.parametrize("make", [lambda file: np.load(file, mmap_mode="r"), Files])
def test_memory_maps_leave_the_memory_as_they_are_read(make, tmp_path):
    np.save(tmp_path / "maps.npy", np.ones((2**10, 2**13)))  # 64 MiB
    value = as_rows("x", make(tmp_path / "maps.npy"), ("seed",))
    before, most = memory_of_files(), 0
    for start in range(0, 2**10, 64):
        assert value.read(start, start + 64).sum() == 2**19
        most = max(most, memory_of_files() - before)
    assert most < 2**24


def test_the_name_of_another_format_leads_to_its_reader(tmp_path):
    np.save(tmp_path / "maps.npy", DATA["fiducial"])
    for name in (tmp_path / "maps.npy", "fiducial/{seed}.h5"):
        with pytest.raises(ValueError, match=r"must be TFRecord files.*imnn_lab\.Files\("):
            read_of({"fiducial": name})


@pytest.mark.parametrize(
    ("chunk", "most", "expected"),
    [
        (4, 10, [(0, 8), (8, 16), (16, 20)]),
        (8, 5, [(0, 8), (8, 16), (16, 20)]),
        (20, 6, [(0, 20)]),
        (None, 6, [(0, 6), (6, 12), (12, 18), (18, 20)]),
    ],
)
def test_stored_chunks_are_read_whole(chunk, most, expected):
    chunks = None if chunk is None else (chunk, 2)
    found = as_rows("x", Recorded(np.zeros((20, 2)), chunks), ("seed",))
    assert list(found.spans(most)) == expected


def test_chunks_of_several_lengths_are_read_whole():
    found = as_rows("x", dask.array.zeros((20, 2), chunks=((3, 9, 8), 2)), ("seed",))
    assert list(found.spans(10)) == [(0, 3), (3, 12), (12, 20)]


def test_chunks_larger_than_memory_are_cut():
    shape, edges = (10, 2**28), np.array([0])
    huge = Rows(None, shape, np.dtype("float32"), edges)
    assert list(huge.spans(4)) == [(0, 4), (4, 8), (8, 10)]


def test_where_memory_is_kept_is_decided_by_size(held, monkeypatch):
    source, _ = read_of(held("HDF5"), cache="auto")
    assert not hasattr(source, "failures") or not source.in_chunks
    monkeypatch.setattr("imnn_lab.sources.LIMIT", 1000)
    assert read_of(held("HDF5"), cache="auto")[0].in_chunks


def test_a_closed_file_is_said_at_once_and_in_training(tmp_path):
    data = {name: hdf5(array, tmp_path / name) for name, array in DATA.items()}
    imnn = plain_imnn(n_s=SIZE, n_d=SIZE, **data, cache=None)
    data["fiducial"].file.close()
    with pytest.raises(ValueError, match=r"must be in an open file.*imnn_lab\.Files"):
        imnn.fit(20)
    with pytest.raises(ValueError, match=r"`fiducial` must be in an open file.*imnn_lab\.Files"):
        read_of(data)


def test_containers_are_refused_with_the_names_in_them(tmp_path):
    containers = [
        hdf5(DATA["fiducial"], tmp_path / "a").file,
        zarr.open_group(str(tmp_path / "b.zarr"), mode="w"),
        xarray.Dataset({"maps": ("seed", np.zeros(3))}),
    ]
    for container in containers:
        with pytest.raises(TypeError, match=r"^`fiducial` must be one array of simulations"):
            read_of({"fiducial": container})


def test_a_dask_array_of_unknown_length_is_refused():
    x = dask.array.from_array(DATA["fiducial"], chunks=7)
    with pytest.raises(ValueError, match=r"`fiducial` must have a known shape.*compute_chunk"):
        read_of({"fiducial": x[x[:, 0] > 0]})


def test_dimensions_without_known_names_are_taken_in_their_order(reference):
    array = DATA["derivative"]
    unnamed = xarray.DataArray(array, dims=("a", "b", "c", "time"))
    half = xarray.DataArray(array, dims=("a", "b", "c", "time")).rename(c="parameter")
    half = half.transpose("parameter", "a", "b", "time")
    for value in (unnamed, half, half.chunk({"a": 7})):
        np.testing.assert_array_equal(rows(read_of({"derivative": value})[0]), reference[0])


def test_numbers_and_shapes_are_taken_from_dimensions_by_name():
    fiducial, derivative = (labelled(DATA[name], None) for name in ("fiducial", "derivative"))
    assert shapes_of(fiducial, derivative) == (SIZE, SIZE, (10,))
    point = labelled(DATA["fiducial"], None)
    assert smallest_count(Stencils([{-0.1: point, 0.1: point}]), fiducial, None, False) == SIZE


@pytest.mark.parametrize("sides", [[0.1, -0.1], ["upper", "lower"], ["p", "m"]])
def test_coordinates_that_turn_the_sides_round_are_refused(sides, reference):
    array = DATA["derivative"]
    named = xarray.DataArray(array, dims=(*AXES, "x"), coords={"derivative": sides})
    with pytest.raises(ValueError, match=r"`derivative` must have the lower simulations before"):
        read_of({"derivative": named})
    right = named.assign_coords(derivative=sides[::-1])
    np.testing.assert_array_equal(rows(read_of({"derivative": right})[0]), reference[0])


def test_masked_blocks_are_refused():
    masked = np.ma.masked_greater(DATA["fiducial"], 2)
    with pytest.raises(TypeError, match=r"`fiducial`: seeds 0 to .* must hold data only.*mask"):
        read_of({"fiducial": dask.array.from_array(masked, chunks=7, asarray=False)})


def test_values_that_are_no_data_are_named_by_their_index():
    array = DATA["derivative"].copy()
    array[41, 1, 0, 3] = np.nan
    words = r"`derivative` at seed 41, derivative 1, parameter 0 must contain finite"
    for cache in (None, "disk", "memory"):
        with pytest.raises(ValueError, match=words):
            read_of({"derivative": Recorded(array)}, cache=cache)


def test_a_failure_while_reading_is_the_error_of_the_fit():
    fiducial = Recorded(DATA["fiducial"])
    imnn = plain_imnn(n_s=SIZE, n_d=SIZE, **DATA | {"fiducial": fiducial}, cache=None)
    fiducial.array = None
    with pytest.raises(RuntimeError, match=r"`fiducial`: seeds 0 to \d+ must be readable"):
        imnn.fit(20)


@pytest.mark.parametrize("cache", [None, "memory"])
def test_map_fn_maps_what_is_read(cache):
    def halved(x):
        return x.reshape(5, 2)[:, 0]

    data = {name: Recorded(array) for name, array in DATA.items()}
    found, expected = (
        read_of(each, map_fn=halved, cache=cache, input_shape=(5,), at_once=45)[0]
        for each in (data, {})
    )
    np.testing.assert_array_equal(rows(found), rows(expected))


def test_simulations_of_another_shape_and_size_are_taken_if_asked(reference):
    flat = Recorded(DATA["fiducial"].reshape(SIZE, 5, 2))
    source, _ = read_of({"fiducial": flat}, check_shape=False, cache=None)
    np.testing.assert_array_equal(rows(source), reference[0])


def test_exact_derivatives_and_validation_of_another_size(tmp_path):
    derivative = DATA["derivative"][:, 1] - DATA["derivative"][:, 0]
    data = {"derivative": derivative, "validation_derivative": derivative[:40]}
    data["validation_fiducial"] = DATA["validation_fiducial"][:50]
    found, expected = (
        read(DATA | each, n_s=SIZE, n_d=SIZE, δθ=None, cache="disk", validation_n_s=50,
             validation_n_d=40)
        for each in ({name: Recorded(x) for name, x in data.items()}, data)
    )  # fmt: skip
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(rows(ours), rows(theirs))


def test_known_summaries_and_evaluation_take_them_as_well(tmp_path):
    imnn = plain_imnn(n_s=SIZE, n_d=SIZE, **DATA)
    fresh = dict(zip(NAMES[:2], gaussian_data(SIZE, SIZE, 7)[:2], strict=True))
    lazy = {name: memory_map(array, tmp_path / name) for name, array in fresh.items()}
    np.testing.assert_array_equal(imnn.evaluate(**lazy).F, imnn.evaluate(**fresh).F)
    known = tuple(array.mean(-1, keepdims=True) for array in DATA.values())
    mapped = tuple(memory_map(x, tmp_path / f"known{i}") for i, x in enumerate(known))
    rows_of = np.concatenate([known[0], known[1].reshape(-1, 1)])
    for given in (known, mapped):
        source, _ = sources.sources(settings(n_s=SIZE, n_d=SIZE), **DATA, external=given)
        np.testing.assert_array_equal(source.external, np.float32(rows_of))


def test_workers_of_dask_open_and_compute_what_is_read(dask_client, held, reference):
    here = os.getpid()

    def elsewhere(block):  # sent by value: workers need not import this file
        assert os.getpid() != here
        return block

    data = {
        name: dask.array.from_array(held("{seed}.npy")[name], chunks=(15, *array.shape[1:]))
        for name, array in DATA.items()
    }
    data = {
        name: x.map_blocks(elsewhere, dtype=x.dtype, meta=DATA[name][:0])
        for name, x in data.items()
    }
    data["derivative"] = dask.array.from_array(held(".h5")["derivative"], chunks=(15, 2, 2, 10))
    source, _ = read_of(data, cache=None, at_once=30)
    np.testing.assert_array_equal(rows(source), reference[0])
