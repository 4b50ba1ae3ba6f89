"""The demonstration: simulate, train, compress an observation, infer, compare with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from imnn_lab import demo_posteriors, networks, problems, storage
from imnn_lab.cases import CASES
from imnn_lab.figures import curves, ellipses, static, static_curves
from imnn_lab.imnn import IMNN
from imnn_lab.inference import Posterior, Uniform
from imnn_lab.problems import Problem


@dataclass(frozen=True)
class Case:
    """A problem, what was observed, and how hard to work on it."""

    problem: Problem
    observation: np.ndarray
    story: str
    prior: Uniform
    n_s: int
    patience: int = 20
    n_iterations: int = 40


def demo(name: str, output: str, seed: int) -> None:
    """Run a demonstration and write its results.

    Parameters
    ----------
    name : str
        nile, gaussian, slope or field.
    output : str
        Directory that results are written to; files of an earlier demonstration are replaced.
    seed : int
        Seed of the simulations and of the network.
    """
    case = _case(name, seed)
    problem = case.problem
    print(case.story)
    sets = [
        problem.training_set(case.n_s, case.n_s, seed=2 * seed + i)
        for i in tqdm(range(2), desc="simulating", unit="set")
    ]
    print(f"{case.n_s} matched simulations for training, as many for validation.")
    imnn = trained(problem, sets, case, seed)
    report = comparison(imnn, case)
    print(report)
    found = demo_posteriors.posteriors(imnn, problem, case.observation, case.prior, seed)
    posteriors = demo_posteriors.table(found)
    print(f"\n{posteriors}")
    place = Path(output)
    _write(place, imnn, case, f"{report}\n\n{posteriors}", found)
    print(f"The saved network, its history and figures are in {place}{'/'}")


def trained(
    problem: Problem, sets: list[tuple[np.ndarray, np.ndarray]], case: Case, seed: int
) -> IMNN:
    """Return an IMNN trained on the first of two sets and validated on the second."""
    make = getattr(networks, problem.network)
    imnn = IMNN(
        case.n_s, case.n_s, problem.n_params, problem.n_params, problem.θ_fid, problem.δθ,
        problem.input_shape, *sets[0], *sets[1],
        model=make(problem.input_shape, problem.n_params, seed=seed), seed=seed,
    )  # fmt: skip
    print(f"{problem.network} network, last layer in closed form: {imnn.validation}")
    run = imnn.fit(case.n_iterations, patience=case.patience)
    print(f"Training ended after {run.iteration} iterations: {run.reason}.")
    return imnn


def comparison(imnn: IMNN, case: Case) -> str:
    """Return a table of the estimate beside the exact maximum-likelihood estimate."""
    problem = case.problem
    estimate = imnn.get_estimate(case.observation.astype("float32"))
    exact = problems.maximum_likelihood(problem, case.observation)
    error, exact_error = (np.sqrt(np.diag(m)) for m in (imnn.Finv, np.linalg.inv(problem.F)))
    rows = [f"{'':16}{'IMNN':>22}{'exact likelihood':>24}"]
    for i, label in enumerate(problem.labels):
        ours = f"{estimate[i]:.4g} ± {error[i]:.2g}"
        theirs = f"{exact[i]:.4g} ± {exact_error[i]:.2g}"
        rows.append(f"{label:16}{ours:>22}{theirs:>24}")
    rows.append(f"{'det F':16}{imnn.statistics.det_F:>22.4g}{problem.det_F:>24.4g}")
    share = imnn.statistics.det_F / problem.det_F
    rows.append(
        f"The network keeps {share:.0%} of the exact det F at the fiducial parameters, "
        f"an error {share ** (-0.5 / problem.n_params) - 1:+.1%} a parameter."
    )
    return "\n".join(rows)


def _case(name: str, seed: int) -> Case:
    if name == "nile":
        years, flow = problems.nile_flow()
        story = (
            f"The Nile's annual flow at Aswan, {years[0]}-{years[-1]} (10^8 m^3), as a stationary "
            "first-order autoregressive series."
        )
        return Case(problems.autoregressive(), flow[:, None], story, CASES[name].prior, n_s=1000)
    make = {"gaussian": problems.gaussian, "slope": problems.slope, "field": problems.field_2d}
    problem = make[name]()
    observation = problem.simulations(1, seed=10_000 + seed)[0]
    about = (make[name].__doc__ or "").splitlines()[0].removeprefix("Return the problem of ")
    story = f"The problem {name!r}: {about}"
    return Case(problem, observation, story, CASES[name].prior, 2000 if name == "field" else 1000)


def _write(
    place: Path, imnn: IMNN, case: Case, report: str, found: Mapping[str, Posterior]
) -> None:
    imnn.save(place / "imnn")
    with storage.aside(place / "report.txt") as path:
        path.write_text(f"{case.story}\n\n{report}\n", encoding="utf-8")
    columns, _ = imnn.history.read()
    with storage.aside(place / "history.csv") as path:
        table = np.stack(list(columns.values()), axis=1)
        np.savetxt(
            path, table, delimiter=",", header=",".join(columns), comments="", encoding="utf-8"
        )
    problem = case.problem
    estimate = imnn.get_estimate(case.observation.astype("float32"))
    exact = problems.maximum_likelihood(problem, case.observation)
    drawings = {
        "training": static_curves.draw_curves(
            curves.training_curves(imnn.history, known_det_fisher=problem.det_F)
        ),
        "fisher": static.draw(
            ellipses.fisher(
                {"IMNN": imnn.F, "exact": problem.F}, [estimate, exact], list(problem.labels)
            )
        ),
    }
    drawings["posteriors"] = static.draw(demo_posteriors.description(found))
    for name, posterior in found.items():
        posterior.to_npz(place / f"posterior-{name.split(',')[0].replace(' ', '-')}.npz")
    for name, figure in drawings.items():
        for suffix in ("png", "pdf"):
            with storage.aside(place / f"{name}.{suffix}") as path:
                figure.savefig(path, dpi=150)
