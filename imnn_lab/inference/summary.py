"""The table of a posterior, as text and as LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation, median and credible interval of each parameter.

    Attributes
    ----------
    labels : tuple of str
        Names of the parameters.
    mass : float
        Probability mass of the interval.
    table : ndarray, shape (n_params, 5)
        Columns mean, sd, median, low, high.
    properties : mapping
        Numbers about the posterior as a whole: samples, effective samples, ...
    """

    labels: tuple[str, ...]
    mass: float
    table: np.ndarray
    properties: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        tails = ((1 - self.mass) / 2, (1 + self.mass) / 2)
        return ("mean", "sd", "median", *(f"{100 * tail:.3g}%" for tail in tails))

    def __str__(self) -> str:
        rows = [["", *self.columns], *([label, *cells] for label, cells in self._cells())]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        about = ", ".join(f"{name} {value:.6g}" for name, value in self.properties.items())
        return "\n".join([*lines, about] if about else lines)

    def to_latex(self) -> str:
        """Return a LaTeX tabular."""
        header = " & ".join(["", *(name.replace("%", r"\%") for name in self.columns)])
        rows = [" & ".join([label, *cells]) for label, cells in self._cells()]
        body = " \\\\\n".join([header, *rows])
        return f"\\begin{{tabular}}{{l{'r' * 5}}}\n{body} \\\\\n\\end{{tabular}}"

    def _cells(self) -> list[tuple[str, list[str]]]:
        return [
            (label, [f"{number:.4g}" for number in row])
            for label, row in zip(self.labels, self.table, strict=True)
        ]
