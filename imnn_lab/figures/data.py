"""What figures show, as plain arrays: computed once, drawn by any backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

MASSES = (0.68, 0.95)


@dataclass(frozen=True)
class Curve:
    """A line: a one-parameter density, a record of training, or an ellipse as a parametric path.

    Attributes
    ----------
    series : int
        Number of the series it belongs to.
    x, y : ndarray, shape (n,)
        Empty for a series that has no data yet.
    mass : float or None
        Probability mass inside, for a closed path.
    """

    series: int
    x: np.ndarray = field(default_factory=lambda: np.empty(0))
    y: np.ndarray = field(default_factory=lambda: np.empty(0))
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
        Numbers that identify the same draws in other panels and figures.
    """

    series: int
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    rejected: bool = False
    rows: np.ndarray | None = None

    @property
    def opacity(self) -> np.ndarray:
        """How opaque each point is drawn, shape (n,), from 0 to 1."""
        return np.full(len(self.x), 0.3) if self.rejected else 0.2 + 0.7 * self.weights


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


@dataclass(frozen=True)
class Band:
    """The area between two curves.

    Attributes
    ----------
    series : int
    x, low, high : ndarray, shape (n,)
    """

    series: int
    x: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Image:
    """Values on a grid of pixels.

    Attributes
    ----------
    series : int
    values : ndarray, shape (ny, nx)
        The first row is the lowest. Empty for one that is not there yet. Colours reach from the
        smallest to the largest.
    """

    series: int
    values: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def x(self) -> np.ndarray:
        """Left edge of the first column and right edge of the last, shape (2,)."""
        return np.array([0.0, self.values.shape[1]] if self.values.size else [])

    @property
    def y(self) -> np.ndarray:
        """Lower edge of the first row and upper edge of the last, shape (2,)."""
        return np.array([0.0, self.values.shape[0]] if self.values.size else [])


Layer = Curve | Contours | Points | Histogram | Band | Image


@dataclass(frozen=True)
class Panel:
    """One set of axes, at a row and column of the figure.

    Attributes
    ----------
    row, column : int
    x_label, y_label : str
        Axes of the same label have the same range. An empty y_label means a density, whose scale
        says nothing.
    layers : tuple of Curve, Contours, Points, Histogram, Band or Image
        In the order in which they are drawn.
    x_range, y_range : pair of float, or None to fit
    x_log, y_log : bool
        Whether the axes are logarithmic.
    x_truth, y_truth : tuple of float
        Where dotted lines mark known or observed values.
    references : tuple of (str, float)
        Dashed horizontal lines with their names in the legend; an empty name has no entry there.
    marks : tuple of (float, str)
        Dotted vertical lines with their labels.
    names : tuple of str
        Names of the series in a legend of its own; empty where the figure's legend is enough.
    title : str
    y_names : tuple of (float, str)
        Names at heights of the vertical axis, instead of its numbers.
    """

    row: int
    column: int
    x_label: str
    y_label: str
    layers: tuple[Layer, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    x_log: bool = False
    y_log: bool = False
    x_truth: tuple[float, ...] = ()
    y_truth: tuple[float, ...] = ()
    references: tuple[tuple[str, float], ...] = ()
    marks: tuple[tuple[float, str], ...] = ()
    names: tuple[str, ...] = ()
    title: str = ""
    y_names: tuple[tuple[float, str], ...] = ()

    @property
    def has_free_height(self) -> bool:
        """Whether the vertical axis starts at zero and is its own: of densities and counts."""
        return not self.y_label or any(isinstance(layer, Histogram) for layer in self.layers)

    def values(self, side: str) -> np.ndarray:
        """Return all that is shown along one axis, "x" or "y"."""
        if side == "x":
            lines = [*self.x_truth, *(at for at, _ in self.marks)]
        else:
            lines = [*self.y_truth, *(value for _, value in self.references)]
        parts = [coordinates(layer, side) for layer in self.layers]
        return np.concatenate([*parts, np.asarray(lines, float)])


@dataclass(frozen=True)
class Panels:
    """A figure of panels.

    Attributes
    ----------
    panels : tuple of Panel
    series : tuple of str
        Names for the legend.
    masses : tuple of float
        Probability masses that contours and ellipses enclose.
    matrix : ndarray, optional
        A matrix to show beside them, with `labels` along its sides.
    labels : tuple of str
    size : pair of float
        Width and height of a panel on paper, in inches.
    truth : str
        What the dotted lines are, for the legend; empty where something else says it.
    """

    panels: tuple[Panel, ...]
    series: tuple[str, ...] = ()
    masses: tuple[float, ...] = ()
    matrix: np.ndarray | None = None
    labels: tuple[str, ...] = ()
    size: tuple[float, float] = (2.4, 2.4)
    truth: str = ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return 1 + max(panel.row for panel in self.panels)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return 1 + max(panel.column for panel in self.panels)

    @property
    def caption(self) -> str:
        """What the contours enclose, in words; empty without contours."""
        named = " and ".join(mass_label(mass) for mass in sorted(self.masses))
        return f"contours enclose {named}" if named else ""

    @property
    def drawn(self) -> set[tuple[int, bool]]:
        """What is drawn: the number of each series, and whether as what was rejected."""
        return {
            (layer.series, getattr(layer, "rejected", False))
            for panel in self.panels
            for layer in panel.layers
            if len(coordinates(layer, "x"))
        }

    @property
    def has_truth(self) -> bool:
        """Whether there are dotted lines that have a name."""
        return bool(self.truth) and any(panel.x_truth or panel.y_truth for panel in self.panels)

    def panel(self, row: int, column: int) -> Panel:
        """Return the panel at a row and column."""
        return next(p for p in self.panels if (p.row, p.column) == (row, column))

    def has_labels(self, panel: Panel) -> tuple[bool, bool]:
        """Whether a panel's horizontal and vertical axes are labelled, for those that share them.

        Of the panels with the same label, these are the lowest of a column and the leftmost of a
        row. Densities have no vertical label.
        """
        rows = [
            p.row for p in self.panels if (p.column, p.x_label) == (panel.column, panel.x_label)
        ]
        columns = [
            p.column for p in self.panels if (p.row, p.y_label) == (panel.row, panel.y_label)
        ]
        return panel.row == max(rows), bool(panel.y_label) and panel.column == min(columns)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the range of each label: the one given, or where the data lie and a margin."""
        given: dict[str, tuple[float, float]] = {}
        values: dict[str, list[np.ndarray]] = {}
        logarithmic = {}
        for label, ends, is_log, shown in self._axes():
            logarithmic[label] = is_log
            if ends is not None:
                given[label] = ends
            values.setdefault(label, []).append(shown)
        return {
            label: given.get(label) or _with_margin(np.concatenate(parts), logarithmic[label])
            for label, parts in values.items()
        }

    def _axes(self) -> Iterator[tuple[str, tuple[float, float] | None, bool, np.ndarray]]:
        for panel in self.panels:
            yield panel.x_label, panel.x_range, panel.x_log, panel.values("x")
            if not panel.has_free_height:
                yield panel.y_label, panel.y_range, panel.y_log, panel.values("y")


def coordinates(layer: Layer, side: str) -> np.ndarray:
    """Return where a layer lies along one axis, "x" or "y"."""
    if isinstance(layer, Histogram):
        return layer.edges if side == "x" else layer.base + layer.counts
    if isinstance(layer, Band) and side == "y":
        return np.concatenate([layer.low, layer.high])
    return layer.x if side == "x" else layer.y  # type: ignore[union-attr]


def mass_label(mass: float) -> str:
    """Write a probability mass as readers understand it: "68 %"."""
    return f"{100 * mass:.4g} %"


def _with_margin(values: np.ndarray, is_log: bool) -> tuple[float, float]:
    if is_log:
        low, high = _with_margin(np.log10(values[values > 0]), False)
        return 10**low, 10**high
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
