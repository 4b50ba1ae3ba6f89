"""Names, units and values of parameters.

A name travels as a `Label`, a string that knows its unit and how LaTeX writes it. It compares as
the name alone; what is shown of it depends on where: `shown` in text, `in_latex` in a table of
LaTeX; the renderers of figures write their axes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imnn_lab import checks

LONGEST = 40  # characters of a name or a unit
REMEDY = (
    'For example parameters={"Ω_m": (0.3175, 0.01)}: fiducial value and full width of the '
    "difference, or the value alone without one."
)


class Label(str):
    """The name of a parameter, with its unit and how LaTeX writes it; "" and None without."""

    __slots__ = ("latex", "unit")

    unit: str
    latex: str | None

    def __new__(cls, name: str, unit: str = "", latex: str | None = None) -> Label:
        """Make the string that the name is."""
        label = super().__new__(cls, name)
        label.unit, label.latex = unit, latex
        return label


@dataclass(frozen=True)
class Parameter:
    r"""A parameter of the simulations, as a value of ``IMNN(parameters={name: ...})``.

    Parameters
    ----------
    fiducial : float
        Where the simulations are made, in `unit`.
    width : float, optional
        Full width of the central difference: simulations are at fiducial ± width/2. None for exact
        derivatives.
    unit : str
        Shown in brackets after the name.
    latex : str, optional
        How LaTeX writes the name, without dollar signs, for the axes of figures and for tables.

    Raises
    ------
    TypeError, ValueError
        If a value is not a finite number, the width not positive, or a text not one line of at most
        40 characters.

    Examples
    --------
    >>> from imnn_lab import Parameter
    >>> Parameter(0.0, 0.1, unit="eV", latex=r"M_\nu").unit
    'eV'
    """

    fiducial: float
    width: float | None = None
    unit: str = ""
    latex: str | None = None

    def __post_init__(self) -> None:
        set_value = object.__setattr__
        set_value(self, "fiducial", checks.number("fiducial", self.fiducial))
        if self.width is not None:
            set_value(self, "width", checks.number("width", self.width, above=0))
        if self.unit != "":
            set_value(self, "unit", _line("unit", self.unit))
        if self.latex is not None:
            latex = checks.text("latex", self.latex)
            if "$" in latex or not latex.isprintable() or len(latex) > 5 * LONGEST:
                expected = f"be one line of at most {5 * LONGEST} characters, without $"
                raise ValueError(checks.wording("`latex`", expected, repr(latex)))


def label_of(name: Any, parameter: Parameter) -> Label:
    """Return the label of a parameter, its name checked; a name that is one keeps its unit."""
    unit, latex = getattr(name, "unit", ""), getattr(name, "latex", None)
    return Label(_line("parameters", name), parameter.unit or unit, parameter.latex or latex)


def named_parameters(parameters: Any) -> dict[Label, Parameter]:
    """Return the parameters that a user passed, by their labels.

    Parameters
    ----------
    parameters : mapping from str to number, pair or Parameter

    Raises
    ------
    TypeError, ValueError
        If it is something else, or empty; or if a name is not one, or is there twice.
    """
    if not isinstance(parameters, Mapping) or not parameters:
        expected = "map names to values"
        message = checks.wording("`parameters`", expected, checks.describe(parameters), REMEDY)
        raise TypeError(message)
    found: dict[Label, Parameter] = {}
    for name, value in parameters.items():
        parameter = _parameter(name, value)
        found[label_of(name, parameter)] = parameter
    check_names("parameters", list(found))
    with_width = [name for name, value in found.items() if value.width is not None]
    if with_width and len(with_width) < len(found):
        expected = "have a width for all parameters, or for none, whose derivatives are exact"
        raise ValueError(checks.wording("`parameters`", expected, f"one for {with_width}", REMEDY))
    return found


def as_arguments(parameters: Any, **others: Any) -> dict[str, Any]:
    """Return n_params, θ_fid, δθ and labels, from `parameters` or as they were given.

    Parameters
    ----------
    parameters : mapping, or None
        See `named_parameters`.
    **others : any
        n_params, θ_fid and δθ as given, None where they were not.

    Raises
    ------
    TypeError, ValueError
        If both were given, or `parameters` is not valid.
    """
    if parameters is None:
        return others | {"labels": None}
    given = ", ".join(f"`{name}`" for name, value in others.items() if value is not None)
    if given:
        expected = "be given alone"
        remedy = "It holds the number, the fiducial values and the widths of all parameters."
        raise ValueError(checks.wording("`parameters`", expected, f"{given} as well", remedy))
    named = named_parameters(parameters)
    widths = [parameter.width for parameter in named.values()]
    return {
        "n_params": len(named),
        "θ_fid": [parameter.fiducial for parameter in named.values()],
        "δθ": None if None in widths else widths,
        "labels": tuple(named),
    }


def check_names(argument: str, names: Sequence[str]) -> None:
    """Refuse names of which two are the same in another spelling."""
    spelt: dict[str, str] = {}
    for name in names:
        other = spelt.get(checks.normalise(name))
        if other is not None:
            received = f"{name!r} twice" if other == name else f"{other!r} and {name!r}"
            raise ValueError(checks.wording(f"`{argument}`", "hold different names", received))
        spelt[checks.normalise(name)] = name


def spelt_as(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return names as they are spelt among those that are known; others stay as they are."""
    spelling = {checks.normalise(name): name for name in known}
    return [spelling.get(checks.normalise(name), name) for name in names]


def _parameter(name: Any, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    pair = value if isinstance(value, tuple | list) else (value,)
    if len(pair) not in (1, 2):
        received = f"{len(pair)} numbers for {name!r}"
        raise ValueError(checks.wording("`parameters`", "hold values or pairs", received, REMEDY))
    try:
        return Parameter(*pair)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`parameters[{name!r}]`: {error}") from None


def _line(context: str, value: Any) -> str:
    """Return a short text on one line."""
    text = checks.text(context, value)
    if not text.isprintable() or text != text.strip() or len(text) > LONGEST:
        expected = (
            f"be a text of at most {LONGEST} characters on one line, without spaces around it"
        )
        raise ValueError(checks.wording(f"`{context}`", expected, repr(text)))
    return text


def shown(label: str) -> str:
    """Return a name with its unit in brackets."""
    return f"{label} [{label.unit}]" if isinstance(label, Label) and label.unit else str(label)


def in_latex(label: str) -> str:
    """Return a name for a table in LaTeX, with its unit in brackets.

    Greek letters and subscripts are written as LaTeX does; a name with $ stays as it is.
    """
    unit = f" [{_name_in_latex(label.unit)}]" if isinstance(label, Label) and label.unit else ""
    if isinstance(label, Label) and label.latex:
        return f"${label.latex}${unit}"
    return _name_in_latex(label) + unit


def _name_in_latex(label: str) -> str:
    if "$" in label:
        return label
    parts, is_mathematics = [], False
    for letter in label:
        plain = unicodedata.normalize("NFKC", letter)
        if unicodedata.name(letter, "").endswith(" SYMBOL"):
            letter = plain  # another form of epsilon or theta
        kind, _, name = unicodedata.name(letter, "").rpartition(" ")
        if kind in ("GREEK SMALL LETTER", "GREEK CAPITAL LETTER"):
            named = name.lower() if "SMALL" in kind else name.capitalize()
            parts.append("\\" + named.replace("lamda", "lambda").replace("Lamda", "Lambda") + " ")
            is_mathematics = True
        elif "SUBSCRIPT" in kind or "SUPERSCRIPT" in kind:
            mark = "_{" if "SUBSCRIPT" in kind else "^{"
            before = parts.pop().removesuffix("}") if parts and parts[-1][:2] == mark else mark
            parts.append(before + plain.replace("−", "-") + "}")
            is_mathematics = True
        else:
            parts.append(letter)
    text = "".join(parts).replace(" _", "_").replace(" ^", "^").strip()
    if is_mathematics:
        text = re.sub(r"_([A-Za-z0-9]{2,})", r"_{\1}", text)
        return f"${text}$"
    return "".join("\\" + letter if letter in "_%&#" else letter for letter in text)
