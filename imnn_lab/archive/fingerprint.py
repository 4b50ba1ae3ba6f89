"""The fingerprint of a saved network, which all of its files carry.

It is made with the network and kept by all that is saved of it: ``state.npz`` and ``estimator.npz``
hold it as text, ``model.keras`` as the comment of its zip file, files of weights as an attribute.
Files of version 0.1.0 have none, "".
"""

from __future__ import annotations

import uuid
import zipfile
from pathlib import Path

import h5py

ATTRIBUTE = "imnn_lab"


def new_fingerprint() -> str:
    """Return the fingerprint of a network that has just been made."""
    return uuid.uuid4().hex


def mark_network(path: Path, fingerprint: str) -> None:
    """Write the fingerprint into ``model.keras``."""
    with zipfile.ZipFile(path, "a") as file:
        file.comment = fingerprint.encode()


def network_fingerprint(path: Path) -> str:
    """Return the fingerprint of ``model.keras``."""
    with zipfile.ZipFile(path) as file:
        return file.comment.decode(errors="replace")


def mark_weights(path: Path, fingerprint: str) -> None:
    """Write the fingerprint into a file of weights."""
    with h5py.File(path, "a") as file:
        file.attrs[ATTRIBUTE] = fingerprint


def weights_fingerprint(path: Path) -> str:
    """Return the fingerprint of a file of weights."""
    with h5py.File(path) as file:
        return str(file.attrs.get(ATTRIBUTE, ""))
