"""Serves the laboratory from a command line."""

from __future__ import annotations

import argparse
import secrets
from importlib import resources

BASE64 = 4 / 3  # size of a file in a message


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``imnn-lab serve``."""
    parser.add_argument(
        "--address", default="127.0.0.1",
        help="address to listen on (default: %(default)s, this machine only)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=5006, help="default: %(default)s")
    parser.add_argument(
        "--allow-websocket-origin", action="append", metavar="HOST[:PORT]",
        help="host name by which browsers reach the server; can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--max-fits", type=_positive, metavar="N",
        help="fits that run at once, others are queued (default: one per processor, at most 4)",
    )  # fmt: skip
    parser.add_argument(
        "--basic-auth", metavar="PASSWORD_OR_FILE",
        help="password, or a JSON file of user names and passwords, that visitors must give",
    )  # fmt: skip
    parser.add_argument(
        "--grace", type=float, default=20.0, metavar="SECONDS",
        help="time from the end of a session to that of its fits (default: %(default)s)",
    )  # fmt: skip


def serve(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    import panel as pn

    from imnn_lab.laboratory.page import laboratory_page
    from imnn_lab.laboratory.pool import shared_pool
    from imnn_lab.laboratory.stages import MOST_BYTES

    if options.max_fits is not None:
        shared_pool().slots = options.max_fits
    guarded: dict[str, str] = {}
    if options.basic_auth is not None:
        # a page of our own: Panel's has a picture from a host outside
        login = resources.files("imnn_lab") / "data" / "login.html"
        guarded = {
            "basic_auth": options.basic_auth,
            "cookie_secret": secrets.token_hex(32),
            "basic_login_template": str(login),
        }
    print(f"imnn_lab at http://{options.address}:{options.port}/ (Ctrl-C ends it)", flush=True)
    pn.serve(
        lambda: laboratory_page(options.grace),
        address=options.address,
        port=options.port,
        websocket_origin=options.allow_websocket_origin,
        websocket_max_message_size=int(2 * BASE64 * MOST_BYTES),
        title="imnn_lab",
        show=False,
        verbose=False,
        **guarded,
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1. Received {value}.")
    return value
