"""The page of saved results: it needs neither data, nor a network, nor TensorFlow."""

from __future__ import annotations

import html
from collections.abc import Hashable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.archive.state import SavedTraining
from imnn_lab.dashboards.common.downloads import figure_downloads, still_image
from imnn_lab.dashboards.common.layout import (
    WIDE,
    body,
    card,
    scrolling,
    side_by_side,
    table,
    words,
)
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.host.notebooks import follow, load_mathematics
from imnn_lab.dashboards.host.still import Picture
from imnn_lab.dashboards.inference.snapshot import BINS, WIDTH
from imnn_lab.dashboards.inference.views import corner_drawing, corner_rows, summary_table
from imnn_lab.dashboards.results.files import Results, SavedNetwork, read_results
from imnn_lab.dashboards.training.pump import Moment, Pump
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.views import Curves, EllipseView, Export
from imnn_lab.figures import Panels, corner, training_curves
from imnn_lab.inference.arguments import as_labels
from imnn_lab.inference.posterior import Posterior
from imnn_lab.parameters import shown

NUMBERS = {
    "det F": "{.det_F:.5g}",
    "det C": "{.det_C:.4g}",
    "Λ2": "{.Λ2:.3g}",
    "fiducial simulations": "{.n_s:,}",
    "derivative simulations": "{.n_d:,}",
}

CURVES_HEIGHT = 142  # pixels of a curve
Share = tuple[Any, int, int]  # of a row: see `side_by_side`


class ResultsDashboard(pn.viewable.Viewer):
    """Show saved results.

    Parameters
    ----------
    path : str, Path or Results
        Directory of a saved IMNN, a posterior's .npz, or a directory that holds such files.

    Raises
    ------
    FileNotFoundError, ValueError
        If the path holds no results.
    """

    def __init__(self, path: Path | str | Results) -> None:
        super().__init__()
        self.results = path if isinstance(path, Results) else read_results(path)
        of_trainings = (each.settings.labels or () for each in self.results.trainings.values())
        of_posteriors = (each.labels for each in self.results.posteriors.values())
        load_mathematics(chain.from_iterable((*of_trainings, *of_posteriors)))

    def __panel__(self) -> pn.viewable.Viewable:
        page = ResultsPage(self.results)
        follow(page)
        return page.body


class ResultsPage:
    """The views of one page of results."""

    def __init__(self, results: Results) -> None:
        self._pumps: list[Pump] = []
        self._results = results
        groups: dict[tuple[str, ...], dict[str, Posterior]] = {}
        for name, posterior in results.posteriors.items():
            groups.setdefault(posterior.labels, {})[name] = posterior
        self._groups = tuple(groups.values())
        cards = [(posteriors_card(group, results.note), 425, 2) for group in self._groups]
        trainings = [self._training(name, saved) for name, saved in results.trainings.items()]
        pairs = list(zip_longest(trainings, cards))
        self.body = body(*(_row(training, posteriors) for training, posteriors in pairs))
        self.tick()

    def tick(self) -> bool:
        """Show the present choices of the reader, which may change at any time."""
        for pump in self._pumps:
            pump.tick()
        return True

    def picture_key(self) -> Hashable:
        """Return what changes with the picture: nothing."""
        return "saved"

    def picture(self) -> Picture:
        """Return the curves of each training and the corner plots, and all numbers."""
        trainings = self._results.trainings
        figures = [training_curves(saved.history) for saved in trainings.values()]
        figures += [posteriors_figure(group) for group in self._groups]
        tables = [f"<h4>{html.escape(n)}</h4>{statistics_table(s)}" for n, s in trainings.items()]
        tables += [note_html(self._results.note)]
        tables += [summary_table(group) for group in self._groups]
        images = tuple(still_image(figure) for figure in figures)
        return Picture(images, "".join(tables))

    def _training(self, name: str, saved: SavedTraining) -> tuple[Share, Share]:
        """Return the curves of a training, and its numbers, each with its share of a row."""
        network = SavedNetwork(saved)
        state = TrainingState(network)
        state.n_iterations = max(1, len(saved.history) - 1)
        if len(saved.history) > 1 and saved.history["λ"][1] > 0:
            state.choose(*(float(saved.history[name][1]) for name in ("λ", "ε")))
        labels = as_labels(network.names, len(network.θ_fid))
        curves = Curves(state, height=CURVES_HEIGHT)
        numbers = card(f"Saved IMNN: {name}", words(scrolling(statistics_table(saved), 400)))
        tabs = Tabs[Moment](
            [
                Tab("Numbers", lambda: numbers),
                Tab("Ellipse", lambda: EllipseView(state, network.θ_fid, labels)),
                Tab("Download", lambda: Export(state)),
            ]
        )
        self._pumps.append(Pump(state, [tabs, curves]))
        return (curves, 555, 2), (tabs, 270, 1)


def _row(training: tuple[Share, Share] | None, posteriors: Share | None) -> pn.Row:
    """Return curves and numbers of a training, and between them posteriors, as there are."""
    curves, numbers = training or (None, None)
    return side_by_side(*(each for each in (curves, posteriors, numbers) if each is not None))


def statistics_table(saved: SavedTraining) -> str:
    """Return a table of the statistics and settings of a saved training."""
    statistics, θ_fid = saved.statistics.values(), saved.settings.θ_fid
    rows = [[name, *(form.format(s) for s in statistics)] for name, form in NUMBERS.items()]
    errors = np.array([np.sqrt(np.diag(s.Finv)) for s in statistics])
    labels = as_labels(saved.settings.labels, len(θ_fid))
    for label, θ, of_each in zip(labels, θ_fid, errors.T, strict=True):
        rows.append([f"{shown(label)} at {θ:.4g}: error", *(f"{error:.3g}" for error in of_each)])
    rows.append(["iterations", *[f"{max(0, len(saved.history) - 1):,}"] * len(statistics)])
    return table(["", *saved.statistics], rows)


def note_html(note: str) -> str:
    """Return what is said where posteriors stand."""
    return f"<p>{html.escape(note)}</p>" if note else ""


def posteriors_card(posteriors: dict[str, Posterior], note: str = "") -> pn.Column:
    """Return posteriors of the same parameters over each other, with their table."""
    description = posteriors_figure(posteriors)
    return card(
        "",
        corner_rows(corner_drawing(description, "saved", legend_columns=1)),
        pn.FlexBox(*figure_downloads("posteriors", lambda: description), gap="0px", **WIDE),
        words(note_html(note) + summary_table(posteriors, 105)),
    )


def posteriors_figure(posteriors: dict[str, Posterior]) -> Panels:
    """Return the corner plot of posteriors of the same parameters."""
    labels = next(iter(posteriors.values())).labels
    means = np.array([posterior.mean for posterior in posteriors.values()])
    reach = WIDTH * np.nanmax([posterior.sd for posterior in posteriors.values()], axis=0)
    ranges = np.stack([means.min(axis=0) - reach, means.max(axis=0) + reach], axis=1).tolist()
    return corner(posteriors, labels, ranges=ranges, bins=BINS, smoothing=1.0)
