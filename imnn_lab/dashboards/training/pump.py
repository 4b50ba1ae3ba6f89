"""Moves what a history gained to the views and figures; nothing else does.

Training only appends to its History. A tick reads what is new: one stream per tick for the curves,
and a `Moment` for the views. One thread ticks at a time.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from imnn_lab.dashboards.training.state import WINDOWS, TrainingState
from imnn_lab.figures.curves import mark_labels, positions
from imnn_lab.figures.decimation import (
    Addition,
    GrowingCurves,
    Smoothing,
    cut_near,
    reach,
    robust_range,
    stacked,
)
from imnn_lab.figures.live_curves import GHOSTLY, CurvesFigure, columns_of
from imnn_lab.history import History, SteeringMark

SHARE = 0.02  # of the time, for ticks, so that training is not held up
LONGEST_WAIT = 1.0  # seconds from tick to tick, however long a tick takes
HURRY = 1.0  # seconds after an act of the reader's in which ticks do not wait for their share


@dataclass(frozen=True)
class Moment:
    """What a tick reads.

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
    length : int
        How many rows the history had; by now it may have grown.
    """

    history: History
    columns: dict[str, np.ndarray]
    latest: dict[str, float]
    marks: tuple[SteeringMark, ...]
    is_new: bool
    length: int

    @property
    def has_rows(self) -> bool:
        """Whether rows came since the last tick."""
        return bool(len(self.columns.get("iteration", ())))

    @property
    def all_columns(self) -> dict[str, np.ndarray]:
        """All rows up to this moment; those that came since belong to the next."""
        return {name: values[: self.length] for name, values in self.history.read()[0].items()}


class Refreshed(Protocol):
    """What the pump refreshes: views, and parts of widgets."""

    def refresh(self, moment: Moment) -> None:
        """Show another moment."""


class Browser(Protocol):
    """The browser that draws what is sent."""

    @property
    def is_awaited(self) -> bool:
        """Whether it has not finished drawing."""

    def ask(self) -> None:
        """Ask it to answer when it has drawn."""


class Pump:
    """Reads a network's history and refreshes views, when it is ticked.

    Parameters
    ----------
    state : TrainingState
    views : sequence of Refreshed
    browser : Browser, optional
        Nothing more is sent to it before it has drawn.
    """

    def __init__(
        self, state: TrainingState, views: Sequence[Refreshed], browser: Browser | None = None
    ) -> None:
        self.state, self.views = state, tuple(views)
        self._history: History | None = None
        self._cursor = 0
        self._latest: dict[str, float] = {}
        self._has_news = False
        self._browser, self._due = browser, 0.0
        self._acts, self._hurries_until = state.acts, 0.0

    def tick(self) -> Moment:
        """Read what is new and refresh the views."""
        moment = self._read()
        self._has_news = moment.is_new or moment.has_rows
        if moment.is_new:
            self.state.shown_iteration = None
        self.state.follow_run(moment.marks)
        for view in self.views:
            view.refresh(moment)
        return moment

    def tick_if_due(self) -> bool:
        """Tick if training and the browser have room for it, and soon after an act of the reader's.

        Returns
        -------
        bool
            Whether a run is in progress, or the last tick read something new.
        """
        started = time.monotonic()
        browser = self._browser
        if self.state.acts != self._acts:
            self._acts, self._hurries_until = self.state.acts, started + HURRY
        is_due = started >= self._due or started < self._hurries_until
        if is_due and not (browser is not None and browser.is_awaited):
            self.tick()
            now = time.monotonic()
            self._due = now + min((now - started) / SHARE, LONGEST_WAIT)
            if browser is not None and self._has_news:
                browser.ask()
        return self.state.is_running or self._has_news

    def _read(self) -> Moment:
        history = self.state.imnn.history
        is_new = history is not self._history
        if is_new:
            self._history, self._cursor, self._latest = history, 0, {}
        columns, self._cursor = history.read(self._cursor)
        if len(columns.get("iteration", ())):
            self._latest = {name: float(values[-1]) for name, values in columns.items()}
        return Moment(history, columns, self._latest, tuple(history.marks), is_new, self._cursor)


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
        self._earlier: dict[str, list] = {}
        self._reaches: dict[str, np.ndarray] = {}
        self._reached: tuple[dict[str, list], Hashable] = {}, ()

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
            labels = mark_labels(moment.marks)
            self.figure.show_marks(self._positions(moment, list(labels)), list(labels.values()))
            self._n_marks = len(moment.marks)
        self._follow(moment)

    def show_then(self, moment: Moment) -> None:
        """Mark the iteration that other figures show."""
        then = self.state.shown_iteration
        self.figure.show_then(None if then is None else self._positions(moment, [then])[0])

    def restart(self, moment: Moment) -> None:
        """Fill an empty figure with the whole history."""
        self._ranges = []
        self.move(replace(moment, columns=moment.all_columns, is_new=True))

    def _positions(self, moment: Moment, iterations: list[int]) -> list[float]:
        """Return where iterations lie on the horizontal axis."""
        if self.figure.against == "iteration" or not iterations:
            return list(iterations)
        columns = {name: moment.history[name] for name in ("iteration", "seconds")}
        return positions(columns, iterations, self.figure.against).tolist()

    def _records(self, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        found = stacked(columns, (self.figure.against, *self.figure.names))
        x, y = found[:, 0], found[:, 1:]
        return x, np.where(np.isfinite(y), y, np.nan)

    def _reach_of_earlier(self, start: float, last: float) -> dict[str, np.ndarray]:
        """Return how far earlier runs reach in each panel, where the present one is.

        It is found anew when they change, or what is shown of the present one by a few per cent.
        """
        width, data = max(last - start, 1e-9), self.figure.earlier
        steps = int(20 * np.log(width)), int(20 * start / width)
        key = (self._generation, steps)
        if data is not self._reached[0] or key != self._reached[1]:
            shown = [(x >= start) & (x <= last) for x in data[self.figure.against]]
            for panel in self.figure.panels:
                curves = data.get(GHOSTLY.get(panel.y_label, ""), [])
                values = [y[chosen] for y, chosen in zip(curves, shown, strict=False)]
                self._reaches[panel.y_label] = reach(values, panel.y_log, self.state.fit_all)
            self._reached = data, key
        return self._reaches

    def _smooth_on(self, moment: Moment) -> None:
        weight = self.state.smoothing
        columns = moment.columns
        if self._smoothing is None or self._smoothing.weight != weight:
            self._smoothing = Smoothing(weight, len(self.figure.names))
            self._smooth.clear()
            self.figure.show_smoothed(weight > 0)
            columns = moment.all_columns if weight else {}
            if "iteration" in columns:
                x, y = self._records(columns)
                self._smooth.extend(x, self._smoothing.extend(y))
                self.figure.put(self.figure.smoothed, Addition(True, 0, *self._smooth.points))
        elif weight and moment.has_rows:
            x, y = self._records(columns)
            added = self._smooth.extend(x, self._smoothing.extend(y))
            self.figure.put(self.figure.smoothed, added)

    def _follow(self, moment: Moment) -> None:
        choice = (self.state.window, self.state.fit_all)
        if choice != self._choice:
            self._choice, self._generation = choice, self._generation + 1
        elif not moment.has_rows and self._earlier is self.figure.earlier:
            return
        self._earlier = self.figure.earlier
        window = WINDOWS[self.state.window]
        if window < 0 or not moment.latest:
            return
        ranges = self._new_ranges(moment, window)
        if ranges != self._ranges:
            self._ranges = ranges
            self.figure.show_ranges(ranges, self._generation)

    def _new_ranges(self, moment: Moment, window: int) -> list[tuple[float, float] | None]:
        x, y = self._raw.points
        at, is_timed = moment.latest["iteration"], self.figure.against == "seconds"
        last = moment.latest.get(self.figure.against, np.nan)
        start = float(x[0, 0]) if is_timed else 0.0
        if window and at > window:
            start = self._positions(moment, [int(at) - window])[0]
        margin = 0.02 * max(0.1 if is_timed else 10.0, last - start)
        shown = dict(zip(self.figure.names, _in_window(x, y, start), strict=True))
        if not self.state.fit_all and not self.figure.panels[0].y_log:
            shown["det_F"] = cut_near(shown["det_F"], shown["val_det_F"])
        earlier = self._reach_of_earlier(start, last)
        return [(start - margin, last + margin)] + [
            robust_range(
                [*(shown[name] for name in columns_of(panel)), earlier[panel.y_label]],
                panel.y_log,
                self.state.fit_all,
                [value for _, value in panel.references],
            )
            for panel in self.figure.panels
        ]


def _in_window(x: np.ndarray, y: np.ndarray, start: float) -> list[np.ndarray]:
    return [values[at >= start] for at, values in zip(x.T, y.T, strict=True)]
