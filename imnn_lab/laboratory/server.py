"""Serves the laboratory from a command line."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from imnn_lab.demo import PROBLEMS
from imnn_lab.laboratory import options as types
from imnn_lab.laboratory.offer import MEGABYTE, MOST_BYTES, Offer
from imnn_lab.laboratory.pool import MOST_ITERATIONS, MOST_SECONDS, shared_pool
from imnn_lab.laboratory.runs import KEEP, MOST_RUNS, shared_runs

PATIENCE = 8.0  # seconds that work may take to end; those who stop servers kill them after ten


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``imnn-lab serve``."""
    parser.add_argument(
        "--address", default="127.0.0.1", type=types.address,
        help="address to listen on (default: %(default)s, this machine only)",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=types.whole_number(0, 2**16 - 1), default=5006,
        help="0 for any that is free (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-websocket-origin", action="append", type=types.origin, metavar="HOST[:PORT]",
        help="name or address by which browsers reach the server; can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--max-fits", type=types.whole_number(1), metavar="N",
        help="fits that run at once, others are queued (default: one less than processors, 1 to 4)",
    )  # fmt: skip
    parser.add_argument(
        "--max-iterations", type=types.whole_number(1), metavar="N", default=MOST_ITERATIONS,
        help="iterations after which a fit ends (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-seconds", type=types.seconds, metavar="SECONDS", default=MOST_SECONDS,
        help="time after which a fit ends, pauses included (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=types.directory, metavar="DIRECTORY",
        help="keep runs here: they are found again, and go on, after a restart of the server",
    )  # fmt: skip
    parser.add_argument(
        "--problem", choices=list(PROBLEMS), default="", help="problem that is chosen first"
    )
    parser.add_argument(
        "--locked", action="store_true",
        help="let visitors steer, but send nothing, nor choose another problem than --problem",
    )  # fmt: skip
    parser.add_argument(
        "--max-upload", type=types.whole_number(1), metavar="MB", default=MOST_BYTES // MEGABYTE,
        help="largest size of the files that a run can be sent (default: %(default)s MB)",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=types.readable_directory, metavar="DIRECTORY",
        help="offer the simulations in this directory to visitors (not with --locked)",
    )  # fmt: skip
    parser.add_argument(
        "--title", type=types.title, default="imnn_lab",
        help="words at the top of the page (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--basic-auth", type=types.secret, metavar="PASSWORD_OR_FILE",
        help="password, or a JSON file of user names and passwords, that visitors must give",
    )  # fmt: skip
    parser.add_argument(
        "--keep", type=types.minutes, default=KEEP, metavar="MINUTES",
        help=f"time after which a run without visitors ends (default: {KEEP / 60:g})",
    )  # fmt: skip
    parser.add_argument(
        "--max-runs", type=types.whole_number(1), default=MOST_RUNS, metavar="N",
        help="runs that are kept; the one without visitors for longest makes place for a new one "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--prefix", type=types.path, metavar="PATH",
        help="serve below this path, for a proxy that keeps it, such as /lab",
    )  # fmt: skip
    parser.add_argument(
        "--root-path", type=types.path, metavar="PATH",
        help="path below which browsers see the server, for a proxy that strips it",
    )  # fmt: skip
    parser.add_argument(
        "--use-xheaders", action="store_true",
        help="take the visitors' addresses from the headers of a proxy (X-Forwarded-For)",
    )  # fmt: skip


def serve(options: argparse.Namespace) -> int:
    """Serve until interrupted or terminated; what runs is stopped and waited for then.

    Returns
    -------
    int
        The exit status of the process.
    """
    if options.locked and options.data is not None:
        words = "--data must be left out with --locked, whose visitors build from no other data"
        print(f"imnn-lab serve: error: {words}", file=sys.stderr)
        return 2
    words = "Starting the laboratory; importing Panel takes some seconds."
    print(words, file=sys.stderr, flush=True)
    # A fit that takes all processors leaves pages none; TensorFlow reads this where it is imported.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) - 1)))
    from imnn_lab.laboratory.page import laboratory_page

    pool, runs = shared_pool(), shared_runs()
    runs.keep, runs.most = options.keep, options.max_runs
    most_bytes = MEGABYTE * options.max_upload
    runs.offer = Offer(options.title, options.problem, options.locked, options.data, most_bytes)
    runs.directory = None if options.runs is None else Path(options.runs)
    pool.slots = options.max_fits or pool.slots
    pool.most_iterations, pool.most_seconds = options.max_iterations, options.max_seconds
    try:
        server = _server(laboratory_page, options)
    except OSError as error:
        place = f"{options.address}, port {options.port}"
        print(f"imnn-lab serve: error: cannot listen at {place}: {error}", file=sys.stderr)
        return 2
    print(greeting(options, server.port, server.prefix), flush=True)
    server.run_until_shutdown()
    for number in (signal.SIGINT, signal.SIGTERM):  # another one ends the process at once
        signal.signal(number, signal.SIG_DFL)
    if not pool.close(PATIENCE):
        print(f"Some work has not ended within {PATIENCE:g} s.", file=sys.stderr, flush=True)
    runs.keep_all()
    return 0


def greeting(options: argparse.Namespace, port: int, prefix: str = "") -> str:
    """Return an address that shows the page here, and what browsers elsewhere need."""
    name, is_everywhere = options.address, _is_everywhere(options.address)
    host = "localhost" if is_everywhere else f"[{name}]" if ":" in name else name
    words = f"imnn_lab at http://{host}:{port}{prefix}/ (Ctrl-C ends it)"
    if is_everywhere and not options.allow_websocket_origin:
        words += (
            "\nOther machines are refused until the name or address by which they reach this one "
            f"is allowed, each by an option: --allow-websocket-origin {socket.gethostname()}:{port}"
        )
    return words


def _is_everywhere(address: str) -> bool:
    """Whether it stands for all addresses of this machine."""
    return any(place[0] in ("0.0.0.0", "::") for *_, place in socket.getaddrinfo(address, None))


def _server(page: Any, options: argparse.Namespace) -> Any:
    import panel as pn

    from imnn_lab.dashboards.host.panel_private import application_of, remember_component_files
    from imnn_lab.laboratory.first import first_html
    from imnn_lab.laboratory.login import PasswordLogin
    from imnn_lab.laboratory.opening import open_at_once
    from imnn_lab.laboratory.web import add_slash, protect

    remember_component_files()
    guarded: dict[str, Any] = {}
    if options.basic_auth is not None:
        guarded = {
            "auth_provider": PasswordLogin(options.basic_auth),
            "cookie_secret": secrets.token_hex(32),
        }
    server = pn.serve(
        page,
        address=options.address,
        port=options.port,
        websocket_origin=options.allow_websocket_origin,
        prefix=options.prefix or "",
        cookie_path=options.root_path or options.prefix or "/",
        use_xheaders=options.use_xheaders,
        title=options.title,
        show=False,
        start=False,
        verbose=False,
        **guarded,
    )
    application = application_of(server)
    open_at_once(application, first_html(options.title))
    if not _is_everywhere(options.address):  # a page at this address may connect
        application.websocket_origins.add(f"{options.address}:{server.port}")
    protect(application, [options.address, *application.websocket_origins])
    if options.prefix:
        add_slash(application, options.prefix)
    return server
