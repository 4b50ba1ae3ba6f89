"""Derivatives as they were simulated: points around the fiducial parameters, and their weights.

The derivative of the mean of the summaries f by a parameter θ is a combination of their means at
points θ_fid + o_k,

    ∂μ/∂θ = Σ_k w_k ⟨f(x_k)⟩,        Σ_k w_k = 0,        Σ_k w_k o_k = 1.

By default the weights are those of the highest order that the points allow, which solve
Σ_k w_k o_kᵐ = 1 for m = 1 and 0 for all other m below the number of points (Fornberg 1988, Math.
Comp. 51, 699): exact for polynomials of a degree below that number.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imnn_lab import checks

FIDUCIAL = "fiducial"
ROUNDING = 1e-6  # of Σ|w| and Σ|w o|, that weights may be off by
EQUAL = 1e-9  # of the widest offset, that two points must differ by
Description = tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]
"""Name ("" without), offsets and weights of each parameter, as `Settings` holds them."""


class Stencil:
    """The points that the derivative by one parameter is taken from.

    Parameters
    ----------
    points : mapping from float to data
        Simulations at each offset θ − θ_fid, in the units of the parameter; 2 points or more.
        Simulations are of any kind that `IMNN` takes as `fiducial`: an array (n,) + input_shape,
        a function of the seed, files, a dataset. At offset 0 the word ``"fiducial"`` takes the
        fiducial simulations of the IMNN, which must have the seeds of the other points; a set of
        its own, made in another way, may stand there as well.
    weights : mapping from float to float, or sequence of float, optional
        Of each point, in the inverse units of the parameter; by default those of highest order.

    Attributes
    ----------
    offsets : tuple of float
        θ − θ_fid of each point, ascending.
    weights : tuple of float
        w of each point.
    simulations : tuple of data
        Those of each point.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than 2 points, two are equal, one is not finite or has no simulations,
        or Σw is not 0 or Σw·offset is not 1.

    Examples
    --------
    A sum of neutrino masses of 0, 0.1, 0.2 and 0.4 eV, and its weights times 12δ, δ = 0.1 eV:

    >>> import numpy as np
    >>> from imnn_lab import Stencil
    >>> x0, x1, x2, x4 = np.random.default_rng(1).normal(size=(4, 500, 10))
    >>> masses = Stencil({0: x0, 0.1: x1, 0.2: x2, 0.4: x4})
    >>> [round(12 * 0.1 * w, 6) for w in masses.weights]
    [-21.0, 32.0, -12.0, 1.0]
    """

    def __init__(self, points: Any, weights: Any = None) -> None:
        found = _points(points)
        self.offsets: tuple[float, ...] = tuple(sorted(found))
        self.simulations: tuple[Any, ...] = tuple(found[offset] for offset in self.offsets)
        self.weights: tuple[float, ...] = (
            highest_order(self.offsets)
            if weights is None
            else _checked_weights(weights, list(found), self.offsets)
        )

    @classmethod
    def at(cls, points: Any, fiducial: float, weights: Any = None) -> Stencil:
        """Return the stencil of simulations at values of the parameter, instead of offsets.

        Parameters
        ----------
        points : mapping from float to data
            Simulations at each value.
        fiducial : float
            The fiducial value.
        weights : mapping from float to float, or sequence of float, optional
            Of each point, by its value.

        Raises
        ------
        TypeError, ValueError
            As `Stencil` does.

        Examples
        --------
        >>> import numpy as np
        >>> from imnn_lab import Stencil
        >>> low, high = np.random.default_rng(1).normal(size=(2, 500, 10))
        >>> Stencil.at({-0.95: high, -1.05: low}, fiducial=-1).weights
        (-10.0, 10.0)
        """
        centre = checks.number("fiducial", fiducial)

        def moved(values: Mapping[Any, Any]) -> dict[float, Any]:
            return {
                round(checks.number("points", value) - centre, 15): each
                for value, each in values.items()
            }

        return cls(
            moved(_as_mapping(points)), moved(weights) if isinstance(weights, Mapping) else weights
        )

    def __repr__(self) -> str:
        return f"Stencil(offsets={self.offsets}, weights={self.weights})"


class Stencils:
    """Derivatives by all parameters, each from its own points and simulations.

    The simulations of one parameter are matched: where they have `seeds`, those seeds are used
    that all its points have, otherwise simulation i of each point has one seed, and all points have
    the same number. Parameters may have different numbers.

    Parameters
    ----------
    stencils : mapping from str to Stencil, or sequence of Stencil
        One for each parameter, in their order; a mapping {offset: simulations} is made a `Stencil`.

    Attributes
    ----------
    names : tuple of str
        Names of the parameters; "parameter 0", "parameter 1", … of a sequence.
    stencils : tuple of Stencil

    Raises
    ------
    TypeError, ValueError
        If they are not stencils, or one cannot be used; the message names its parameter.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import Stencils
    >>> x = np.random.default_rng(1).normal(size=(6, 500, 10))
    >>> derivative = Stencils({
    ...     "Ω_m": {-0.01: x[0], 0.01: x[1]},
    ...     "w": {0.05: x[2], -0.05: x[3]},
    ...     "M_ν": {0: "fiducial", 0.1: x[4], 0.2: x[5]},
    ... })
    >>> print(derivative)
    Ω_m: -0.01 (× -50), +0.01 (× 50)
    w: -0.05 (× -10), +0.05 (× 10)
    M_ν: 0 (× -15), +0.1 (× 20), +0.2 (× -5)
    """

    def __init__(self, stencils: Any) -> None:
        if isinstance(stencils, Mapping):
            given = {checks.text("stencils", name): each for name, each in stencils.items()}
        else:
            listed = checks.entries("stencils", stencils, "stencils")
            given = {f"parameter {i}": each for i, each in enumerate(listed)}
        if not given:
            expected = "hold a stencil for each parameter"
            raise ValueError(checks.wording("`stencils`", expected, "none"))
        self._is_named = isinstance(stencils, Mapping)
        self.names: tuple[str, ...] = tuple(given)
        self.stencils: tuple[Stencil, ...] = tuple(
            _as_stencil(name, each) for name, each in given.items()
        )

    @classmethod
    @checks.greek_keywords
    def central(cls, δθ: Any, simulations: Any, names: Any = None) -> Stencils:
        """Return central differences: points at θ_fid ± δθ/2, two for each parameter.

        Parameters
        ----------
        δθ : array-like, shape (n_params,)
            Full width of the difference.
        simulations : array, shape (n_d, 2, n_params) + input_shape
            Below and above the fiducial parameters.
        names : sequence of str, optional
            Of the parameters.

        Raises
        ------
        TypeError, ValueError
            If the array has another shape, or an argument cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from imnn_lab import Stencils
        >>> Stencils.central([0.1], np.zeros((500, 2, 1, 10))).stencils[0].offsets
        (-0.05, 0.05)
        """
        return _of_widths(cls, δθ, simulations, names, (-0.5, 0.5))

    @classmethod
    @checks.greek_keywords
    def forward(cls, δθ: Any, simulations: Any, names: Any = None) -> Stencils:
        """Return forward differences: the fiducial simulations, and points at θ_fid + δθ.

        Of first order: their error is δθ/2 times the second derivative.

        Parameters
        ----------
        δθ : array-like, shape (n_params,)
            Distance of the points.
        simulations : array, shape (n_d, n_params) + input_shape
            At θ_fid + δθ, of the seeds of the first n_d fiducial simulations.
        names : sequence of str, optional
            Of the parameters.

        Raises
        ------
        TypeError, ValueError
            If the array has another shape, or an argument cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from imnn_lab import Stencils
        >>> Stencils.forward([0.1], np.zeros((500, 1, 10))).stencils[0].offsets
        (0.0, 0.1)
        """
        return _of_widths(cls, δθ, simulations, names, (1.0,))

    @classmethod
    @checks.greek_keywords
    def five_point(cls, δθ: Any, simulations: Any, names: Any = None) -> Stencils:
        """Return five-point stencils: θ_fid − δθ, − δθ/2, + δθ/2, + δθ; the middle has weight 0.

        Parameters
        ----------
        δθ : array-like, shape (n_params,)
            Full width of the inner pair; the outer pair lies at ± δθ.
        simulations : array, shape (n_d, 4, n_params) + input_shape
            At these points, in this order.
        names : sequence of str, optional
            Of the parameters.

        Raises
        ------
        TypeError, ValueError
            If the array has another shape, or an argument cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> from imnn_lab import Stencils
        >>> made = Stencils.five_point([2.0], np.zeros((500, 4, 1, 10)))
        >>> [round(12 * w, 6) for w in made.stencils[0].weights]
        [1.0, -8.0, 8.0, -1.0]
        """
        return _of_widths(cls, δθ, simulations, names, (-1.0, -0.5, 0.5, 1.0))

    @property
    def description(self) -> Description:
        """Name, offsets and weights of each parameter."""
        names = self.names if self._is_named else ("",) * len(self.names)
        return tuple(
            (name, each.offsets, each.weights)
            for name, each in zip(names, self.stencils, strict=True)
        )

    def __len__(self) -> int:
        return len(self.stencils)

    def __str__(self) -> str:
        lines = []
        for name, each in zip(self.names, self.stencils, strict=True):
            points = zip(each.offsets, each.weights, strict=True)
            words = ", ".join(f"{in_words(offset)} (× {w:.6g})" for offset, w in points)
            lines.append(f"{name}: {words}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Stencils({dict(zip(self.names, self.stencils, strict=True))})"


def checked_description(value: Any, n_params: int) -> Description | None:
    """Return the description of stencils that was read from a file.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    if value is None:
        return None
    entries = [checks.entries("stencils", each, "name, offsets, weights") for each in value]
    found = []
    for name, offsets, weights in entries:
        points = [checks.number("stencils", x) for x in offsets]
        w = _checked_weights(weights, points, points)
        found.append((checks.text("stencils", name) if name else "", tuple(points), w))
    if len(found) != n_params:
        raise ValueError(checks.wording("stencils", f"be {n_params}", len(found)))
    return tuple(found)


def in_words(offset: float) -> str:
    """Write an offset with its sign: "+0.1", "0"."""
    return f"{offset:+.6g}" if offset else "0"


def highest_order(offsets: Sequence[float]) -> tuple[float, ...]:
    """Return the weights of the first derivative that are exact for polynomials of most degrees.

    Parameters
    ----------
    offsets : sequence of float
        At least 2, all different.
    """
    scale = max(abs(offset) for offset in offsets)
    V = np.vander(np.array(offsets) / scale, increasing=True).T
    w = np.linalg.solve(V, np.eye(len(offsets))[1])
    w = np.where(np.abs(w) > EQUAL * np.abs(w).max(), w, 0.0)
    shortest = (float(f"{x:.14g}") for x in w / scale)
    return tuple(shortest)


def _points(points: Any) -> dict[float, Any]:
    points = _as_mapping(points)
    found = {checks.number("points", offset): value for offset, value in points.items()}
    if len(found) < 2:
        expected = "hold simulations at 2 points or more"
        raise ValueError(checks.wording("`points`", expected, f"{len(found)}"))
    distances = np.diff(sorted(found))
    if not (distances > EQUAL * max(map(abs, found))).all():
        raise ValueError(
            checks.wording("`points`", "have offsets that differ", repr(sorted(found)))
        )
    for offset, value in found.items():
        if value is None or isinstance(value, int | float):
            expected = 'be simulations, or the word "fiducial"'
            context = f"`points` at {in_words(offset)}"
            raise TypeError(checks.wording(context, expected, checks.describe(value)))
        if isinstance(value, str) and (value != FIDUCIAL or offset):
            expected = 'be simulations; the word "fiducial" may stand at offset 0 alone'
            raise ValueError(
                checks.wording(f"`points` at {in_words(offset)}", expected, repr(value))
            )
    return found


def _as_mapping(points: Any) -> Mapping[Any, Any]:
    if not isinstance(points, Mapping):
        remedy = "For example Stencil({-0.01: below, 0.01: above})."
        expected = "be a mapping from offsets to simulations"
        raise TypeError(checks.wording("`points`", expected, checks.describe(points), remedy))
    return points


def _checked_weights(
    weights: Any, given: Sequence[float], offsets: Sequence[float]
) -> tuple[float, ...]:
    """Return weights in the order of the offsets, which is not that of the points as `given`."""
    if isinstance(weights, Mapping):
        named = {checks.number("weights", key): value for key, value in weights.items()}
        if set(named) != set(given):
            expected = f"have the offsets of the points, {list(offsets)}"
            raise ValueError(checks.wording("`weights`", expected, sorted(named)))
    else:
        values = checks.entries("weights", weights, "numbers")
        if len(values) != len(given):
            expected = f"hold a number for each of {len(given)} points"
            raise ValueError(checks.wording("`weights`", expected, len(values)))
        named = dict(zip(given, values, strict=True))
    w = np.array([checks.number("weights", named[offset]) for offset in offsets])
    o = np.array(offsets)
    remedy = f"Leave them out for those of highest order, {list(highest_order(offsets))}."
    if not abs(w.sum()) <= ROUNDING * np.abs(w).sum():
        expected = "have the sum 0, so that a constant has no derivative"
        raise ValueError(checks.wording("`weights`", expected, f"{w.sum():.6g}", remedy))
    if not abs(w @ o - 1) <= ROUNDING * max(1.0, np.abs(w * o).sum()):
        expected = "give Σ w · offset = 1, the derivative of the parameter by itself"
        raise ValueError(checks.wording("`weights`", expected, f"{w @ o:.6g}", remedy))
    return tuple(w.tolist())


def _as_stencil(name: str, value: Any) -> Stencil:
    if isinstance(value, Stencil):
        return value
    try:
        return Stencil(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`stencils` of {name}: {error}") from error


def _of_widths(
    cls: type[Stencils], δθ: Any, simulations: Any, names: Any, places: tuple[float, ...]
) -> Stencils:
    """Return stencils with points at `places` times δθ; one place is a forward difference."""
    sides = () if len(places) == 1 else (len(places),)
    shape = getattr(simulations, "shape", None)
    if shape is None:
        simulations = checks.real_array("simulations", simulations)
        shape = simulations.shape
    try:
        n_params = operator.index(shape[1 + len(sides)])
    except IndexError:
        n_params = 0
    if not n_params or tuple(shape[1 : 1 + len(sides)]) != sides or len(shape) < 3 + len(sides):
        expected = f"have shape (n_d, {''.join(f'{n}, ' for n in sides)}n_params) + input_shape"
        raise ValueError(checks.wording("`simulations`", expected, f"shape {tuple(shape)}"))
    widths = checks.vector("δθ", δθ, n_params)
    if not (widths > 0).all():
        raise ValueError(checks.wording("`δθ`", "be positive", widths.tolist()))
    made = []
    for α, width in enumerate(widths.tolist()):
        points: dict[float, Any] = {0.0: FIDUCIAL} if not sides else {}
        for k, place in enumerate(places):
            points[place * width] = simulations[:, k, α] if sides else simulations[:, α]
        made.append(Stencil(points))
    if names is None:
        return cls(made)
    labels = [checks.text("names", each) for each in checks.entries("names", names, "names")]
    if len(set(labels)) != n_params or len(labels) != n_params:
        expected = f"hold {n_params} different names"
        raise ValueError(checks.wording("`names`", expected, repr(labels)))
    return cls(dict(zip(labels, made, strict=True)))
