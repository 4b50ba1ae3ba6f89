"""Campaigns: values, failures, crashes, executors, directories."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import imnn_lab
from imnn_lab import campaign, problems

ROOT = Path(imnn_lab.__file__).parents[1]
ARRAYS = ("fiducial", "derivative", "fiducial_seeds", "derivative_seeds")
ARGUMENTS = {"θ_fid": [0.0, 1.0], "δθ": [0.1, 0.2], "n_s": 12, "n_d": 7, "seed": 5}
make = partial(campaign.training_set, show=False)


def noisy(parameters, seed):
    noise = np.random.default_rng(seed).normal(size=(len(parameters), 4))
    return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise


def slow(parameters, seed):
    time.sleep(0.02)
    return noisy(parameters, seed)


def fragile(parameters, seed):
    """Fail for some seeds at the upper variance only, for others at the fiducial parameters."""
    if seed % 5 == 0 and parameters[0, 1] > 1.05:
        raise ValueError(f"seed {seed} diverged")
    if seed % 7 == 0 and parameters[0].tolist() == [0, 1]:
        return np.full((1, 4), np.nan)
    return noisy(parameters, seed)


class Counted:
    """Remembers its calls; `noisy` otherwise, or what it is given."""

    def __init__(self, simulator=noisy):
        self.simulator, self.calls = simulator, []

    def __call__(self, parameters, seed):
        self.calls.append((parameters, seed))
        return self.simulator(parameters, seed)


class Flaky(Counted):
    """Fails the first time it sees some calls."""

    def __call__(self, parameters, seed):
        key = (parameters.tobytes(), seed)
        new = all((p.tobytes(), s) != key for p, s in self.calls)
        super().__call__(parameters, seed)
        if new and seed % 3 == 0:
            raise OSError("the disk was full")
        return noisy(parameters, seed)


def assert_same(one, other):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def assert_matched(made, simulator=noisy, θ_fid=(0.0, 1.0), δθ=(0.1, 0.2)):
    θ_fid, δθ = np.array(θ_fid, float), np.array(δθ, float)
    for simulation, seed in zip(made.fiducial, made.fiducial_seeds, strict=True):
        np.testing.assert_array_equal(simulation, simulator(θ_fid[None], int(seed))[0])
    for row, seed in zip(made.derivative, made.derivative_seeds, strict=True):
        for side, sign in enumerate((-1, 1)):
            for i, step in enumerate(0.5 * np.diag(δθ)):
                alone = simulator((θ_fid + sign * step)[None], int(seed))[0]
                np.testing.assert_array_equal(row[side, i], alone)


@pytest.mark.parametrize("problem", [problems.gaussian(), problems.slope(), problems.field_2d()])
def test_matched_simulations_of_problems(problem):
    made = make(problem.simulator, problem.θ_fid, problem.δθ, 6, 5, 1)
    fiducial, derivative = made
    assert fiducial.shape == (6, *problem.input_shape)
    assert derivative.shape == (5, 2, problem.n_params, *problem.input_shape)
    assert_matched(made, problem.simulator, problem.θ_fid, problem.δθ)
    assert made.failures == ()
    assert len({*made.fiducial_seeds, *made.derivative_seeds}) == 11


def test_one_call_for_each_simulation_with_one_row_and_one_integer():
    simulator = Counted()
    make(simulator, **ARGUMENTS)
    assert len(simulator.calls) == 12 + 7 * 4
    assert all(p.shape == (1, 2) and type(seed) is int for p, seed in simulator.calls)


def test_scalars_are_one_parameter():
    made = make(lambda p, seed: p + seed, 1, 0.5, 2, 3, 4)
    assert (made.fiducial.shape, made.derivative.shape) == ((2, 1), (3, 2, 1, 1))
    np.testing.assert_array_equal(np.ptp(made.derivative, axis=1), np.full((3, 1, 1), 0.5))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_batch_size_does_not_change_the_simulations(size):
    for simulator in (noisy, fragile):
        assert_same(
            make(simulator, **ARGUMENTS, size=size, max_failed=1),
            make(simulator, **ARGUMENTS, max_failed=1),
        )


def test_other_seeds_other_simulations():
    other = make(noisy, **(ARGUMENTS | {"seed": 6}))
    assert not np.isin(other.fiducial, make(noisy, **ARGUMENTS).fiducial).any()


@pytest.fixture(scope="module")
def expected():
    return make(fragile, [0, 1], [0.1, 0.2], 60, 40, 5)


LARGER = ([0, 1], [0.1, 0.2], 60, 40, 5)


def test_rows_that_fail_get_another_seed_and_stay_matched(expected):
    assert_matched(expected)
    assert (expected.fiducial_seeds % 7 != 0).all()
    assert (expected.derivative_seeds % 5 != 0).all()
    untouched = make(noisy, *LARGER)
    for kind in ("fiducial", "derivative"):
        failed = {failure.index[0] for failure in expected.failures if failure.kind == kind}
        seeds, first = (getattr(made, f"{kind}_seeds") for made in (expected, untouched))
        assert failed
        assert set(np.flatnonzero(seeds != first).tolist()) == failed


def test_failures_tell_index_parameters_seed_and_traceback(expected):
    raised = [failure for failure in expected.failures if failure.kind == "derivative"]
    for failure in raised:
        assert failure.index[1:] == (1, 1)
        assert failure.parameters == (0.0, 1.1)
        assert f"ValueError: seed {failure.seed} diverged" in failure.traceback
        assert "Traceback" in failure.traceback
    assert {failure.attempt for failure in raised} >= {0, 1}
    silent = [failure for failure in expected.failures if failure.kind == "fiducial"]
    assert all("not finite" in failure.traceback for failure in silent)
    assert all(failure.index == (failure.index[0],) for failure in silent)


def test_what_fails_once_is_repeated_with_the_same_seed():
    made = make(Flaky(), **ARGUMENTS)
    assert_same(made, make(noisy, **ARGUMENTS))
    assert made.failures
    assert {failure.attempt for failure in made.failures} == {0}


@pytest.mark.parametrize("replacements", [0, 2])
def test_too_many_replacements_end_a_campaign_and_name_the_simulation(replacements):
    def hopeless(parameters, seed):
        if parameters[0, 0] > 0.01:
            raise ZeroDivisionError("always there")
        return noisy(parameters, seed)

    simulator = Counted(hopeless)
    with pytest.raises(campaign.SimulationError) as raised:
        make(simulator, [0, 1], [0.1, 0.2], 5, 1, 5, replacements=replacements)
    message = str(raised.value)
    assert "derivative[0, 1, 0] at parameters [0.05, 1.0] with seed" in message
    assert "ZeroDivisionError: always there" in message
    assert "`replacements`" in message
    assert len(simulator.calls) == 5 + 4 * 2 * (1 + replacements)


def test_a_simulator_that_never_works_is_stopped_early():
    simulator = Counted(lambda parameters, seed: parameters / "zero")
    with pytest.raises(campaign.SimulationError, match="TypeError"):
        make(simulator, 1, 1, 5000, 5000, 1, size=10)
    assert len(simulator.calls) == 100


@pytest.mark.parametrize("size", [1, 19])
def test_shapes_that_change_are_failures(size):
    def changing(parameters, seed):
        return noisy(parameters, seed)[:, : 3 if seed % 4 == 0 else 4]

    first = make(noisy, **ARGUMENTS).fiducial_seeds[0]
    made = make(changing, **ARGUMENTS, size=size, max_failed=1, replacements=20)
    lengths = (3, 4) if first % 4 == 0 else (4, 3)
    assert made.fiducial.shape == (12, lengths[0])
    assert made.failures


def test_a_simulator_of_several_arrays_is_refused():
    with pytest.raises(TypeError, match="return one array"):
        make(lambda parameters, seed: (parameters, parameters), **ARGUMENTS)


def test_threads_give_the_same_simulations(expected):
    for workers in (1, 4):
        with ThreadPoolExecutor(workers) as executor:
            assert_same(make(fragile, *LARGER, executor=executor), expected)


def test_spawned_processes_give_the_same_simulations(expected):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        made = make(fragile, *LARGER, executor=executor)
    assert_same(made, expected)
    assert [str(f) for f in made.failures] == [str(f) for f in expected.failures]
    assert all("Traceback" in f.traceback for f in made.failures if f.kind == "derivative")


def test_dask_workers_give_the_same_simulations(expected, tmp_path, dask_client):
    with dask_client.get_executor() as executor:
        made = make(fragile, *LARGER, executor=executor, directory=tmp_path / "campaign")
        with pytest.raises(TypeError, match="get_executor"):
            make(noisy, **ARGUMENTS, executor=dask_client)
    assert_same(made, expected)
    assert_same(make(fragile, *LARGER, directory=tmp_path / "campaign"), expected)


class Losing(ThreadPoolExecutor):
    """Loses one batch in five of the first 19, as a cluster loses a worker."""

    submitted = 0

    def submit(self, function, /, *arguments):
        self.submitted += 1
        if self.submitted <= 19 and self.submitted % 5 == 1:
            lost = Future()
            lost.set_exception(ConnectionError("the worker is gone"))
            return lost
        return super().submit(function, *arguments)


def test_lost_batches_are_repeated_with_their_seeds():
    with Losing(2) as executor:
        made = make(noisy, **ARGUMENTS, executor=executor, size=1, max_failed=1)
    assert_same(made, make(noisy, **ARGUMENTS))
    assert all("the worker is gone" in failure.traceback for failure in made.failures)
    assert {failure.kind for failure in made.failures} == {"fiducial", "derivative"}


def test_arrays_are_written_and_read_back(expected, tmp_path):
    make(fragile, *LARGER, directory=tmp_path)
    names = {"campaign.json", "fiducial.npy", "derivative.npy", "seeds.npy", "failures.json"}
    assert {file.name for file in tmp_path.iterdir()} == names
    np.testing.assert_array_equal(np.load(tmp_path / "fiducial.npy"), expected.fiducial)
    np.testing.assert_array_equal(np.load(tmp_path / "derivative.npy"), expected.derivative)
    simulator = Counted()
    simulator.__qualname__ = fragile.__qualname__
    again = make(simulator, *LARGER, directory=tmp_path)
    assert simulator.calls == []
    assert_same(again, expected)
    assert [str(f) for f in again.failures] == [str(f) for f in expected.failures]
    assert json.loads((tmp_path / "failures.json").read_text("utf-8"))[0]["kind"] == "fiducial"


def kept(directory):
    return [*directory.glob("chunks/[!.]*.npz")]


def start(directory):
    """Run a campaign of slow simulations in a process of its own."""
    options = f"directory={str(directory)!r}, size=2, show=False"
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_campaign import slow
from imnn_lab import campaign
campaign.training_set(slow, [0, 1], [0.1, 0.2], 60, 40, 5, {options})
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment)


def kill(directory, further, random):
    """Kill a campaign soon after it has kept so many files more; return the rows it has kept."""
    files = len(kept(directory)) + further
    process = start(directory)
    deadline = time.monotonic() + 60
    while len(kept(directory)) < files and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.1))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return [row for file in kept(directory) for row in campaign_rows(file)]


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.endurance)])
def test_a_killed_campaign_goes_on(kills, tmp_path):
    random, before = np.random.default_rng(kills), set()
    for _ in range(kills):
        rows = kill(tmp_path, 10 if kills == 1 else 1, random)
        assert len(rows) == len(set(rows)), "none is simulated twice"
        assert before < set(rows), "none is lost"
        before = set(rows)
    assert 20 <= len(rows) < 100
    assert not (tmp_path / "fiducial.npy").exists()
    (tmp_path / "chunks" / ".half.npz").write_bytes(b"PK half")
    (tmp_path / ".fiducial-abcfiducial.npy").write_bytes(b"half")
    simulator = Counted()
    simulator.__qualname__ = "slow"
    made = make(simulator, *LARGER, directory=tmp_path, size=7)  # another size: no matter
    assert_same(made, make(noisy, *LARGER))
    assert len({seed for _, seed in simulator.calls}) == 100 - len(rows)
    assert not (tmp_path / "chunks").exists()
    assert not [*tmp_path.glob(".*")]


def deadly(parameters, seed, killed):
    if len(os.listdir(killed)) == 0 and seed % 3 == 0:
        Path(killed, str(seed)).touch()
        os._exit(1)
    return noisy(parameters, seed)


def test_a_broken_pool_is_reported_and_a_new_one_goes_on(tmp_path):
    (tmp_path / "killed").mkdir()
    simulator = partial(deadly, killed=str(tmp_path / "killed"))
    context = multiprocessing.get_context("spawn")
    arguments = ARGUMENTS | {"directory": tmp_path / "made", "max_failed": 1}
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(campaign.SimulationError, match="Call again with a new one"),
    ):
        make(simulator, **arguments, executor=executor)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        made = make(simulator, **arguments, executor=executor)
    assert_same(made, make(noisy, **ARGUMENTS))
    assert "BrokenProcessPool" in made.failures[0].traceback


def campaign_rows(file):
    with np.load(file, allow_pickle=False) as arrays:
        return [name for name in arrays.files if name.startswith("row-")]


def test_interrupted_after_failures_it_ends_with_the_same_seeds(expected, tmp_path):
    class Interrupted(Counted):
        def __call__(self, parameters, seed):
            if len(self.calls) == 230:  # of 220 in the first round: rows are being repeated
                raise KeyboardInterrupt
            return super().__call__(parameters, seed)

    simulator = Interrupted(fragile)
    simulator.__qualname__ = "fragile"
    with pytest.raises(KeyboardInterrupt):
        make(simulator, *LARGER, directory=tmp_path)
    assert kept(tmp_path)
    made = make(fragile, *LARGER, directory=tmp_path)
    assert_same(made, expected)
    assert [str(f) for f in made.failures] == [str(f) for f in expected.failures]


def test_a_repaired_simulator_finishes_what_a_broken_one_began(tmp_path):
    def simulator(parameters, seed):
        if broken and parameters[0, 1] > 1.05:
            raise ValueError("not yet repaired")
        return noisy(parameters, seed)

    broken = True
    with pytest.raises(campaign.SimulationError):
        make(simulator, **ARGUMENTS, directory=tmp_path, replacements=0)
    broken = False
    made = make(simulator, **ARGUMENTS, directory=tmp_path, replacements=0)
    assert_same(made, make(noisy, **ARGUMENTS))


@pytest.mark.parametrize(
    ("name", "value"),
    [("θ_fid", [0, 1.5]), ("δθ", [0.1, 0.1]), ("n_s", 13), ("n_d", 8), ("seed", 6),
     ("simulator", fragile), ("simulator", partial(fragile))],
)  # fmt: skip
def test_a_directory_of_another_campaign_is_refused(tmp_path, name, value):
    arguments = {"simulator": noisy, **ARGUMENTS, "directory": tmp_path}
    make(**arguments)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"made with {name} = .*Received {name} = "):
        make(**(arguments | {name: value}))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_directory_with_other_arrays_is_refused(tmp_path):
    np.save(tmp_path / "fiducial.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"`directory` must be new.*fiducial\.npy"):
        make(noisy, **ARGUMENTS, directory=tmp_path)
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        make(noisy, **ARGUMENTS, directory=tmp_path / "fiducial.npy")


def test_a_directory_that_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="`directory` must be a directory that files can be"):
        make(noisy, **ARGUMENTS, directory="/proc/imnn_lab")


def test_a_damaged_file_is_named(tmp_path):
    with pytest.raises(campaign.SimulationError):
        make(fragile, *LARGER, directory=tmp_path, replacements=0)
    file = kept(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"{file.name} must be a whole file"):
        make(fragile, *LARGER, directory=tmp_path)
    np.savez(file, other=np.ones(3))
    with pytest.raises(ValueError, match=f"{file.name} must be a whole file"):
        make(fragile, *LARGER, directory=tmp_path)
    file.unlink()
    assert_same(make(fragile, *LARGER, directory=tmp_path), make(fragile, *LARGER))
    for name in ("seeds.npy", "failures.json", "campaign.json"):
        file = tmp_path / name
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=f"{name} must be a whole file"):
            make(fragile, *LARGER, directory=tmp_path)
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"simulator": 3}, TypeError, "`simulator` must be callable"),
        ({"simulator": lambda parameters: parameters}, TypeError, r"signature \(parameters\)"),
        ({"θ_fid": [[0, 1]]}, ValueError, "`θ_fid` must have one entry"),
        ({"θ_fid": []}, ValueError, "`θ_fid` must have one entry"),
        ({"θ_fid": [0, np.nan]}, ValueError, "`θ_fid` must contain finite"),
        ({"θ_fid": "0, 1"}, TypeError, "`θ_fid` must be an array"),
        ({"δθ": [0.1]}, ValueError, "`δθ` must have one entry"),
        ({"δθ": [0.1, 0]}, ValueError, "`δθ` must be positive"),
        ({"n_s": 0}, ValueError, "`n_s` must be an integer of at least 1"),
        ({"n_d": 2.5}, TypeError, "`n_d` must be an integer"),
        ({"seed": None}, TypeError, "`seed` must be an integer"),
        ({"seed": -1}, ValueError, "`seed` must be an integer of at least 0"),
        ({"executor": 4}, TypeError, "`executor` must be a concurrent.futures.Executor"),
        ({"directory": 4}, TypeError, "`directory` must be a non-empty string"),
        ({"size": 0}, ValueError, "`size` must be an integer"),
        ({"replacements": -1}, ValueError, "`replacements` must be an integer"),
        ({"max_failed": 1.5}, ValueError, "`max_failed` must be a fraction"),
        ({"show": "yes"}, TypeError, "`show` must be True or False"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(tmp_path, change, error, words):
    simulator = Counted()
    arguments = {"simulator": simulator, **ARGUMENTS, "directory": tmp_path / "new"} | change
    with pytest.raises(error, match=words):
        make(**arguments)
    assert simulator.calls == []
    assert not (tmp_path / "new").exists()


def test_progress_is_shown(capsys):
    campaign.training_set(noisy, **ARGUMENTS)
    assert "campaign" in capsys.readouterr().err
    make(noisy, **ARGUMENTS)
    assert capsys.readouterr() == ("", "")


def test_a_seed_is_passed_by_name_where_it_is_not_second():
    def by_name(parameters, *, seed):
        return noisy(parameters, seed)

    def third(parameters, scale=1.0, seed=None):
        return scale * noisy(parameters, seed)

    expected = make(noisy, **ARGUMENTS)
    for simulator in (by_name, third):
        assert_same(make(simulator, **ARGUMENTS), expected)
