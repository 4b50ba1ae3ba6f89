"""The still picture of a training: its curves, and the numbers of its last iteration."""

from __future__ import annotations

import html
from collections.abc import Hashable, Sequence

import numpy as np

from imnn_lab.dashboards.host.still import SCREEN, Picture
from imnn_lab.dashboards.training.pump import Moment
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.words import numbers, sentence
from imnn_lab.figures import training_curves
from imnn_lab.parameters import shown
from imnn_lab.regularisation import EPSILON

ROWS = {"det F": "det_F", "det C": "det_C", "det C⁻¹": "det_Cinv", "Λ2": "reg", "r": "r"}
CELL = "padding: 1px 10px; text-align: left"


def picture_key(state: TrainingState) -> Hashable | None:
    """Return what changes with the picture; None while a run is in progress, and before any."""
    history, run = state.imnn.history, state.run
    if not len(history) or (run is not None and not run.has_ended):
        return None
    return id(history), len(history)


def training_picture(
    state: TrainingState, labels: Sequence[str], known_det_fisher: float | None = None
) -> Picture:
    """Return the picture of the last run of a network.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_det_fisher : float, optional
        Exact det F, drawn as a line.
    """
    from imnn_lab.figures.matplotlib import image

    history = state.imnn.history
    columns, _ = history.read()
    latest = {name: float(values[-1]) for name, values in columns.items()}
    moment = Moment(history, columns, latest, tuple(history.marks), False, len(history))
    curves = training_curves(history, known_det_fisher=known_det_fisher)
    lines = [sentence(state), numbers(state, moment, 0.0), f"Last iteration: {_settings(latest)}"]
    said = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    table = _table(_rows(moment, known_det_fisher) + _errors(state, moment, labels))
    return Picture((image(curves, "png", SCREEN).getvalue(),), said + table)


def _settings(latest: dict[str, float]) -> str:
    names = {"λ": "λ", "ε": EPSILON, "learning_rate": "learning rate"}
    given = {name: latest.get(key, np.nan) for key, name in names.items()}
    return ", ".join(f"{name} = {value:.4g}" for name, value in given.items() if value == value)


def _rows(moment: Moment, known_det_fisher: float | None) -> list[list[str]]:
    known = {} if known_det_fisher is None else {"det F": known_det_fisher}
    rows = [["", "training", "validation", "known"]]
    for label, name in ROWS.items():
        values = [moment.latest.get(prefix + name, np.nan) for prefix in ("", "val_")]
        rows.append([label, *map(_number, [*values, known.get(label, np.nan)])])
    return rows


def _errors(state: TrainingState, moment: Moment, labels: Sequence[str]) -> list[list[str]]:
    """Return the error that F promises for each parameter, nothing if it is singular."""
    sets = [False, True] if state.imnn.validation is not None else [False]
    last = int(moment.latest["iteration"])
    try:
        inverses = [np.linalg.inv(moment.history.statistics(last, each).F) for each in sets]
    except np.linalg.LinAlgError:
        return []
    with np.errstate(invalid="ignore"):
        errors = np.sqrt([np.diag(inverse) for inverse in inverses]).T
    return [
        [f"{shown(label)} at {θ:.4g}: error", *map(_number, each)]
        for label, θ, each in zip(labels, state.imnn.θ_fid, errors, strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:.5g}" if np.isfinite(value) else "–"


def _table(rows: list[list[str]]) -> str:
    cells = (
        "".join(f'<td style="{CELL}">{html.escape(value)}</td>' for value in row) for row in rows
    )
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
