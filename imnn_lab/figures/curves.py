"""What the curves of a training show: det F, det C, and the regulariser, by iteration."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.data import Curve, Panel, Panels
from imnn_lab.history import History, SteeringMark
from imnn_lab.regularisation import EPSILON

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
LOGARITHMIC = ("det C, det C⁻¹", "Λ2 and r")


def training_curves(
    history: History,
    regulariser: bool = True,
    known_det_fisher: float | None = None,
    most_points: int = 2000,
    log: bool | None = None,
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
    """
    regulariser = checks.boolean("regulariser", regulariser)
    columns, _ = history.read()
    labels = mark_labels(history.marks)
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
                "iteration",
                y_label,
                _curves(columns, tuple(names.values()), is_log, most_points),
                y_log=is_log,
                references=references.get(y_label, ()),
                marks=tuple((at, label if row == 0 else "") for at, label in labels.items()),
                names=tuple(names),
            )
        )
    return Panels(tuple(panels), size=(7.0, 2.4))


def _curves(
    columns: dict[str, np.ndarray], names: tuple[str, ...], is_log: bool, most_points: int
) -> tuple[Curve, ...]:
    curves = []
    x = columns.get("iteration", np.empty(0))
    for series, name in enumerate(names):
        y = columns.get(name, np.empty(0))
        shown = np.isfinite(y) & (y > 0 if is_log else True)
        if shown.any():
            curves.append(Curve(series, *thinned(x[shown], y[shown], most_points)))
    return tuple(curves)


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
