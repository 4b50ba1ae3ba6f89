"""What the curves of a training show: det F, det C, and the regulariser, by iteration."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

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
    known = () if known_det_fisher is None else (("known", float(known_det_fisher)),)
    axes = [
        _axes(
            columns, "det F", {"training": "det_F", "validation": "val_det_F"}, known, most_points
        ),
        _axes(
            columns,
            "det C, det C⁻¹",
            {
                "det C, training": "det_C",
                "det C, validation": "val_det_C",
                "det C⁻¹, training": "det_Cinv",
                "det C⁻¹, validation": "val_det_Cinv",
            },
            (("1", 1.0),),
            most_points,
            log=True,
        ),
    ]
    if regulariser:
        names = {"Λ2, training": "reg", "Λ2, validation": "val_reg", "r, training": "r"}
        axes.append(_axes(columns, "Λ2 and r", names, (), most_points, log=True))
    return TrainingCurves(tuple(axes), tuple(history.marks))


def _axes(
    columns: dict[str, np.ndarray],
    label: str,
    names: dict[str, str],
    reference: tuple[tuple[str, float], ...],
    most_points: int,
    log: bool = False,
) -> CurveAxes:
    lines = []
    for series, (name, column) in enumerate(names.items()):
        y = columns.get(column, np.empty(0))
        x = columns.get("iteration", np.empty(0))
        shown = np.isfinite(y) & (y > 0 if log else True)
        if shown.any():
            lines.append(Line(name, *thinned(x[shown], y[shown], most_points), series))
    return CurveAxes(label, tuple(lines), reference, log)


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
