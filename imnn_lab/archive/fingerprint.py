"""The fingerprint of a saved network, which all of its files carry.

It is made with the network and kept by all that is saved of it: ``state.npz`` and ``estimator.npz``
hold it as text, ``model.keras`` as a member of its zip file, files of weights as an attribute.
Files of version 0.1.0 have none, "", or, in ``model.keras``, the comment of its zip file.
"""

from __future__ import annotations

import uuid
import zipfile
from pathlib import Path

import h5py

NAME = "imnn_lab"  # of the member and the attribute


def new_fingerprint() -> str:
    """Return the fingerprint of a network that has just been made."""
    return uuid.uuid4().hex


def mark_network(path: Path, fingerprint: str) -> None:
    """Write the fingerprint into ``model.keras``."""
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(NAME, fingerprint)


def network_fingerprint(path: Path) -> str:
    """Return the fingerprint of ``model.keras``."""
    with zipfile.ZipFile(path) as file:
        content = file.read(NAME) if NAME in file.namelist() else file.comment
    return content.decode(errors="replace")


def mark_weights(path: Path, fingerprint: str) -> None:
    """Write the fingerprint into a file of weights."""
    with h5py.File(path, "a") as file:
        file.attrs[NAME] = fingerprint


def weights_fingerprint(path: Path) -> str:
    """Return the fingerprint of a file of weights."""
    with h5py.File(path) as file:
        return str(file.attrs.get(NAME, ""))
