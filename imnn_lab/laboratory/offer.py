"""What a server offers to its visitors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imnn_lab.demo import PROBLEMS

MEGABYTE = 2**20
MOST_BYTES = 100 * MEGABYTE  # unless a server says otherwise
FIRST = "gaussian"  # unless a server says otherwise


@dataclass(frozen=True)
class Offer:
    """What a server offers to its visitors.

    Attributes
    ----------
    title : str
        Shown at the top of the page.
    problem : str
        The one that is chosen first; "" leaves it to the visitor.
    is_locked : bool
        Whether visitors cannot send anything, nor choose another problem than the one given.
    data : Path, optional
        Directory with simulations that visitors may choose.
    most_bytes : int
        Largest size of the files that a run can be sent.
    """

    title: str = "imnn_lab"
    problem: str = ""
    is_locked: bool = False
    data: Path | None = None
    most_bytes: int = MOST_BYTES

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems that visitors may choose from, that which is chosen first before others."""
        if self.problem and self.is_locked:
            return (self.problem,)
        first = self.problem or FIRST
        return tuple(sorted(PROBLEMS, key=lambda name: name != first))


def size_words(n_bytes: float) -> str:
    """Return a size in the unit that suits it, with four digits at most."""
    size, units = float(n_bytes), ["GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1024
        units.pop()
    return f"{size:,.4g} {units[-1]}"
