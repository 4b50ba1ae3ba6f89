"""Peak memory and time per pass of maps in one HDF5 file, a zarr array or a memory map.

    python tests/benchmarks/large_files.py [--kind hdf5|zarr|memory-map] [--dask]
        [--place DIRECTORY] [--small 0.8] [--large 8]

Asked: the larger file, in GB, takes at most 400 MB more memory than the smaller one, and a pass of
training at least .7 of the speed of reading the file alone in slices of the same size. The files
are made in a new directory in `--place`, which is deleted at the end. Each measurement runs in a
process of its own; with --dask two workers read. Sizes are those of the fiducial and derivative
simulations together.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 64  # maps of 64 × 64 float32, 16 kB
ROWS = 64  # maps in a stored chunk: 1 MB
AT_ONCE = 1024
PASSES = 5
NAMES = ("fiducial", "derivative")


def counts(gigabytes):
    """Return the shapes of the two sets: a third is fiducial, two thirds one parameter's pairs."""
    n = int(gigabytes * 1e9 / (4 * SIDE**2)) // 3
    return {"fiducial": (n, SIDE, SIDE), "derivative": (n, 2, 1, SIDE, SIDE)}


def blocks(shape):
    """Iterate over noise of both sets, the same for the same seed."""
    for start in range(0, shape[0], ROWS):
        rng = np.random.default_rng(start)
        n = min(ROWS, shape[0] - start)
        noise = rng.standard_normal((n, *shape[1:]), np.float32)
        if len(shape) > 3:  # pairs share their noise
            noise[:, 1] = noise[:, 0] + np.float32(0.01)
        yield start, noise + np.float32(1)


def make(kind, place, gigabytes):
    for name, shape in counts(gigabytes).items():
        chunks = (ROWS, *shape[1:])
        if kind == "hdf5":
            import h5py

            file = h5py.File(place / f"{name}.h5", "w")
            made = file.create_dataset(name, shape, "float32", chunks=chunks)
        elif kind == "zarr":
            import zarr

            given = {"shape": shape, "chunks": chunks, "dtype": "float32"}
            store = str(place / f"{name}.zarr")
            if hasattr(zarr, "create_array"):
                made = zarr.create_array(store, **given, compressors=None)
            else:  # zarr 2
                made = zarr.open_array(store, "w", **given, compressor=None)
        else:
            made = np.lib.format.open_memmap(place / f"{name}.npy", "w+", "float32", shape)
        for start, block in blocks(shape):
            made[start : start + len(block)] = block
        if kind == "hdf5":
            file.close()


def opened(kind, place, is_dask):
    from imnn_lab import Files

    end = {"hdf5": "h5", "zarr": "zarr", "memory-map": "npy"}[kind]
    found = {name: Files(place / f"{name}.{end}") for name in NAMES}
    if is_dask:
        import dask.array

        found = {
            name: dask.array.from_array(x, chunks=(4 * ROWS, *x.shape[1:]))
            for name, x in found.items()
        }
    return found


def alone(kind, data):
    """Read everything in slices of `AT_ONCE` simulations, as one would without training."""
    for value in data.values():
        n = AT_ONCE // int(np.prod(value.shape[1:-2], dtype=int))
        for start in range(0, len(value), n):
            block = value[start : start + n]
            np.array(block, copy=kind == "memory-map" or None)


def pass_over(source):
    """Read everything as training does, without a network."""
    import tensorflow as tf

    def step(rows, state):
        return state + tf.reduce_sum(rows.simulations[:, 0, 0])

    def whole():
        return source.feed(tf.constant(0, tf.int64)).fold(step, tf.constant(0.0))

    return tf.function(whole, autograph=False)


def measure(kind, place, is_dask):
    from imnn_lab import tensorflow_import

    tensorflow_import.import_tensorflow()
    from imnn_lab import sources
    from imnn_lab.settings import Settings

    data = opened(kind, place, is_dask)
    settings = Settings.checked(
        n_s=len(data["fiducial"]), n_d=len(data["derivative"]), n_params=1, n_summaries=1,
        θ_fid=[0.0], δθ=[0.01], input_shape=(SIDE, SIDE), validation_n_s=None, validation_n_d=None,
        at_once=AT_ONCE, check_shape=True, verbose=False, dtype="float32", itype="int32",
        warm_start=True, whiten=True, seed=1, cache=None,
    )  # fmt: skip
    started = time.perf_counter()
    source, _ = sources.sources(settings, **data)
    first = time.perf_counter() - started
    once = pass_over(source)
    once()
    ours, theirs = [], []
    for _ in range(PASSES):  # in turn: the machine may be busy
        for function, times in ((lambda: alone(kind, data), theirs), (once, ours)):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "peak": peak, "first": first, "pass": statistics.median(ours),
        "alone": statistics.median(theirs),
    }  # fmt: skip


def measured(kind, place, is_dask):
    """Measure in this process, with workers of Dask if they are asked for."""
    if not is_dask:
        return measure(kind, place, False)
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None,
            local_directory=str(place / "dask"),
        ) as cluster,
        distributed.Client(cluster),
    ):  # fmt: skip
        return measure(kind, place, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", default="hdf5", choices=("hdf5", "zarr", "memory-map"))
    parser.add_argument("--dask", action="store_true", help="read through two workers")
    parser.add_argument("--place", default=tempfile.gettempdir(), help="where files are made")
    parser.add_argument("--small", type=float, default=0.8, help="GB")
    parser.add_argument("--large", type=float, default=8.0, help="GB")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(measured(options.kind, options.measure, options.dask)))
        return
    peaks = []
    for size in (options.small, options.large):
        with tempfile.TemporaryDirectory(dir=options.place, prefix="large_files-") as place:
            make(options.kind, Path(place), size)
            command = [sys.executable, __file__, "--kind", options.kind, "--measure", place]
            done = subprocess.run(
                command + ["--dask"] * options.dask, stdout=subprocess.PIPE, text=True, check=True
            )
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["peak"])
        print(
            f"{options.kind}, {size:g} GB: peak {found['peak']:.0f} MB, first pass with checks "
            f"{found['first']:.2f} s, a pass {found['pass']:.2f} s, reading alone "
            f"{found['alone']:.2f} s: {found['alone'] / found['pass']:.2f} of its speed (asked: .7)"
        )
    print(f"difference of the peaks {peaks[1] - peaks[0]:.0f} MB; asked at most 400 MB")


if __name__ == "__main__":
    main()
