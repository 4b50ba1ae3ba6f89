"""Time per iteration of two workers against one process, in turn, and what they exchange.

    python tests/benchmarks/replicas.py
    python tests/benchmarks/replicas.py --repeats 7 --n-s 2000 --n-d 500

A worker is a process on a processor core of its own, with one thread for TensorFlow's operations; a
network of convolutions, as a user makes it, is trained on images of a Gaussian blob in noise.
Printed are medians of the seconds per iteration and of the ratios of neighbours, the bytes that a
worker sends per iteration (from the shapes, beside what its sockets sent), and how that scales.
Asked: two workers at least 1.6 times as fast as one process.
"""

import argparse
import json
import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SETS = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
SIDE = 32
BATCH = 5  # iterations of the first fit, which traces the graph
COLLECTIVES, MANY = 4, 10**6  # summaries of both sets, gradient, what is decided; simulations
LINK, LATENCY = 1.25e9, 1e-4  # bytes per second of 10 Gbit/s, seconds of a message


def network(keras):
    layers = []
    for filters, strides in ((16, 1), (16, 2), (32, 1), (32, 2)):
        layers.append(keras.layers.Conv2D(filters, 3, strides, "same", activation="relu"))
    last = [keras.layers.Flatten(), keras.layers.Dense(32, "relu"), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), *layers, *last])


def sent():
    """Return how many bytes the sockets of this process have sent."""
    listed = subprocess.run(["ss", "-tinpOH"], capture_output=True, text=True, check=True).stdout
    mine = [line for line in listed.splitlines() if f"pid={os.getpid()}," in line]
    return sum(int(n) for line in mine for n in re.findall(r"bytes_sent:(\d+)", line))


def child(arguments):
    os.sched_setaffinity(0, {arguments.core})
    from imnn_lab import IMNN, problems

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if "TF_CONFIG" in os.environ else None
    keras.utils.set_random_seed(1)
    sets = [np.load(Path(arguments.directory) / f"{name}.npy") for name in SETS]
    problem = problems.blob(SIDE)
    imnn = IMNN(
        arguments.n_s, arguments.n_d, 3, 3, problem.θ_fid, problem.δθ, problem.input_shape, *sets,
        model=network(keras), at_once=arguments.at_once, verbose=False, strategy=strategy,
    )  # fmt: skip
    imnn.fit(BATCH, best=False)
    first = len(imnn.history)
    sends = []  # of the iterations alone: workers exchange weights before and after a fit

    def note(run):
        if not sends or run.iteration == run.last:
            sends.append((run.iteration, time.process_time(), sent() if strategy else 0))

    imnn.fit(arguments.iterations, best=False, callback=note)
    n, busy, exchanged = np.subtract(sends[-1], sends[0])
    seconds = np.diff(imnn.history["seconds"][first - 1 :]).mean()
    values = sum(math.prod(weight.shape) for weight in imnn.model.trainable_weights)
    numbers = seconds, busy / n, exchanged / n, 4 * values, imnn.history["loss"][-1]
    print(json.dumps([float(x) for x in numbers]))


def timed(arguments, directory, n):
    """Return what the first of n processes that train together prints."""
    ports = []
    for _ in range(n):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cores = sorted(os.sched_getaffinity(0))
    processes = []
    for worker in range(n):
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        task = {"type": "worker", "index": worker}
        environment = dict(os.environ, OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")
        if n > 1:
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
        command = [sys.executable, __file__, *sys.argv[1:], "--directory", directory]
        command += ["--core", str(cores[worker % len(cores)])]
        output = subprocess.PIPE if worker == 0 else subprocess.DEVNULL
        processes.append(subprocess.Popen(command, env=environment, stdout=output, text=True))
    printed = processes[0].communicate()[0]
    if any(process.wait() for process in processes):
        raise RuntimeError("a worker failed")
    return json.loads(printed.splitlines()[-1])


def make_data(directory, n_s, n_d):
    from imnn_lab import problems

    problem = problems.blob(SIDE)
    for seed in (1, 2):
        sets = problem.training_set(n_s, n_d, seed)
        for name, values in zip(SETS[2 * seed - 2 : 2 * seed], sets, strict=True):
            np.save(Path(directory) / f"{name}.npy", values.astype("float32"))


def ring(n_bytes, n):
    """Return how many bytes each of n workers sends to sum tensors over all (ring all-reduce)."""
    return 2 * (n - 1) / n * n_bytes


def serial(n):
    """Return the seconds that every worker spends on the loss of n summaries, on one core."""
    import tensorflow as tf

    from imnn_lab.fisher import moments
    from imnn_lab.loss import loss_and_information

    n_d = n // 14  # as many as fiducial simulations, half as many pairs for three parameters
    x, d = tf.random.normal((n - 6 * n_d, 3)), tf.random.normal((n_d, 2, 3, 3))
    λ, α = tf.constant(10.0, tf.float64), tf.constant(1.0, tf.float64)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch([x, d])
            found = moments(x, d, tf.ones(3, tf.float64))
            loss = loss_and_information(found, λ, α).loss
        return tape.gradient(loss, [x, d])

    gradient()
    started = time.perf_counter()
    gradient()
    return time.perf_counter() - started


def scaling(seconds, n_rows, n_weights):
    """Print, from seconds of a core, those of many workers with a million simulations."""
    own, of_all = seconds / n_rows * MANY, serial(MANY)
    n_bytes = 3 * 4 * MANY + n_weights
    print(f"\n{MANY:,} simulations, {LINK * 8e-9:g} Gbit/s, {1e6 * LATENCY:g} µs for a message:")
    print(f"{of_all:.3f} s for the loss of all summaries, which each worker computes")
    print("workers   seconds   speed-up   bytes sent by each   seconds of sending")
    for n in (1, 2, 8, 64):
        talk = ring(n_bytes, n) / LINK + COLLECTIVES * 2 * (n - 1) * LATENCY
        total = own / n + (n > 1) * of_all + talk
        speed_up = (own + of_all) / total
        print(f"{n:7d} {total:9.3f} {speed_up:10.1f} {ring(n_bytes, n):20.3g} {talk:20.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--n-s", type=int, default=1000)
    parser.add_argument("--n-d", type=int, default=250)
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.directory:
        child(arguments)
        sys.exit()
    n_rows = 2 * (arguments.n_s + 6 * arguments.n_d)
    ones, twos = [], []
    with tempfile.TemporaryDirectory() as directory:
        make_data(directory, arguments.n_s, arguments.n_d)
        for _ in range(arguments.repeats):
            ones.append(timed(arguments, directory, 1))
            twos.append(timed(arguments, directory, 2))
            line = [f"{one:.3f} and {two:.3f}" for one, two in zip(ones[-1], twos[-1], strict=True)]
            print(f"one and two: {line[0]} s, {line[1]} s of a core, loss {line[4]}", flush=True)
    one, busy, *_ = np.median(ones, axis=0)
    two, busy_of_two, exchanged, n_weights, _ = np.median(twos, axis=0)
    seconds, of_core = np.median(np.divide(ones, twos)[:, :2], axis=0)
    print(f"\nmedians: one {one:.3f} s, two {two:.3f} s, ratio {seconds:.2f}")
    print(f"of a core: one {busy:.3f} s, each of two {busy_of_two:.3f} s, ratio {of_core:.2f}")
    n_bytes = 3 * 4 * n_rows + n_weights
    print(
        f"sent by a worker per iteration: {ring(n_bytes, 2):,.0f} bytes from the shapes "
        f"(summaries of {n_rows:,} simulations, {n_weights // 4:,.0f} weights), "
        f"{exchanged:,.0f} by its sockets"
    )
    scaling(busy, n_rows, n_weights)
