"""Classifier two-sample tests (C2ST) on tasks of the benchmark sbibm (Lueckmann et al. 2021).

    python tests/benchmarks/sbibm.py FOLDER [--tasks NAME ...] [--simulations N ...]

FOLDER has, for each task and observation, ``<task>/<i>/observation.csv`` and
``reference_posterior_samples.csv.bz2``, as the benchmark's repository has them. Estimates are the
raw data; budgets include every simulation. PMC is run for each observation, the others once for
all. 0.5 is perfect. Needs scikit-learn, which nothing else here does.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from imnn_lab import LFI
from imnn_lab.inference import Uniform

SIZE = 3000  # draws compared with as many of the reference
PUBLISHED = {  # best neural method of the paper, 10³, 10⁴ and 10⁵ simulations
    "two_moons": (0.643, 0.554, 0.530),
    "gaussian_mixture": (0.697, 0.583, 0.533),
}


def two_moons(θ, seed):
    rng, n = np.random.default_rng(seed), len(θ)
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    moon = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
    return moon + np.stack([-np.abs(θ.sum(axis=1)), θ[:, 1] - θ[:, 0]], axis=1) / np.sqrt(2)


def gaussian_mixture(θ, seed):
    rng = np.random.default_rng(seed)
    sd = np.where(rng.random(len(θ)) < 0.5, 1.0, 0.1)
    return θ + sd[:, None] * rng.standard_normal(θ.shape)


TASKS = {
    "two_moons": (two_moons, Uniform([-1, -1], [1, 1])),
    "gaussian_mixture": (gaussian_mixture, Uniform([-10, -10], [10, 10])),
}


def identity(data):
    return data


def c2st(reference, drawn):
    """Return the accuracy of the paper's classifier, cross-validated in 5 folds."""
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    mean, sd, p = reference.mean(axis=0), reference.std(axis=0, ddof=1), reference.shape[1]
    data = (np.concatenate([reference, drawn]) - mean) / sd
    labels = np.repeat([0, 1], [len(reference), len(drawn)])
    classifier = MLPClassifier((10 * p, 10 * p), max_iter=1000, random_state=1)
    folds = KFold(5, shuffle=True, random_state=1)
    return cross_val_score(classifier, data, labels, cv=folds).mean()


def observations(folder):
    """Return the observation and the reference draws of each number in a folder."""
    numbers = sorted(path for path in folder.iterdir() if path.is_dir())
    read = {"delimiter": ",", "skiprows": 1}
    return [
        (
            np.loadtxt(path / "observation.csv", **read),
            np.loadtxt(path / "reference_posterior_samples.csv.bz2", **read),
        )
        for path in numbers
    ]


def neural(arguments, n, observed):
    NP = LFI.NeuralPosterior(observed, *arguments, seed=1, verbose=False)
    NP.train(n)
    return list(NP.sample(SIZE))


def abc_adjusted(arguments, n, observed):
    ABC = LFI.ApproximateBayesianComputation(observed, *arguments, seed=1, verbose=False)
    ABC(n)
    ABC.accept_reject(nearest=max(100, n // 100))
    drawn = [posterior.sample(SIZE, rng=2) for posterior in ABC.samples(adjust=True)]
    return [np.clip(θ, ABC.prior.low, ABC.prior.high) for θ in drawn]


def pmc(arguments, n, observed):
    drawn = []
    for one in observed:
        PMC = LFI.PopulationMonteCarlo(one[None], *arguments, seed=1, verbose=False)
        options = {"initial_draws": n // 5, "criterion": 0.0, "max_simulations": n}
        PMC(draws=max(50, n // 100), **options)
        drawn.append(PMC.sample(SIZE, rng=2)[0])
    return drawn


METHODS = {"NeuralPosterior": neural, "PMC": pmc, "ABC, adjusted": abc_adjusted}


def report(folder, names, budgets):
    print("task, method, simulations: mean C2ST (of each observation), seconds without C2ST")
    for name in names:
        simulator, prior = TASKS[name]
        cases = observations(folder / name)
        observed = np.stack([observation for observation, _ in cases])
        for n in budgets:
            for method, function in METHODS.items():
                started = time.perf_counter()
                drawn = function((prior, np.eye(2), identity, simulator), n, observed)
                seconds = time.perf_counter() - started
                pairs = zip(cases, drawn, strict=True)
                values = [c2st(reference[:SIZE], θ) for (_, reference), θ in pairs]
                each = ", ".join(f"{value:.3f}" for value in values)
                print(
                    f"{name:17} {method:16} {n:8,}: {np.mean(values):.3f} ({each}), {seconds:.0f}"
                )
        best = ", ".join(f"{value:.3f}" for value in PUBLISHED[name])
        print(f"{name:17} best published, 10³, 10⁴, 10⁵: {best}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--simulations", nargs="+", type=int, default=[1000, 10_000])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    report(options.folder, options.tasks, options.simulations)
