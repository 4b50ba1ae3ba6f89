"""What a visitor takes along: a notebook that repeats the work, and the results as one page."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.archive.state import SavedTraining
from imnn_lab.dashboards.common.downloads import figure_file
from imnn_lab.dashboards.inference.views import summary_table
from imnn_lab.dashboards.results.dashboard import (
    note_html,
    posteriors_figure,
    statistics_table,
)
from imnn_lab.dashboards.results.files import Results
from imnn_lab.dashboards.training.views import curves_file
from imnn_lab.demo.problems import CASES
from imnn_lab.history import History
from imnn_lab.laboratory.build import NAMES, NETWORKS, SCRATCH, Built

STYLE = (
    ":root { color-scheme: light dark } body { font-family: sans-serif; max-width: 60em; "
    "margin: 2em auto; padding: 0 1em } img { max-width: 100%; background: white } "
    "table { border-collapse: collapse } pre { white-space: pre-wrap; overflow-wrap: anywhere }"
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STEERED = """\
steered = {steered}

def steer(run):
    while steered and run.iteration >= steered[0][0]:
        run.steer(**steered.pop(0)[1])

"""
INFER = """\
observed = {observed}
arguments = observed, prior, imnn.F, imnn.get_estimate
GA = LFI.GaussianApproximation(*arguments, labels={labels})
"""
ABC_CODE = """\
ABC = LFI.ApproximateBayesianComputation(*arguments, problem.simulator, labels={labels})
ABC(draws={draws})
ABC.accept_reject(ϵ={ε:.4g})
"""
PMC_CODE = """\
PMC = LFI.PopulationMonteCarlo(*arguments, problem.simulator, labels={labels})
PMC(
    draws={particles}, initial_draws={initial}, criterion={criterion:.6g},
    max_simulations={most},
)
"""
NEURAL_CODE = """\
NP = LFI.NeuralPosterior(*arguments, problem.simulator, labels={labels})
NP.train(draws={draws}, epochs={epochs})
"""
MOST_VALUES = 10_000  # of a target that is written into a notebook
ABOUT = """\
# {title}

This notebook builds, trains and infers as the session did: the same simulations, network and start,
all changes of settings at their iterations, the same target and methods. {data}

What it does not repeat: several fits are one here, with the settings of the first as arguments and
those of later ones as changes; draws of the prior and of posteriors are new ones; earlier runs,
checks of calibration and posterior predictive draws are left out. {target}"""
WHENCE = {
    True: "Run it in the directory whose simulations the server offers.",
    False: "Run it beside the files that were sent.",
}


def notebook(
    built: Built, history: History, inference: Any = None, chosen: Mapping[str, Any] | None = None
) -> io.BytesIO:
    """Return a notebook (.ipynb, format 4.5) that builds, trains and infers in the same way.

    Parameters
    ----------
    built : Built
    history : History
        What its fits did; several of them are repeated as one.
    inference : InferenceState, optional
    chosen : mapping, optional
        Arguments of its fits that the history does not hold: objective and start.
    """
    data = "" if "problem" in built.recipe else WHENCE[bool(built.recipe["name"])]
    is_large = inference is not None and np.size(inference.observation.data) > MOST_VALUES
    target = "The target of the page was too large to be written here." if is_large else ""
    about = ABOUT.format(title=built.title, data=data, target=target).rstrip()
    cells = [("markdown", about), ("code", _build_code(built))]
    cells.append(("code", _fit_code(history, chosen or {})))
    cells.append(("code", _inference_code(built, inference)))
    written = {
        "cells": [_cell(i, kind, text) for i, (kind, text) in enumerate(cells)],
        "metadata": {"language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return io.BytesIO((json.dumps(written, ensure_ascii=False, indent=1) + "\n").encode())


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    of_code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    named = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    return named | {"source": text.splitlines(keepends=True)} | of_code


def _build_code(built: Built) -> str:
    recipe = built.recipe
    is_problem = "problem" in recipe
    files, data = ("", _problem_lines) if is_problem else (", Files", _own_lines)
    lines = ["import numpy as np", "", f"from imnn_lab import IMNN, LFI{files}, networks"]
    return "\n".join(lines + data(recipe) + _network_lines(recipe))


def _problem_lines(recipe: Mapping[str, Any]) -> list[str]:
    """Return code that simulates a problem."""
    n_s, n_d, seed = (recipe[name] for name in ("n_s", "n_d", "seed"))
    return [
        "from imnn_lab.demo.problems import CASES",
        "",
        f"case = CASES[{recipe['problem']!r}]",
        "problem, prior = case.make(), case.prior",
        f"training = problem.training_set({n_s}, {n_d}, {2 * seed})",
        f"validation = problem.training_set({n_s}, {n_d}, {2 * seed + 1})",
        "θ_fid, input_shape = problem.θ_fid, problem.input_shape",
        "parameters = dict(zip(problem.labels, zip(θ_fid, problem.δθ)))",
    ]


def _own_lines(recipe: Mapping[str, Any]) -> list[str]:
    """Return code that opens own data."""
    own = {name: _opened(name, recipe) for name in recipe["arrays"]}
    names = recipe["names"] or list(checks.default_labels(len(recipe["θ_fid"])))
    held_out = [own.get(f"validation_{name}") for name in NAMES[:2]]
    return [
        "from imnn_lab.inference import Uniform",
        "",
        f"training = {own['fiducial']}, {own['derivative']}  # {_whence(recipe)}",
        f"validation = {held_out[0]}, {held_out[1]}",
        f"θ_fid, δθ = np.array({recipe['θ_fid']}), np.array({recipe['δθ']})",
        "input_shape = training[0].shape[1:]",
        f"parameters = dict(zip({names}, zip(θ_fid, δθ)))",
    ]


def _network_lines(recipe: Mapping[str, Any]) -> list[str]:
    """Return code that makes the network of the data."""
    lines, model, network, seed = [], "model=None", _network_of(recipe), recipe["seed"]
    if network == SCRATCH:
        lines = [
            "from imnn_lab.laboratory.build import made",
            f"model, optimiser = made({network!r}, input_shape, len(θ_fid), {seed})",
        ]
        model = "model=model, optimiser=optimiser"
    elif network:
        model = f"model=networks.{network}(input_shape, len(θ_fid), seed={seed})"
    return [
        *lines,
        "imnn = IMNN(",
        "    len(training[0]), len(training[1]), None, len(θ_fid), None, None, input_shape,",
        f"    *training, *validation, parameters=parameters, {model},",
        f"    {_held_out_counts(recipe)}seed={seed},",
        ")",
    ]


def _held_out_counts(recipe: Mapping[str, Any]) -> str:
    """Return the numbers of validation simulations as arguments, if there are any."""
    if "validation_fiducial" not in recipe.get("arrays", ()):
        return ""
    return "validation_n_s=len(validation[0]), validation_n_d=len(validation[1]), "


def _opened(name: str, recipe: Mapping[str, Any]) -> str:
    """Return code that opens an array of own data."""
    return str(recipe["calls"][name]) + ("[:]" if name == "target" else "")


def _whence(recipe: Mapping[str, Any]) -> str:
    return "paths from the server's directory" if recipe["name"] else "the files that were sent"


def _network_of(recipe: Mapping[str, Any]) -> str:
    """Return the network that is made, empty if it is chosen from all."""
    network = str(recipe["network"])
    if network == NETWORKS[0] and "problem" in recipe:
        return CASES[recipe["problem"]].make().network
    return "" if network in NETWORKS[:2] else network


def _fit_code(history: History, chosen: Mapping[str, Any]) -> str:
    n = len(history) - 1
    given = "".join(f", {name}={value!r}" for name, value in chosen.items())
    if n < 1:
        return f"imnn.fit(0{given})\nimnn.forecast()" if given else "imnn.forecast()"
    pair = {name: float(history[name][1]) for name in ("λ", "ε")}
    given = "".join(f", {n.replace('ε', 'ϵ')}={x:.6g}" for n, x in pair.items() if x > 0) + given
    marks: dict[int, dict[str, float]] = {}
    for mark in history.marks:
        if mark.iteration <= 1 and mark.name in pair:
            continue  # they are arguments
        marks.setdefault(max(0, mark.iteration - 1), {})[mark.name] = mark.value
    steered = STEERED.format(steered=sorted(marks.items())) if marks else ""
    callback = ", callback=steer" if marks else ""
    return f"{steered}imnn.fit({n}{given}{callback})\nimnn.plot()"


def _inference_code(built: Built, inference: Any) -> str:
    labels = list(built.labels)
    if "problem" in built.recipe:
        observed, prior = f"case.observation(problem, {built.recipe['seed']})[None]", ""
    else:
        has_target = "target" in built.recipe["arrays"]
        observed = _opened("target", built.recipe) if has_target else "training[0][:1]"
        prior = "reach = 10 * np.sqrt(np.diag(imnn.Finv))\n"
        prior += "prior = Uniform(θ_fid - reach, θ_fid + reach)\n"
    if inference is None:
        return f"{prior}{INFER.format(observed=observed, labels=labels)}GA.plot()"
    data = np.asarray(inference.observation.data)
    if not np.array_equal(data, built.target) and data.size <= MOST_VALUES:
        dtype = f"np.array({data.tolist()}, {data.dtype.name!r})"
        observed = f"{dtype}  # {inference.observation.name}"
    code = prior + INFER.format(observed=observed, labels=labels)
    if built.simulator is None:
        return f"{code}GA.plot()"
    return code + _simulating_code(inference, labels)


def _simulating_code(inference: Any, labels: list[str]) -> str:
    """Return code for the methods that simulate, as far as they were used."""
    shown, choices, code, overlay = inference.snapshot(), inference.choices, "", {}
    if inference.n_draws:
        n = shown.acceptance.draws.num_draws
        code += ABC_CODE.format(labels=labels, draws=n, ε=choices.ε)
        overlay["ABC"] = f"ABC.samples({'adjust=True' if choices.adjust else ''})[0]"
    if shown.populations:
        last = shown.populations[-1]
        code += PMC_CODE.format(
            labels=labels, particles=last.size, initial=last.prior_draws,
            criterion=choices.criterion or 0.0, most=choices.most_simulations,
        )  # fmt: skip
        overlay["PMC"] = "PMC.samples()[0]"
    if shown.learned is not None:
        draws, epochs = shown.learned.draws.num_draws, len(shown.learned.training)
        code += NEURAL_CODE.format(labels=labels, draws=draws, epochs=epochs)
        overlay["neural"] = "NP.samples()[0]"
    listed = ", ".join(f'"{name}": {call}' for name, call in overlay.items())
    return f"{code}GA.plot({f'overlay={{{listed}}}' if listed else ''})"


def results_page(title: str, results: Results) -> io.BytesIO:
    """Return results as one HTML page that asks no server for anything."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for name, saved in results.trainings.items():
        parts += [f"<h2>Training: {html.escape(name)}</h2>", statistics_table(saved)]
        parts.append(_curves(saved))
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, posterior in results.posteriors.items():
        groups.setdefault(posterior.labels, {})[name] = posterior
    parts += [_posteriors(group, results.note) for group in groups.values()]
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    )
    text = (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'
    )
    return io.BytesIO(text.encode())


def _curves(saved: SavedTraining) -> str:
    if len(saved.history) < 2:
        return "<p>Not trained.</p>"
    return _picture(curves_file(saved.history, "png"), "curves of the training")


def _posteriors(posteriors: Mapping[str, Any], note: str) -> str:
    picture = figure_file(posteriors_figure(dict(posteriors)), "png")
    shown = summary_table(posteriors) + _picture(picture, "posteriors")
    return f"<h2>Posteriors</h2>{note_html(note)}{shown}"


def _picture(png: io.BytesIO, words: str) -> str:
    content = base64.b64encode(png.getvalue()).decode()
    return f'<p><img alt="{words}" src="data:image/png;base64,{content}"></p>'
