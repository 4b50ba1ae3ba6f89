"""What an observation shows beside simulations from its posterior, and what the network looks at.

Data of two axes are drawn as images, all others as series of their values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab.figures.data import Band, Curve, Image, Layer, Panel, Panels

RANGE = (0.025, 0.975)  # quantiles that the band of simulations reaches from and to
OBSERVED, DRAWS, NEAREST = "observed", "95 % of posterior predictive draws", "nearest simulation"
PIXELS = ("column", "row")


def observation(
    data: np.ndarray,
    simulations: np.ndarray | None,
    nearest: int,
    gradient: np.ndarray | None,
    labels: Sequence[str],
) -> Panels:
    """Describe an observation, simulations at draws of its posterior, and a gradient.

    Parameters
    ----------
    data : ndarray, shape input_shape
        Axes of length one are left out.
    simulations : ndarray, shape (n,) + input_shape, or None
        At draws of the posterior; None before there are any.
    nearest : int
        The one whose estimate is nearest to that of the data.
    gradient : ndarray, shape (n_params,) + input_shape, or None
        Of the estimates with respect to the data, if it is known.
    labels : sequence of str
        A name for each parameter.
    """
    if np.squeeze(data).ndim == 2:
        return _images(np.squeeze(data), simulations, nearest, gradient, labels)
    return _series(np.ravel(data), simulations, nearest, gradient, labels)


def _series(
    data: np.ndarray,
    simulations: np.ndarray | None,
    nearest: int,
    gradient: np.ndarray | None,
    labels: Sequence[str],
) -> Panels:
    x, none = np.arange(len(data)), np.empty(0)
    band, near = Band(1, none, none, none), Curve(2)
    if simulations is not None:
        flat = simulations.reshape(len(simulations), -1)
        band = Band(1, x, *np.quantile(flat, RANGE, axis=0))
        near = Curve(2, x, flat[nearest])
    panels = [Panel(0, 0, "position", "data", (band, near, Curve(0, x, data)))]
    names = [OBSERVED, DRAWS, NEAREST]
    if gradient is not None:
        curves = tuple(
            Curve(3 + i, np.arange(each.size), each.ravel()) for i, each in enumerate(gradient)
        )
        panels.append(Panel(1, 0, "position", "∂ estimate / ∂ data", curves))
        names += [f"of the estimate of {label}" for label in labels]
    return Panels(tuple(panels), tuple(names), size=(7.0, 2.4))


def _images(
    data: np.ndarray,
    simulations: np.ndarray | None,
    nearest: int,
    gradient: np.ndarray | None,
    labels: Sequence[str],
) -> Panels:
    near, mean = Image(0), Image(0)
    if simulations is not None:
        there = simulations.reshape(len(simulations), *data.shape)
        near, mean = Image(0, there[nearest]), Image(0, there.mean(axis=0))
    titles = (OBSERVED, NEAREST, "mean of posterior predictive draws")
    panels = [
        _image(0, i, t, x)
        for i, (t, x) in enumerate(zip(titles, (Image(0, data), near, mean), strict=True))
    ]
    for i, each in enumerate(() if gradient is None else gradient):
        title = f"∂ estimate of {labels[i]} / ∂ data"
        panels.append(_image(1, i, title, Image(0, each.reshape(data.shape))))
    return Panels(tuple(panels), ("data",))


def _image(row: int, column: int, title: str, layer: Layer) -> Panel:
    return Panel(row, column, *PIXELS, (layer,), title=title)
