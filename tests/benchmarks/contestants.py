"""One contestant, in a process of its own: `python contestants.py NAME DATA --seed 1`.

Prints its figures as one line of JSON. The data are a file with the four arrays of the Gaussian
problem, so that all contestants see the same. Each runs as its users would run it, but without a
progress bar. The network is Dense 128, LeakyReLU 0.01, twice, and Dense 2, the optimiser Adam with
1e-3, λ = 10 and ε = 0.1, for all but `imnn_lab_recipe`, which is the default recipe:
`networks.dense` and the default optimiser. `products` is no contestant but the bound.
"""

import argparse
import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable

import numpy as np

ENOUGH = 40.0
MOST_ITERATIONS = 6_000
UNITS, SLOPE, LEARNING_RATE, λ, ε = 128, 0.01, 1e-3, 10.0, 0.1


class Reached(Exception):
    """Validation det F is what was waited for."""


class Watched(list):
    """A list that notes when each value was appended, and ends the training at a value."""

    def __init__(self, enough=np.inf):
        super().__init__()
        self.enough, self.times = enough, []

    def append(self, value):
        super().append(value)
        self.times.append(time.perf_counter())
        if value >= self.enough:
            raise Reached


def silent():
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "ERROR", "TQDM_DISABLE": "1"}


def leaky_network(keras):
    leaky = [keras.layers.LeakyReLU(SLOPE) for _ in range(2)]
    dense = [keras.layers.Dense(units) for units in (UNITS, UNITS, 2)]
    return keras.Sequential([keras.Input((10,)), dense[0], leaky[0], dense[1], leaky[1], dense[2]])


def imnn_tf(data, seed, iterations, reach):
    """Train with imnn-tf, which runs beside current TensorFlow with its own Keras 2."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    from imnn_tf import IMNN

    tf.keras.utils.set_random_seed(seed)
    times = [time.perf_counter()]
    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), (10,), *data,
        model=leaky_network(tf.keras), optimiser=tf.keras.optimizers.Adam(LEARNING_RATE),
        verbose=False,
    )  # fmt: skip
    times.append(time.perf_counter())

    def fit(n, enough=np.inf):
        seen = imnn.history["val_det_F"] = Watched(enough)
        with contextlib.suppress(Reached):
            imnn.fit(n, λ=λ, ε=ε, tqdm_notebook=False)
        return seen

    seen = fit(MOST_ITERATIONS, ENOUGH) if reach else fit(20)
    times += [seen.times[-1], time.perf_counter()]
    steady = np.median(np.diff(fit(iterations).times))
    return figures(times, seen, steady, reach)


def imnn_lab(data, seed, iterations, reach, recipe=False, warm_start=True):
    """Train with imnn_lab: the same network, or the default recipe."""
    import keras

    from imnn_lab import IMNN, networks

    keras.utils.set_random_seed(seed)
    optimiser = None if recipe else keras.optimizers.Adam(LEARNING_RATE)
    times, reached = [time.perf_counter()], []
    imnn = IMNN(
        *sizes(data), np.array([0.0, 1.0]), np.array([0.1, 0.1]), (10,), *data,
        model=networks.dense((10,), 2, seed=seed) if recipe else leaky_network(keras),
        optimiser=optimiser, verbose=False, warm_start=warm_start,
    )  # fmt: skip
    times.append(time.perf_counter())

    def stop_at_enough(run):
        reached.append(time.perf_counter())
        if imnn.history["val_det_F"].max() >= ENOUGH:
            run.stop()

    imnn.fit(MOST_ITERATIONS if reach else 20, λ, ε, callback=stop_at_enough)
    times += [reached[-1], time.perf_counter()]
    seen, stamps = imnn.history["val_det_F"], []
    imnn.fit(iterations, λ, ε, callback=lambda run: stamps.append((run.next, time.perf_counter())))
    n, seconds = np.diff(stamps, axis=0).T
    return figures(times, seen, np.median(seconds / n), reach)


def products(data, seed, iterations, reach):
    """Time the matrix products of one iteration alone: the bound on what a CPU can do."""
    import tensorflow as tf

    n = data[0].shape[0] + data[1].size // 10
    widths = (10, UNITS, UNITS, 2)
    weights = [tf.Variable(tf.random.normal(shape)) for shape in itertools.pairwise(widths)]
    training, validation = (tf.Variable(tf.random.normal((n, 10))) for _ in range(2))

    def forward(x):
        xs = [tf.convert_to_tensor(x)]
        for weight in weights:
            xs.append(tf.matmul(xs[-1], weight))
        return xs

    @tf.function
    def all_products():
        *xs, gradient = forward(training)
        found = [forward(validation)[-1]]
        for i in (2, 1, 0):
            found.append(tf.matmul(xs[i], gradient, transpose_a=True))
            if i:
                gradient = tf.matmul(gradient, weights[i], transpose_b=True)
        return found

    times = []
    for _ in range(iterations):
        all_products()
        times.append(time.perf_counter())
    return {"seconds_per_iteration": float(np.median(np.diff(times)))}


def sizes(data):
    return len(data[0]), len(data[1]), 2, 2


def figures(times, seen, steady, reach):
    construction, to_40, _ = np.diff(times)
    found = {"seconds_per_iteration": float(steady), "construction": construction}
    if reach:
        found |= {"seconds_to_40": to_40, "in_all": construction + to_40}
        found |= {"iterations_to_40": len(seen), "reached": float(np.max(seen))}
        found["seconds_to_return"] = times[3] - times[1]
    return found


CONTESTANTS: dict[str, Callable] = {
    "imnn_tf": imnn_tf,
    "imnn_lab": imnn_lab,
    "imnn_lab_whitened": lambda *a: imnn_lab(*a, warm_start=False),
    "imnn_lab_recipe": lambda *a: imnn_lab(*a, recipe=True),
    "products": products,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--reach", action="store_true", help="train until det F is 40 first")
    given = parser.parse_args()
    silent()
    with np.load(given.data) as file:
        data = [file[name] for name in file.files]
    print(json.dumps(CONTESTANTS[given.name](data, given.seed, given.iterations, given.reach)))


if __name__ == "__main__":
    main()
