"""Neural posteriors of mean and variance of a Gaussian beside the exact ones.

    python tests/benchmarks/amortised.py [--observations N] [--simulations N] [--bayesflow]

Prints the seconds of training and of 1,000 draws for each of 1,000 observations, and the mean
accuracy of the classifier of `sbibm` (C2ST, 0.5 is perfect). Needs scikit-learn. With --bayesflow
the default workflow of BayesFlow learns from the same pairs for 20 epochs (``KERAS_BACKEND`` must
be tensorflow).
"""

import argparse
import time

import numpy as np
from sbibm import c2st

from imnn_lab import LFI, handover, problems
from imnn_lab.inference import Uniform

PRIOR = Uniform([-3, 0.1], [3, 5])
DRAWS = 1000


def estimates(data):
    return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)


def exact(data, n, seed):
    """Draw n from the posterior of one observation, on a fine grid of mean and variance."""
    rng, (low, high) = np.random.default_rng(seed), PRIOR.bounds
    cell = (high - low) / 1000
    μ, Σ = (a + c * (np.arange(1000) + 0.5) for a, c in zip(low, cell, strict=True))
    χ2 = ((data - data.mean()) ** 2).sum() + len(data) * (data.mean() - μ[:, None]) ** 2
    log_p = -0.5 * χ2 / Σ - 0.5 * len(data) * np.log(Σ)
    ends = np.cumsum(np.exp(log_p - log_p.max()))
    i, j = np.divmod(np.searchsorted(ends, ends[-1] * rng.random(n)), 1000)
    return np.stack([μ[i], Σ[j]], axis=1) + cell * (rng.random((n, 2)) - 0.5)


def timed(name, function):
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name}: {wall:.1f} s, of processors {cpu:.1f} s", flush=True)
    return result


def accuracies(name, observed, drawn, n_observations):
    values = [c2st(exact(observed[i], DRAWS, i), drawn[i]) for i in range(n_observations)]
    print(
        f"{name}: C2ST of {n_observations}: mean {np.mean(values):.3f}, largest {max(values):.3f}"
    )


def of_bayesflow(draws, targets):
    """Train BayesFlow's default on pairs; return draws, shape (n_targets, DRAWS, 2)."""
    from bayesflow import BasicWorkflow

    data, adapter = handover.to_bayesflow(PRIOR, draws, labels=["μ", "Σ"])
    workflow = BasicWorkflow(adapter=adapter)
    timed("BayesFlow, training", lambda: workflow.fit_offline(data, epochs=20, verbose=0))
    conditions = {"summaries": targets.astype(data["summaries"].dtype)}
    drawn = timed(
        f"BayesFlow, {DRAWS:,} draws for {len(targets):,} observations",
        lambda: workflow.sample(conditions=conditions, num_samples=DRAWS, batch_size=100),
    )
    return np.concatenate([drawn["μ"], drawn["Σ"]], axis=-1)


def main(n_observations, simulations, beside):
    problem = problems.gaussian()
    θ = PRIOR.sample(max(n_observations, 1000), 5)
    observed = problem.simulator(θ, 6)
    arguments = (observed, PRIOR, problem.F, estimates, problem.simulator)
    NP = LFI.NeuralPosterior(*arguments, seed=1, verbose=False)
    timed(f"{simulations:,} simulations and training", lambda: NP.train(simulations))
    drawn = timed(f"{DRAWS:,} draws for {len(θ):,} observations", lambda: NP.sample(DRAWS, rng=1))
    accuracies("NeuralPosterior", observed, drawn, n_observations)
    if beside:
        drawn = of_bayesflow(NP.draws, estimates(observed))
        accuracies("BayesFlow", observed, drawn, n_observations)
    twice = [exact(data, 2 * DRAWS, i) for i, data in enumerate(observed[: min(n_observations, 5)])]
    floor = np.mean([c2st(θ[:DRAWS], θ[DRAWS:]) for θ in twice])
    print(f"C2ST of {len(twice)} exact posteriors with themselves: mean {floor:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observations", type=int, default=200)
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--bayesflow", action="store_true")
    options = parser.parse_args()
    main(options.observations, options.simulations, options.bayesflow)
