"""The demonstration: simulate, train, compress an observation, infer, compare with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import LFI, networks, problems, storage
from imnn_lab.demo.problems import CASES
from imnn_lab.figures import Panels, corner, draw, fisher, training_curves
from imnn_lab.imnn import IMNN
from imnn_lab.inference import Posterior, Uniform
from imnn_lab.inference.exact import exact_posterior
from imnn_lab.problems import Problem
from imnn_lab.progress import tqdm_class


def demo(name: str, output: str, seed: int) -> None:
    """Run a demonstration and write its results.

    Parameters
    ----------
    name : str
        A key of `CASES`.
    output : str
        Directory that results are written to; files of an earlier demonstration are replaced.
    seed : int
        Seed of the simulations and of the network.
    """
    case = CASES[name]
    problem = case.make()
    observation = case.observation(problem, seed)
    story = f"The problem {name!r}: {case.words}."
    print(story)
    sets = [
        problem.training_set(case.n_s, case.n_s, seed=2 * seed + i)
        for i in tqdm_class()(range(2), desc="simulating", unit="set")
    ]
    print(f"{case.n_s} matched simulations for training, and {case.n_s} for validation.")
    imnn = trained(problem, sets, seed)
    report = comparison(imnn, problem, observation)
    print(report)
    results = posteriors(imnn, problem, observation, case.prior, seed)
    listed = table(results)
    print(f"\n{listed}")
    directory = Path(output)
    trust = imnn.report(labels=problem.labels, known_fisher=problem.F)
    print(f"\n{trust}\n")
    text = f"{story}\n\n{report}\n\n{listed}\n\n{trust}\n"
    _write(directory, imnn, text, _figures(imnn, problem, observation, results), results)
    trust.save(directory / "report.html")
    print(f"The saved network, its history and figures are in {directory}{'/'}")


def trained(problem: Problem, sets: list[tuple[np.ndarray, np.ndarray]], seed: int) -> IMNN:
    """Return an IMNN trained on the first of two sets and validated on the second."""
    make = getattr(networks, problem.network)
    (fiducial, derivative), (validation_fiducial, validation_derivative) = sets
    values = zip(problem.θ_fid, problem.δθ, strict=True)
    imnn = IMNN(
        parameters=dict(zip(problem.labels, values, strict=True)),
        fiducial=fiducial,
        derivative=derivative,
        validation_fiducial=validation_fiducial,
        validation_derivative=validation_derivative,
        model=make(problem.input_shape, problem.n_params, seed=seed),
        seed=seed,
    )
    print(f"{problem.network} network, last layer in closed form: {imnn.validation}")
    run = imnn.fit(40, patience=20)
    print(f"Training ended after {run.iteration} iterations: {run.reason}.")
    return imnn


def comparison(imnn: IMNN, problem: Problem, observation: np.ndarray) -> str:
    """Return a table of the estimate beside the exact maximum-likelihood estimate."""
    estimate = imnn.get_estimate(observation.astype("float32"))
    exact = problems.maximum_likelihood(problem, observation)
    error, exact_error = (np.sqrt(np.diag(m)) for m in (imnn.Finv, np.linalg.inv(problem.F)))
    rows = [f"{'':16}{'IMNN':>22}{'exact likelihood':>24}"]
    for i, label in enumerate(problem.labels):
        ours = f"{estimate[i]:.4g} ± {error[i]:.2g}"
        theirs = f"{exact[i]:.4g} ± {exact_error[i]:.2g}"
        rows.append(f"{label:16}{ours:>22}{theirs:>24}")
    rows.append(f"{'det F':16}{imnn.statistics.det_F:>22.4g}{problem.det_F:>24.4g}")
    fraction = imnn.statistics.det_F / problem.det_F
    rows.append(
        f"The network keeps {fraction:.0%} of the exact det F at the fiducial parameters, "
        f"an error {fraction ** (-0.5 / problem.n_params) - 1:+.1%} per parameter."
    )
    return "\n".join(rows)


def posteriors(
    imnn: IMNN, problem: Problem, observation: np.ndarray, prior: Uniform, seed: int
) -> dict[str, Posterior]:
    """Return the posteriors of an observation by Gaussian approximation, ABC, PMC and exactly."""

    def get_estimate(data: np.ndarray) -> np.ndarray:
        return imnn.get_estimate(data.astype(imnn.settings.dtype))

    arguments = (observation[None], prior, imnn.F, get_estimate)
    GA = LFI.GaussianApproximation(*arguments, problem.labels, seed=seed)
    ABC = LFI.ApproximateBayesianComputation(
        *arguments, problem.simulator, problem.labels, seed=seed
    )
    ABC.ABC(40_000)
    ABC.accept_reject(nearest=500)
    PMC = LFI.PopulationMonteCarlo(*arguments, problem.simulator, problem.labels, seed=seed)
    PMC.PMC(1000, 4000, 0.05, max_simulations=60_000)
    exact = exact_posterior(problem, observation, prior, seed)
    return {
        "Gaussian approximation": GA.samples(20_000)[0],
        "ABC, adjusted": ABC.samples(adjust=True)[0],
        "PMC": PMC.samples()[0],
        "exact": exact,
    }


def table(results: Mapping[str, Posterior]) -> str:
    """Return mean ± standard deviation of each parameter by each method, as text."""
    labels = next(iter(results.values())).labels
    rows = [f"{'posterior':24}" + "".join(f"{label:>24}" for label in labels)]
    for name, posterior in results.items():
        cells = [f"{m:.4g} ± {s:.2g}" for m, s in zip(posterior.mean, posterior.sd, strict=True)]
        note = f"   ({posterior.effective_samples:.0f} effective samples)"
        rows.append(f"{name:24}" + "".join(f"{cell:>24}" for cell in cells) + note)
    return "\n".join(rows)


def _corner(results: Mapping[str, Posterior]) -> Panels:
    """Describe a corner figure of the posteriors over each other."""
    exact = results["exact"]
    spread = [(m - 4.5 * s, m + 4.5 * s) for m, s in zip(exact.mean, exact.sd, strict=True)]
    return corner(results, exact.labels, ranges=spread, bins=30, smoothing=1.0)


def _figures(
    imnn: IMNN, problem: Problem, observation: np.ndarray, results: Mapping[str, Posterior]
) -> dict[str, Any]:
    estimate = imnn.get_estimate(observation.astype("float32"))
    exact = problems.maximum_likelihood(problem, observation)
    matrices = {"IMNN": imnn.F, "exact": problem.F}
    return {
        "training": draw(training_curves(imnn.history, known_det_fisher=problem.det_F)),
        "fisher": draw(fisher(matrices, [estimate, exact], list(problem.labels))),
        "posteriors": draw(_corner(results)),
    }


def _write(
    directory: Path,
    imnn: IMNN,
    report: str,
    figures: Mapping[str, Any],
    results: Mapping[str, Posterior],
) -> None:
    imnn.save(directory / "imnn", overwrite=True)
    with storage.aside(directory / "report.txt") as path:
        path.write_text(report, encoding="utf-8")
    columns, _ = imnn.history.read()
    with storage.aside(directory / "history.csv") as path:
        table = np.stack(list(columns.values()), axis=1)
        np.savetxt(
            path, table, delimiter=",", header=",".join(columns), comments="", encoding="utf-8"
        )
    for name, posterior in results.items():
        posterior.to_npz(directory / f"posterior-{name.split(',')[0].replace(' ', '-')}.npz")
    for name, figure in figures.items():
        for suffix in ("png", "pdf"):
            with storage.aside(directory / f"{name}.{suffix}") as path:
                figure.savefig(path, dpi=150)
