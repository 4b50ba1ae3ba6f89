"""Classifier two-sample tests (C2ST) on tasks of the benchmark sbibm (Lueckmann et al. 2021).

    python tests/benchmarks/sbibm.py FOLDER [--tasks NAME ...] [--methods NAME ...]
        [--simulations N ...] [--observations I ...] [--draws N]

FOLDER has, for each task and observation, ``<task>/<i>/observation.csv`` (``observation_raw.csv``)
and ``reference_posterior_samples.csv.bz2``, as the benchmark's repository has them, and
``bernoulli_glm_raw/design_matrix.csv``. Budgets include every simulation, those of training too.
PMC, and what learns in rounds, have the budget for each observation, the others once for all. 0.5
is perfect. Needs scikit-learn, which nothing else here does.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import stats

from imnn_lab import IMNN, LFI, networks
from imnn_lab.inference import TruncatedNormal, Uniform, as_prior

PAIRS_OF_GA = 0.1  # part of the training set
READ = {"delimiter": ",", "skiprows": 1}
METHODS = {}
PUBLISHED = {  # Lueckmann et al. 2021, mean of ten observations, 10³, 10⁴ and 10⁵ simulations
    "gaussian_linear": {
        "REJ-ABC": (0.913, 0.858, 0.802), "SMC-ABC": (0.922, 0.829, 0.726),
        "SMC-ABC, adjusted": (0.857, 0.806, 0.691), "best neural": (0.628, 0.536, 0.506),
    },
    "gaussian_linear_uniform": {
        "REJ-ABC": (0.977, 0.948, 0.909), "SMC-ABC": (0.968, 0.928, 0.794),
        "SMC-ABC, adjusted": (0.868, 0.883, 0.694), "best neural": (0.631, 0.527, 0.506),
    },
    "gaussian_mixture": {
        "REJ-ABC": (0.883, 0.789, 0.772), "SMC-ABC": (0.799, 0.746, 0.664),
        "SMC-ABC, adjusted": (0.759, 0.743, 0.676), "best neural": (0.697, 0.583, 0.533),
    },
    "two_moons": {
        "REJ-ABC": (0.960, 0.847, 0.664), "SMC-ABC": (0.922, 0.707, 0.663),
        "SMC-ABC, adjusted": (0.883, 0.784, 0.682), "best neural": (0.643, 0.554, 0.530),
    },
    "bernoulli_glm_raw": {
        "REJ-ABC": (0.995, 0.984, 0.966), "SMC-ABC": (0.990, 0.959, 0.943),
        "SMC-ABC, adjusted": (0.999, 0.997, 0.871), "best neural": (0.870, 0.658, 0.552),
    },
}  # fmt: skip


def two_moons(θ, seed):
    rng, n = np.random.default_rng(seed), len(θ)
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    moon = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
    return moon + np.stack([-np.abs(θ.sum(axis=1)), θ[:, 1] - θ[:, 0]], axis=1) / np.sqrt(2)


def gaussian_mixture(θ, seed):
    rng = np.random.default_rng(seed)
    sd = np.where(rng.random(len(θ)) < 0.5, 1.0, 0.1)
    return θ + sd[:, None] * rng.standard_normal(θ.shape)


def gaussian_linear(θ, seed):
    return θ + np.sqrt(0.1) * np.random.default_rng(seed).standard_normal(θ.shape)


class Bernoulli:
    """Spikes in 100 bins, with probability sigmoid(V·θ); θ is an offset and a filter of nine.

    The same seed gives the same uniform numbers, so that pairs are matched.
    """

    def __init__(self, design):
        self.V = np.asarray(design)

    def __call__(self, θ, seed):
        probability = 1 / (1 + np.exp(-θ @ self.V.T))
        return (np.random.default_rng(seed).random(probability.shape) < probability).astype(float)


def smooth_normal():
    """Return the prior N(0, 2) of the offset and N(0, (AᵀA)⁻¹) of the filter (task T.5)."""
    A = np.diag(1 + np.sqrt(np.arange(9) / 9)) - 2 * np.eye(9, k=-1) + np.eye(9, k=-2)
    covariance = np.zeros((10, 10))
    covariance[0, 0], covariance[1:, 1:] = 2, np.linalg.inv(A.T @ A)
    return stats.multivariate_normal(np.zeros(10), covariance)


def bernoulli_glm_raw(folder):
    design = np.loadtxt(folder / "bernoulli_glm_raw" / "design_matrix.csv", delimiter=",")
    return Bernoulli(design), smooth_normal()


def normal(folder):
    return gaussian_linear, TruncatedNormal(np.zeros(10), np.full(10, np.sqrt(0.1)))


TASKS = {  # to a simulator and a prior
    "two_moons": lambda folder: (two_moons, Uniform([-1, -1], [1, 1])),
    "gaussian_mixture": lambda folder: (gaussian_mixture, Uniform([-10, -10], [10, 10])),
    "gaussian_linear": normal,
    "gaussian_linear_uniform": lambda folder: (gaussian_linear, Uniform([-1] * 10, [1] * 10)),
    "bernoulli_glm_raw": bernoulli_glm_raw,
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


def observations(folder, numbers):
    """Return the observation and the reference draws of each number in a folder."""
    paths = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda path: int(path.name))
    paths = [path for path in paths if numbers is None or int(path.name) in numbers]
    cases = []
    for path in paths:
        file = path / "observation_raw.csv"
        file = file if file.exists() else path / "observation.csv"
        reference = np.loadtxt(path / "reference_posterior_samples.csv.bz2", **READ)
        cases.append((np.loadtxt(file, **READ), reference))
    return cases


def raw(simulator, prior, observed):
    """Return the arguments of inference whose estimates are the data."""
    n_params = as_prior(prior).n_params
    return observed, prior, np.eye(n_params), identity, simulator


def split(budget, n_params, part):
    """Return n_s and n_d of a training set, of which `part` are pairs."""
    n_d = max(2, round(part * budget / (2 * n_params)))
    return budget - 2 * n_params * n_d, n_d


def trained(simulator, prior, budget, observed, part):
    """Return the arguments of inference with a linear IMNN at the prior's mean.

    `part` of the budget is for matched pairs, at least two for each parameter, one prior's standard
    deviation apart; the rest is at the fiducial. Differences of additive noise need few pairs,
    those of binary values need most of the budget. A linear network is solved in closed form, so
    that none is left for validation.
    """
    prior = as_prior(prior)
    θ = prior.sample(10_000, 0)
    fiducial, δ, p = θ.mean(axis=0).round(1), θ.std(axis=0), prior.n_params
    n_s, n_d = split(budget, p, part)
    at_fiducial = simulator(np.tile(fiducial, (n_s, 1)), 1)
    steps = δ * np.stack([-0.5 * np.eye(p), 0.5 * np.eye(p)])
    pairs = [[simulator(np.tile(fiducial + s, (n_d, 1)), 2) for s in side] for side in steps]
    derivative = np.moveaxis(np.array(pairs), 2, 0)
    shape = at_fiducial.shape[1:]
    imnn = IMNN(
        n_s, n_d, p, p, fiducial, δ, shape, at_fiducial, derivative,
        model=networks.linear(shape, p), verbose=False, seed=1,
    )  # fmt: skip
    return observed, prior, imnn.F, imnn.get_estimate, simulator


def method(name):
    def added(function):
        METHODS[name] = function
        return function

    return added


@method("GA, IMNN")
def gaussian_imnn(simulator, prior, n, observed, draws):
    *arguments, _ = trained(simulator, prior, n, observed, PAIRS_OF_GA)
    GA = LFI.GaussianApproximation(*arguments, seed=1)
    return [posterior.parameters for posterior in GA.samples(draws)]


def floor_of_gaussian(observation, reference, n, repeats=30):
    """Return the accuracy of the best classifier where only the covariance C is not exact.

    C is that of as many simulations as GA has at the fiducial, N(0, 0.1), and estimates are the
    data: so the accuracy is ½ + ½ E max(0, 1 − r) over the exact posterior, with the ratio r of
    the likelihoods normalised there. Mean over `repeats` of C.
    """
    Δ, rng = reference - observation, np.random.default_rng(1)
    (_, p), n_s = Δ.shape, split(n, Δ.shape[1], PAIRS_OF_GA)[0]
    accuracies = []
    for _ in range(repeats):
        C = np.cov(gaussian_linear(np.zeros((n_s, p)), rng).T)
        surplus = np.linalg.inv(C) - np.eye(p) / 0.1
        ratio = np.exp(-0.5 * np.einsum("ni,ij,nj->n", Δ, surplus, Δ))
        accuracies.append(0.5 + 0.5 * np.clip(1 - ratio / ratio.mean(), 0, None).mean())
    return np.mean(accuracies)


def neural(arguments, n, draws, rounds=1):
    NP = LFI.NeuralPosterior(*arguments, seed=1, verbose=False)
    NP.train(n, rounds=rounds)
    return list(NP.sample(draws))


@method("NeuralPosterior")
def neural_raw(simulator, prior, n, observed, draws):
    return neural(raw(simulator, prior, observed), n, draws)


@method("NeuralPosterior, IMNN")
def neural_imnn(simulator, prior, n, observed, draws):
    spent = max(n // 5, 200)
    return neural(trained(simulator, prior, spent, observed, 0.9), n - spent, draws)


@method("NP in 4 rounds, IMNN")
def neural_rounds_imnn(simulator, prior, n, observed, draws):
    spent = max(n // 5, 200)
    _, *others = trained(simulator, prior, spent, observed, 0.9)
    return [neural((one[None], *others), n - spent, draws, 4)[0] for one in observed]


def rejection(simulator, prior, n, observed, draws, adjust):
    ABC = LFI.ApproximateBayesianComputation(
        *raw(simulator, prior, observed), seed=1, verbose=False
    )
    ABC(n)
    ABC.accept_reject(nearest=max(100, n // 100))
    return [posterior.sample(draws, rng=2) for posterior in ABC.samples(adjust=adjust)]


@method("ABC")
def abc(*arguments):
    return rejection(*arguments, False)


@method("ABC, adjusted")
def abc_adjusted(*arguments):
    return rejection(*arguments, True)


def population(simulator, prior, n, observed, draws, adjust):
    drawn = []
    for one in observed:
        PMC = LFI.PopulationMonteCarlo(*raw(simulator, prior, one[None]), seed=1, verbose=False)
        PMC(max_simulations=n)
        drawn.append(PMC.samples(adjust=adjust)[0].sample(draws, rng=2))
    return drawn


@method("PMC")
def pmc(*arguments):
    return population(*arguments, False)


@method("PMC, adjusted")
def pmc_adjusted(*arguments):
    return population(*arguments, True)


def suits(name, task):
    """Return whether a method takes the data of a task as it is."""
    return task != "bernoulli_glm_raw" or "IMNN" in name


def show(task, name, n, values, more=""):
    each = ", ".join(f"{value:.3f}" for value in values)
    print(f"{task:24} {name:22} {n:8,}: {np.mean(values):.3f} ({each}){more}", flush=True)


def report(options):
    print(f"Mean C2ST (of each observation), seconds without C2ST; {options.draws} draws")
    for task in options.tasks:
        simulator, prior = TASKS[task](options.folder)
        cases = observations(options.folder / task, options.observations)
        observed = np.stack([observation for observation, _ in cases])
        for name in options.methods or [m for m in METHODS if suits(m, task)]:
            for n in options.simulations:
                started = time.perf_counter()
                try:
                    drawn = METHODS[name](simulator, prior, n, observed, options.draws)
                except ValueError as error:
                    print(f"{task:24} {name:22} {n:8,}: refused: {error}", flush=True)
                    continue
                seconds = time.perf_counter() - started
                pairs = zip(cases, drawn, strict=True)
                values = [c2st(reference[: options.draws], θ) for (_, reference), θ in pairs]
                show(task, name, n, values, f", {seconds:.0f} s")
                if name.startswith("GA") and simulator is gaussian_linear:
                    floors = [floor_of_gaussian(*case, n) for case in cases]
                    show(task, "GA, floor by C", n, floors)
        for name, values in PUBLISHED[task].items():
            numbers = ", ".join(f"{value:.3f}" for value in values)
            print(f"{task:24} {name:22} published, 10³, 10⁴, 10⁵: {numbers}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--simulations", nargs="+", type=int, default=[1000, 10_000])
    parser.add_argument("--observations", nargs="+", type=int)
    parser.add_argument("--draws", type=int, default=3000)
    warnings.simplefilter("ignore")
    report(parser.parse_args())
