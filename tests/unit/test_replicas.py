"""Replicas of a strategy: the same F, gradient and history as on one device."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, plain_imnn, plain_network

from imnn_lab import IMNN
from imnn_lab.keras_private import give_one_copy

TESTS = str(Path(__file__).parents[1])
COLUMNS = ("loss", "log_det_F", "val_log_det_F", "det_C")
N_S, N_D = 201, 199  # neither they nor the number of rows are multiples of two or three
START = f"import contextlib, json, os, sys\nsys.path.insert(0, {TESTS!r})\n"


def started(script, *arguments, **environment):
    command = [sys.executable, "-c", START + textwrap.dedent(script), *arguments]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def printed(*processes):
    """Return the last line that each process prints, read as JSON."""
    outputs = [process.communicate(timeout=240) for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(output.splitlines()[-1]) for output, _ in outputs]


def record(imnn):
    return {name: imnn.history[name].tolist() for name in COLUMNS} | {"F": imnn.F.tolist()}


def one_device(**changes):
    names = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
    arguments = dict(zip(names, gaussian_data(N_S, N_D), strict=True)) | {"dtype": "float64"}
    return plain_imnn(n_s=N_S, n_d=N_D, **arguments | changes)


def assert_same(found, expected, tolerance=1e-9):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=1e-12, err_msg=name)


def is_same(found, expected):
    with contextlib.suppress(AssertionError):
        assert_same(found, expected, 1e-3)
        return True
    return False


DEVICES = """
    import imnn_lab; imnn_lab.IMNN
    import keras
    import numpy as np
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * 3
    tf.config.set_logical_device_configuration(cpu, devices)
    from makers import gaussian_data, gaussian_simulator, plain_network, small_imnn
    from unit.test_replicas import N_D, N_S, one_device, record
    from imnn_lab.replicas import Replicas
    from imnn_lab.sources.differences import Points
    from imnn_lab.sources.source import ArraySource
    from imnn_lab.summaries import Compressor
    from imnn_lab.training.step import loss_gradient

    two, three = (tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(n)]) for n in (2, 3))
    x, d, *_ = gaussian_data(51, 49)
    sources = {
        "memory": ArraySource(x, d, np.array([0.1, 0.1]), "float64"),
        "chunks": ArraySource(x, d, np.array([0.1, 0.1]), "float64", 20),
        "exact": ArraySource(x, d[:, 1] - d[:, 0], None, "float64"),
        "points": ArraySource(
            x,
            np.concatenate([d[:, 0, 0], d[:, 1, 0], d[:40, 0, 1], d[:40, 1, 1]]),
            Points([(-10, 10), (-10, 10)], [np.arange(49), np.arange(40)]),
            "float64",
        ),
    }
    model = plain_network(dtype="float64")
    model.layers[0].kernel_regularizer = keras.regularizers.L2(0.1)
    compressor = Compressor(model)
    λ, α = tf.constant(10.0, tf.float64), tf.constant(1.0, tf.float64)

    def gradient(source):
        traced = tf.function(lambda: loss_gradient(compressor, source, λ, α), autograph=False)
        found = traced.get_concrete_function()()
        flat = np.concatenate([np.ravel(part) for part in found.gradient])
        return {"F": found.terms.F.numpy().tolist(), "gradient": flat.tolist()}

    result = {}
    for name, source in sources.items():
        shared = source.shared(Replicas(three))
        one = result["memory"][0] if name == "chunks" else gradient(source)
        result[name] = [one, gradient(shared)]
    summed, Replicas.sums = Replicas.sums, lambda self, parts: list(parts[0])
    result["memory"].append(gradient(sources["memory"].shared(Replicas(three))))
    Replicas.sums = summed

    with two.scope():
        model = plain_network(dtype="float64")
    imnn = one_device(model=model, strategy=two)
    imnn.fit(3, best=False)
    result["history"] = record(imnn)

    def refused(**arguments):
        try:
            small_imnn(strategy=two, **arguments)
        except ValueError as error:
            return str(error)

    nothing = dict.fromkeys(
        ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
    )
    dropping = keras.Sequential(
        [keras.Input((10,)), keras.layers.Dropout(0.1), keras.layers.Dense(2)]
    )
    result["refused"] = [
        refused(**nothing, simulator=gaussian_simulator),
        refused(cache="disk"),
        refused(model=dropping),
    ]
    print(json.dumps(result))
"""


def history_of_one():
    imnn = one_device()
    imnn.fit(3, best=False)
    return record(imnn)


def test_several_devices_give_what_one_gives():
    (found,) = printed(started(DEVICES))
    for name in ("memory", "chunks", "exact", "points"):
        one, three, *_ = found[name]
        assert_same(three, one)
    assert not is_same(found["memory"][2], found["memory"][0])  # the gradient of one share
    assert_same(found["history"], history_of_one())
    simulator, cache, layers = found["refused"]
    assert simulator.startswith("`strategy` must be given data")
    assert cache.startswith('`cache` must be "memory" or "auto"')
    assert layers.startswith("`model` has layers that draw random numbers")


WORKER = """
    import imnn_lab; imnn_lab.IMNN
    import tensorflow as tf
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    from makers import plain_network
    from unit.test_replicas import one_device, record
    from imnn_lab.replicas import Replicas

    number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    result = {}

    def made(**changes):  # the first worker's weights are taken
        model = plain_network(3 + number, dtype="float64")
        return one_device(model=model, strategy=strategy, seed=None, **changes)

    imnn = made(save=True, directory=sys.argv[1], filename=f"of worker {number}")
    imnn.fit(3, best=False, checkpoint=2)
    result["history"] = record(imnn)
    result["seed"] = imnn.settings.simulation_seed
    imnn.save(os.path.join(sys.argv[1], f"by worker {number}"))

    refusals = result["refusals"] = []
    once = iter([None])

    def act(run):  # the first worker steers, the second stops
        with contextlib.suppress(StopIteration):
            next(once)
            try:
                run.steer(λ=5.0)
            except RuntimeError as error:
                refusals.append(str(error))
        if number == 1 and run.iteration > 10:
            run.stop()

    run = imnn.fit(10**6, callback=act)
    result["stopped"] = [run.state, run.iteration]
    result["marks"] = [[mark.iteration, mark.name, mark.value] for mark in imnn.history.marks]

    def fail(run):
        if number == 1:
            raise LookupError("of one worker")

    for arguments in ({"callback": fail}, {"patience": 5 + number}):
        try:
            imnn.fit(10, **arguments)
        except Exception as error:
            refusals.append(f"{type(error).__name__}: {error}")
    try:
        made(θ_fid=[number, 1.0])
    except ValueError as error:
        refusals.append(str(error))

    Replicas.sums = lambda self, parts: list(parts[0])
    imnn._trainer._graph._traced.clear()
    imnn.fit(3, best=False, reset=True)
    result["wrong"] = record(imnn)
    print(json.dumps(result))
"""


def free_addresses(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def test_two_workers_train_as_one_process(tmp_path):
    cluster = {"worker": free_addresses(2)}
    tasks = [{"type": "worker", "index": number} for number in (0, 1)]
    configurations = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
    processes = [started(WORKER, str(tmp_path), TF_CONFIG=each) for each in configurations]
    try:
        first, second = printed(*processes)
    finally:
        for process in processes:
            process.kill()
    history = history_of_one()
    assert_same(first["history"], history)
    assert not is_same(first["wrong"], history)  # each with the gradient of its share
    for name in ("history", "seed", "marks", "stopped"):
        assert second[name] == first[name]
    assert [mark[1:] for mark in first["marks"]] == [["λ", 5.0]]
    assert first["stopped"][0] == "stopped"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["by worker 0", "of worker 0"]
    assert IMNN.load(tmp_path / "of worker 0").F.shape == (2, 2)  # the strategy is not saved
    failed, *others = first["refusals"]
    steered, own, *same = second["refusals"]
    assert failed.startswith("RuntimeError: `strategy`: another worker failed")
    assert steered.startswith("`strategy`: `steer` is for the chief")
    assert own == "LookupError: of one worker"
    assert others == same
    assert "all workers must have the same arguments of `fit`" in others[0]
    assert "all workers must have the same settings and data" in others[1]


def test_one_device_is_a_strategy_as_well():
    imnn = one_device(strategy=tf.distribute.OneDeviceStrategy("CPU:0"))
    imnn.fit(3, best=False)
    assert_same(record(imnn), history_of_one())


def test_other_strategies_are_refused():
    with pytest.raises(TypeError, match=r"^`strategy` must be one of tf\.distribute\.OneDevice"):
        plain_imnn(strategy="mirrored")


def test_the_scope_is_left_before_an_imnn_is_made_or_trained():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope(), pytest.raises(RuntimeError, match=r"outside `strategy.scope\(\)`"):
        plain_imnn(strategy=strategy)


def test_weights_made_within_a_scope_get_one_copy():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = plain_network()
    before = model.get_weights()
    assert isinstance(model.weights[0].value, tf.distribute.DistributedValues)
    give_one_copy(model)
    for weight, value in zip(model.weights, before, strict=True):
        assert isinstance(weight.value, tf.Variable)
        assert not isinstance(weight.value, tf.distribute.DistributedValues)
        np.testing.assert_array_equal(weight, value)
        assert weight.value.trainable
    assert keras.ops.shape(model(np.ones((1, 10), "float32"))) == (1, 2)
