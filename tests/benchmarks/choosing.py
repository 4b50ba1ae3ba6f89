"""What model=None keeps of the exact Fisher information of each problem, and how long it takes.

    python tests/benchmarks/choosing.py [NAME ...]

For each problem: the table of candidates from 1,000 matched simulations of each kind for training
and as many for validation, the seconds, and det F / exact on fresh simulations, untrained. Asked:
≥ .95 (the lognormal field ≥ .85), and at most 20 seconds for a million numbers.
"""

import sys
import time

from imnn_lab import IMNN, networks, problems

NAMES = (
    "gaussian", "autoregressive", "field_2d", "sine", "blob", "poisson_blob", "bivariate_normal",
    "mixture", "gaussian_process", "lognormal_field",
)  # fmt: skip
SIZE, FRESH = 1000, (4000, 1000)


def report(name):
    problem = getattr(problems, name)()
    sets = [x.astype("float32") for seed in (1, 2) for x in problem.training_set(SIZE, SIZE, seed)]
    fresh = [x.astype("float32") for x in problem.training_set(*FRESH, 3)]
    started = time.perf_counter()
    choice = networks.choose(*sets, δθ=problem.δθ, seed=1, verbose=False)
    seconds, numbers = time.perf_counter() - started, sum(x.size for x in sets)
    print(f"\n{name}: {numbers / 1e6:.1f} million numbers, {seconds:.1f} s\n{choice}")
    p = problem.n_params
    imnn = IMNN(
        SIZE, SIZE, p, p, problem.θ_fid, problem.δθ, problem.input_shape, *sets,
        model=choice.model, seed=1, verbose=False,
    )  # fmt: skip
    share = imnn.evaluate(*fresh).det_F / problem.det_F
    print(f"det F / exact on fresh simulations: {share:.3f}", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        report(name)
