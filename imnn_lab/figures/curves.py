"""What the curves of a training show: det F, det C, the regulariser and errors, by iteration.

Or by the seconds of training, in which pauses do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.data import Curve, Panel, Panels
from imnn_lab.figures.decimation import robust_range
from imnn_lab.history import History, SteeringMark
from imnn_lab.parameters import Label
from imnn_lab.regularisation import EPSILON
from imnn_lab.results import inverse

# By vertical axis: the names of its curves, and the columns of the history that hold them.
COLUMNS = {
    "det F": {"training": "det_F", "validation": "val_det_F"},
    "det C, det C⁻¹": {
        "det C, training": "det_C",
        "det C, validation": "val_det_C",
        "det C⁻¹, training": "det_Cinv",
        "det C⁻¹, validation": "val_det_Cinv",
    },
    "Λ2 and r": {"Λ2, training": "reg", "Λ2, validation": "val_reg", "r, training": "r"},
}
AXES = {"iteration": "iteration", "seconds": "time of training [s]"}  # by column of the history
LOGARITHMIC = ("det C, det C⁻¹", "Λ2 and r")


def training_curves(
    history: History,
    regulariser: bool = True,
    known_det_fisher: float | None = None,
    most_points: int = 2000,
    log: bool | None = None,
    against: str = "iteration",
) -> Panels:
    """Describe the curves of a training.

    Parameters
    ----------
    history : History
    regulariser : bool
        Whether to show Λ2 and r.
    known_det_fisher : float, optional
        The exact det F, if it is known.
    most_points : int
        Largest number of points of a curve; thinning keeps the extremes.
    log : bool, optional
        Whether the vertical axes are logarithmic; by default, all but that of det F.
    against : {"iteration", "seconds"}
        The horizontal axis; seconds are those of training, without pauses.
    """
    regulariser = checks.boolean("regulariser", regulariser)
    against = checks.one_of("against", against, tuple(AXES))
    columns, _ = history.read()
    labels = mark_labels(history.marks)
    places = positions(columns, list(labels), against).tolist()
    marks = list(zip(places, labels.values(), strict=True))
    references: dict[str, tuple[tuple[str, float], ...]] = {"det C, det C⁻¹": (("", 1.0),)}
    if known_det_fisher is not None:
        known = checks.number("known_det_fisher", known_det_fisher)
        references["det F"] = ((f"known: {known:.4g}", known),)
    panels = []
    for row, (y_label, names) in enumerate(COLUMNS.items()):
        if y_label == "Λ2 and r" and not regulariser:
            continue
        is_log = y_label in LOGARITHMIC if log is None else log
        panels.append(
            Panel(
                row,
                0,
                AXES[against],
                y_label,
                _curves(columns, tuple(names.values()), against, is_log, most_points),
                y_log=is_log,
                references=references.get(y_label, ()),
                marks=tuple((at, label if row == 0 else "") for at, label in marks),
                names=tuple(names),
            )
        )
    return Panels(tuple(panels), size=(7.0, 2.4))


def _curves(
    columns: dict[str, np.ndarray],
    names: tuple[str, ...],
    against: str,
    is_log: bool,
    most_points: int,
) -> tuple[Curve, ...]:
    curves = []
    x = columns.get(against, np.empty(0))
    for series, name in enumerate(names):
        y = columns.get(name, np.empty(0))
        shown = np.isfinite(y) & (y > 0 if is_log else True)
        if shown.any():
            curves.append(Curve(series, *thinned(x[shown], y[shown], most_points)))
    return tuple(curves)


def positions(
    columns: Mapping[str, np.ndarray], iterations: Sequence[int] | np.ndarray, against: str
) -> np.ndarray:
    """Return where iterations lie on the horizontal axis: themselves, or when they were done.

    Parameters
    ----------
    columns : mapping from str to ndarray
        Of a history.
    iterations : sequence of int, shape (n,)
        Those that are still to come lie at its end.
    against : {"iteration", "seconds"}
    """
    if against == "iteration":
        return np.asarray(iterations)
    if not len(columns.get("seconds", ())):
        return np.full(len(iterations), np.nan)
    return np.interp(iterations, columns["iteration"], columns["seconds"])


def marginal_errors(
    history: History,
    labels: Sequence[str],
    known_fisher: np.ndarray | None = None,
    against: str = "iteration",
    log: bool = False,
) -> Panels:
    """Describe the marginal errors √(F⁻¹)_αα over training.

    Parameters
    ----------
    history : History
    labels : sequence of str
        Names of the parameters.
    known_fisher : ndarray, shape (n_params, n_params), optional
        The exact F, whose errors are dotted lines.
    against : {"iteration", "seconds"}
        The horizontal axis, as for `training_curves`.
    log : bool
        Whether the vertical axes are logarithmic.

    Returns
    -------
    Panels
        One for each parameter, below each other.
    """
    against, log = checks.one_of("against", against, tuple(AXES)), checks.boolean("log", log)
    found = [history.marginal_errors(validation=is_held_out) for is_held_out in (False, True)]
    times = {"iteration": history["iteration"], "seconds": history["seconds"]}
    x = [positions(times, iterations, against).astype(float) for iterations, _ in found]
    exact = None if known_fisher is None else np.sqrt(np.diag(inverse(np.asarray(known_fisher))))
    panels = []
    for i, label in enumerate(labels):
        curves = [errors[:, i] if len(errors) else np.empty(0) for _, errors in found]
        truth = () if exact is None else (float(exact[i]),)
        panels.append(
            Panel(
                i, 0, AXES[against], _error_of(label),
                tuple(Curve(series, x[series], y) for series, y in enumerate(curves)),
                y_range=robust_range(curves, log, include=truth), y_log=log, y_truth=truth,
            )
        )  # fmt: skip
    return Panels(tuple(panels), ("training", "validation"), size=(7.0, 1.8), truth="known")


def _error_of(label: str) -> str:
    latex = getattr(label, "latex", None)
    return Label(f"error of {label}", getattr(label, "unit", ""), latex and rf"\sigma({latex})")


def setting_name(mark: SteeringMark) -> str:
    """Return the name of the setting that was steered, as readers know it."""
    return {"ε": EPSILON, "learning_rate": "learning rate"}.get(mark.name, mark.name)


def mark_labels(marks: Iterable[SteeringMark]) -> dict[int, str]:
    """Return what was changed at each iteration that is marked: "λ 10 → 5", or several."""
    labels: dict[int, str] = {}
    for mark in marks:
        label = f"{setting_name(mark)} {mark.previous:.3g} → {mark.value:.3g}"
        before = labels.get(mark.iteration)
        labels[mark.iteration] = label if before is None else f"{before}, {label}"
    return labels


def apart(places: Sequence[float], least: float) -> list[int]:
    """Return which of increasing places lie so far from each other at least, the last first.

    Parameters
    ----------
    places : sequence of float
    least : float
    """
    chosen: list[int] = []
    for i in reversed(range(len(places))):
        if not chosen or places[chosen[-1]] - places[i] >= least:
            chosen.append(i)
    return chosen


def thinned(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most `most` points: the first and last, and the extremes of equal stretches."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), max(1, most // 2 - 1) + 1).astype(int)
    kept = {0, len(x) - 1}
    for start, end in pairwise(edges.tolist()):
        kept |= {start + int(np.argmin(y[start:end])), start + int(np.argmax(y[start:end]))}
    chosen = np.array(sorted(kept))
    return x[chosen], y[chosen]
