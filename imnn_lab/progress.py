"""Progress bars, in terminals and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imnn_lab.bars import tqdm_class

if TYPE_CHECKING:
    from imnn_lab.run import Run


class ProgressBar:
    """The progress of a run: det F, det C, r, validation det F, patience; tqdm adds the times."""

    def __init__(self, shown: bool = True, notebook: bool | None = None) -> None:
        self._make = tqdm_class(notebook) if shown else None
        self._bar: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, run: Run) -> None:
        """Show the last iteration of a run."""
        if self._make is None:
            return
        if self._bar is None:
            self._bar = self._make(
                total=run.last, initial=run.iteration, desc="IMNN", unit="it", dynamic_ncols=True
            )
        self._bar.set_postfix(latest(run), refresh=False)
        self._bar.update(run.iteration - self._bar.n)


def latest(run: Run) -> dict[str, str]:
    """Return the last numbers of a run in words, for people."""
    columns, _ = run.history.read(max(0, len(run.history) - 1))
    shown = {"det F": "det_F", "det C": "det_C", "r": "r", "val det F": "val_det_F"}
    words = {
        label: f"{columns[name][-1]:.4g}"
        for label, name in shown.items()
        if len(columns[name]) and np.isfinite(columns[name][-1])
    }
    if run.plan.patience is not None:
        words["patience"] = f"{run.stale}/{run.plan.patience}"
    return words
