"""Colours that colour-blind readers can tell apart, with dashes that tell them apart in grey.

The colours are those of Okabe & Ito (2008), without the yellow that is lost on white paper, and
with a blue that is as far from a dark page as from a white one. Those of earlier runs are far from
those of the present one, for readers with and without colour vision.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = ("#1F83C7", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 2), (8, 2, 2, 2), (4, 1), (1, 1))
EARLIER_COLOURS = ("#556677", "#8877FF", "#AA4433", "#4444FF", "#CC0088")  # 3 to 1 in both themes
EARLIER_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 3), (1, 3), (8, 3, 1, 3))
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


def earlier_style(index: int) -> Style:
    """Return the style of the earlier run with this number, repeating after twenty."""
    colour, dashes = index % len(EARLIER_COLOURS), index // len(EARLIER_COLOURS)
    return Style(EARLIER_COLOURS[colour], EARLIER_DASHES[dashes % len(EARLIER_DASHES)])
