"""Calls of public functions that work, each with the arguments that it needs, by its short name.

Modules are imported where they are used: what infers needs no TensorFlow.
"""

import inspect

import numpy as np
from dashboards import inference_problem as problem

SIZE = 40
NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
METHODS = {
    "log_prob": {"gridsize": 5, "θ": [[0.5, 0.5]]},
    "prob": {"gridsize": 5},
    "log_posterior": {"gridsize": 5},
    "posterior": {"gridsize": 5, "bins": 5},
    "grid": {"gridsize": 5},
    "marginal": {"i": 0},
    "interval": {},
    "samples": {"n": 10},
    "sample": {"n": 10},
    "ranges": {},
    "summary": {},
    "bin_edges": {},
    "plot_Fisher": {},
    "plot": {},
    "scatter_plot": {},
    "explore": {},
}


def signature(function):
    """Return the names and defaults of the arguments of a function, but for *args and **kwargs."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    names = {p.name: p.default for p in parameters if p.kind not in variable}
    return {name: default for name, default in names.items() if name not in ("self", "cls")}


def noisy(parameters, seed):
    """Simulate as the problem of the pages does."""
    return problem.simulator(parameters, seed)


def inference_calls(directory):
    """Return those of inference, priors and campaigns."""
    from imnn_lab import LFI, Regularisation, campaign, handover, inference

    given = {
        "target_data": problem.OBSERVED, "prior": problem.PRIOR, "Fisher": problem.F,
        "get_estimate": problem.get_estimate,
    }  # fmt: skip
    simulated = given | {"simulator": noisy, "verbose": False}
    ABC = LFI.ApproximateBayesianComputation(**simulated, seed=1)
    ABC(200)
    ABC.accept_reject(nearest=50)
    PMC = LFI.PopulationMonteCarlo(**simulated, seed=1)
    few = {"draws": 20, "initial_draws": 60, "criterion": 0.5, "max_simulations": 300}
    PMC(**few)
    NP = LFI.NeuralPosterior(**simulated, seed=1)
    NP.train(ABC.draws, epochs=1, members=1)
    NP.save(directory / "posterior")
    NL = LFI.NeuralLikelihood(**simulated, seed=1)
    NL.train(ABC.draws, epochs=1, members=1)
    NL.save(directory / "likelihood")
    some = {"ε": 2.0, "accepted": 2, "min_draws": 50, "max_draws": 300}
    posterior, density = ABC.samples()[0], ABC.samples()[0].marginal(0)
    file = directory / "posterior.npz"
    posterior.to_npz(file)
    made = {"simulator": noisy, "θ_fid": [0, 1], "δθ": [0.1, 0.1], "n_s": 4, "n_d": 3, "seed": 1}
    name = "ApproximateBayesianComputation"
    calls = {
        "GaussianApproximation": (LFI.GaussianApproximation, given),
        name: (LFI.ApproximateBayesianComputation, simulated),
        f"{name}.__call__": (ABC, {"draws": 20}),
        f"{name}.ABC": (ABC.ABC, {"draws": 20}),
        f"{name}.accept_reject": (ABC.accept_reject, {"ε": 1.0}),
        f"{name}.get_min_accepted": (ABC.get_min_accepted, some),
        "PopulationMonteCarlo": (LFI.PopulationMonteCarlo, simulated),
        "PopulationMonteCarlo.__call__": (PMC, few),
        "PopulationMonteCarlo.PMC": (PMC.PMC, few),
        "PopulationMonteCarlo.resume": (PMC.resume, {"max_simulations": 50}),
        "NeuralPosterior": (LFI.NeuralPosterior, simulated),
        "NeuralPosterior.__call__": (NP, {"draws": 50, "members": 1, "epochs": 1}),
        "NeuralPosterior.train": (NP.train, {"draws": 50, "members": 1, "epochs": 1}),
        "NeuralPosterior.at": (NP.at, {"data": problem.OBSERVED}),
        "NeuralPosterior.save": (NP.save, {"directory": directory / "other"}),
        "NeuralPosterior.load": (NP.load, {"directory": directory / "posterior"}),
        "NeuralLikelihood": (LFI.NeuralLikelihood, simulated),
        "NeuralLikelihood.__call__": (NL, {"draws": 50, "members": 1, "epochs": 1}),
        "NeuralLikelihood.train": (NL.train, {"draws": 50, "members": 1, "epochs": 1}),
        "NeuralLikelihood.at": (NL.at, {"data": problem.OBSERVED}),
        "NeuralLikelihood.with_prior": (NL.with_prior, {"prior": problem.PRIOR}),
        "NeuralLikelihood.log_likelihood": (NL.log_likelihood, {"θ": [[0.5, 0.5]]}),
        "NeuralLikelihood.save": (NL.save, {"directory": directory / "another"}),
        "NeuralLikelihood.load": (NL.load, {"directory": directory / "likelihood"}),
        "TruncatedNormal": (inference.TruncatedNormal, {"mean": [0, 0], "sd": [1, 1]}),
        "Uniform": (inference.Uniform, {"low": [0, 0], "high": [1, 1]}),
        "as_prior": (inference.as_prior, {"prior": problem.PRIOR}),
        "Regularisation": (Regularisation, {"λ": 1.0, "ε": 0.1}),
        "training_set": (campaign.training_set, made | {"show": False}),
        "Density.smoothed": (density.smoothed, {"smoothing": 1.0}),
        "Density.levels": (density.levels, {"masses": [0.5]}),
        "Density.quantile": (density.quantile, {"q": 0.5}),
        "Posterior.from_draws": (inference.Posterior.from_draws, {"samples": posterior.parameters}),
        "families_of": (handover.families_of, {"prior": problem.PRIOR}),
        "to_sbi": (handover.to_sbi, {"prior": problem.PRIOR, "pairs": ABC.draws}),
        "to_bayesflow": (handover.to_bayesflow, {"prior": problem.PRIOR, "pairs": ABC.draws}),
        "Posterior.from_npz": (inference.Posterior.from_npz, {"path": file}),
        "Posterior.to_npz": (posterior.to_npz, {"path": "posterior.npz"}),
        "Posterior.to_arviz": (posterior.to_arviz, {"n": 10}),
        "Posterior.quantile": (posterior.quantile, {"q": 0.5}),
    }
    normal = inference.TruncatedNormal([0, 0], [1, 1])
    gaussian = LFI.GaussianApproximation(**given)
    for thing in (
        gaussian,
        ABC,
        PMC,
        NP,
        NL,
        posterior,
        gaussian.gaussian[0],
        problem.PRIOR,
        normal,
    ):
        for method, valid in METHODS.items():
            if hasattr(thing, method):
                function = getattr(thing, method)
                needed = {n: v for n, v in valid.items() if n in signature(function)}
                calls.setdefault(f"{type(thing).__name__}.{method}", (function, needed))
    return calls


def diagnostic_calls():
    """Return those of diagnostics that take draws and posteriors."""
    from imnn_lab import LFI, diagnostics

    drawn = {
        "simulator": noisy, "prior": problem.PRIOR, "get_estimate": problem.get_estimate,
        "Fisher": problem.F,
    }  # fmt: skip
    pairs = diagnostics.draw_pairs(**drawn, n=60, verbose=False, seed=1)
    posteriors, report = diagnostics.gaussian_posteriors(pairs), diagnostics.calibration(pairs)
    ABC = LFI.ApproximateBayesianComputation(problem.OBSERVED, **drawn, seed=1, verbose=False)
    ABC(200)
    rng = np.random.default_rng(1)
    fiducial, derivative = rng.normal(size=(60, 3)), rng.normal(size=(30, 2, 2, 3))
    simulated_set = diagnostics.SummarySet(fiducial, derivative, np.zeros(2), np.full(2, 0.1))
    functions = {name: drawn[name] for name in ("simulator", "get_estimate")}
    simulated = functions | {"pairs": pairs, "max_simulations": 20, "most": 2, "draws": 10}
    return {
        "draw_pairs": (diagnostics.draw_pairs, drawn | {"n": 20, "verbose": False}),
        "pairs_of": (diagnostics.pairs_of, {"ABC": ABC}),
        "calibration": (diagnostics.calibration, {"pairs": pairs}),
        "calibration_of": (diagnostics.calibration_of, {"posteriors": posteriors}),
        "calibration_of_rejection": (diagnostics.calibration_of_rejection, {"pairs": pairs}),
        "Calibration.coverage": (report.coverage, {"mass": 0.5}),
        "gaussian_posteriors": (diagnostics.gaussian_posteriors, {"pairs": pairs}),
        "rejection_posteriors": (diagnostics.rejection_posteriors, {"pairs": pairs}),
        "population_posteriors": (diagnostics.population_posteriors, simulated),
        "over_fitting": (
            diagnostics.over_fitting,
            {"training": simulated_set.statistics, "validation": simulated_set},
        ),
        "derivative_doctor": (diagnostics.derivative_doctor, {"summaries": simulated_set}),
        "novelty": (diagnostics.novelty, {"observed": np.zeros(3), "simulated": simulated_set}),
        "epsilon_advisor": (diagnostics.epsilon_advisor, {"ABC": ABC}),
        "recalibrate": (diagnostics.recalibrate, {"pairs": pairs}),
    }


def problem_calls():
    """Return those of the toy problems."""
    from imnn_lab import problems

    gaussian = problems.gaussian()
    simple = (
        "gaussian", "variance", "slope", "nuisance_slope", "exponential", "field_2d", "sine",
        "blob", "poisson_blob", "bivariate_normal", "mixture", "gaussian_process",
        "lognormal_field",
    )  # fmt: skip
    linear = {"A": problem.A, "covariance": np.eye(3), "θ_fid": [0, 0], "δθ": [0.1, 0.1]}
    observed = {"problem": gaussian, "data": gaussian.simulations(1, 1)[0]}
    return {name: (getattr(problems, name), {}) for name in simple} | {
        "autoregressive": (problems.autoregressive, {}),
        "autoregressive_fisher": (problems.autoregressive_fisher, {"θ": (900, 0.5, 150), "n": 9}),
        "linear_gaussian": (problems.linear_gaussian, linear),
        "maximum_likelihood": (problems.maximum_likelihood, observed),
        "Problem.simulations": (gaussian.simulations, {"n": 2, "seed": 1}),
        "Problem.training_set": (gaussian.training_set, {"n_s": 2, "n_d": 2, "seed": 1}),
    }


def matched_calls():
    """Return those of draws that stay paired."""
    from scipy import stats

    from imnn_lab import matched

    of_simulator = {"simulator": noisy, "θ_fid": [0, 1], "δθ": [0.1, 0.1], "n": 12}
    parameters = {
        "uniform": {"size": 3}, "poisson": {}, "binomial": {"n": 5, "p": 0.5},
        "negative_binomial": {"n": 5, "p": 0.5}, "gamma": {"shape": 2.0}, "beta": {"a": 1, "b": 2},
        "standard_t": {"df": 3}, "vonmises": {"mu": 0, "kappa": 1},
        "draw": {"distribution": stats.norm(1, 2)},
    }  # fmt: skip
    calls = {name: (getattr(matched, name), {"rng": 1} | p) for name, p in parameters.items()}
    return calls | {"check": (matched.check, of_simulator)}


def training_calls(directory):
    """Return those of networks, their training, and the pages that show them."""
    from makers import gaussian_data, small_imnn, small_network

    from imnn_lab import (
        IMNN,
        Files,
        Parameter,
        Stencil,
        Stencils,
        TFRecords,
        augmentations,
        dashboards,
        networks,
        problems,
    )
    from imnn_lab.dashboards.page import page
    from imnn_lab.widgets import TrainingWidget

    data = dict(zip(NAMES, gaussian_data(SIZE, SIZE), strict=True))
    imnn, gaussian = small_imnn(n_s=SIZE, n_d=SIZE, **data), problems.gaussian()
    run = imnn.fit(2)
    saved = imnn.save(directory / "saved")
    built = {
        "n_s": SIZE, "n_d": SIZE, "n_params": 2, "n_summaries": 2, "θ_fid": gaussian.θ_fid,
        "δθ": gaussian.δθ, "input_shape": (10,), "model": small_network(), "verbose": False,
    }  # fmt: skip
    fresh = dict(zip(NAMES[:2], gaussian_data(SIZE, SIZE, 7)[:2], strict=True))
    few = {"fiducial": data["fiducial"][:3], "derivative": data["derivative"][:3]}
    records = TFRecords(verbose=False)
    sides = data["derivative"]
    low, high = sides[:, 0, 0], sides[:, 1, 0]
    named = {"δθ": [0.1, 0.1], "names": ["μ", "Σ"]}
    points = {"points": {-0.05: low, 0.05: high}, "weights": [-10, 10]}
    written = {"n_sims": 3, "get_simulation": lambda seed: np.full(3, seed)}
    for seed in range(3):
        np.savez(directory / f"{seed}.npz", maps=np.full(3, seed))
    files = Files(directory / "{seed}.npz")
    moved = {
        "observation": data["fiducial"][0], "simulator": gaussian.simulator, "seed": 1,
        "max_rounds": 0,
    }  # fmt: skip
    shown = {"estimator": problem.get_estimate, "prior": problem.PRIOR, "Fisher": problem.F}
    return {
        "Parameter": (Parameter, {"fiducial": 0.0, "width": 0.1, "unit": "eV", "latex": "m"}),
        "noise": (augmentations.noise, {"σ": 0.5}),
        "rotations": (augmentations.rotations, {"axes": (0, 1)}),
        "reflections": (augmentations.reflections, {"axes": (0, 1)}),
        "IMNN": (IMNN, built | data),
        "IMNN.fit": (imnn.fit, {"n_iterations": 2}),
        "IMNN.start": (imnn.start, {"n_iterations": 2}),
        "IMNN.get_estimate": (imnn.get_estimate, {"data": data["fiducial"][:2]}),
        "IMNN.evaluate": (imnn.evaluate, fresh),
        "IMNN.gradient": (imnn.gradient, {"data": data["fiducial"][:2]}),
        "IMNN.summaries": (imnn.summaries, {"data": data["fiducial"][:2]}),
        "IMNN.encode": (imnn.encode, {"data": data["fiducial"][:2]}),
        "IMNN.fisher_flow": (imnn.fisher_flow, {}),
        "IMNN.learning_curve": (imnn.learning_curve, {}),
        "IMNN.record_flow": (imnn.record_flow, {}),
        "IMNN.report": (imnn.report, {"test": tuple(fresh.values())}),
        "IMNN.summary_set": (imnn.summary_set, fresh),
        "IMNN.retrain_at_estimate": (imnn.retrain_at_estimate, moved),
        "IMNN.novelty": (imnn.novelty, {"data": data["fiducial"][:2]}),
        "IMNN.honest_fisher": (imnn.honest_fisher, {"test": tuple(fresh.values())}),
        "IMNN.plot": (imnn.plot, {}),
        "IMNN.explore": (imnn.explore, {}),
        "IMNN.widget": (imnn.widget, {}),
        "IMNN.save": (imnn.save, {"directory": directory / "again", "overwrite": True}),
        "IMNN.load": (IMNN.load, {"directory": saved} | data),
        "Run.steer": (run.steer, {"λ": 1.0}),
        "Run.stop": (run.stop, {"checkpoint": False}),
        "Run.wait": (run.wait, {}),
        "Estimator.__call__": (imnn.estimator, {"data": data["fiducial"][:2]}),
        "Estimator.gradient": (imnn.estimator.gradient, {"data": data["fiducial"][:2]}),
        "History.read": (imnn.history.read, {}),
        "History.marginal_errors": (imnn.history.marginal_errors, {}),
        "History.statistics": (imnn.history.statistics, {"iteration": 1}),
        "Stencil": (Stencil, points),
        "Stencil.at": (Stencil.at, {"points": {0.9: low, 1.1: high}, "fiducial": 1.0}),
        "Stencils": (Stencils, {"stencils": {"μ": points["points"]}}),
        "Stencils.central": (Stencils.central, {"simulations": sides} | named),
        "Stencils.forward": (Stencils.forward, {"simulations": sides[:, 1]} | named),
        "Stencils.five_point": (
            Stencils.five_point,
            {"simulations": np.concatenate([sides, sides], 1)} | named,
        ),
        "Files": (Files, {"pattern": directory / "{seed}.npz"}),
        "Files.select": (files.select, {"seeds": [2, 0]}),
        "Files.split": (files.split, {"n": 1}),
        "TFRecords": (TFRecords, {}),
        "TFRecords.write_record": (records.write_record, written | {"directory": "records"}),
        "TFRecords.write_set": (records.write_set, few | {"directory": "records"}),
        "InferenceDashboard": (dashboards.InferenceDashboard, shown | {"target": problem.OBSERVED}),
        "ResultsDashboard": (dashboards.ResultsDashboard, {"path": saved}),
        "TrainingDashboard": (dashboards.TrainingDashboard, {"imnn": imnn}),
        "TrainingWidget": (TrainingWidget, {"imnn": imnn}),
        "page": (page, {"title": "x"}),
        "convolutional": (networks.convolutional, {"input_shape": (8, 8, 1), "n_summaries": 2}),
        "deep_set": (networks.deep_set, {"input_shape": (8, 2), "n_summaries": 2}),
        "dense": (networks.dense, {"input_shape": (8,), "n_summaries": 2}),
        "linear": (networks.linear, {"input_shape": (8,), "n_summaries": 2}),
        "recurrent": (networks.recurrent, {"input_shape": (8, 2), "n_summaries": 2}),
        "fusion": (networks.fusion, {"input_shape": {"a": (8,)}, "n_summaries": 2}),
        "choose": (networks.choose, data | {"δθ": (0.1, 0.1), "verbose": False}),
    }


def fisher_diagnostics_calls():
    """Return those of diagnostics of F and of what it assumes."""
    from imnn_lab import diagnostics, problems

    gaussian = problems.gaussian()
    fiducial, derivative = gaussian.training_set(n_s=60, n_d=60, seed=1)
    values = (np.stack([x.mean(-1), (x**2).mean(-1)], -1) for x in (fiducial, derivative))
    summaries = diagnostics.SummarySet(*values, gaussian.θ_fid, gaussian.δθ)
    given = {"summaries": summaries}
    forecast = diagnostics.Forecast([[4, 1], [1, 4]], [0, 0], ["a", "b"])
    honest = diagnostics.honest_fisher(summaries, repetitions=50)
    alone = ("fisher_estimates", "covariance_check", "gaussianity", "linearity", "information_gap")
    return {name: (getattr(diagnostics, name), given) for name in alone} | {
        "honest_fisher": (diagnostics.honest_fisher, given | {"repetitions": 50}),
        "HonestFisher.extrapolated": (honest.extrapolated, {"factor": 2.0}),
        "transfer": (diagnostics.transfer, {"own": summaries, "other": summaries}),
        "Forecast": (diagnostics.Forecast, {"F": [[4, 1], [1, 4]], "θ_fid": [0, 0]}),
        "Forecast.marginal": (forecast.marginal, {"keep": ["a"]}),
        "Forecast.conditional": (forecast.conditional, {"fix": ["a"]}),
        "Forecast.with_prior": (forecast.with_prior, {"prior": {"a": 1.0}}),
        "Forecast.reparametrised": (forecast.reparametrised, {"J": [[1, 0], [0, 1]]}),
    }
