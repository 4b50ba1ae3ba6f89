"""Training from functions and files beside imnn-tf 0.2.0, in turn, on the same data and network.

    python -m pip install -e ".[bench]"
    python tests/benchmarks/compare_sources.py

The Gaussian problem with n_s = n_d = 1000, at_once = 100. imnn-tf keeps what its functions gave in
a cache of batches; asked is at most 1/20 of its time an iteration where ours keeps them in memory,
and at most 1/2 where TFRecord files are read anew in every iteration.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contestants import LEARNING_RATE, Watched, leaky_network, silent, sizes, ε, λ
from loaders import yielding

AT_ONCE = 100
ITERATIONS = 30
NAMES = ("imnn_tf", "functions kept", "files kept", "files anew", "on disk", "functions anew")
ASKED = {"functions kept": 1 / 20, "files kept": 1 / 20, "files anew": 1 / 2}


def theirs(data):
    import os

    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    from imnn_tf import IMNN

    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), (10,), *map(yielding, data),
        model=leaky_network(tf.keras), optimiser=tf.keras.optimizers.Adam(LEARNING_RATE),
        at_once=AT_ONCE, verbose=False,
    )  # fmt: skip
    seen = imnn.history["val_det_F"] = Watched()
    imnn.fit(ITERATIONS, λ=λ, ε=ε, tqdm_notebook=False)
    return np.median(np.diff(seen.times)[5:])


def ours(name, data, place):
    import keras

    from imnn_lab import IMNN, TFRecords

    kind, where = name.split(maxsplit=1)
    given = [yielding(array) for array in data]
    if kind == "files":
        writer = TFRecords(verbose=False)
        sets = [array.astype("float32") for array in data]
        given = [*writer.write_set(*sets[:2], place), *writer.write_set(*sets[2:], place, True)]
    cache = {"kept": "memory", "anew": None, "disk": "disk"}[where]
    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), (10,), *given,
        model=leaky_network(keras), optimiser=keras.optimizers.Adam(LEARNING_RATE),
        at_once=AT_ONCE, verbose=False, cache=cache,
    )  # fmt: skip
    stamps = []
    imnn.fit(ITERATIONS, λ, ε, callback=lambda run: stamps.append((run.next, time.perf_counter())))
    n, seconds = np.diff(stamps, axis=0).T
    return np.median(seconds / n)


def one(name, data):
    command = [sys.executable, __file__, "--name", name, "--data", data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(repetitions):
    from imnn_lab import problems

    problem = problems.gaussian()
    sets = [array for seed in (1, 2) for array in problem.training_set(1000, 1000, seed)]
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.npz"
        np.savez(data, *sets)
        rows = [{name: one(name, data) for name in NAMES} for _ in range(repetitions)]
    for name in NAMES:
        seconds = np.array([row[name] for row in rows])
        ratio = np.median(seconds / [row["imnn_tf"] for row in rows])
        asked = f"   asked {ASKED[name]:.3g}" if name in ASKED else ""
        print(f"{name:15s} {1e3 * np.median(seconds):9.2f} ms   ratio {ratio:.4f}{asked}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--name", choices=NAMES, help="run this one alone, in this process")
    parser.add_argument("--data")
    given = parser.parse_args()
    if given.name is None:
        compare(given.repetitions)
        return
    silent()
    with np.load(given.data) as file:
        data = [file[name] for name in file.files]
    with tempfile.TemporaryDirectory() as place:
        found = theirs(data) if given.name == "imnn_tf" else ours(given.name, data, place)
    print(json.dumps(float(found)))


if __name__ == "__main__":
    main()
