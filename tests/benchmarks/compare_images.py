"""Time per iteration on images, in turn: imnn-tf 0.2.0, this package, and another version of it.

    python -m pip install -e ".[bench]"
    python tests/benchmarks/compare_images.py --side 32 --at-once 0 100
    git worktree add ../before some-commit
    python tests/benchmarks/compare_images.py --other ../before --names default

`strided` is a user's network of strided convolutions, `default` what `model=None` takes for images,
`dense` the network of `compare_training.py` on its ten values. Every repetition starts each
contestant in a process of its own, one after the other; printed are medians of the time, of the
processors' time (which suffers less from other work on the machine), and of the peak of memory,
and the medians of the ratios of neighbours. Asked: with a user's network at most 0.8 of
imnn-tf's time per iteration, whatever `at_once`.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contestants import LEARNING_RATE, Watched, leaky_network, silent, sizes, ε, λ

WARM_UP, ITERATIONS = 3, 24  # the second half of which is timed: memory is at hand by then
SETS = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def strided_network(keras, shape):
    convolutions = [
        keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")
        for filters in (8, 16, 32)
    ]
    last = [
        keras.layers.Flatten(),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(2),
    ]
    return keras.Sequential([keras.Input(shape), *convolutions, *last])


def network(name, keras, shape):
    if name == "default":
        from imnn_lab import networks

        return networks.convolutional(shape, 2, seed=1)
    return leaky_network(keras) if name == "dense" else strided_network(keras, shape)


def theirs(name, data, at_once):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    from imnn_tf import IMNN

    shape = data[0].shape[1:]
    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), shape, *data,
        model=network(name, tf.keras, shape), optimiser=tf.keras.optimizers.Adam(LEARNING_RATE),
        at_once=at_once, verbose=False,
    )  # fmt: skip
    seen = imnn.history["val_det_F"] = Watched()
    imnn.fit(WARM_UP + ITERATIONS // 2, λ=λ, ε=ε, tqdm_notebook=False)
    before, started = len(seen), time.process_time()
    imnn.fit(ITERATIONS // 2, λ=λ, ε=ε, tqdm_notebook=False)
    busy = (time.process_time() - started) / (len(seen) - before)
    return np.median(np.diff(seen.times)[before:]), busy


def ours(name, data, at_once):
    import keras

    from imnn_lab import IMNN

    shape = data[0].shape[1:]
    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), shape, *data,
        model=network(name, keras, shape), optimiser=keras.optimizers.Adam(LEARNING_RATE),
        at_once=at_once, verbose=False,
    )  # fmt: skip
    stamps = []
    imnn.fit(
        WARM_UP + (300 if name == "dense" else ITERATIONS), λ, ε,
        callback=lambda run: stamps.append((run.next, time.perf_counter(), time.process_time())),
    )  # fmt: skip
    n, seconds, busy = np.diff(stamps, axis=0)[WARM_UP + ITERATIONS // 2 :].T
    return np.median(seconds / n), np.median(busy / n)


def one(contestant, name, data, at_once, other):
    """Return the time and processors' time per iteration, and the peak of memory in GB."""
    command = [sys.executable, __file__, f"--run={contestant}", f"--names={name}"]
    command += [f"--data={data}", f"--at-once={at_once}"]
    environment = dict(os.environ)
    if contestant == "other":
        environment["PYTHONPATH"] = other
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{contestant} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(name, side, n_s, n_d, at_once, repetitions, other, rivals):
    from imnn_lab import problems

    problem = problems.gaussian() if name == "dense" else problems.field_2d(side)
    sets = [array for seed in (1, 2) for array in problem.training_set(n_s, n_d, seed)]
    contestants = [*rivals, "imnn_lab"]
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.npz"
        np.savez(data, **dict(zip(SETS, sets, strict=True)))
        rows = [
            [one(each, name, data, at_once, other) for each in contestants]
            for _ in range(repetitions)
        ]
    figures = np.array(rows)
    print(f"\n{name}, {sets[0].shape}, {sets[1].shape}, at_once = {at_once or None}")
    for i, contestant in enumerate(contestants):
        seconds, busy, memory = np.median(figures[:, i], axis=0)
        ratios = np.median(figures[:, -1, :2] / figures[:, i, :2], axis=0)
        words = f"{1e3 * seconds:9.1f} ms  {1e3 * busy:9.1f} ms busy  {memory:6.2f} GB"
        words += "   imnn_lab is {:.3f}, {:.3f} busy".format(*ratios)
        print(f"  {contestant:10s} {words}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", nargs="+", default=["strided"])
    parser.add_argument("--side", type=int, nargs="+", default=[32])
    parser.add_argument("--n-s", type=int, default=1000)
    parser.add_argument("--n-d", type=int, default=250)
    parser.add_argument("--at-once", type=int, nargs="+", default=[0], help="0 for all")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--other", help="where another version of the package is")
    parser.add_argument("--alone", action="store_true", help="without imnn-tf")
    parser.add_argument("--run", help="run this contestant alone, in this process")
    parser.add_argument("--data")
    given = parser.parse_args()
    if given.run is None:
        rivals = ["other"] * (given.other is not None)
        for name in given.names:
            theirs_too = [] if given.alone or name == "default" else ["imnn_tf"]
            for side in given.side:
                for at_once in given.at_once:
                    compare(
                        name, side, given.n_s, given.n_d, at_once, given.repetitions, given.other,
                        theirs_too + rivals,
                    )  # fmt: skip
        return
    silent()
    with np.load(given.data) as file:
        data = [file[name] for name in SETS]
    run = theirs if given.run == "imnn_tf" else ours
    found = run(given.names[0], data, given.at_once[0] or None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps([*map(float, found), peak]))


if __name__ == "__main__":
    main()
