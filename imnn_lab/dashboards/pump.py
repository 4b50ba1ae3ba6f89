"""The one place that moves what a history gained to the figures.

Training only appends to its History. A tick reads what is new and hands it on: one stream per tick
for the curves, and a `Moment` for the views. A tick belongs to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imnn_lab.dashboards.pace import Pace
from imnn_lab.dashboards.state import SCALES, WINDOWS, TrainingState
from imnn_lab.figures.curves import AxesPlan
from imnn_lab.figures.growing import GrowingCurves, Smoothing, robust_range, stacked
from imnn_lab.figures.interactive_curves import CurvesFigure
from imnn_lab.results import History, SteeringMark


@dataclass(frozen=True)
class Moment:
    """What a tick finds.

    Attributes
    ----------
    history : History
    columns : dict
        The rows that came since the last tick.
    latest : dict
        The last row, as numbers; empty before the first.
    marks : tuple of SteeringMark
    is_new : bool
        Whether this is another history than that of the last tick.
    """

    history: History
    columns: dict[str, np.ndarray]
    latest: dict[str, float]
    marks: tuple[SteeringMark, ...]
    is_new: bool

    @property
    def has_rows(self) -> bool:
        """Whether rows came since the last tick."""
        return bool(len(self.columns.get("iteration", ())))


class View(Protocol):
    """What the pump refreshes."""

    def refresh(self, moment: Moment) -> None:
        """Show what a tick found."""


class Browser(Protocol):
    """Who draws what is sent."""

    @property
    def is_awaited(self) -> bool:
        """Whether it still draws."""

    def ask(self) -> None:
        """Ask it to answer when it has drawn."""


class Pump:
    """Reads a network's history and refreshes views, when it is ticked.

    Parameters
    ----------
    state : TrainingState
    views : sequence of View
    browser : Browser, optional
        Who is waited for before it is sent more.
    """

    def __init__(
        self, state: TrainingState, views: Sequence[View], browser: Browser | None = None
    ) -> None:
        self.state, self.views = state, tuple(views)
        self._history: History | None = None
        self._cursor = 0
        self._latest: dict[str, float] = {}
        self._run: object = None
        self._n_marks, self._found = 0, False
        self._browser, self._pace = browser, Pace()

    def tick(self) -> Moment:
        """Read what is new and refresh the views."""
        moment = self._read()
        self._found = moment.is_new or moment.has_rows
        self._follow_run(moment)
        for view in self.views:
            view.refresh(moment)
        return moment

    @property
    def is_busy(self) -> bool:
        """Whether a run goes on, or the last tick found something new."""
        return self.state.is_running or self._found

    def tick_if_due(self) -> bool:
        """Do a tick where training and the browser have room for it; say whether it was done."""
        browser = self._browser
        if not self._pace.is_due or (browser is not None and browser.is_awaited):
            return False
        with self._pace:
            self.tick()
        if browser is not None and self._found:
            browser.ask()
        return True

    def _read(self) -> Moment:
        history = self.state.imnn.history
        is_new = history is not self._history
        if is_new:
            self._history, self._cursor, self._latest = history, 0, {}
        columns, self._cursor = history.read(self._cursor)
        if len(columns.get("iteration", ())):
            self._latest = {name: float(values[-1]) for name, values in columns.items()}
        return Moment(history, columns, self._latest, tuple(history.marks), is_new)

    def _follow_run(self, moment: Moment) -> None:
        """Let the settings follow a run that was started or steered from elsewhere."""
        run = self.state.run
        if run is None:
            return
        if run is not self._run:
            self._run = run
            pair = (run.regularisation.λ, run.regularisation.ε)
            if pair != self.state.applied and not self.state.is_pending:
                self.state.choose(*pair)
        elif len(moment.marks) > self._n_marks:
            self.state.follow(moment.marks[self._n_marks :])
        self._n_marks = len(moment.marks)


class CurvesPump:
    """Feeds the curves: points thinned as they come, smoothed ones beside them, ranges that follow.

    Parameters
    ----------
    state : TrainingState
    figure : CurvesFigure
    """

    def __init__(self, state: TrainingState, figure: CurvesFigure) -> None:
        self.state, self.figure = state, figure
        self._raw = GrowingCurves(len(figure.names))
        self._smooth = GrowingCurves(len(figure.names))
        self._smoothing: Smoothing | None = None
        self._n_marks, self._generation, self._choice = 0, 0, ("", False)
        self._ranges: list[tuple[float, float] | None] = []

    def move(self, moment: Moment) -> None:
        """Move what is new to the data sources."""
        if moment.is_new:
            self._raw.clear()
            self.figure.clear()
            self._smoothing, self._n_marks = None, 0
        if moment.has_rows:
            x, y = self._records(moment.columns)
            self.figure.put(self.figure.source, self._raw.extend(x, y))
        self._smooth_on(moment)
        if len(moment.marks) != self._n_marks:
            self.figure.show_marks(moment.marks)
            self._n_marks = len(moment.marks)
        self._follow(moment)

    def restart(self, moment: Moment) -> None:
        """Fill an empty figure with the whole history."""
        columns, _ = moment.history.read()
        whole = Moment(moment.history, columns, moment.latest, moment.marks, True)
        self._ranges = []
        self.move(whole)

    def _records(self, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        y = stacked(columns, self.figure.names)
        return columns["iteration"], np.where(np.isfinite(y), y, np.nan)

    def _smooth_on(self, moment: Moment) -> None:
        weight = self.state.smoothing
        columns = moment.columns
        if self._smoothing is None or self._smoothing.weight != weight:
            self._smoothing = Smoothing(weight, len(self.figure.names))
            self._smooth.clear()
            self.figure.show_smoothed(weight > 0)
            columns = moment.history.read()[0] if weight else {}
            if "iteration" in columns:
                x, y = self._records(columns)
                added = self._smooth.extend(x, self._smoothing.extend(y))
                whole = type(added)(True, 0, *self._smooth.points)
                self.figure.put(self.figure.smoothed, whole)
        elif weight and moment.has_rows:
            x, y = self._records(columns)
            added = self._smooth.extend(x, self._smoothing.extend(y))
            self.figure.put(self.figure.smoothed, added)

    def _follow(self, moment: Moment) -> None:
        choice = (self.state.window, self.state.fit_all)
        if choice != self._choice:
            self._choice, self._generation = choice, self._generation + 1
        window = WINDOWS[self.state.window]
        if window < 0 or not moment.latest:
            return
        ranges = self._new_ranges(moment, window)
        if ranges != self._ranges:
            self._ranges = ranges
            self.figure.show_ranges(ranges, self._generation)

    def _new_ranges(self, moment: Moment, window: int) -> list[tuple[float, float] | None]:
        last = moment.latest["iteration"]
        start = max(0.0, last - window) if window else 0.0
        margin = 0.02 * max(10.0, last - start)
        x, y = self._raw.points
        shown = dict(zip(self.figure.names, _in_window(x, y, start), strict=True))
        scale, everything = self.state.scale, self.state.fit_all
        return [(start - margin, last + margin)] + [
            robust_range(
                [shown[name] for name in plan.columns.values()],
                is_log(plan, scale),
                everything,
                [value for _, value in plan.reference],
            )
            for plan in self.figure.plans
        ]


def is_log(plan: AxesPlan, scale: str) -> bool:
    """Say whether axes are logarithmic under a choice of scale."""
    chosen = SCALES[scale]
    return plan.log if chosen is None else chosen


def _in_window(x: np.ndarray, y: np.ndarray, start: float) -> list[np.ndarray]:
    return [values[at >= start] for at, values in zip(x.T, y.T, strict=True)]
