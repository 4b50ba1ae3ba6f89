"""A server in this process whose sessions end as soon as they are left."""

import contextlib
import socket
import time
from urllib.parse import parse_qsl

import panel as pn
from bokeh.client import pull_session
from dashboards.serving import free_port


@contextlib.contextmanager
def served_in_this_process(make, lifetime=0.1):
    """Serve what `make` returns; yields a function that opens a session, to be closed;
    it takes the query of the address.

    Sessions end so many seconds after they were left.
    """
    port = free_port()
    server = pn.serve(
        make, port=port, address="127.0.0.1", show=False, threaded=True, verbose=False,
        unused_session_lifetime_milliseconds=int(1000 * lifetime),
        check_unused_sessions_milliseconds=50,
    )  # fmt: skip
    try:
        _wait_for(port)
        yield lambda query="": pull_session(
            url=f"http://127.0.0.1:{port}/", arguments=dict(parse_qsl(query.lstrip("?")))
        )
    finally:
        server.stop()


def _wait_for(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
