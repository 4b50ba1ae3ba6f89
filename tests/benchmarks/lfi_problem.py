"""The problem that inference is timed on: two parameters, their noisy estimates, a flat prior."""

import time

import numpy as np

from imnn_lab import LFI
from imnn_lab.inference import Uniform

F = np.array([[10.0, 3.0], [3.0, 5.0]])
ROOT = np.linalg.inv(np.linalg.cholesky(F)).T
TARGETS = np.array([[0.3, -0.2], [-1.0, 1.0]])


def simulate(parameters, seed):
    noise = np.random.default_rng(seed).standard_normal(parameters.shape)
    return parameters + noise @ ROOT.T


def identity(data):
    return data


def slow(parameters, seed):
    """Ten milliseconds a simulation."""
    time.sleep(0.01 * len(parameters))
    return simulate(parameters, seed)


def inference(kind, n_targets=1, simulator=simulate, **options):
    prior = Uniform([-4, -4], [4, 4])
    return kind(
        TARGETS[:n_targets], prior, F, identity, simulator, seed=0, verbose=False, **options
    )


def abc():
    ABC = inference(LFI.ApproximateBayesianComputation)
    ABC(1_000_000)
    ABC.accept_reject(0.5)
    return {"simulations": ABC.num_draws, "accepted": int(ABC.num_accepted[0])}


def pmc(draws=1000, criterion=0.01, n_targets=1, percentile=75.0):
    PMC = inference(LFI.PopulationMonteCarlo, n_targets)
    PMC(draws, 2 * draws, criterion, percentile)
    (first, *_) = PMC.samples()
    widening = 1 + PMC.ε[0] ** 2 / 4
    return {
        "simulations": int(PMC.num_draws.sum()),
        "effective": float(PMC.effective_samples.sum()),
        "epsilon": float(PMC.ε[0]),
        "variance": float(np.trace(F @ first.covariance) / 2 / widening),
    }
