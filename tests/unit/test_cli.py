"""The command line, run as a user runs it."""

import csv
import json
import os
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import IMNN, __version__, cli
from imnn_lab.inference import Posterior
from imnn_lab.laboratory import server

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


BAD_OPTIONS = {
    "serve --port": ["-1", "65536", "80.5", "http", ""],
    "serve --address": ["", " ", "127.0.0.1:5006", "300.1.1.1", "192.0.2.1", "a" * 70],
    "serve --allow-websocket-origin": ["", "http://lab", "lab:0", "lab:65536", "lab/x", "a:b"],
    "serve --max-fits": ["0", "x", "1.5", "nan", ""],
    "serve --max-iterations": ["0", "-5", "1e6"],
    "serve --max-seconds": ["nan", "inf", "-1", "soon"],
    "serve --title": ["", " ", "a" * 101, "two\nlines"],
    "serve --runs": ["", "README.md/runs"],
    "serve --max-runs": ["0", "-1", "many"],
    "serve --keep": ["nan", "inf", "-inf", "-1", "1e300", "x", ""],
    "serve --basic-auth": ["", "  ", "misspelt.json", "no/such/file", "./x"],
    "serve --prefix": ["", "/", "a b", "/lab/../x", "http://lab/", "/lab(.*)", "/lab?x"],
    "serve --root-path": ["", "//", "/lab#x"],
    "demo --output": ["", "/proc/imnn_lab", __file__],
    "demo --seed": ["-1", "x", "0.5", str(2**31)],
}


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option in BAD_OPTIONS for value in BAD_OPTIONS[option]],
)
def test_wrong_options_are_refused_before_anything_starts(option, value, capsys, monkeypatch):
    monkeypatch.setattr(server, "serve", lambda options: pytest.fail("it started"))
    monkeypatch.setattr(cli, "_demo", lambda options: pytest.fail("it started"))
    command, name = option.split()
    with pytest.raises(SystemExit) as end:
        cli.main([command, f"{name}={value}"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert f"error: argument {name}: must" in said
    assert "invalid" not in said, "argparse's words for what a type did not explain"


def served_with(*options, monkeypatch):
    """Return the options that the server would be started with."""
    found = []
    monkeypatch.setattr(server, "serve", lambda options: found.append(options) or 0)
    assert cli.main(["serve", *options]) == 0
    return found[0]


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost"),
     ("0.0.0.0", "localhost"), ("0", "localhost"), ("::", "localhost")],
)  # fmt: skip
def test_a_server_says_where_it_is_and_what_other_machines_need(address, host, monkeypatch):
    options = served_with("--prefix", "lab", monkeypatch=monkeypatch)
    options.address = address
    place, *others = server.greeting(options, 5007, options.prefix).splitlines()
    assert place == f"imnn_lab at http://{host}:5007/lab/ (Ctrl-C ends it)"
    if address in ("0.0.0.0", "0", "::"):
        assert others[0].endswith(f"--allow-websocket-origin {socket.gethostname()}:5007")
        options.allow_websocket_origin = ["lab.example.org:5007"]
        assert server.greeting(options, 5007).count("\n") == 0
    else:
        assert others == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"ada": ""}', '{"ada": 1}', '"a password"', "\xff"]
)
def test_a_file_that_holds_no_passwords_is_refused(content, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(server, "serve", lambda options: pytest.fail("it started"))
    path = tmp_path / "users.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(SystemExit):
        cli.main(["serve", "--basic-auth", str(path)])
    assert "argument --basic-auth: must be a password or a JSON file" in capsys.readouterr().err


def test_a_secret_is_a_password_or_the_passwords_of_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    users = {"ada": "one", "ruđer": "twø"}
    for name in ("users.json", "users"):
        (tmp_path / name).write_text(json.dumps(users), encoding="utf-8")
        options = served_with("--basic-auth", name, monkeypatch=monkeypatch)
        assert options.basic_auth == users
    assert served_with("--basic-auth", "a word", monkeypatch=monkeypatch).basic_auth == "a word"
    assert served_with(monkeypatch=monkeypatch).basic_auth is None


def test_a_port_in_use_is_said_in_words(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["serve", "--port", str(port)]) == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in capsys.readouterr().err


@pytest.mark.parametrize("problem", ["nile", "gaussian"])
def test_demo_writes_all_that_it_says(tmp_path, problem):
    environment = os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning:imnn_lab"}
    command = [*COMMAND, "demo", problem]
    place = tmp_path / "imnn-lab-demo"
    if problem == "gaussian":  # the results of another demonstration, which are replaced
        plain_imnn().save(place / "imnn")
        for name in ("report.txt", "history.csv", "training.pdf", "posterior-ABC.npz"):
            (place / name).write_text("before")
    started = time.time()
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=400
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in place.iterdir()}
    figures = {
        f"{name}.{end}" for name in ("training", "fisher", "posteriors") for end in ("png", "pdf")
    }
    methods = ("ABC", "PMC", "Gaussian-approximation", "exact")
    samples = {f"posterior-{name}.npz" for name in methods}
    assert names == figures | samples | {"history.csv", "report.html", "report.txt", "imnn"}
    assert all(p.stat().st_mtime >= started - 1 and p.stat().st_size for p in place.iterdir())
    assert "exact likelihood" in done.stdout
    assert "oneDNN" not in done.stderr, "TensorFlow's start-up chatter is silenced"
    loaded = IMNN.load(place / "imnn")
    assert np.isfinite(loaded.F).all()
    named = {"nile": ("mean", "φ", "innovation sd"), "gaussian": ("μ", "Σ")}
    assert loaded.names == named[problem], "`imnn-lab check` has the names of the report"
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
