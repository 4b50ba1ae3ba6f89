"""What a diagnostic says in the end."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Light(enum.Enum):
    """How far something can be trusted, as a traffic light."""

    GREEN = "can be trusted"
    AMBER = "with care"
    RED = "cannot be trusted"
    GREY = "not known"


ORDER = (Light.RED, Light.AMBER, Light.GREY, Light.GREEN)  # from the worst on


def worst(lights: Iterable[Light]) -> Light:
    """Return the worst of some lights, green without any."""
    return min(lights, key=ORDER.index, default=Light.GREEN)


@dataclass(frozen=True)
class Verdict:
    """What a diagnostic says in the end.

    Attributes
    ----------
    light : Light
        How far it can be trusted.
    words : str
        What was found, with its numbers: whole sentences.
    remedy : str
        What to do about it: whole sentences; empty if there is nothing to do.
    """

    light: Light
    words: str
    remedy: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.words, self.remedy) if part)


def percent(share: float, digits: int = 3) -> str:
    """Write a share in percent, without an exponent where it is large."""
    if share >= 10:
        return "more than 1,000 %"
    return f"{plain(100 * share, digits)} %"


def plain(value: float, digits: int = 2) -> str:
    """Write a number that is not negative, without an exponent where it is large."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else f"{rounded:.{digits}g}"
