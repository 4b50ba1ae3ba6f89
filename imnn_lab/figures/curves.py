"""What the curves of a training show: det F, det C, and the regulariser, by iteration."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from imnn_lab.regularisation import EPSILON
from imnn_lab.results import History, SteeringMark


@dataclass(frozen=True)
class Line:
    """A named curve; `series` gives its style, `kind` its data set."""

    name: str
    x: np.ndarray
    y: np.ndarray
    series: int


@dataclass(frozen=True)
class CurveAxes:
    """One set of axes over the iterations.

    Attributes
    ----------
    label : str
        What the vertical axis shows.
    lines : tuple of Line
    reference : tuple of (str, float)
        Named horizontal lines.
    log : bool
        Whether the vertical axis is logarithmic.
    """

    label: str
    lines: tuple[Line, ...]
    reference: tuple[tuple[str, float], ...] = ()
    log: bool = False


@dataclass(frozen=True)
class TrainingCurves:
    """A column of axes that share the iterations, and the marks of steering."""

    axes: tuple[CurveAxes, ...]
    marks: tuple[SteeringMark, ...]


@dataclass(frozen=True)
class AxesPlan:
    """One set of axes before there are data.

    Attributes
    ----------
    label : str
        What the vertical axis shows.
    columns : dict
        Names of the curves, and the columns of the history that they show.
    reference : tuple of (str, float)
        Named horizontal lines.
    log : bool
        Whether the vertical axis is logarithmic.
    """

    label: str
    columns: dict[str, str]
    reference: tuple[tuple[str, float], ...] = ()
    log: bool = False


def axes_plans(
    regulariser: bool = True, known_det_fisher: float | None = None
) -> tuple[AxesPlan, ...]:
    """Say which axes the curves of a training have; see `training_curves`."""
    known = () if known_det_fisher is None else (("known", float(known_det_fisher)),)
    covariance = {
        "det C, training": "det_C",
        "det C, validation": "val_det_C",
        "det C⁻¹, training": "det_Cinv",
        "det C⁻¹, validation": "val_det_Cinv",
    }
    plans = [
        AxesPlan("det F", {"training": "det_F", "validation": "val_det_F"}, known),
        AxesPlan("det C, det C⁻¹", covariance, (("1", 1.0),), log=True),
    ]
    if regulariser:
        names = {"Λ2, training": "reg", "Λ2, validation": "val_reg", "r, training": "r"}
        plans.append(AxesPlan("Λ2 and r", names, log=True))
    return tuple(plans)


def setting_name(mark: SteeringMark) -> str:
    """Write the name of what was steered as readers know it."""
    return {"ε": EPSILON, "learning_rate": "learning rate"}.get(mark.name, mark.name)


def mark_labels(marks: Iterable[SteeringMark]) -> dict[int, str]:
    """Return what was changed at each iteration that is marked: "λ 10 → 5", or several."""
    labels: dict[int, str] = {}
    for mark in marks:
        label = f"{setting_name(mark)} {mark.previous:.3g} → {mark.value:.3g}"
        before = labels.get(mark.iteration)
        labels[mark.iteration] = label if before is None else f"{before}, {label}"
    return labels


def training_curves(
    history: History,
    regulariser: bool = True,
    known_det_fisher: float | None = None,
    most_points: int = 2000,
) -> TrainingCurves:
    """Describe the curves of a training.

    Parameters
    ----------
    history : History
    regulariser : bool
        Whether to show Λ2 and r.
    known_det_fisher : float, optional
        The exact det F, where it is known.
    most_points : int
        At most so many points a curve; extremes of what is thinned out stay.
    """
    columns, _ = history.read()
    axes = [_axes(columns, plan, most_points) for plan in axes_plans(regulariser, known_det_fisher)]
    return TrainingCurves(tuple(axes), tuple(history.marks))


def _axes(columns: dict[str, np.ndarray], plan: AxesPlan, most_points: int) -> CurveAxes:
    lines = []
    for series, (name, column) in enumerate(plan.columns.items()):
        y = columns.get(column, np.empty(0))
        x = columns.get("iteration", np.empty(0))
        shown = np.isfinite(y) & (y > 0 if plan.log else True)
        if shown.any():
            lines.append(Line(name, *thinned(x[shown], y[shown], most_points), series))
    return CurveAxes(plan.label, tuple(lines), plan.reference, plan.log)


def thinned(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most `most` points: the first and last, and the extremes of equal stretches."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(x), max(1, most // 2 - 1) + 1).astype(int)
    kept = {0, len(x) - 1}
    for start, end in itertools.pairwise(edges.tolist()):
        kept |= {start + int(np.argmin(y[start:end])), start + int(np.argmax(y[start:end]))}
    chosen = np.array(sorted(kept))
    return x[chosen], y[chosen]
