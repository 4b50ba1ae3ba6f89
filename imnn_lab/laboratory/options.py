"""Types of command-line options: a wrong value is a usage error, before anything starts."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from imnn_lab import storage

MOST_SECONDS = int(threading.TIMEOUT_MAX)  # that a thread can wait
MOST_LETTERS = 100  # of a title
ORIGIN = re.compile(r"(?P<name>[\w.*-]+)(:(?P<port>\d{1,5}))?", re.ASCII)
PATH = re.compile(r"(/[\w.~-]+)*", re.ASCII)


def whole_number(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return the type of whole numbers from `least` to `most`."""
    span = f"from {least} to {most}" if most is not None else f"of at least {least}"

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise _refusal(f"be a whole number {span}", text) from None
        if value < least or (most is not None and value > most):
            raise _refusal(f"be a whole number {span}", text)
        return value

    return whole


def seconds(text: str) -> float:
    """Return a time in seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_SECONDS:
        raise _refusal(f"be a time in seconds from 0 to {MOST_SECONDS}", text)
    return value


def minutes(text: str) -> float:
    """Return the seconds of a time in minutes, 0 or more."""
    try:
        value = 60 * float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_SECONDS:
        raise _refusal(f"be a time in minutes from 0 to {MOST_SECONDS // 60}", text)
    return value


def address(text: str) -> str:
    """Return an address of this machine, as a number or a name."""
    expected = "be an address of this machine, such as 127.0.0.1"
    if not text.strip():  # sockets would take it for all addresses
        raise _refusal(expected, text)
    try:
        for family, _, _, _, place in socket.getaddrinfo(text, 0, type=socket.SOCK_STREAM):
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.bind(place)
    except (OSError, UnicodeError) as error:
        raise _refusal(expected, text, f" ({error})") from None
    return text


def origin(text: str) -> str:
    """Return the name of a host, and perhaps a port, as browsers send it."""
    found = ORIGIN.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 80) < 2**16:
        raise _refusal("be HOST or HOST:PORT, such as lab.example.org:5006", text)
    return text


def path(text: str) -> str:
    """Return a path of an address, such as "/lab": with a slash before, and none behind it."""
    cleaned = "/" + text.strip("/")
    if cleaned != "/" and PATH.fullmatch(cleaned) and not {".", ".."} & {*cleaned.split("/")}:
        return cleaned
    raise _refusal("be a path of letters, digits and . _ ~ -, such as /lab", text)


def title(text: str) -> str:
    """Return a title of one line."""
    if not text.strip() or len(text) > MOST_LETTERS or not text.isprintable():
        raise _refusal(f"be a line of 1 to {MOST_LETTERS} letters", text)
    return text.strip()


def directory(text: str) -> str:
    """Return a directory, there already or not, to which files can be written."""
    if not text.strip():
        raise _refusal("be a directory", text)
    try:
        storage.check_writable(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("`directory` ")) from None
    return text


def readable_directory(text: str) -> Path:
    """Return a directory that is there and can be listed, by its full name."""
    try:
        os.scandir(text).close()
        return Path(text).resolve()
    except (OSError, ValueError) as error:
        raise _refusal("be a directory to read from", text, f" ({error})") from None


def secret(text: str) -> str | Mapping[str, str]:
    """Return a password, or the passwords by name that a file holds.

    What ends in .json, holds a path separator or names a file is a file, which must exist: a
    misspelt name is no password.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "must not be empty: it would let everybody in. Is a variable unset?"
        )
    separators = {os.sep, os.altsep or os.sep}
    is_name = text.lower().endswith(".json") or bool(separators & {*text})
    if not is_name and not Path(text).is_file():
        return text
    try:
        found = json.loads(Path(text).read_text(encoding="utf-8"))
    except FileNotFoundError:
        rule = "what ends in .json or holds a path separator is a file"
        raise _no_passwords(f"There is no such file; {rule}") from None
    except (OSError, ValueError) as error:
        raise _no_passwords(f"The file cannot be read: {error}") from None
    entries = found if isinstance(found, dict) else {}
    if not entries or not all(isinstance(word, str) and word.strip() for word in entries.values()):
        raise _no_passwords("The file holds something else, or an empty password")
    return dict(entries)


def _no_passwords(reason: str) -> argparse.ArgumentTypeError:
    expected = 'a JSON file of names and passwords, {"ada": "a long password"}'
    return argparse.ArgumentTypeError(f"must be a password or {expected}. {reason}.")


def _refusal(expected: str, text: str, reason: str = "") -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"must {expected}. Received {text!r}{reason}.")
