"""Figures of the results of inference; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imnn_lab import checks, figures
from imnn_lab.figures.clouds import Cloud
from imnn_lab.inference.density import Marginals, as_probabilities, as_ranges


def corner_plot(
    name: str,
    posteriors: Sequence[Marginals],
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
    """Draw a corner plot of the posterior of each target, and of others over them.

    Parameters
    ----------
    name : str
        What the legend calls the posteriors.
    posteriors : sequence of Marginals
        One for each target.
    labels : sequence of str
    bins, ranges, smoothing
        See `imnn_lab.figures.corner`; the largest of several numbers of bins counts.
    truth : parameter vector, or sequence of those, optional
        Where to draw lines.
    overlay : mapping from name to posterior, optional
    masses : sequence of float
        Probability masses that the contours enclose.
    **kwargs
        Passed to `imnn_lab.figures.draw`, and on to matplotlib.

    Returns
    -------
    matplotlib.figure.Figure
    """
    overlay = _overlay(overlay)
    if smoothing is not None:
        smoothing = checks.number("smoothing", smoothing, below=1e4)
    if np.ndim(as_probabilities("masses", masses)) != 1:
        expected = "be a list of probabilities"
        raise ValueError(checks.wording("`masses`", expected, checks.describe(masses)))
    named = dict(zip(target_names(name, len(posteriors)), posteriors, strict=True))
    described = figures.corner(
        {**named, **overlay},
        labels,
        truths=_truths(truth, len(labels)),
        masses=masses,
        bins=None if bins is None else int(np.max(bins)),
        ranges=as_ranges(ranges, len(labels)),
        smoothing=smoothing,
    )
    return figures.draw(described, **kwargs)


def scatter_plot(
    name: str,
    clouds: Sequence[Cloud],
    labels: Sequence[str],
    axes: str,
    target_estimates: np.ndarray,
    truth: Any = None,
    **kwargs: Any,
) -> Any:
    """Draw scatter plots of draws, whose `series` number the targets.

    Parameters
    ----------
    name, labels, truth, **kwargs
        As for `corner_plot`.
    clouds : sequence of Cloud
    axes : {"parameter_estimate", "parameter_parameter", "estimate_estimate"}
    target_estimates : ndarray, shape (n_targets, n_params)
        Where to draw lines on the axes of estimates.
    """
    names, truths = target_names(name, len(target_estimates)), _truths(truth, len(labels))
    described = figures.scatter(
        clouds, names, labels, axes, truths=truths, targets=list(target_estimates)
    )
    return figures.draw(described, **kwargs)


def fisher_plot(
    Fisher: np.ndarray, target_estimates: np.ndarray, labels: Sequence[str], **kwargs: Any
) -> Any:
    """Draw the inverse of a Fisher matrix, and its ellipses around estimates (n, n_params)."""
    matrices = dict.fromkeys(target_names("F⁻¹", len(target_estimates)), Fisher)
    return figures.draw(figures.fisher(matrices, list(target_estimates), labels), **kwargs)


def target_names(name: str, n_targets: int) -> list[str]:
    """Return a name for each target: the given one, numbered if there are several targets."""
    return [name] if n_targets == 1 else [f"{name}, target {i}" for i in range(n_targets)]


def _truths(truth: Any, n_params: int) -> list[Any]:
    """Return one parameter vector, or several, as a list of them."""
    if truth is None:
        return []
    array = checks.finite("truth", checks.real_array("truth", truth).astype(np.float64))
    if array.ndim > 2 or array.size % n_params:
        expected = f"have shape ({n_params},) or (n, {n_params})"
        raise ValueError(checks.wording("`truth`", expected, f"shape {array.shape}"))
    return list(array.reshape(-1, n_params))


def _overlay(overlay: Any) -> Mapping[str, Marginals]:
    if overlay is None:
        return {}
    if not isinstance(overlay, Mapping) or not all(
        isinstance(name, str) and callable(getattr(posterior, "marginal", None))
        for name, posterior in overlay.items()
    ):
        expected, remedy = "map names to posteriors", 'For example {"ABC": ABC.samples()[0]}.'
        received = checks.describe(overlay)
        raise TypeError(checks.wording("`overlay`", expected, received, remedy))
    return overlay
