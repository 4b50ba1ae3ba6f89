"""A dashboard in a notebook: live where a browser shows it, a still picture where none does."""

from __future__ import annotations

import weakref
from typing import Any

import panel as pn

from imnn_lab.dashboards.export import curves_file
from imnn_lab.dashboards.subshells import hear_where_asked
from imnn_lab.dashboards.ticking import NotebookTicker, kernel_shell


def prepare_notebook() -> None:
    """Load Panel's scripts into a notebook, from this machine, unless they are there."""
    if kernel_shell() is not None and not pn.extension._loaded:
        pn.extension(inline=True)


def has_answered(view: Any) -> bool:
    """Say whether a frontend opened its connection to any display of a view; listen to it then."""
    displays = (pn.state._views.get(ref) for ref in view._models)
    comms = [getattr(display[3], "_comm", None) for display in displays if display is not None]
    opened = [comm for comm in comms if comm is not None]
    for comm in opened:
        hear_where_asked(comm)
    return bool(opened)


class NotebookView:
    """A dashboard as a notebook shows it: it is pushed once a tick, and only to who listens.

    A push to a frontend that never answers would be repeated for ever.

    Parameters
    ----------
    pump : Pump
    layout : Body
        What is displayed.
    """

    def __init__(self, pump: Any, layout: Any) -> None:
        self.pump, self.layout = pump, layout

    def tick(self) -> bool:
        """Bring the views up to date and push what changed, if somebody listens."""
        if not has_answered(self.layout):
            return False
        with self.layout.turn:
            if self.pump.tick_if_due():
                pn.io.push_notebook(self.layout)
        return self.pump.is_busy


def follow_in_notebook(dashboard: Any, layout: Any) -> NotebookView | None:
    """Keep a dashboard that a notebook displays up to date; do nothing outside a kernel.

    What is returned must be kept as long as the dashboard is to be followed.
    """
    shell = kernel_shell()
    if shell is None:
        return None
    view = NotebookView(dashboard.pump, layout)
    ticker = NotebookTicker(view)
    ticker.follow(shell.events)
    dashboard.state.on_change(ticker.start)
    StillPicture(shell.events, dashboard, view).watch()
    return view


class StillPicture:
    """The curves as a picture, put beside a dashboard that no browser shows, after each fit.

    Without a browser (a notebook run as a batch) nothing else would show what the fit did.
    """

    def __init__(self, events: Any, dashboard: Any, view: NotebookView) -> None:
        from IPython.display import HTML, display

        self._events = events
        self._dashboard, self._view = weakref.ref(dashboard), weakref.ref(view)
        self._place = display(HTML(""), display_id=True)
        self._shown = 0

    def watch(self) -> None:
        """Look after each cell whether there is something to show."""
        self._events.register("post_run_cell", self._after_cell)

    def _after_cell(self, *_: Any) -> None:
        dashboard, view = self._dashboard(), self._view()
        if dashboard is None or view is None or has_answered(view.layout):
            self._events.unregister("post_run_cell", self._after_cell)
            return
        history, run = dashboard.state.imnn.history, dashboard.state.run
        if len(history) != self._shown and (run is None or run.has_ended):
            self._shown = len(history)
            self._show(history)

    def _show(self, history: Any) -> None:
        from IPython.display import Image

        self._place.update(Image(curves_file(history, "png").getvalue()))
