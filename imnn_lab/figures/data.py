"""What figures show, as plain arrays: computed once, drawn by any backend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MASSES = (0.68, 0.95)


@dataclass(frozen=True)
class Curve:
    """A line: a one-parameter density, or an ellipse as a parametric path.

    Attributes
    ----------
    series : int
        Number of the series it belongs to.
    x, y : ndarray, shape (n,)
    mass : float or None
        Probability mass inside, for a closed path.
    """

    series: int
    x: np.ndarray
    y: np.ndarray
    mass: float | None = None


@dataclass(frozen=True)
class Contours:
    """A two-parameter density with the heights that enclose given probability masses.

    Attributes
    ----------
    series : int
    x, y : ndarray, shape (nx,), (ny,)
    values : ndarray, shape (nx, ny)
    levels : ndarray
        Increasing heights; `masses` are those enclosed, decreasing.
    masses : tuple of float
    """

    series: int
    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    levels: np.ndarray
    masses: tuple[float, ...]


@dataclass(frozen=True)
class Points:
    """A cloud of points.

    Attributes
    ----------
    series : int
    x, y : ndarray, shape (n,)
    weights : ndarray, shape (n,)
        Between 0 and 1, 1 for the heaviest.
    rejected : bool
    rows : ndarray of int, shape (n,), optional
        Numbers by which the same draws are found in other panels and figures.
    """

    series: int
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    rejected: bool = False
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class Histogram:
    """Counts in bins.

    Attributes
    ----------
    series : int
    edges : ndarray, shape (n + 1,)
    counts : ndarray, shape (n,)
    base : ndarray, shape (n,)
        Where each bar begins, so that bars can stand on one another.
    rejected : bool
    """

    series: int
    edges: np.ndarray
    counts: np.ndarray
    base: np.ndarray
    rejected: bool = False


Layer = Curve | Contours | Points | Histogram


@dataclass(frozen=True)
class Panel:
    """One set of axes, at a row and column of the figure.

    Attributes
    ----------
    row, column : int
    x_label, y_label : str
        An empty y_label means a density, whose scale says nothing.
    x_range, y_range : pair of float, or None to fit
    layers : tuple of Curve, Contours, Points or Histogram
    x_truth, y_truth : tuple of float
        Where lines mark known or observed values.
    """

    row: int
    column: int
    x_label: str
    y_label: str
    x_range: tuple[float, float] | None
    y_range: tuple[float, float] | None
    layers: tuple[Layer, ...]
    x_truth: tuple[float, ...] = ()
    y_truth: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panels:
    """A figure of panels.

    Attributes
    ----------
    rows, columns : int
    panels : tuple of Panel
    series : tuple of str
        Names for the legend.
    matrix : ndarray, optional
        A matrix to show beside them, with `labels` along its sides.
    labels : tuple of str
    """

    rows: int
    columns: int
    panels: tuple[Panel, ...]
    series: tuple[str, ...]
    matrix: np.ndarray | None = None
    labels: tuple[str, ...] = ()

    def panel(self, row: int, column: int) -> Panel:
        """Return the panel at a place."""
        return next(p for p in self.panels if (p.row, p.column) == (row, column))
