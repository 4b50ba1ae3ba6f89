"""What the address of a page asks for: a run by its name, or settings; all of it is checked.

``?run=NAME`` finds a run. Settings are those of `SETTINGS`, such as ``?problem=gaussian&lambda=5``;
a link to a view has those in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import numpy as np
import panel as pn

from imnn_lab import checks
from imnn_lab.dashboards.host.sessions import in_session
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.demo import PROBLEMS
from imnn_lab.figures.curves import AXES
from imnn_lab.laboratory.build import MOST_SEED, MOST_SIMULATIONS, NETWORKS
from imnn_lab.laboratory.runs import NAME
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.settings import OBJECTIVES

MOST_LETTERS = 200  # of a value
MOST_ITERATIONS = 10**9


def _among(name: str, allowed: tuple[str, ...]) -> Callable[[str], str]:
    return lambda text: checks.one_of(name, text, allowed)


def _whole(name: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most:
            return int(text)
        expected = f"be a whole number from {least:,} to {most:,}"
        raise ValueError(checks.wording(f"`{name}`", expected, repr(text)))

    return read


def _positive(name: str, least: float = 1e-12, most: float = 1e12) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not least <= value <= most:
            expected = f"be a number from {least:g} to {most:g}"
            raise ValueError(checks.wording(f"`{name}`", expected, repr(text)))
        return value

    return read


SETTINGS: dict[str, Callable[[str], Any]] = {
    "problem": str,  # of those that are offered
    "network": _among("network", NETWORKS),
    "n_s": _whole("n_s", 10, MOST_SIMULATIONS),
    "n_d": _whole("n_d", 10, MOST_SIMULATIONS),
    "seed": _whole("seed", 0, MOST_SEED),
    "iterations": _whole("iterations", 1, MOST_ITERATIONS),
    "patience": _whole("patience", 1, MOST_ITERATIONS),
    "objective": _among("objective", tuple(OBJECTIVES)),
    "lambda": _positive("lambda"),
    "epsilon": _positive("epsilon"),
    "learning_rate": _positive("learning_rate", 1e-6, 1.0),  # of the slider
    "axis": _among("axis", tuple(AXES)),
}
EXPONENTS = {"lambda": "log_lambda", "epsilon": "log_epsilon", "learning_rate": "log_learning_rate"}
NAMES = {
    "iterations": "n_iterations",
    "patience": "patience",
    "objective": "objective",
    "axis": "against",
}


def asked() -> dict[str, str]:
    """Return the query of the address of this session's page, the last value of each name."""
    if not in_session():
        return {}
    found = {name: values[-1] for name, values in pn.state.session_args.items() if values}
    texts = {name: _text(value)[:MOST_LETTERS] for name, value in found.items()}
    return {name: text for name, text in texts.items() if text}


def run_name(query: Mapping[str, str]) -> str:
    """Return the name of the run that is asked for, empty if there is none."""
    name = query.get("run", "")
    return name if NAME.fullmatch(name) else ""


def settings(
    query: Mapping[str, str], problems: Sequence[str] = tuple(PROBLEMS)
) -> tuple[dict[str, Any], str]:
    """Return the settings of a query, and why others are left out, empty if none is.

    Names that are no settings are ignored.

    Parameters
    ----------
    query : mapping
    problems : sequence of str
        Those that the page offers.
    """
    found, reasons = {}, []
    readers = SETTINGS | {"problem": _among("problem", tuple(problems))}
    for name in readers.keys() & query.keys():
        try:
            found[name] = readers[name](query[name])
        except (TypeError, ValueError) as error:
            reasons.append(f"The address: {error}")
    return found, " ".join(sorted(reasons))


def choose(card: Any, wanted: Mapping[str, Any]) -> None:
    """Set the boxes of a `ProblemCard` to what an address asks for, as far as they offer it."""
    for name in ("problem", "network", "n_s", "n_d", "seed"):
        box = getattr(card, name)
        options = getattr(box, "options", None)
        offered = options.values() if isinstance(options, dict) else options
        if name in wanted and (offered is None or wanted[name] in offered):
            box.value = wanted[name]


def follow(session: LaboratorySession, state: TrainingState) -> None:
    """Take the settings of a training for those of a run, at first as its address asks for."""
    restore(state, session.wanted)
    session.training, session.wanted = state, {}


def restore(state: TrainingState, wanted: Mapping[str, Any]) -> None:
    """Choose the settings of a training that an address asks for."""
    chosen = {NAMES[name]: value for name, value in wanted.items() if name in NAMES}
    for name in EXPONENTS.keys() & wanted.keys():
        chosen[EXPONENTS[name]] = float(np.log10(wanted[name]))
    state.param.update(**chosen)
    if "learning_rate" in wanted:
        state.apply_learning_rate()


def query_of(recipe: Mapping[str, Any], state: TrainingState | None) -> str:
    """Return the query of an address with the settings in use.

    Parameters
    ----------
    recipe : mapping
        How the network was built.
    state : TrainingState, optional
    """
    used = {name: recipe[name] for name in SETTINGS if name in recipe}
    if state is not None:
        used |= {name: getattr(state, NAMES[name]) for name in NAMES}
        used |= {"lambda": state.λ, "epsilon": state.ε, "learning_rate": state.learning_rate}
    return urlencode({name: _written(value) for name, value in used.items() if value is not None})


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
