"""Colours that colour-blind readers can tell apart, with dashes that tell them apart in grey.

The colours are those of Okabe & Ito (2008), without the yellow that is lost on white paper.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2), (4, 1), (1, 1))
TRUTH = "#444444"
REJECTED = "#999999"


@dataclass(frozen=True)
class Style:
    """How one series looks.

    Attributes
    ----------
    colour : str
        Hexadecimal.
    dashes : tuple of float
        Lengths of dash and gap in points; empty for a solid line.
    """

    colour: str
    dashes: tuple[float, ...]


def style(index: int) -> Style:
    """Return the style of the series with this number, repeating after six."""
    return Style(COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)])
