"""Executors: which are taken, and what happens when their workers die."""

import contextlib
import multiprocessing
import multiprocessing.pool
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import numpy as np
import pytest
from simulators import deadly, noisy

from imnn_lab import LFI, campaign
from imnn_lab.inference import Uniform
from imnn_lab.simulate import ExecutorError

TARGET = (np.zeros((1, 2)), Uniform([-1, -1], [1, 1]), np.eye(2), np.copy)
SET = ([0.88, 0.0], [0.1, 0.1], 12, 6, 1)
DRAWS = 64  # in batches of two


class SubmitOnly:
    """An executor that has nothing else, and returns futures that can only be waited for."""

    class Answer:
        def __init__(self, value):
            self.result = lambda: value

    def submit(self, function, *arguments):
        return self.Answer(function(*arguments))


@contextlib.contextmanager
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        yield executor


@contextlib.contextmanager
def loky():
    from loky import get_reusable_executor

    executor = get_reusable_executor(1)
    try:
        yield executor
    finally:
        executor.shutdown(kill_workers=True)


@contextlib.contextmanager
def dask(**settings):
    import dask as library
    import distributed

    options = {"processes": True, "dashboard_address": None, "threads_per_worker": 1}
    with (
        library.config.set({f"distributed.scheduler.{k}": v for k, v in settings.items()}),
        distributed.LocalCluster(n_workers=1, **options) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        yield executor


@contextlib.contextmanager
def submit_only():
    yield SubmitOnly()


def abc(simulator=noisy, **options):
    return LFI.ApproximateBayesianComputation(*TARGET, simulator, seed=4, verbose=False, **options)


def pmc(simulator=noisy, **options):
    return LFI.PopulationMonteCarlo(*TARGET, simulator, seed=1, verbose=False, **options)


def training(simulator=noisy, **options):
    return campaign.training_set(simulator, *SET, size=2, show=False, **options)


def moved(PMC):
    return PMC(30, 60, 0.0, max_simulations=100)[0].parameters


@pytest.mark.parametrize(
    "open_executor", [partial(ThreadPoolExecutor, 2), processes, loky, dask, submit_only]
)
def test_every_executor_gives_what_none_gives(open_executor):
    with open_executor() as executor:
        there = abc(executor=executor)(DRAWS)
        np.testing.assert_array_equal(there.estimates, abc()(DRAWS).estimates)
        np.testing.assert_array_equal(moved(pmc(executor=executor)), moved(pmc()))
        for made, expected in zip(training(executor=executor), training(), strict=True):
            np.testing.assert_array_equal(made, expected)


def maps_only():
    return multiprocessing.pool.ThreadPool(1)


def client():
    import distributed

    return distributed.Client(processes=False, n_workers=1, dashboard_address=None)


@pytest.mark.parametrize(
    "make", [maps_only, client, lambda: ThreadPoolExecutor, lambda: 4, lambda: map]
)
def test_what_is_no_executor_is_refused_alike(make):
    words = r"`executor` must be a concurrent.futures.Executor, .* `client.get_executor\(\)`"
    executor = make()
    with contextlib.ExitStack() as stack:
        if not isinstance(executor, type) and hasattr(executor, "close"):
            stack.callback(executor.close)
        for use in (abc, pmc, training):
            with pytest.raises(TypeError, match=words):
                use(executor=executor)


def test_what_takes_no_work_is_named():
    class Calling:
        def submit(self, function, *arguments):
            return function(*arguments)

    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    for use in (lambda e: abc(executor=e)(DRAWS), lambda e: training(executor=e)):
        with pytest.raises(RuntimeError, match=r"`executor` must take work. .* Is it shut down\?"):
            use(closed)
        with pytest.raises(TypeError, match=r"`executor.submit` must return futures"):
            use(Calling())


def test_a_simulator_that_loky_cannot_send_is_named():
    lock = threading.Lock()
    with loky() as executor, pytest.raises(TypeError, match=r"must be picklable .* workers of"):
        abc(lambda parameters: parameters if lock else None, executor=executor)(DRAWS)


# Workers that die ---------------------------------------------------------------------------


def lethal(directory, kills):
    marks = directory / "marks"
    marks.mkdir(exist_ok=True)
    return partial(deadly, marks=str(marks), kills=kills), marks


class Forgetful(ThreadPoolExecutor):
    """Loses some of what it is sent, as a cluster whose workers are killed."""

    def __init__(self, losses, error=ConnectionError):
        super().__init__(2)
        self.losses, self.error, self.submitted = set(losses), error, 0

    def submit(self, function, /, *arguments):
        self.submitted += 1
        if self.submitted in self.losses:
            lost = Future()
            lost.set_exception(self.error("the worker is gone"))
            return lost
        return super().submit(function, *arguments)


@pytest.mark.parametrize("open_pool", [processes, loky])
def test_a_broken_pool_is_no_failure_and_a_new_one_goes_on(open_pool, tmp_path):
    simulator, marks = lethal(tmp_path, kills=2)
    expected = abc()(DRAWS)
    drawing = abc(simulator, directory=tmp_path / "ABC")
    words = "`executor` must survive the death of a worker.*Call again with a new one"
    with open_pool() as drawing.executor, pytest.raises(ExecutorError, match=words):
        drawing(DRAWS)
    assert drawing.num_failed == 0
    assert 0 < len(drawing.estimates) < DRAWS
    assert np.isin(drawing.estimates, expected.estimates).all()
    with open_pool() as executor, pytest.raises(ExecutorError, match=words):
        training(simulator, executor=executor, directory=tmp_path / "set")
    assert len(list(marks.iterdir())) == 2
    with open_pool() as executor:
        drawn = abc(simulator, directory=tmp_path / "ABC", executor=executor)(DRAWS)
        made = training(simulator, executor=executor, directory=tmp_path / "set")
    np.testing.assert_array_equal(drawn.estimates, expected.estimates)
    assert drawn.num_failed == 0
    np.testing.assert_array_equal(made.fiducial, training().fiducial)
    np.testing.assert_array_equal(made.derivative, training().derivative)


def test_batches_of_killed_dask_workers_are_run_again(tmp_path):
    simulator, marks = lethal(tmp_path, kills=1)
    with dask(**{"allowed-failures": 0}) as executor:  # one death is a KilledWorker
        drawn = abc(simulator, executor=executor)(DRAWS)
    assert len(list(marks.iterdir())) == 1
    np.testing.assert_array_equal(drawn.estimates, abc()(DRAWS).estimates)
    assert drawn.num_failed == 0


def test_lost_batches_are_run_again_and_are_no_failures():
    lost = range(1, 60, 3)  # of the first batches, and of those that are run again
    with Forgetful(lost) as executor:
        drawn = abc(executor=executor, max_failed=0)(DRAWS)
    np.testing.assert_array_equal(drawn.estimates, abc()(DRAWS).estimates)
    with Forgetful(lost) as executor:
        made = training(executor=executor, max_failed=0)
    for array, expected in zip(made, training(), strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    "use",
    [
        lambda executor: abc(executor=executor)(DRAWS),
        lambda executor: moved(pmc(executor=executor)),
        lambda executor: training(executor=executor),
    ],
)
def test_what_is_lost_each_time_is_said_of_the_executor(use):
    words = r"(?s)`executor` must return what it was sent within 4 runs.*ConnectionError"
    with Forgetful(range(1000)) as executor:
        with pytest.raises(ExecutorError, match=words) as raised:
            use(executor)
        assert "Repair" not in str(raised.value)


def test_a_row_that_always_kills_its_worker_gets_another_seed():
    seed = int(training().fiducial_seeds[3])

    class Killed(ThreadPoolExecutor):
        def submit(self, function, label, run, batch):
            if seed in batch.seed:
                return Forgetful([1]).submit(None)
            return super().submit(function, label, run, batch)

    with Killed(2) as executor:
        made = training(executor=executor)
    expected = training()
    assert made.fiducial_seeds[3] != seed
    np.testing.assert_array_equal(
        np.delete(made.fiducial, 3, axis=0), np.delete(expected.fiducial, 3, axis=0)
    )
    np.testing.assert_array_equal(made.derivative, expected.derivative)
    assert all(failure.index in ((2,), (3,)) for failure in made.failures)


def test_a_population_goes_on_with_another_executor():
    expected = pmc()
    moved(expected)
    interrupted = pmc(executor=Forgetful(range(40, 1000)))
    with pytest.raises(ExecutorError):
        moved(interrupted)
    assert interrupted.num_failed == [0]
    interrupted.executor = None
    interrupted.resume(max_simulations=100)
    np.testing.assert_array_equal(interrupted.parameters[0], expected.parameters[0])


def test_a_call_that_is_repeated_with_another_executor_goes_on(tmp_path):
    expected = abc()(DRAWS)
    broken = Forgetful(range(20, 1000), BrokenProcessPool)
    drawing = abc(executor=broken, directory=tmp_path / "ABC")
    with pytest.raises(ExecutorError):
        drawing(DRAWS)
    drawing.executor = None
    np.testing.assert_array_equal(drawing(DRAWS).estimates, expected.estimates)
