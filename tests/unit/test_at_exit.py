"""A script that ends while work goes on in a thread: its status, its traceback, its checkpoint."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from makers import gaussian_data, plain_imnn

from imnn_lab import IMNN

TESTS = str(Path(__file__).parents[1])
NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")


def left(script):
    """Run a script; return its status, and what it wrote to standard error.

    One that hangs is ended with status 1, and says where each thread was.
    """
    start = f"""import atexit, faulthandler, sys, time
faulthandler.dump_traceback_later(100, exit=True)
sys.path.insert(0, {TESTS!r})
"""
    command = [sys.executable, "-c", start + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


TRAINS = """
    from makers import plain_imnn
    imnn = plain_imnn()
    run = imnn.start(10**7)
    while run.iteration < {after}:
        time.sleep(0.01)
    {ending}
"""


@pytest.mark.parametrize(
    ("after", "ending", "status", "last"),
    [
        (0, "raise LookupError('of the user')", 1, "LookupError: of the user"),
        (20, "sys.exit(3)", 3, ""),
    ],
)
def test_a_script_that_ends_while_a_run_trains_keeps_status_and_traceback(
    after, ending, status, last
):
    returned, errors = left(TRAINS.format(after=after, ending=ending))
    assert returned == status, errors
    assert errors.strip().endswith(last)
    assert "terminate called" not in errors


NUMPY_SIMULATOR = """
    def simulator(parameters, seed):
        noise = np.random.default_rng(seed).normal(size=(len(parameters), 10))
        return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise
    data = dict.fromkeys(("fiducial", "derivative", "validation_fiducial", "validation_derivative"))
    data["simulator"] = simulator
"""
STREAMED = """
    sets = gaussian_data()
    def fiducial(seed):
        yield sets[0][seed], seed
    def derivative(seed, side, parameter):
        yield sets[1][seed, side, parameter], (seed, side, parameter)
    data = {"fiducial": fiducial, "derivative": derivative, "cache": None, "at_once": 100}
"""
ANY_DATA = """
    atexit.register(lambda: print(run.state, run.error, file=sys.stderr))  # is called last
    import numpy as np
    from makers import gaussian_data, plain_imnn
    {data}
    imnn = plain_imnn(**data)
    run = imnn.start(10**7)
    while run.iteration < 3:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("data", [NUMPY_SIMULATOR, STREAMED], ids=["simulator", "streamed"])
def test_runs_whose_data_come_from_other_threads_are_stopped_as_well(data):
    status, errors = left(ANY_DATA.format(data=data.strip()))
    assert status == 0, errors
    assert errors.strip().endswith("stopped None")


def test_data_that_are_read_ahead_when_python_exits_can_be_freed():
    status, errors = left("""
        import gc, threading
        import tensorflow as tf
        from imnn_lab.sources.streams import Stream
        class Last(list):
            def __del__(self, collect=gc.collect):
                self.clear()
                collect()
        passes, ahead = [], threading.Event()
        def read():
            passes.append(None)
            if len(passes) > 1:
                ahead.set()
                time.sleep(2)
            yield 1.0, 0
        signature = tf.TensorSpec(()), tf.TensorSpec((), tf.int32)
        data = tf.data.Dataset.from_generator(read, output_signature=signature)
        stream = Stream(data.repeat().prefetch(2), 1)
        passed = tf.function(lambda: stream.fold(lambda rows, n: n + rows.simulations, 0.0))
        print(passed().numpy(), ahead.wait(60), file=sys.stderr)
        sys.last = Last([stream, passed])  # freed as one of the last of all
        del stream, passed
    """)
    assert status == 0, errors
    assert errors.splitlines()[-1] == "1.0 True"


@pytest.mark.parametrize("save", [False, True])
def test_a_run_that_was_asked_for_checkpoints_goes_on_where_the_script_ended(tmp_path, save):
    status, errors = left(f"""
        from makers import plain_imnn
        imnn = plain_imnn(directory={str(tmp_path)!r}, filename="model", save={save})
        run = imnn.start(10**7, checkpoint=10**6)
        while run.iteration < 20:
            time.sleep(0.01)
    """)
    assert status == 0, errors
    loaded = IMNN.load(tmp_path / "model", **dict(zip(NAMES, gaussian_data(), strict=True)))
    at = len(loaded.history) - 1
    assert at >= 20
    loaded.fit(5)
    whole = plain_imnn()
    whole.fit(at + 5)
    np.testing.assert_allclose(loaded.history["loss"], whole.history["loss"], rtol=1e-6)


def test_work_of_a_page_is_stopped_and_nothing_new_starts():
    status, errors = left("""
        from imnn_lab import at_exit
        from imnn_lab.dashboards.common.background import Work
        work, late = Work("draws"), Work("late")
        def after():
            print(work.state, file=sys.stderr)
            try:
                late.start(lambda stop: "")
            except RuntimeError as error:
                print(error, late.state, file=sys.stderr)
        atexit.unregister(at_exit._stop_all)
        atexit.register(after)
        atexit.register(at_exit._stop_all)
        work.start(lambda stop: str(stop.wait()))
    """)
    assert status == 0, errors
    assert errors.splitlines() == ["stopped", "Python exits: nothing new can start. idle"]


def test_work_that_does_not_end_is_left_after_a_while():
    status, errors = left("""
        from imnn_lab import at_exit
        from imnn_lab.dashboards.common.background import Work
        at_exit.MOST_SECONDS = 0.1
        Work("draws").start(lambda stop: time.sleep(1000))
    """)
    assert status == 0, errors
    assert "did not end within" in errors
