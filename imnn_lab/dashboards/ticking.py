"""Who ticks a pump: a session's own loop, or one thread of a notebook's kernel.

A notebook needs a thread: while a cell blocks in `fit`, nothing else of the kernel's main thread
runs. Nothing is pushed before a frontend answered, since such pushes would be repeated for ever.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import panel as pn

PERIOD = 0.25
PATIENCE = 60.0


def in_session() -> bool:
    """Say whether this is the session of a served page."""
    return bool(pn.state.curdoc and pn.state.curdoc.session_context)


def follow(tick: Callable[[], Any], layout: pn.viewable.Viewable) -> None:
    """Tick while a page shows a layout: in its session's loop, or in a notebook's thread.

    Parameters
    ----------
    tick : bound method
    layout : Viewable
        What is shown; it keeps the method's object alive.
    """
    if in_session():

        async def tick_in_loop() -> None:
            tick()

        pn.state.add_periodic_callback(tick_in_loop, period=int(1000 * PERIOD))
    elif kernel_shell() is not None:
        ticker = NotebookTicker(tick, layout)
        layout.ticker, layout.ticked = ticker, tick
        weakref.finalize(layout, ticker.stop)
        ticker.start()


def kernel_shell() -> Any:
    """Return the interactive shell of a notebook's kernel, None elsewhere."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


class NotebookTicker:
    """Ticks in a thread while a frontend listens, and pushes once a tick.

    Parameters
    ----------
    tick : bound method
        What is done each time; it is held weakly.
    view : panel viewable
        What is pushed.
    period : float
        Seconds from tick to tick.
    """

    def __init__(self, tick: Callable[[], Any], view: Any, period: float = PERIOD) -> None:
        self._tick, self._view, self._period = weakref.WeakMethod(tick), weakref.ref(view), period
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.is_alive:
            return
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="imnn_lab view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def _run(self) -> None:
        given_up = time.monotonic() + PATIENCE
        while not self._stopped.wait(self._period):
            tick, view = self._tick(), self._view()
            if tick is None or view is None:
                return
            if not has_answered(view):
                if time.monotonic() > given_up:
                    return
                continue
            given_up = time.monotonic() + PATIENCE
            tick()
            pn.io.push_notebook(view)
            del tick, view


def has_answered(view: Any) -> bool:
    """Say whether a frontend opened its connection to any display of a view."""
    displays = (pn.state._views.get(ref) for ref in view._models)
    return any(
        display is not None and getattr(display[3], "_comm", None) is not None
        for display in displays
    )
