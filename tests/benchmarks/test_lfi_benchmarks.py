"""Inference against imnn-tf and pyABC, and in parallel. Run by hand on a quiet machine:

python -m pytest -m benchmark -s tests/benchmarks/test_lfi_benchmarks.py
"""

import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import lfi_problem
import numpy as np
import pytest

import imnn_lab
from imnn_lab import LFI

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]
HERE = Path(__file__).parent


def in_a_process(*command):
    here = [str(Path(imnn_lab.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(here)
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=HERE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def importorskip_by_name(name):
    """Skip without the package, and without importing it here: it wants another Keras."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed (extra `bench`)")


def timed(function, *arguments):
    began = time.perf_counter()
    return {**function(*arguments), "seconds": time.perf_counter() - began}


def show(**results):
    for name, result in results.items():
        print(f"\n{name}: ", {k: round(v, 3) for k, v in result.items()}, end="")


def test_rejection_against_imnn_tf():
    importorskip_by_name("imnn_tf")
    theirs, ours = in_a_process("imnn_tf_lfi.py", "abc"), timed(lfi_problem.abc)
    show(theirs=theirs, ours=ours)
    assert ours["seconds"] <= theirs["seconds"]


def test_population_against_imnn_tf():
    importorskip_by_name("imnn_tf")
    theirs, ours = in_a_process("imnn_tf_lfi.py", "pmc"), timed(lfi_problem.pmc)
    show(theirs=theirs, ours=ours)
    assert ours["seconds"] <= theirs["seconds"]
    assert ours["simulations"] / ours["effective"] < theirs["simulations"] / theirs["effective"]


def test_many_particles_and_two_targets():
    script = (
        "import json, resource, time, lfi_problem\n"
        "began = time.perf_counter()\n"
        "result = lfi_problem.pmc(20_000, 0.01, 2)\n"
        "result['seconds'] = time.perf_counter() - began\n"
        "result['gigabytes'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6\n"
        "print(json.dumps(result))"
    )
    ours = in_a_process("-c", f"import sys; sys.path.insert(0, '.')\n{script}")
    show(ours=ours)
    assert ours["seconds"] < 60
    assert ours["gigabytes"] < 1.5
    assert ours["variance"] == pytest.approx(1, abs=0.08)


def pyabc_smc(ε):
    """Sample the same problem with pyABC down to ε, 2,000 particles, in one process."""
    import pyabc

    simulations, rng = [0], np.random.default_rng(0)

    def model(parameter):
        simulations[0] += 1
        θ = np.array([parameter["a"], parameter["b"]])
        return {"y": θ + lfi_problem.ROOT @ rng.standard_normal(2)}

    def distance(x, y):
        Δ = x["y"] - y["y"]
        return np.sqrt(Δ @ lfi_problem.F @ Δ)

    prior = pyabc.Distribution(a=pyabc.RV("uniform", -4, 8), b=pyabc.RV("uniform", -4, 8))
    smc = pyabc.ABCSMC(
        model, prior, distance, population_size=2000, sampler=pyabc.SingleCoreSampler()
    )
    smc.new("sqlite://", {"y": lfi_problem.TARGETS[0]})
    history = smc.run(minimum_epsilon=ε)
    _, weights = history.get_distribution()
    return {
        "simulations": simulations[0],
        "effective": 1 / np.sum(np.asarray(weights) ** 2),
        "epsilon": float(history.get_all_populations().epsilon.iloc[-1]),
    }


def pmc_down_to(ε):
    PMC = lfi_problem.inference(LFI.PopulationMonteCarlo)
    PMC(2000, 4000, 0.0, 50.0, callback=lambda population, _: population.ε <= ε)
    return {
        "simulations": int(PMC.num_draws[0]),
        "effective": float(PMC.effective_samples[0]),
        "epsilon": float(PMC.ε[0]),
    }


def test_population_against_pyabc():
    pytest.importorskip("pyabc")
    theirs = timed(pyabc_smc, 0.5)
    ours = timed(pmc_down_to, theirs["epsilon"])
    show(theirs=theirs, ours=ours)
    cost = ours["simulations"] / ours["effective"]
    assert cost <= 0.65 * theirs["simulations"] / theirs["effective"]
    assert ours["seconds"] <= 0.2 * theirs["seconds"]


def test_two_workers_against_one():
    seconds = {}
    for workers in (1, 2):
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as executor:
            options = {"simulator": lfi_problem.slow, "executor": executor}
            ABC = lfi_problem.inference(LFI.ApproximateBayesianComputation, **options)
            ABC(32)  # the workers start
            began = time.perf_counter()
            ABC(400)
            seconds[workers] = time.perf_counter() - began
    print(f"\none worker {seconds[1]:.2f} s, two {seconds[2]:.2f} s", end="")
    assert seconds[1] / seconds[2] >= 1.8
