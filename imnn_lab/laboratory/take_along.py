"""What a visitor takes along: a notebook that repeats the work, and the results as one page."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping
from typing import Any

from imnn_lab.archive.state import SavedTraining
from imnn_lab.dashboards.common.downloads import figure_file
from imnn_lab.dashboards.inference.views import summary_table
from imnn_lab.dashboards.results.dashboard import statistics_table
from imnn_lab.dashboards.results.files import Results
from imnn_lab.dashboards.training.views import curves_file
from imnn_lab.demo.problems import CASES
from imnn_lab.figures import corner
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
GA = LFI.GaussianApproximation(observed, prior, imnn.F, imnn.get_estimate, labels={labels})
GA.plot()"""
ABC = """\
ABC = LFI.ApproximateBayesianComputation(
    observed, prior, imnn.F, imnn.get_estimate, problem.simulator, labels={labels}
)
ABC(draws={draws})
ABC.accept_reject(ϵ={ε:.4g})
GA.plot(overlay={{"ABC": ABC.samples()[0]}})"""


def notebook(built: Built, history: History, inference: Any = None) -> io.BytesIO:
    """Return a notebook (.ipynb, format 4.5) that builds, trains and infers in the same way.

    Parameters
    ----------
    built : Built
    history : History
        What its fits did; several of them are repeated as one.
    inference : InferenceState, optional
    """
    cells = [("markdown", f"# {built.title}"), ("code", _build_code(built))]
    cells += [("code", _fit_code(history)), ("code", _inference_code(built))]
    if inference is not None and inference.n_draws and built.simulator is not None:
        labels, ε = list(inference.labels), inference.choices.ε
        cells.append(("code", ABC.format(labels=labels, draws=inference.n_draws, ε=ε)))
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
    files = "" if "problem" in recipe else ", Files"
    lines = ["import numpy as np", "", f"from imnn_lab import IMNN, LFI{files}, networks"]
    if "problem" in recipe:
        n_s, n_d, seed = (recipe[name] for name in ("n_s", "n_d", "seed"))
        lines += [
            "from imnn_lab.demo.problems import CASES",
            "",
            f"case = CASES[{recipe['problem']!r}]",
            "problem, prior = case.make(), case.prior",
            f"training = problem.training_set({n_s}, {n_d}, {2 * seed})",
            f"validation = problem.training_set({n_s}, {n_d}, {2 * seed + 1})",
            "θ_fid, δθ, input_shape = problem.θ_fid, problem.δθ, problem.input_shape",
        ]
    else:
        own = {name: _opened(name, recipe) for name in recipe["arrays"]}
        seed, pair = recipe["seed"], [own.get(f"validation_{name}") for name in NAMES[:2]]
        lines += [
            "from imnn_lab.inference import Uniform",
            "",
            f"training = {own['fiducial']}, {own['derivative']}  # {_whence(recipe)}",
            f"validation = {pair[0]}, {pair[1]}",
            f"θ_fid, δθ = np.array({recipe['θ_fid']}), np.array({recipe['δθ']})",
            "input_shape = training[0].shape[1:]",
        ]
    model, network = "model=None", _network_of(recipe)
    if network == SCRATCH:
        lines += [
            "from imnn_lab.laboratory.build import made",
            f"model, optimiser = made({network!r}, input_shape, len(θ_fid), {seed})",
        ]
        model = "model=model, optimiser=optimiser"
    elif network:
        model = f"model=networks.{network}(input_shape, len(θ_fid), seed={seed})"
    lines += [
        "imnn = IMNN(",
        "    len(training[0]), len(training[1]), len(θ_fid), len(θ_fid), θ_fid, δθ, input_shape,",
        f"    *training, *validation, {model},",
        f"    seed={seed},",
        ")",
    ]
    return "\n".join(lines)


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


def _fit_code(history: History) -> str:
    n = len(history) - 1
    if n < 1:
        return "imnn.forecast()"
    λ, ε = (float(history[name][1]) for name in ("λ", "ε"))
    marks: dict[int, dict[str, float]] = {}
    for mark in history.marks:
        if mark.iteration <= 1 and mark.name in ("λ", "ε"):
            continue  # they are arguments
        marks.setdefault(max(0, mark.iteration - 1), {})[mark.name] = mark.value
    steered = STEERED.format(steered=sorted(marks.items())) if marks else ""
    callback = ", callback=steer" if marks else ""
    return f"{steered}imnn.fit({n}, λ={λ:.6g}, ϵ={ε:.6g}{callback})\nimnn.plot()"


def _inference_code(built: Built) -> str:
    labels = list(built.labels)
    if "problem" in built.recipe:
        observed = f"case.observation(problem, {built.recipe['seed']})[None]"
        return INFER.format(observed=observed, labels=labels)
    has_target = "target" in built.recipe["arrays"]
    observed = _opened("target", built.recipe) if has_target else "training[0][:1]"
    reach = "reach = 10 * np.sqrt(np.diag(imnn.Finv))\n"
    prior = "prior = Uniform(θ_fid - reach, θ_fid + reach)\n"
    return reach + prior + INFER.format(observed=observed, labels=labels)


def results_page(title: str, results: Results) -> io.BytesIO:
    """Return results as one HTML page that asks no server for anything."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for name, saved in results.trainings.items():
        parts += [f"<h2>Training: {html.escape(name)}</h2>", statistics_table(saved)]
        parts.append(_curves(saved))
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, posterior in results.posteriors.items():
        groups.setdefault(posterior.labels, {})[name] = posterior
    parts += [_posteriors(labels, group) for labels, group in groups.items()]
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


def _posteriors(labels: tuple[str, ...], posteriors: Mapping[str, Any]) -> str:
    picture = figure_file(corner(dict(posteriors), labels), "png")
    return f"<h2>Posteriors</h2>{summary_table(posteriors)}{_picture(picture, 'posteriors')}"


def _picture(png: io.BytesIO, words: str) -> str:
    content = base64.b64encode(png.getvalue()).decode()
    return f'<p><img alt="{words}" src="data:image/png;base64,{content}"></p>'
