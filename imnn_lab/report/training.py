"""What the summaries of a network tell about how far its results can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import diagnostics
from imnn_lab.archive.state import SavedTraining, state_arrays
from imnn_lab.diagnostics import HonestFisher, Light, SummarySet, Verdict
from imnn_lab.diagnostics.gap import checked_fisher
from imnn_lab.figures import diagnostics as figures
from imnn_lab.parameters import shown
from imnn_lab.progress import told
from imnn_lab.report.page import Answer, Report
from imnn_lab.results import FisherStatistics

INFORMATION = "How much information is there?"
SAID = {Light.GREEN: "passed", Light.AMBER: "with care", Light.RED: "failed"}


def about_training(
    summaries: SummarySet,
    *,
    role: str = "test",
    training: FisherStatistics | None = None,
    labels: Sequence[str] | None = None,
    known_fisher: Any = None,
    network: str = "network",
    progress: Callable[[float], Any] | None = None,
) -> Report:
    """Return a report on the Fisher information of summaries, and on what it rests on.

    Parameters
    ----------
    summaries : SummarySet
    role : {"test", "validation", "training"}
        What the simulations of `summaries` were used for, as in `diagnostics.honest_fisher`.
    training : FisherStatistics, optional
        Of the training set, if `summaries` are of another one.
    labels : sequence of str, optional
        Names of the parameters.
    known_fisher : array-like, shape (n_params, n_params), optional
        The exact Fisher information, if known.
    network : str
        What the network is called.
    progress : callable, optional
        Is told the share that is done, from 0 to 1, before each check and at the end; what it
        raises ends it.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid. What cannot be checked with these simulations is not known in
        the report.
    """
    tell = told(progress)
    names = diagnostics.fisher.checked_labels(labels, summaries.n_params, summaries.names)
    if known_fisher is not None:
        known_fisher = checked_fisher("known_fisher", known_fisher, summaries.n_params)
    checks = dict(_checks(summaries, role, training, names, known_fisher))
    answers: list[Answer] = []
    found = None
    for question, (check, draw) in checks.items():
        tell(len(answers) / len(checks))
        try:
            result = check()
        except ValueError as error:
            answers.append(Answer(question, Verdict(Light.GREY, str(error))))
            continue
        found = result if isinstance(result, HonestFisher) else found
        details = str(result).removeprefix(str(result.verdict)).strip("\n")
        answers.append(Answer(question, result.verdict, details, draw and draw(result)))
    tell(1.0)
    sentence = _sentence(summaries, role, training, network, found, answers)
    return Report("Can these results be trusted?", sentence, tuple(answers))


def about_saved(directory: Path) -> Report:
    """Return the report on a saved IMNN, without its network.

    Parameters
    ----------
    directory : Path
        Of `IMNN.save`.

    Raises
    ------
    FileNotFoundError
        If there is none in the directory.
    ValueError
        If the file is damaged, or holds no summaries.
    """
    saved = SavedTraining.from_arrays(state_arrays(directory))
    if saved.summaries is None:
        raise ValueError(
            f"The IMNN in {str(directory)!r} was saved without its summaries, by version 0.1.0 or "
            "as they were too large. Load it with its data: IMNN.load(...).report()."
        )
    settings, role = saved.settings, list(saved.statistics)[-1]
    n_external = saved.statistics[role].n_external
    θ_fid = np.array(settings.θ_fid)
    fiducial, derivative = saved.summaries
    summaries = SummarySet(
        fiducial, derivative, θ_fid, settings.widths, n_external, settings.stencils is not None,
        settings.labels,
    )  # fmt: skip
    training = saved.statistics["training"] if role == "validation" else None
    return about_training(summaries, role=role, training=training)


Check = tuple[Callable[[], Any], Callable[[Any], Any] | None]


def _checks(
    summaries: SummarySet,
    role: str,
    training: FisherStatistics | None,
    labels: Sequence[str],
    known_fisher: Any,
) -> Iterator[tuple[str, Check]]:
    named: dict[str, Any] = {"labels": labels}
    yield (
        INFORMATION,
        (
            lambda: diagnostics.honest_fisher(summaries, role=role, **named),
            figures.honest_fisher,
        ),
    )
    yield (
        "Is the derivative of the mean right?",
        (lambda: diagnostics.derivative_doctor(summaries, **named), figures.derivative_doctor),
    )
    if training is not None:
        yield (
            "Does the network over-fit?",
            (lambda: diagnostics.over_fitting(training, summaries), None),
        )
    yield (
        "Is the covariance the same at other parameters?",
        (lambda: diagnostics.covariance_check(summaries, **named), figures.covariance_check),
    )
    yield (
        "Are the summaries Gaussian?",
        (lambda: diagnostics.gaussianity(summaries), figures.gaussianity),
    )
    yield (
        "Is their mean linear in the parameters?",
        (lambda: diagnostics.linearity(summaries, **named), figures.linearity),
    )
    if known_fisher is not None or summaries.n_external:
        yield (
            "How much information is lost?",
            (
                lambda: diagnostics.information_gap(summaries, known_fisher, **named),
                figures.information_gap,
            ),
        )


def _sentence(
    summaries: SummarySet,
    role: str,
    training: FisherStatistics | None,
    network: str,
    found: HonestFisher | None,
    answers: Sequence[Answer],
) -> str:
    """Return what a paper would say."""
    n = summaries.n_summaries
    parts = [f"A {network} compressed the data to {n} {'summary' if n == 1 else 'summaries'}"]
    if training is not None:
        parts.append(f"after training on {_counts(training)}")
    parts = [" ".join(parts) + "."]
    if found is not None:
        low, high = found.det_bracket
        errors = ", ".join(
            f"{error:.2g} for {shown(label)} ({low:.2g} to {high:.2g})"
            for label, error, (low, high) in zip(
                found.labels, found.errors, found.error_brackets, strict=True
            )
        )
        parts.append(
            f"From {_counts(summaries)} of the {role} set, det F = {found.det_F:.3g} "
            f"({100 * found.level:.3g} %: {low:.3g} to {high:.3g}), which gives marginal errors of "
            f"{errors}."
        )
    for light, words in SAID.items():
        questions = [x.question for x in answers if x.verdict.light is light]
        if questions:
            parts.append(f"Checks {words}: {' '.join(questions)}")
    return " ".join(parts)


def _counts(found: SummarySet | FisherStatistics) -> str:
    counts = found.counts if isinstance(found, SummarySet) else [found.n_d]
    each = dict.fromkeys(f"{n:,}" for n in counts)
    return f"{found.n_s:,} fiducial and {' or '.join(each)} derivative simulations"
