"""Sessions of served pages: what ticks with them, and what stops when they end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import panel as pn
from panel.io.callbacks import PeriodicCallback

from imnn_lab.dashboards.host.panel_private import local_resources, send_what_waits


def in_session() -> bool:
    """Say whether this is the session of a served page."""
    return bool(pn.state.curdoc and pn.state.curdoc.session_context)


def tick_with_session(tick: Callable[[], object], period: float) -> None:
    """Do something every `period` seconds on this session's loop, until the session ends.

    It begins when the browser has drawn the page: what changes while it is being drawn may be lost.

    It does not count as activity of the page: Panel's flag for that is one for all sessions, and
    each change of it is sent to all of their pages. What a tick changes is sent together, in order:
    while a browser still takes the last message, Panel would queue what it sends itself, and let
    Bokeh tell of changes to models that the browser has yet to hear of.

    A page that was left keeps its session for half a minute: nothing is done for it.
    """
    milliseconds = int(1000 * period)

    async def together() -> None:
        if not pn.state.curdoc.session_context.session.connection_count:
            return
        send_what_waits(pn.state.curdoc)
        with pn.io.unlocked(policy="collect"):
            tick()

    callback = PeriodicCallback(callback=together, period=milliseconds, background=True)
    pn.state.on_session_destroyed(lambda session_context: callback.stop())
    pn.state.onload(callback.start)


def take_styles_from_here() -> None:
    """Let a session's page ask this server for style sheets, and no host outside.

    Panel does so when it answers a page's request; the session of a browser that was too slow to
    connect is made a second time, without such a request.
    """
    if in_session():
        pn.state.curdoc.template_variables.setdefault("dist_url", local_resources())


def stop_with_session(imnn: Any, grace_seconds: float = 0.0) -> None:
    """Stop the fit of a network some time after the session that shows it has ended.

    A session ends 15 to 32 seconds after its page is closed. Outside a session nothing is done.

    Parameters
    ----------
    imnn : object
        Anything with a `run` that can be stopped.
    grace_seconds : float
        How long to wait after the session's end.
    """

    def stop() -> None:
        if imnn.run is not None:
            imnn.run.stop()

    end_with_session(stop, grace_seconds)


def end_with_session(stop: Callable[[], object], grace_seconds: float = 0.0) -> None:
    """Call a function some time after this session has ended; do nothing outside a session.

    Parameters
    ----------
    stop : callable
    grace_seconds : float
        How long to wait after the session's end.
    """

    def session_destroyed(session_context: Any) -> None:
        if grace_seconds <= 0:
            stop()
            return
        timer = threading.Timer(grace_seconds, stop)  # in a thread: the server does not wait
        timer.daemon, timer.name = True, "imnn_lab session end"
        timer.start()

    if in_session():
        pn.state.on_session_destroyed(session_destroyed)
