"""Batches of simulations: order, seeds, failures, executors."""

import multiprocessing
import os
import sys
import threading
import types
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from imnn_lab.progress import progress_bar
from imnn_lab.simulate import (
    Batch,
    SimulationError,
    batches,
    default_size,
    in_order,
    simulate,
    simulate_batch,
    spawn_seeds,
    takes_seed,
)

PARAMETERS = np.linspace(-1, 1, 64).reshape(32, 2)


def noisy(parameters, seed):
    return parameters + np.random.default_rng(seed).standard_normal(parameters.shape)


def lost(parameters):
    raise RuntimeError("no licence for the external code")


def fragile(parameters):
    if (parameters[:, 0] > 0.5).any():
        raise ValueError("the integration diverged")
    return parameters


def run(simulator, parameters=PARAMETERS, seeds=None, size=5, **options):
    options.setdefault("total", len(parameters))
    parts = list(simulate(simulator, batches(parameters, seeds, size), **options))
    found = [part.simulations for part in parts if part.simulations is not None]
    succeeded = np.concatenate([part.succeeded for part in parts])
    return np.concatenate(found) if found else None, succeeded, parts


def test_in_order_whatever_the_batches():
    simulations, succeeded, parts = run(lambda parameters: 2 * parameters)
    np.testing.assert_array_equal(simulations, 2 * PARAMETERS)
    assert succeeded.all()
    assert [len(part.batch) for part in parts] == [5] * 6 + [2]


class Counting(Executor):
    """Answers at once and remembers how many answers were waiting."""

    def __init__(self):
        self.submitted = self.taken = self.most = 0

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        self.submitted += 1
        self.most = max(self.most, self.submitted - self.taken)
        return future


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


@pytest.mark.parametrize("size", [1, 5, None])
def test_same_result_in_processes_as_here(processes, size):
    seeds = np.random.SeedSequence(5)
    here, _, _ = run(noisy, seeds=seeds, size=size)
    there, _, _ = run(noisy, seeds=np.random.SeedSequence(5), size=size, executor=processes)
    np.testing.assert_array_equal(here, there)
    other, _, _ = run(noisy, seeds=np.random.SeedSequence(6), size=size)
    assert not np.array_equal(here, other)


@pytest.mark.parametrize("workers", [1, 4])
def test_same_result_for_any_number_of_workers(workers):
    with ThreadPoolExecutor(workers) as executor:
        there, _, _ = run(noisy, seeds=np.random.SeedSequence(5), executor=executor)
    here, _, _ = run(noisy, seeds=np.random.SeedSequence(5))
    np.testing.assert_array_equal(here, there)


def test_failures_are_counted_in_processes_too(processes):
    simulations, succeeded, parts = run(fragile, executor=processes)
    np.testing.assert_array_equal(succeeded, PARAMETERS[:, 0] <= 0.5)
    np.testing.assert_array_equal(simulations, PARAMETERS[succeeded])
    failures = [part.failure for part in parts if part.failure]
    assert "the integration diverged" in failures[0]
    assert "Traceback" in failures[0]


def test_a_simulator_that_cannot_be_sent_is_named(processes):
    with pytest.raises(TypeError, match=r"must be picklable .* ProcessPoolExecutor"):
        run(lambda parameters: parameters, executor=processes)


def test_a_simulator_that_dask_cannot_send_is_named(dask_client):
    lock = threading.Lock()
    with dask_client.get_executor() as executor:
        with pytest.raises(TypeError, match=r"must be picklable .* ClientExecutor"):
            run(lambda parameters: parameters if lock else None, executor=executor)
        simulations, _, _ = run(lambda parameters: 2 * parameters, executor=executor)
    np.testing.assert_array_equal(simulations, 2 * PARAMETERS)


def test_a_simulator_of_a_session_is_named(monkeypatch, processes):
    def simulator(parameters):
        return parameters

    main = types.ModuleType("__main__")
    main.simulator, simulator.__qualname__, simulator.__module__ = (
        simulator,
        "simulator",
        "__main__",
    )
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(TypeError, match="defined in a session"):
        run(simulator, executor=processes)


def deadly(parameters):
    if parameters[0, 0] > 0.8:
        os._exit(1)
    return parameters


def test_a_dead_worker_ends_the_batches_after_those_that_are_finished():
    context, finished = multiprocessing.get_context("spawn"), []
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        arriving = simulate(deadly, batches(PARAMETERS, None, 2), executor=executor, in_flight=3)
        with pytest.raises(SimulationError, match="`executor` must survive the death of a worker"):
            finished.extend(arriving)
        again = simulate(deadly, batches(PARAMETERS, None, 2), executor=executor)
        with pytest.raises(SimulationError, match="Call again with a new one"):
            list(again)
    made = [part.simulations for part in finished if not part.is_lost]
    assert len(made) >= 5
    np.testing.assert_array_equal(np.concatenate(made), PARAMETERS[: 2 * len(made)])
    assert all("BrokenProcessPool" in part.failure for part in finished if part.is_lost)


def test_forks_of_a_process_with_tensorflow_are_warned_of():
    import tensorflow  # noqa: F401

    class Forks(ProcessPoolExecutor):
        """A pool that forks, in name only."""

        submit = Counting.submit
        submitted = taken = most = 0

    with (
        Forks(1, mp_context=multiprocessing.get_context("fork")) as executor,
        pytest.warns(UserWarning, match="Spawn them instead"),
    ):
        run(noisy, seeds=np.random.SeedSequence(1), executor=executor)


def test_spawned_workers_are_not_warned_of(processes, recwarn):
    import tensorflow  # noqa: F401

    run(noisy, seeds=np.random.SeedSequence(1), executor=processes)
    assert not [w for w in recwarn.list if "spawn" in str(w.message)]


def test_two_dask_workers(dask_client):
    with dask_client.get_executor() as executor:
        there, _, _ = run(noisy, seeds=np.random.SeedSequence(5), executor=executor)
        # the same parameters without seeds are simulated anew, not taken from a cache of calls
        once, _, _ = run(_unseeded, executor=executor)
        twice, _, _ = run(_unseeded, executor=executor)
    here, _, _ = run(noisy, seeds=np.random.SeedSequence(5))
    np.testing.assert_array_equal(here, there)
    assert not np.array_equal(once, twice)


def _unseeded(parameters):
    return parameters + np.random.default_rng().standard_normal(parameters.shape)


def test_few_batches_are_in_flight():
    executor = Counting()
    endless = (Batch(PARAMETERS[:1]) for _ in iter(int, 1))
    arriving = in_order(
        lambda b: simulate_batch(np.copy, b), endless, executor=executor, in_flight=7
    )
    for _ in range(20):
        next(arriving)
        executor.taken += 1
    assert executor.most == 7


def test_not_finite_simulations_fail():
    simulations, succeeded, parts = run(lambda p: np.where(p > 0.9, np.nan, p), size=32)
    np.testing.assert_array_equal(succeeded, (PARAMETERS <= 0.9).all(axis=1))
    assert len(simulations) == succeeded.sum()
    assert "not finite" in parts[0].failure


def test_a_simulator_of_single_simulations_serves():
    def single(parameters):
        (one,) = parameters
        return one[None]

    simulations, succeeded, _ = run(single)
    assert succeeded.all()
    np.testing.assert_array_equal(simulations, PARAMETERS)


@pytest.mark.parametrize(
    "simulator",
    [lambda p: p[:-1], lambda p: p[:, :1], lambda p: np.array(["a"] * len(p)), lambda p: None],
)
def test_wrong_output_fails_and_stops(simulator):
    with pytest.raises(SimulationError, match="`simulator`"):
        run(simulator, shape=(2,))


def test_one_shape_is_kept_to_when_none_is_known():
    _, succeeded, _ = run(lambda p: p if p[0, 0] < 0.8 else p[:, :1], size=1)
    assert 0 < (~succeeded).sum() < 10


def test_too_many_failures_stop_early_with_the_first_traceback():
    calls = []

    def counted(parameters):
        calls.append(len(parameters))
        return lost(parameters)

    with pytest.raises(SimulationError, match="no licence for the external code") as raised:
        run(counted, np.zeros((5000, 2)), size=10)
    assert "Traceback" in str(raised.value)
    assert sum(size == 1 for size in calls) == 100  # looked at after 100 simulations


def test_all_may_fail_when_asked_to_be_put_up_with():
    simulations, succeeded, _ = run(lost, max_failed=1.0)
    assert simulations is None
    assert not succeeded.any()


def test_one_integer_for_each_simulation():
    seeds = spawn_seeds(3, 32)
    simulations, _, _ = run(noisy, seeds=seeds)
    alone = np.concatenate([noisy(p[None], int(s)) for p, s in zip(PARAMETERS, seeds, strict=True)])
    np.testing.assert_array_equal(simulations, alone)
    resumed, _, _ = run(noisy, PARAMETERS[20:], seeds[20:], size=3)
    np.testing.assert_array_equal(resumed, simulations[20:])


def test_tuples_of_arrays_are_simulations_too():
    parts = list(simulate(lambda p: (p, p[:, 0]), batches(PARAMETERS, None, 8)))
    first, second = parts[0].simulations
    assert (first.shape, second.shape) == ((8, 2), (8,))


def test_seeds_are_different_integers_and_do_not_depend_on_how_many():
    seeds = spawn_seeds(7, 200_000)
    assert len(np.unique(seeds)) == len(seeds)
    assert 0 <= seeds.min() <= seeds.max() < 2**31
    np.testing.assert_array_equal(seeds[:1000], spawn_seeds(7, 1000))


def test_which_simulators_take_a_seed():
    from functools import partial

    assert takes_seed(noisy)
    assert not takes_seed(fragile)
    assert not takes_seed(partial(noisy, seed=3))


def test_batch_sizes_depend_on_the_number_alone():
    assert [default_size(n) for n in (1, 32, 1000, 10**7)] == [1, 1, 32, 10_000]


def test_bars(capsys):
    run(np.copy, bar=progress_bar(True, notebook=False, leave=True))
    assert "32.0/32.0" in capsys.readouterr().err
    run(np.copy, bar=progress_bar(False))
    assert capsys.readouterr() == ("", "")


def test_inference_loads_neither_tensorflow_nor_matplotlib():
    import subprocess
    import sys
    from pathlib import Path

    import imnn_lab

    code = (
        "import sys, imnn_lab; imnn_lab.LFI.PopulationMonteCarlo; "
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'arviz') if m in sys.modules])"
    )
    root = Path(imnn_lab.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"


def by_name_only(parameters, *, seed):
    return noisy(parameters, seed)


def third(parameters, scale=1.0, seed=None):
    return scale * noisy(parameters, seed)


def other_name(parameters, key):
    return noisy(parameters, key)


def scaled(parameters, scale, seed):
    return scale * noisy(parameters, seed)


@pytest.mark.parametrize(
    "simulator", [by_name_only, third, other_name, partial(scaled, scale=1.0), noisy]
)
def test_a_seed_is_passed_by_position_or_by_name(simulator):
    assert takes_seed(simulator)
    here, _, _ = run(simulator, seeds=np.random.SeedSequence(5), max_failed=0.0)
    expected, _, _ = run(noisy, seeds=np.random.SeedSequence(5))
    np.testing.assert_array_equal(here, expected)


def test_a_second_argument_with_a_default_is_no_seed():
    assert not takes_seed(lambda parameters, scale=2.0: parameters)
    assert not takes_seed(np.copy)
