"""A short run of the benchmark of training: it finishes, and its figures are numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("compare_training.py")


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_both_train_and_are_measured(capsys):
    pytest.importorskip("imnn_tf", reason="the extra `bench` is not installed")
    spec = importlib.util.spec_from_file_location("compare_training", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found = script.compare(1000, 100, repetitions=1, iterations=100, reach=False)
    script.report(1000, 100, found)
    assert "ratio to imnn_tf" in capsys.readouterr().out
    assert set(found) == set(script.NAMES)
    for figures in found.values():
        assert all(np.isfinite(values).all() and (values > 0).all() for values in figures.values())
