"""Every public argument takes a value or refuses it in words of ours, whatever the value.

One argument at a time of a call that works is replaced by an odd value. What is behind the calls
is covered by them: results that the package makes itself, and the functions of `inference` that
take such results, check nothing again.
"""

import enum
import inspect
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_values import MAKERS, ODD, is_ours
from public_names import public_members, public_objects
from valid_calls import (
    diagnostic_calls,
    fisher_diagnostics_calls,
    inference_calls,
    matched_calls,
    problem_calls,
    signature,
    training_calls,
)

from imnn_lab import checks
from imnn_lab.networks import choice, setup
from imnn_lab.training.trainer import Trainer

# Results that the package makes, and functions that take only such results.
BEHIND = {
    "FisherStatistics", "FisherStatistics.from_arrays", "History", "History.append", "History.mark",
    "History.from_arrays", "Run", "Run.drive", "Failure", "Failure.from_dict", "TrainingSet",
    "Acceptance", "Acceptance.posterior", "Density", "Draws", "Draws.joined", "Draws.where",
    "FisherFlow", "LearningCurve",
    "ForwardModel", "ForwardModel.draws", "GaussianPosterior", "GaussianPosterior.log_likelihood",
    "GaussianPosterior.log_unnormalised", "Moves", "Moves.proposals",
    "Population", "Population.posterior", "Posterior", "Posterior.from_arrays", "Prior.sample",
    "Prior.log_prob", "Stopping", "Stopping.reason", "Summary",
    "Target", "Target.measured",
    "Target.differences", "Target.distances", "Target.tells_nothing", "accept", "first_population",
    "population_monte_carlo", "prior_draws", "until_accepted", "until_stopped", "Problem", "Batch",
    "SimulatedBatch", "batches", "default_size", "simulate", "Estimator",
    "Estimator.from_summaries", "SteeringMark", "Independent",
    "Independent.sample", "Independent.log_prob", "stop_with_session", "Regularisation.strength",
    "Candidate", "Choice", "SummarySet", "SummarySet.part", "Verdict", "Pairs",
    "Pairs.first", "Pairs.target", "Posteriors", "Calibration", "Recalibration", "OverFitting",
    "Novelty", "Distances",
    "EpsilonAdvice", "Estimator.summaries", "Estimator.encode", "Pairing", "Pairing.describe",
    "DerivativeReport", "HonestFisher", "CovarianceCheck", "Gaussianity", "Linearity",
    "InformationGap", "Transfer", "Family",
}  # fmt: skip


class Accepted(Exception):
    """Raised instead of the work that begins once all arguments are checked."""


def accepted(*arguments, **keywords):
    raise Accepted


def public_functions():
    """Return public functions, classes and methods with arguments, by their short names."""
    found = {}
    for name, thing in public_objects().items():
        short = name.rpartition(".")[2]
        if not (inspect.isclass(thing) and issubclass(thing, Exception | enum.Enum)):
            found[short] = thing
        for member, function in public_members(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(function):
                found[f"{short}.{member}"] = function
    return {name: thing for name, thing in found.items() if signature(thing)}


PUBLIC = public_functions()
CHECKED = sorted(set(PUBLIC) - BEHIND)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    place = tmp_path_factory.mktemp("calls")
    found = inference_calls(place) | problem_calls() | diagnostic_calls() | matched_calls()
    found |= fisher_diagnostics_calls()
    found |= training_calls(place)
    return {name: call for name, call in found.items() if name in CHECKED}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Work in a directory of its own, two levels deep."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")


@pytest.fixture
def no_work(monkeypatch):
    """Stop where training or the set-up of a network begins."""
    monkeypatch.setattr(Trainer, "new_run", accepted)
    monkeypatch.setattr(setup, "prepared_network", accepted)
    monkeypatch.setattr(choice, "chosen_network", accepted)


def fault(call, name, value):
    """Call with an odd value; return an error that is not ours, or None, and the seconds."""
    function, needed = call
    began, found = time.monotonic(), None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            function(**needed | {name: value})
        except Accepted:
            pass
        except Exception as error:
            found = None if is_ours(error) else error
    plt.close("all")
    return found, time.monotonic() - began


def test_every_public_function_is_covered(calls):
    assert set(calls) == set(CHECKED)
    assert not BEHIND - set(PUBLIC)


@pytest.mark.parametrize("name", CHECKED)
def test_odd_values_are_taken_or_refused_in_our_words(name, calls, elsewhere, no_work):
    function, _ = calls[name]

    @settings(
        max_examples=6, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.sampled_from(sorted(signature(function))), ODD)
    def check(argument, value):
        error, _ = fault(calls[name], argument, value)
        if error is not None:
            raise AssertionError(f"{name}({argument}={value!r})") from error

    check()


def test_control_a_function_without_checks_is_found_out():
    def unchecked(n):
        return np.ones(n)

    def checked(n):
        return np.ones(checks.integer("n", n, 0, maximum=10))

    unchecked.__module__ = "imnn_lab.unchecked"
    faults = {f: [fault((f, {}), "n", make())[0] for make in MAKERS] for f in (unchecked, checked)}
    assert sum(error is not None for error in faults[unchecked]) > 30
    assert not any(faults[checked])


@pytest.mark.endurance
@pytest.mark.parametrize("name", CHECKED)
def test_all_odd_values_are_taken_or_refused_within_seconds(name, calls, elsewhere, no_work):
    function, _ = calls[name]
    wrong = []
    for argument in signature(function):
        for make in MAKERS:
            error, seconds = fault(calls[name], argument, make())
            if error is not None or seconds > 5:
                wrong.append(f"{argument}={make()!r:.60}: {error!r:.200} after {seconds:.1f} s")
    assert wrong == []
