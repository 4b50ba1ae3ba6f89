"""How much of the exact Fisher information the default recipe keeps, and how soon.

    python tests/benchmarks/information.py

For each case and seed (of the data and of the network): seconds to build, the best validation
det F within 5 seconds from a built object, compilation included, and det F on fresh simulations
of the network as built (warm start) and as trained. Asked of the Gaussian problem (exact det F
50), medians over 5 seeds: validation ≥ 45 within 5 s; fresh ≥ 43 (dense) and ≥ 47 (deep_set),
of the warm start alone ≥ 42 and ≥ 46; of the others ≥ 0.95 (slope), 0.65 (field) and 0.80
(nile) of the exact det F.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np

from imnn_lab import IMNN, networks, problems, tensorflow_import


class Case(NamedTuple):
    """A problem, the network that suits it, and sizes of the sets."""

    problem: problems.Problem
    network: str
    input_shape: tuple[int, ...]
    n: int
    n_fresh: int


CASES = {
    "gaussian dense": Case(problems.gaussian(), "dense", (10,), 1000, 50_000),
    "gaussian deep_set": Case(problems.gaussian(), "deep_set", (10, 1), 1000, 50_000),
    "slope": Case(problems.slope(), "dense", (100,), 1000, 20_000),
    "field": Case(problems.field_2d(), "convolutional", (16, 16, 1), 2000, 4_000),
    "nile": Case(problems.autoregressive(), "convolutional", (100, 1), 1000, 10_000),
}
COLUMNS = ("s to build", "val at 0", "val in time", "fresh as built", "fresh trained", "iterations")


def shaped(data, case):
    leading = data.ndim - len(case.problem.input_shape)
    return data.reshape(*data.shape[:leading], *case.input_shape).astype("float32")


def sets(case, n_s, n_d, seed):
    return [shaped(data, case) for data in case.problem.training_set(n_s, n_d, seed)]


def fit_for(imnn, seconds):
    """Train for some seconds from now, compilation included."""
    end = time.perf_counter() + seconds

    def stop_in_time(run):
        if time.perf_counter() > end:
            run.stop()

    imnn.fit(1_000_000, callback=stop_in_time)


def measure(case, seed, seconds):
    """Return the figures of one seed, in the order of COLUMNS; det F as a share of the exact."""
    problem, p = case.problem, case.problem.n_params
    data = sets(case, case.n, case.n, 10 * seed) + sets(case, case.n, case.n, 10 * seed + 1)
    fresh = sets(case, case.n_fresh, case.n_fresh // 4, 10 * seed + 2)
    started = time.perf_counter()
    model = getattr(networks, case.network)(case.input_shape, p, seed=seed)
    imnn = IMNN(
        case.n, case.n, p, p, problem.θ_fid, problem.δθ, case.input_shape, *data, model=model,
        seed=seed, verbose=False,
    )  # fmt: skip
    construction = time.perf_counter() - started
    built, untrained = imnn.evaluate(*fresh).det_F, imnn.validation.det_F
    fit_for(imnn, seconds)
    history = imnn.history
    best = history["val_det_F"][history["seconds"] <= seconds].max()
    shares = np.array([untrained, best, built, imnn.evaluate(*fresh).det_F]) / problem.det_F
    return [construction, *shares, len(history) - 1]


def report(name, case, seeds, seconds):
    exact = case.problem.det_F
    print(f"\n{name}: exact det F {exact:.6g}, n_s = n_d = {case.n}, {case.n_fresh} fresh")
    print("  seed  " + "".join(f"{column:>16s}" for column in COLUMNS))
    rows = [measure(case, seed, seconds) for seed in seeds]
    for label, row in [*zip(seeds, rows, strict=True), ("median", np.median(rows, axis=0))]:
        print(f"  {label!s:6s}" + "".join(f"{value:16.3f}" for value in row), flush=True)
    median = exact * np.median(rows, axis=0)[1:5]
    print("  median det F    " + "  ".join(f"{value:.5g}" for value in median), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of training")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    tensorflow_import.import_tensorflow()
    for name in given.cases:
        report(name, CASES[name], range(1, given.seeds + 1), given.seconds)


if __name__ == "__main__":
    main()
