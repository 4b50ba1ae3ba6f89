"""imnn_lab beside imnn-tf 0.2.0, in turn, on the same data and network.

    python -m pip install -e ".[bench]"
    python tests/benchmarks/compare_training.py

Every repetition starts each contestant in a process of its own, one after the other, with the same
seed; medians over the repetitions are printed, and the median of the ratios of neighbours, which
suffers less from other work on the machine. Asked: a time per iteration of at most 0.65 of
imnn-tf's for n_d = 1000 and 0.5 for n_d = 100, and a wall time from a built object to validation
det F 40, compilation included, that is at least 20 times shorter. `products` is the time of the
matrix products alone: no implementation of this network on this machine can be faster.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from imnn_lab import problems

CONTESTANTS = Path(__file__).with_name("contestants.py")
NAMES = ("imnn_tf", "imnn_lab", "imnn_lab_whitened", "imnn_lab_recipe", "products")
ASKED = {1000: 0.65, 100: 0.5}
FIGURES = {
    "seconds_per_iteration": (1e3, "ms an iteration"),
    "construction": (1, "s to build"),
    "seconds_to_40": (1, "s from built to det F 40"),
    "in_all": (1, "s to build and reach it"),
    "seconds_to_return": (1, "s from built to the end of the fit that stops there"),
    "iterations_to_40": (1, "iterations to it"),
}


def one(name, data, seed, iterations, reach):
    """Return the figures of one contestant in a process of its own."""
    command = [sys.executable, CONTESTANTS, name, data, f"--{seed=}", f"--{iterations=}"]
    command += ["--reach"] * reach
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(n_s, n_d, repetitions, iterations, reach, names=NAMES):
    """Return the figures of all contestants, {name: {figure: array (repetitions,)}}."""
    problem = problems.gaussian()
    sets = [array for seed in (1, 2) for array in problem.training_set(n_s, n_d, seed)]
    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data.npz"
        np.savez(data, *sets)
        rows = [
            {name: one(name, data, seed, iterations, reach) for name in names}
            for seed in range(1, repetitions + 1)
        ]
    return {
        name: {figure: np.array([row[name][figure] for row in rows]) for figure in rows[0][name]}
        for name in names
    }


def report(n_s, n_d, found):
    """Print medians, and the ratios to imnn-tf."""
    print(f"\nn_s = {n_s}, n_d = {n_d}: {len(found['imnn_tf']['construction'])} repetitions")
    for figure, (unit, words) in FIGURES.items():
        if figure in found["imnn_tf"]:
            print(f"  {words}")
        for name, figures in found.items():
            if figure not in figures:
                continue
            theirs = found["imnn_tf"][figure]
            mine = figures[figure]
            low, high = unit * mine.min(), unit * mine.max()
            print(
                f"    {name:18s} {unit * np.median(mine):9.3f}  ({low:.3f} to {high:.3f})"
                f"   ratio to imnn_tf {np.median(mine / theirs):.4f}"
            )
    if n_d in ASKED:
        figure = "seconds_per_iteration"
        ratio = np.median(found["imnn_lab"][figure] / found["imnn_tf"][figure])
        print(f"  asked: {ASKED[n_d]} of the time an iteration; found {ratio:.3f}")
    for name in ("imnn_lab", "imnn_lab_recipe") if "seconds_to_40" in found["imnn_tf"] else ():
        faster = np.median(found["imnn_tf"]["seconds_to_40"] / found[name]["seconds_to_40"])
        print(f"  asked: det F 40 reached 20 times sooner; found {faster:.1f} with {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=500, help="timed, after compilation")
    parser.add_argument("--n-d", type=int, nargs="+", default=[1000, 100])
    given = parser.parse_args()
    for n_d in given.n_d:
        # With 100 derivative simulations validation det F does not reach 40.
        found = compare(1000, n_d, given.repetitions, given.iterations, reach=n_d >= 1000)
        report(1000, n_d, found)


if __name__ == "__main__":
    main()
