"""Checks of the arguments that the façades of inference share."""

from __future__ import annotations

from typing import Any

from imnn_lab import checks


def as_fraction(name: str, value: Any) -> float:
    """Return a number from 0 to 1."""
    result = checks.number(name, value)
    if not 0 <= result <= 1:
        raise ValueError(checks.wording(f"`{name}`", "lie between 0 and 1", result))
    return result


def refuse_unknown(function: str, left: dict[str, Any]) -> None:
    """Raise a TypeError if keyword arguments are left that nothing takes."""
    if left:
        received = ", ".join(map(repr, left))
        raise TypeError(checks.wording(f"`{function}`", "get keywords it knows", received))


def as_percentile(percentile: Any) -> float | None:
    """Return the percentage of particles that stay, between 0 and 100 exclusively, or None."""
    if percentile is None:
        return None
    result = checks.number("percentile", percentile)
    if not 0 < result < 100:
        remedy = "At 100 no particle would ever move; None moves a hundredth at a time."
        expected = "lie between 0 and 100, both excluded"
        raise ValueError(checks.wording("`percentile`", expected, result, remedy))
    return result
