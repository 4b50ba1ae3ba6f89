"""Draws that survive: Ctrl-C, a crash, another object in the same directory."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imnn_lab import LFI
from imnn_lab.inference import Uniform, forward, journal

ROOT = Path(__file__).parents[2]
TARGETS = np.array([[0.3, -0.2]])
PROGRAM = """
import sys, time
import numpy as np
sys.path.insert(0, {tests!r})
import test_journal
from imnn_lab.inference import journal
journal.PAUSE = 0.0
test_journal.{run}(test_journal.slow, {directory!r})
"""


def simulator(parameters, seed):
    return parameters + 0.3 * np.random.default_rng(seed).standard_normal(parameters.shape)


def slow(parameters, seed):
    time.sleep(0.01)
    return simulator(parameters, seed)


slow.__qualname__ = "simulator"


class Counted:
    """Counts simulations, and is interrupted at one of its calls."""

    __qualname__ = "simulator"

    def __init__(self, interrupted_at=None):
        self.calls, self.made, self.interrupted_at = 0, 0, interrupted_at

    def __call__(self, parameters, seed):
        self.calls += 1
        if self.calls == self.interrupted_at:
            raise KeyboardInterrupt
        self.made += len(parameters)
        return simulator(parameters, seed)


def make(cls, simulator, directory=None, **options):
    options = {"seed": 1, "verbose": False} | options
    arguments = (TARGETS, Uniform([-4, -4], [4, 4]), 10 * np.eye(2), np.array, simulator)
    return cls(*arguments, directory=directory, **options)


def run_abc(simulator, directory=None, **options):
    ABC = make(LFI.ApproximateBayesianComputation, simulator, directory, **options)
    ABC(200, at_once=2)
    ABC.get_min_accepted(1.0, 20, min_draws=100, at_once=2)
    return ABC


def run_pmc(simulator, directory=None, **options):
    PMC = make(LFI.PopulationMonteCarlo, simulator, directory, **options)
    PMC(60, 200, 0.2, at_once=2)
    return PMC


RUNS = {"ABC": run_abc, "PMC": run_pmc}


def assert_same(one, other):
    np.testing.assert_array_equal(one.parameters, other.parameters)
    np.testing.assert_array_equal(one.estimates, other.estimates)
    np.testing.assert_array_equal(one.num_draws, other.num_draws)


def test_simulations_are_saved_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "PAUSE", 0.0)
    seen = []

    def looking(parameters, seed):
        files = [*tmp_path.glob("sims_*.npz")]
        seen.append(sum(len(np.load(file)["simulations"]) for file in files))
        return simulator(parameters, seed)

    ABC = make(LFI.ApproximateBayesianComputation, looking)
    ABC(50, at_once=10, save_sims=str(tmp_path / "sims"))
    assert seen[0] == 0
    assert seen[1:] == sorted(seen[1:])
    assert seen[2] >= 10
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.load(file)["parameters"], ABC.parameters)


def test_batches_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "PAUSE", 0.0)
    seen = []

    def looking(parameters, seed):
        seen.append(len([*tmp_path.glob("made/draws/[!.]*.npz")]))
        return simulator(parameters, seed)

    make(LFI.ApproximateBayesianComputation, looking, tmp_path / "made")(50, at_once=10)
    assert seen == [0, 1, 2, 3, 4]


def test_what_an_interrupted_call_has_simulated_is_saved(tmp_path):
    ABC = make(LFI.ApproximateBayesianComputation, Counted(interrupted_at=4))
    with pytest.raises(KeyboardInterrupt):
        ABC(50, at_once=10, save_sims=str(tmp_path / "sims"))
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(np.load(file)["parameters"], ABC.parameters)
    assert len(ABC.parameters) == 30


@pytest.mark.parametrize("in_directory", [False, True])
def test_an_interrupted_call_keeps_its_draws(tmp_path, in_directory):
    directory = tmp_path / "abc" if in_directory else None
    ABC = make(LFI.ApproximateBayesianComputation, Counted(interrupted_at=4), directory)
    with pytest.raises(KeyboardInterrupt):
        ABC(50, at_once=10)
    assert ABC.num_draws == 30
    whole = make(LFI.ApproximateBayesianComputation, simulator)(50, at_once=10)
    np.testing.assert_array_equal(ABC.estimates, whole.estimates[:30])
    kept = ABC.draws
    ABC.simulator = Counted(interrupted_at=2)
    with pytest.raises(KeyboardInterrupt):
        ABC.ABC(50, at_once=10, update=False)
    assert ABC.draws is kept


def test_finished_rounds_are_kept():
    ABC = make(LFI.ApproximateBayesianComputation, Counted(interrupted_at=9))
    ABC(20, at_once=10)
    with pytest.raises(KeyboardInterrupt):
        ABC.get_min_accepted(1e-6, 5, min_draws=30, at_once=10)
    assert (ABC.num_draws, ABC.stopped) == (80, "interrupted")
    ABC.get_min_accepted(1.0, 5, min_draws=30, at_once=10)  # what was kept counts
    assert ABC.num_draws >= 80
    assert len(np.unique(ABC.parameters, axis=0)) == ABC.num_draws


def test_draws_from_the_prior_are_kept_to_resume_from():
    PMC = make(LFI.PopulationMonteCarlo, Counted(interrupted_at=6))
    with pytest.raises(KeyboardInterrupt):
        PMC(60, 200, 0.2, at_once=20)
    assert (PMC.num_draws.tolist(), PMC.stopped) == ([100], ["interrupted"])
    PMC.resume()
    assert PMC.stopped == ["criterion"]


@pytest.mark.parametrize("kind", RUNS)
def test_the_same_calls_read_what_is_finished(kind, tmp_path):
    first = RUNS[kind](simulator, tmp_path / "made")
    counted = Counted()
    again = RUNS[kind](counted, tmp_path / "made")
    assert counted.made == 0
    assert_same(first, again)
    assert_same(first, RUNS[kind](simulator))  # as without a directory


@pytest.mark.parametrize("kind", RUNS)
def test_an_interrupted_run_goes_on_in_its_directory(kind, tmp_path):
    whole, interrupted = Counted(), Counted(interrupted_at=130)
    expected = RUNS[kind](whole)
    with pytest.raises(KeyboardInterrupt):
        RUNS[kind](interrupted, tmp_path / "made")
    rest = Counted()
    assert_same(RUNS[kind](rest, tmp_path / "made"), expected)
    assert interrupted.made > 250
    assert rest.made + interrupted.made == whole.made


@pytest.mark.parametrize("interrupted_at", [30, 130])
@pytest.mark.parametrize(("kind", "call"), [
    ("ApproximateBayesianComputation", lambda ABC: ABC.ABC(200, at_once=1)),
    ("PopulationMonteCarlo", lambda PMC: PMC.PMC(60, 200, 0.2, at_once=2)),
])  # fmt: skip
def test_a_call_that_is_repeated_after_an_interruption_goes_on(
    kind, call, interrupted_at, tmp_path
):
    whole, interrupted, rest = Counted(), Counted(interrupted_at), Counted()
    expected = make(getattr(LFI, kind), whole)
    call(expected)
    made = make(getattr(LFI, kind), interrupted, tmp_path / "made")
    with pytest.raises(KeyboardInterrupt):
        call(made)
    made.simulator = rest
    call(made)
    assert_same(made, expected)
    assert rest.made + interrupted.made == whole.made
    call(made)  # the next one is another
    assert not np.isin(made.parameters, expected.parameters).any()


def test_draws_that_add_to_interrupted_ones_are_others(tmp_path):
    counted = Counted(interrupted_at=4)
    ABC = make(LFI.ApproximateBayesianComputation, counted, tmp_path / "made")
    with pytest.raises(KeyboardInterrupt):
        ABC(50, at_once=10)
    ABC.get_min_accepted(1.0, 5, min_draws=30, at_once=10)
    assert len(np.unique(ABC.parameters, axis=0)) == ABC.num_draws >= 60


def test_failures_are_kept_with_their_order(tmp_path):
    def partly(parameters, seed):
        return np.where(parameters[:, :1] > 1, np.nan, simulator(parameters, seed))

    def draw():
        ABC = make(LFI.ApproximateBayesianComputation, partly, tmp_path / "made")
        return ABC(100, at_once=7)

    first, again = draw(), draw()
    np.testing.assert_array_equal(first.failed_parameters, again.failed_parameters)
    np.testing.assert_array_equal(first.parameters, again.parameters)
    assert first.num_failed > 10
    assert first.failure == again.failure


def test_without_a_seed_that_of_the_directory_is_taken(tmp_path):
    first = run_abc(simulator, tmp_path / "made", seed=None)
    assert_same(first, run_abc(Counted(), tmp_path / "made", seed=None))
    with pytest.raises(ValueError, match="`directory` must belong to the same inference"):
        run_abc(simulator, tmp_path / "made", seed=7)


def test_other_numbers_of_draws_are_drawn_anew(tmp_path):
    ABC = make(LFI.ApproximateBayesianComputation, simulator, tmp_path / "made")
    ABC(20)
    counted = Counted()
    other = make(LFI.ApproximateBayesianComputation, counted, tmp_path / "made")
    other(30)
    assert counted.made == 30


def test_directories_of_others_are_refused(tmp_path):
    run_abc(simulator, tmp_path / "made")
    with pytest.raises(ValueError, match="same inference"):
        run_pmc(simulator, tmp_path / "made")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`directory` must be new"):
        run_abc(simulator, tmp_path)
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        run_abc(simulator, tmp_path / "notes.txt")
    with pytest.raises(TypeError, match="`directory` must be a non-empty string"):
        run_abc(simulator, 3)


def test_a_directory_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        run_abc(simulator, "/proc/imnn_lab")


@pytest.mark.parametrize("content", [b"", b"PK half", json.dumps({"entropy": 1}).encode()])
def test_damaged_files_are_named(tmp_path, content):
    run_abc(simulator, tmp_path / "made")
    file = next((tmp_path / "made" / "draws").iterdir())
    file.write_bytes(content)
    with pytest.raises(ValueError, match="be a whole file"):
        run_abc(simulator, tmp_path / "made")
    file.unlink()
    manifest = tmp_path / "made" / "inference.json"
    about = json.loads(manifest.read_bytes())
    odd = [
        json.dumps(about | change).encode() for change in ({"entropy": "x"}, {"Fisher": [[1], 2]})
    ]
    for damage in (content[:-1], b"[1]", *odd):
        manifest.write_bytes(damage)
        with pytest.raises(ValueError, match=r"inference\.json must be a whole file"):
            run_abc(simulator, tmp_path / "made", seed=None)


def kill_until_finished(kind, directory, kills, rng):
    """Kill a run after it has written a few more files, again and again; return the kills."""
    run = RUNS[kind].__name__
    code = PROGRAM.format(tests=str(Path(__file__).parent), run=run, directory=str(directory))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = 0
    while done < kills:
        before = len([*directory.glob("draws/[!.]*.npz")])
        process = subprocess.Popen([sys.executable, "-c", code], env=environment)
        deadline = time.monotonic() + 120
        more = before + rng.integers(2, 8)
        while len([*directory.glob("draws/[!.]*.npz")]) < more and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        if process.poll() is not None:
            return done
        process.send_signal(signal.SIGKILL)
        process.wait()
        done += 1
    return done


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.endurance)])
def test_a_killed_run_goes_on(kind, kills, tmp_path):
    whole, rest = Counted(), Counted()
    expected = RUNS[kind](whole)
    killed = kill_until_finished(kind, tmp_path / "made", kills, np.random.default_rng(kills))
    assert killed == kills
    made = [*(tmp_path / "made" / "draws").glob("[!.]*.npz")]
    assert len(made) >= 2 * kills
    assert_same(RUNS[kind](rest, tmp_path / "made"), expected)
    assert rest.made <= whole.made - 4 * kills


def test_batches_wait_to_be_written_together(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "PAUSE", 1e9)
    make(LFI.ApproximateBayesianComputation, simulator, tmp_path / "made")(100, at_once=1)
    assert len([*(tmp_path / "made" / "draws").iterdir()]) == 1
