"""Figures of the façades' results; matplotlib is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imnn_lab.inference.density import Marginals
from imnn_lab.inference.grids import as_ranges


def named(posteriors: Sequence[Marginals], name: str) -> dict[str, Marginals]:
    """Name the posteriors of several targets."""
    if len(posteriors) == 1:
        return {name: posteriors[0]}
    return {f"{name}, target {i}": posterior for i, posterior in enumerate(posteriors)}


def corner(
    posteriors: Mapping[str, Marginals],
    labels: Sequence[str],
    *,
    bins: Any = None,
    ranges: Any = None,
    smoothing: float | None = None,
    truth: Any = None,
    overlay: Mapping[str, Marginals] | None = None,
    masses: Sequence[float] = (0.68, 0.95),
    **kwargs: Any,
) -> Any:
    """Draw a corner plot of posteriors and of what is to lie over them.

    Parameters
    ----------
    posteriors, overlay : mapping from name to posterior
    labels : sequence of str
    bins, ranges, smoothing
        See `imnn_lab.figures.corner.corner`; of several numbers of bins the first counts.
    truth : parameter vector, or sequence of those, optional
        Where to draw lines.
    masses : sequence of float
        Probability masses that the contours enclose.
    **kwargs
        Passed to `imnn_lab.figures.static.draw`, and on to matplotlib.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from imnn_lab.figures import corner as figures
    from imnn_lab.figures import static

    described = figures.corner(
        {**posteriors, **(overlay or {})},
        labels,
        truths=as_truths(truth, len(labels)),
        masses=masses,
        bins=None if bins is None else int(max(bins) if hasattr(bins, "__len__") else bins),
        ranges=as_ranges(ranges, len(labels)),
        smoothing=smoothing,
    )
    return static.draw(described, **kwargs)


def as_truths(truth: Any, n_params: int) -> list[Any]:
    """Return one parameter vector, or several, as a list of them."""
    import numpy as np

    return [] if truth is None else list(np.asarray(truth, np.float64).reshape(-1, n_params))
