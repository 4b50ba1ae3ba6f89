"""The table of posteriors: mean, spread, interval, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import panel as pn

from imnn_lab.dashboards.layout import card, table
from imnn_lab.dashboards.snapshot import Snapshot
from imnn_lab.dashboards.words import scrolling, words
from imnn_lab.inference.posterior import Posterior

MASS = 0.68


class SummaryView(pn.viewable.Viewer):
    """A row for each posterior and parameter."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._shown: object = None
        self._table = words()
        self._body = card("Summary", self._table)

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        if snapshot.key != self._shown:
            self._shown = snapshot.key
            self._table.object = summary_table(snapshot.samples)

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def summary_table(samples: Mapping[str, Posterior | None]) -> str:
    """Return the table of posteriors as HTML."""
    found = {name: posterior for name, posterior in samples.items() if posterior is not None}
    labels = next(iter(found.values())).labels
    names = ["posterior"]
    for label in labels:
        names += [f"{label}: mean ± sd", f"{label}: median", f"{label}: {MASS:.0%} interval"]
    names += ["effective samples", "acceptance", "simulations"]
    rows = [[name, *_cells(posterior)] for name, posterior in found.items()]
    return scrolling(table(names, rows))


def _cells(posterior: Posterior) -> list[str]:
    summary = posterior.summary(MASS)
    cells = []
    for mean, sd, median, low, high in summary.table:
        cells += [f"{mean:.4g} ± {sd:.2g}", f"{median:.4g}", f"{low:.4g} to {high:.4g}"]
    about = summary.properties
    acceptance = f"{about['acceptance']:.2%}" if "acceptance" in about else "—"
    simulations = f"{about['simulations']:,.0f}" if "simulations" in about else "—"
    return [*cells, f"{posterior.effective_samples:,.0f}", acceptance, simulations]
