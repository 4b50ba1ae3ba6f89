"""A dashboard in a notebook: live where a browser shows it, a still picture where none does."""

from __future__ import annotations

import weakref
from typing import Any

import panel as pn

from imnn_lab.dashboards.export import curves_file
from imnn_lab.dashboards.ticking import NotebookTicker, has_answered, kernel_shell


def prepare_notebook() -> None:
    """Load Panel's scripts into a notebook, from this machine, unless they are there."""
    if kernel_shell() is not None and not pn.extension._loaded:
        pn.extension(inline=True)


def follow_in_notebook(dashboard: Any, layout: pn.viewable.Viewable) -> None:
    """Keep a dashboard that a notebook displays up to date; do nothing outside a kernel."""
    shell = kernel_shell()
    if shell is None:
        return
    layout_ticker = NotebookTicker(dashboard.pump.tick, layout)
    weakref.finalize(dashboard, layout_ticker.stop)
    layout_ticker.start()
    StillPicture(shell, dashboard, layout).watch()


class StillPicture:
    """The curves as a picture, put below a dashboard that no browser shows, after each fit.

    Without a browser (a notebook run as a batch) nothing else would show what the fit did.
    """

    def __init__(self, shell: Any, dashboard: Any, layout: Any) -> None:
        from IPython.display import HTML, display

        self._shell = shell
        self._dashboard, self._layout = weakref.ref(dashboard), layout
        self._place = display(HTML(""), display_id=True)
        self._shown = -1

    def watch(self) -> None:
        """Look after each cell whether there is something to show."""
        self._shell.events.register("post_run_cell", self._after_cell)

    def _after_cell(self, *_: Any) -> None:
        dashboard = self._dashboard()
        if dashboard is None or has_answered(self._layout):
            self._shell.events.unregister("post_run_cell", self._after_cell)
            return
        history, run = dashboard.state.imnn.history, dashboard.state.run
        if run is None or not run.has_ended or len(history) == self._shown:
            return
        self._shown = len(history)
        self._show(history)

    def _show(self, history: Any) -> None:
        from IPython.display import Image

        self._place.update(Image(curves_file(history, "png").getvalue()))
