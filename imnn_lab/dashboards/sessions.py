"""A session's end is the end of its fits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import panel as pn
from panel.io.callbacks import PeriodicCallback
from panel.io.resources import LOCAL_DIST
from panel.util import edit_readonly


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
    """
    milliseconds = int(1000 * period)

    async def together() -> None:
        with pn.io.unlocked(policy="collect"):
            tick()

    callback = PeriodicCallback(callback=together, period=milliseconds, background=True)
    pn.state.on_session_destroyed(SessionTick(callback).session_destroyed)
    pn.state.onload(callback.start)


class SessionTick:
    """What ends a session's ticks."""

    def __init__(self, callback: PeriodicCallback) -> None:
        self._callback = callback

    def session_destroyed(self, session_context: Any) -> None:
        """Tick no more."""
        self._callback.stop()


def take_styles_from_here() -> None:
    """Let a session's page ask this server for style sheets, and no host outside.

    Panel does so when it answers a page's request; the session of a browser that was too slow to
    connect is made a second time, without such a request.
    """
    if in_session():
        place = f"{pn.state.rel_path}/{LOCAL_DIST}" if pn.state.rel_path else LOCAL_DIST
        pn.state.curdoc.template_variables.setdefault("dist_url", place)


def calm(page: Any) -> Any:
    """Return a page without its link to the flag of activity, which is one for all sessions.

    The link would keep every page that was ever served in memory, and every event of any session
    would cost a search through the models of all of them.
    """
    with edit_readonly(page):
        page.busy = False  # no longer follows the flag, whose watcher is still there
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", [])):
        follower = getattr(watcher.fn, "__self__", None)
        if getattr(follower, "self", None) is page:
            pn.state.param.unwatch(watcher)
    return page


def stop_with_session(imnn: Any, grace_seconds: float = 0.0) -> SessionEnd | None:
    """Stop the fit of a network some time after the session that shows it has ended.

    A session ends 15 to 32 seconds after its page is closed. Outside a session nothing is done.

    Parameters
    ----------
    imnn : object
        Anything with a `run` that can be stopped.
    grace_seconds : float
        How long to wait after the session's end.
    """
    if not in_session():
        return None
    end = SessionEnd(imnn, grace_seconds)
    pn.state.on_session_destroyed(end.session_destroyed)
    return end


class SessionEnd:
    """What stops a fit once its session is over."""

    def __init__(self, imnn: Any, grace_seconds: float) -> None:
        self._imnn, self._grace = imnn, grace_seconds

    def session_destroyed(self, session_context: Any) -> None:
        """Stop the fit after the grace period, in a thread: the server goes on meanwhile."""
        if self._grace <= 0:
            self.stop()
            return
        timer = threading.Timer(self._grace, self.stop)
        timer.daemon = True
        timer.name = "imnn_lab session end"
        timer.start()

    def stop(self) -> None:
        """Stop the fit now, if there is one."""
        run = self._imnn.run
        if run is not None:
            run.stop()
