"""The command line, run as a user runs it."""

import csv
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from imnn_lab import IMNN, __version__, cli
from imnn_lab.inference import Posterior

COMMAND = [sys.executable, "-m", "imnn_lab.cli"]


@pytest.mark.parametrize("option", ["--help", "--version", "demo --help"])
def test_help_and_version_need_no_tensorflow(option):
    code = (
        "import sys; from imnn_lab.cli import main\n"
        f"try: main({option.split()!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    assert __version__ in done.stdout or "usage" in done.stdout


def test_without_a_command_it_shows_help(capsys):
    assert cli.main([]) == 0
    assert "demo" in capsys.readouterr().out


def test_an_unknown_problem_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["demo", "sun"])
    assert end.value.code == 2
    assert "choose from" in capsys.readouterr().err


@pytest.mark.parametrize("problem", ["nile", "gaussian"])
def test_demo_writes_all_that_it_says(tmp_path, problem):
    environment = os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:imnn_lab"}
    command = [*COMMAND, "demo", problem]
    started = time.time()
    for _ in range(1 + (problem == "gaussian")):  # the second replaces what the first wrote
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=400
        )
        assert done.returncode == 0, done.stderr
    place = tmp_path / "imnn-lab-demo"
    names = {path.name for path in place.iterdir()}
    figures = {
        f"{name}.{end}" for name in ("training", "fisher", "posteriors") for end in ("png", "pdf")
    }
    methods = ("ABC", "PMC", "Gaussian-approximation", "exact")
    samples = {f"posterior-{name}.npz" for name in methods}
    assert names == figures | samples | {"history.csv", "report.txt", "imnn"}
    assert all(p.stat().st_mtime >= started - 1 and p.stat().st_size for p in place.iterdir())
    assert "exact likelihood" in done.stdout
    assert "oneDNN" not in done.stderr, "TensorFlow's start-up chatter is silenced"
    loaded = IMNN.load(place / "imnn")
    assert np.isfinite(loaded.F).all()
    keras.models.load_model(place / "imnn" / "model.keras")
    with (place / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["det_F"]) for row in rows], loaded.history["det_F"])
    exact, *ours = (
        Posterior.from_npz(place / f"posterior-{name}.npz") for name in ("exact", "ABC", "PMC")
    )
    # A network that keeps most of the information shifts the posterior by less than its width.
    # The widths of a few hundred effective samples are good to 4 %; the rest of the tolerance is
    # for the distance that is accepted. The forecast at θ_fid fails here: half as wide in Σ.
    for posterior in ours:
        assert (np.abs(posterior.mean - exact.mean) < exact.sd).all()
        np.testing.assert_allclose(posterior.sd, exact.sd, rtol=0.35)
    if problem == "nile":
        # The exact maximum-likelihood values, to the digits printed.
        assert all(word in done.stdout for word in ("919.6", "0.5063", "145.3", "0.001339"))
