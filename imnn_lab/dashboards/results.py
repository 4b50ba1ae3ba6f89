"""The page of saved results: it needs neither data, nor a network, nor TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.curves import Curves
from imnn_lab.dashboards.drawings import placed
from imnn_lab.dashboards.ellipse import EllipseView
from imnn_lab.dashboards.export import Export
from imnn_lab.dashboards.export_view import figure_download
from imnn_lab.dashboards.following import follow
from imnn_lab.dashboards.layout import body, card, side_by_side, stack, table
from imnn_lab.dashboards.pump import Pump
from imnn_lab.dashboards.results_files import Results, TrainedBefore, read_results
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.dashboards.summary_view import summary_table
from imnn_lab.dashboards.training_words import parameter_names
from imnn_lab.dashboards.words import scrolling, words
from imnn_lab.figures.corner import corner
from imnn_lab.figures.data import Panels
from imnn_lab.figures.interactive_panels import Drawing
from imnn_lab.inference.posterior import Posterior
from imnn_lab.saved import SavedTraining

WIDTH, BINS = 4.5, 30


class ResultsDashboard(pn.viewable.Viewer):
    """Look at saved results.

    Parameters
    ----------
    path : str, Path or Results
        Directory of a saved IMNN, a posterior's .npz, or a directory that holds such files.

    Raises
    ------
    FileNotFoundError, ValueError
        If there are no results there.
    """

    def __init__(self, path: Path | str | Results) -> None:
        super().__init__()
        self.results = path if isinstance(path, Results) else read_results(path)

    def __panel__(self) -> pn.viewable.Viewable:
        page = ResultsPage(self.results)
        follow(page)
        return page.body


class ResultsPage:
    """The views of one page of results."""

    def __init__(self, results: Results) -> None:
        self._pumps: list[Pump] = []
        parts: list[Any] = [
            self._training(name, saved) for name, saved in results.trainings.items()
        ]
        groups: dict[tuple[str, ...], dict[str, Posterior]] = {}
        for name, posterior in results.posteriors.items():
            groups.setdefault(posterior.labels, {})[name] = posterior
        parts += [posteriors_card(group) for group in groups.values()]
        self.body = body(*parts)
        self.refresh()

    def refresh(self) -> None:
        """Let the views follow what the reader chose."""
        for pump in self._pumps:
            pump.tick()

    def _training(self, name: str, saved: SavedTraining) -> pn.viewable.Viewable:
        trained = TrainedBefore(saved)
        state: Any = TrainingState(trained)
        labels = parameter_names(None, len(trained.θ_fid))
        curves, ellipse = Curves(state), EllipseView(state, trained.θ_fid, labels)
        export = Export(state)
        self._pumps.append(Pump(state, [ellipse, curves, export]))
        left = stack(
            card(f"Saved IMNN: {name}", words(scrolling(statistics_table(saved)))),
            ellipse,
            export,
        )
        return side_by_side((left, 300, 1), (curves, 560, 3))


def statistics_table(saved: SavedTraining) -> str:
    """Return a table of the statistics and settings of a saved training."""
    names = list(saved.statistics)
    found = [saved.statistics[name] for name in names]
    rows = [["det F", *(f"{s.det_F:.5g}" for s in found)]]
    rows += [["det C", *(f"{s.det_C:.4g}" for s in found)]]
    rows += [["Λ2", *(f"{s.Λ2:.3g}" for s in found)]]
    rows += [["fiducial simulations", *(f"{s.n_s:,}" for s in found)]]
    rows += [["derivative simulations", *(f"{s.n_d:,}" for s in found)]]
    errors = [np.sqrt(np.diag(s.Finv)) for s in found]
    θ_fid = saved.settings.θ_fid
    for i, (name, θ) in enumerate(zip(parameter_names(None, len(θ_fid)), θ_fid, strict=True)):
        rows.append([f"{name} at {θ:.4g}: error", *(f"{error[i]:.3g}" for error in errors)])
    rows.append(["iterations", *[f"{max(0, len(saved.history) - 1):,}"] * len(found)])
    return table(["", *names], rows)


def posteriors_card(posteriors: dict[str, Posterior]) -> pn.Column:
    """Return posteriors of the same parameters over each other, with their table."""

    def described() -> Panels:
        first = next(iter(posteriors.values()))
        means = np.array([posterior.mean for posterior in posteriors.values()])
        sds = np.nanmax([posterior.sd for posterior in posteriors.values()], axis=0)
        ranges = [
            (float(low), float(high))
            for low, high in zip(
                means.min(0) - WIDTH * sds, means.max(0) + WIDTH * sds, strict=True
            )
        ]
        return corner(posteriors, first.labels, ranges=ranges, bins=BINS, smoothing=1.0)

    drawing = Drawing(described(), "saved", height=220)
    downloads = [figure_download("posteriors", described, kind) for kind in ("png", "pdf")]
    return card(
        "Saved posteriors",
        stack(placed(drawing), max_width="min(100%, 760px)"),
        words(scrolling(summary_table(posteriors))),
        pn.Row(*downloads),
    )
