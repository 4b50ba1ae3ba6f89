"""What was found about a network on Trust, on disk beside it: the last answer to each question.

Each is in a file of its own, written when it has been found.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from imnn_lab import storage
from imnn_lab.dashboards.common.questions import Found
from imnn_lab.diagnostics import FisherFlow, HonestFisher, LearningCurve, Light, Verdict
from imnn_lab.figures.data import Layer, Panel, Panels
from imnn_lab.laboratory.packing import TREE, Packing, unpacked
from imnn_lab.report import Answer, Report

RESULTS = (Report, Answer, Verdict, Light, HonestFisher, LearningCurve, FisherFlow)
KINDS = (*RESULTS, Panels, Panel, *get_args(Layer))
BEGINNING, END = "answer of ", ".npz"  # of the name of a file; the question's is between them


def write(place: Path, name: str, found: Found) -> None:
    """Write what was found to a file, instead of what was found before.

    Parameters
    ----------
    place : Path
        Directory of the network.
    name : str
        Of the question.
    found : pair
        What it is about, and the answer.
    """
    packing = Packing(KINDS)
    packing.write(place / f"{BEGINNING}{name}{END}", packing.tree(found))


def read(place: Path) -> tuple[dict[str, Found], list[str]]:
    """Return what was found, by the name of the question, and why some of it is lost."""
    found, lost = {}, []
    for path in sorted(place.glob(f"{BEGINNING}*{END}")):
        try:
            found[path.name.removeprefix(BEGINNING).removesuffix(END)] = _read(path)
        except (OSError, ValueError) as error:
            lost.append(str(error))
    return found, lost


def _read(path: Path) -> Found:
    arrays = storage.read_npz(path)
    with storage.whole(path):
        about, answer = unpacked(storage.unpack(arrays.pop(TREE)), arrays, KINDS)
    return about, answer
