"""The numbers and the shape of simulations, where their arrays say them."""

from __future__ import annotations

from typing import Any, NamedTuple

from imnn_lab import checks
from imnn_lab.files.rows import as_rows
from imnn_lab.sources.collection import AXES

MADE_FOR = {
    "n_s": "number of fiducial simulations",
    "n_d": "number of derivative simulations",
    "n_params": "number of parameters",
    "θ_fid": "fiducial parameters",
    "input_shape": "shape of one simulation",
}


class Shapes(NamedTuple):
    """What is known of simulations, None where nothing is."""

    n_s: int | None = None
    n_d: int | None = None
    input_shape: tuple[int, ...] | None = None


def shapes_of(fiducial: Any, derivative: Any) -> Shapes:
    """Return the numbers and the shape of simulations that have a `shape`, as arrays do.

    Parameters
    ----------
    fiducial : any
        With a shape of (n_s,) + input_shape.
    derivative : any
        With a shape that begins with n_d.
    """
    first, second = _shape("fiducial", fiducial), _shape("derivative", derivative)
    return Shapes(first[0] if first else None, second[0] if second else None, first[1:] or None)


def completed(
    given: dict[str, Any],
    fiducial: Any,
    derivative: Any,
    *,
    keeps_shape: bool,
    is_pool: bool = False,
) -> dict[str, Any]:
    """Return the arguments with those that the data say, and n_summaries, where they are None.

    Parameters
    ----------
    given : dict
        n_s, n_d, n_params, n_summaries, θ_fid, δθ and input_shape.
    fiducial, derivative : any
        Simulations of training.
    keeps_shape : bool
        Whether one of these simulations has the shape that the network sees.
    is_pool : bool
        Whether n_s and n_d of them are drawn, which their numbers do not say.

    Raises
    ------
    ValueError
        If some are not known, or the derivative simulations are pairs although δθ is None.
    """
    found = shapes_of(fiducial, derivative)
    known = found._asdict() if keeps_shape else found._replace(input_shape=None)._asdict()
    known |= {"n_s": None, "n_d": None} if is_pool else {}
    if given["n_params"] is None and given["θ_fid"] is not None:
        known["n_params"] = checks.as_array(given["θ_fid"]).size
    full = given | {name: value for name, value in known.items() if given.get(name) is None}
    if full["n_summaries"] is None:
        full["n_summaries"] = full["n_params"]
    unknown = [f"`{name}` ({words})" for name, words in MADE_FOR.items() if full.get(name) is None]
    if unknown:
        remedy = (
            "Numbers and shapes are taken from arrays alone, and the shape only without a "
            "preprocessing `map_fn`; parameters={name: (fiducial, width)} names the parameters."
        )
        expected = f"be given {', '.join(unknown)}"
        raise ValueError(checks.wording("IMNN", expected, "None", remedy))
    _check_width(full, _shape("derivative", derivative), found.input_shape)
    return full


def _check_width(given: dict[str, Any], shape: tuple[int, ...], one: Any) -> None:
    """Refuse pairs without the width of their difference."""
    sides = shape[1 : len(shape) - len(one)] if one and len(shape) > len(one) else ()
    if given["δθ"] is None and sides == (2, given["n_params"]):
        received = f"None, and `derivative` of shape {shape}, which are pairs"
        remedy = "None is for exact derivatives, (n_d, n_params) + input_shape."
        expected = "be the full width of the central difference"
        raise ValueError(checks.wording("`δθ`", expected, received, remedy))


def _shape(name: str, value: Any) -> tuple[int, ...]:
    """Return the shape of an array, its seeds first, () of what has none."""
    rows = as_rows(name, value, AXES[:1] if name == "fiducial" else AXES)
    if rows is not None:
        return rows.shape
    try:
        return tuple(int(length) for length in value.shape)
    except (AttributeError, TypeError, ValueError):
        return ()
