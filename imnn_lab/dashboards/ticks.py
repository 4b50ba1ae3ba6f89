"""The tick of a page: what moves data from records to what is seen, four times a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn

PERIOD = 250  # milliseconds


def every_tick(refresh: Callable[[], Any], body: pn.viewable.Viewable) -> Any:
    """Call `refresh` on the page's own loop every tick, and send notebooks what has changed.

    Parameters
    ----------
    refresh : callable
        Moves the data.
    body : Viewable
        What the page shows.

    Returns
    -------
    panel.io.PeriodicCallback
        Has `stop()`.
    """

    async def tick() -> None:
        refresh()
        push(body)

    return pn.state.add_periodic_callback(tick, period=PERIOD)


def push(body: pn.viewable.Viewable) -> None:
    """Send what changed in Bokeh models to the notebooks that show `body` and have answered."""
    from panel.io.notebook import push_on_root

    for reference in list(body._models):
        comm = pn.state._views.get(reference, (None,) * 4)[3]
        if getattr(comm, "_comm", None) is not None:
            push_on_root(reference)
