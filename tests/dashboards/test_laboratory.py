"""Uploads, the pool of fits, and saved results, without a browser."""

import io
import signal
import subprocess
import sys
import threading
import warnings
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from makers import gaussian_data, small_imnn
from waiting import until

from imnn_lab import IMNN, Files, cli, problems
from imnn_lab.dashboards.host.panel_private import application_of
from imnn_lab.dashboards.results.dashboard import ResultsPage
from imnn_lab.dashboards.results.files import read_results
from imnn_lab.dashboards.training.pump import Pump
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.words import numbers as progress
from imnn_lab.dashboards.training.words import sentence
from imnn_lab.history import History
from imnn_lab.inference import Posterior
from imnn_lab.laboratory import build, page, server, uploads
from imnn_lab.laboratory.build import NAMES, NETWORKS, OwnData, Sizes, build_from_data, check_data
from imnn_lab.laboratory.login import MOST_ADDRESSES, Attempts, PasswordLogin
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import ProblemCard, ResultsStage
from imnn_lab.laboratory.stored import sent_data
from imnn_lab.laboratory.uploads import numbers, read_upload


def saved(array, **options):
    place = io.BytesIO()
    np.save(place, array, **options)
    return place.getvalue()


def written(directory, name, content):
    (directory / name).write_bytes(content)
    return directory / name


NUMBERS = {"θ_fid": np.zeros(1), "δθ": np.ones(1)}


def test_what_was_sent_is_read(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    written(tmp_path, "fiducial.npy", saved(array))
    np.savez_compressed(tmp_path / "others.npz", derivative=array, target=array[0], b=array)
    own = sent_data(tmp_path, dict(NUMBERS), 10**6)
    assert set(own.arrays) == {"fiducial", "derivative", "target"}
    np.testing.assert_array_equal(own.arrays["fiducial"][:], array)
    assert set(read_upload(tmp_path / "others.npz", 10**6)) == {"derivative", "target", "b"}


def test_unreadable_uploads_are_rejected(tmp_path):
    def refusal(name, content, most_bytes=10**6):
        path = written(tmp_path, name, content)
        with pytest.raises(ValueError, match="must") as caught:
            sent_data(tmp_path, dict(NUMBERS), most_bytes)
        path.unlink()
        assert str(tmp_path) not in str(caught.value)
        return str(caught.value)

    pickled = saved(np.array([{"a": 1}], object), allow_pickle=True)
    assert "Python objects" in refusal("fiducial.npy", pickled)
    assert "at most" in refusal("fiducial.npy", saved(np.zeros(1000)), 1000)
    bomb = io.BytesIO()
    np.savez_compressed(bomb, fiducial=np.zeros(10**6))
    assert "when unpacked" in refusal("x.npz", bomb.getvalue())
    assert "be a whole" in refusal("fiducial.npy", saved(np.zeros(100))[:-8])
    assert "be a whole" in refusal("fiducial.npy", b"not an array at all")
    for words in ("0, one", ",", "1, nan", "inf"):
        with pytest.raises(ValueError, match="be numbers"):
            numbers("θ_fid", words)


def zipped(members, **options):
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, content in members:
            archive.writestr(name, content, **options)
    return place.getvalue()


ARRAY = saved(np.zeros(3))
DEFLATED = zipped([("a.npy", saved(np.arange(1000.0)))], compress_type=zipfile.ZIP_DEFLATED)
ODD_UPLOADS = {
    "empty.npy": b"",
    "empty.npz": b"",
    "header.npy": ARRAY.replace(b"'<f8'", b"((((("),  # ends Python's tokenizer
    "type.npy": ARRAY.replace(b"'<f8'", b"'<q9'"),
    "negative.npy": ARRAY.replace(b"(3,)", b"(-3,)"),
    "version.npy": b"\x93NUMPY\x09\x00" + bytes(100),
    "text.npz": zipped([("read me.txt", "words")]),
    "directory.npz": zipped([("a/", "")]),
    "twice.npz": zipped([("a.npy", ARRAY), ("a", ARRAY)]),
    "half.npz": zipped([("a.npy", ARRAY)])[:100],
    "damaged.npz": DEFLATED[:60] + bytes(20) + DEFLATED[80:],
    "encrypted.npz": zipped([("a.npy", ARRAY)])
    .replace(b"PK\x03\x04\x14\0\0", b"PK\x03\x04\x14\0\x01")
    .replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\x01"),
    "method.npz": zipped([("a.npy", ARRAY)])
    .replace(b"PK\x03\x04\x14\0\0\0\0", b"PK\x03\x04\x14\0\0\0\x63")
    .replace(b"PK\x01\x02\x14\x03\x14\0\0\0\0", b"PK\x01\x02\x14\x03\x14\0\0\0\x63"),
}


@pytest.mark.parametrize("name", list(ODD_UPLOADS))
def test_odd_uploads_are_refused_in_words(name, tmp_path):
    is_array = name.endswith("npy")
    path = written(tmp_path, "fiducial.npy" if is_array else name, ODD_UPLOADS[name])
    words = rf"{path.name}'?`? must .*\. Received .*\."
    with pytest.raises(ValueError, match=words):
        sent_data(tmp_path, dict(NUMBERS), 10**6) if is_array else read_upload(path, 10**6)


def test_own_data_of_single_numbers_are_refused():
    one = np.array([0.0])
    for name in ("fiducial", "derivative"):
        arrays = {"fiducial": np.zeros((9, 2)), "derivative": np.zeros((9, 2, 1, 2))}
        with pytest.raises(ValueError, match=rf"`{name}` must have one row for each simulation"):
            build_from_data(OwnData(arrays | {name: np.array(1.0)}, one, one), NETWORKS[0], Sizes())


PROBLEM = problems.gaussian()
FIDUCIAL, DERIVATIVE = PROBLEM.training_set(120, 110, 1)
HELD_OUT = dict(zip(NAMES[2:4], PROBLEM.training_set(60, 50, 2), strict=True))


def own_data(**changed):
    arrays = {"fiducial": FIDUCIAL, "derivative": DERIVATIVE} | changed
    return OwnData(arrays, PROBLEM.θ_fid, PROBLEM.δθ)


def altered(array, at, value):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"fiducial": np.ones((120, 10))}, "`fiducial` must hold more than .* that differ"),
        ({"fiducial": altered(FIDUCIAL, (119, 2), np.nan)}, "finite numbers only"),
        ({"derivative": DERIVATIVE[:, :, :1]}, "`derivative` must have shape"),
        ({"derivative": DERIVATIVE[:, [0, 0]]}, "change with every parameter"),
        ({"target": np.zeros((3, 7))}, "`target` must have the shape of a simulation"),
        ({"target": altered(FIDUCIAL[0], 0, np.inf)}, "`target` must contain finite"),
        (HELD_OUT | {"validation_fiducial": FIDUCIAL[:, :5]}, "`validation_fiducial` must have"),
    ],
)
def test_bad_own_data_are_noticed_before_a_network_is_made(changed, words):
    check_data(own_data(**HELD_OUT, target=FIDUCIAL[0]))
    with pytest.raises(ValueError, match=words):
        check_data(own_data(**changed))


def test_values_of_large_data_are_looked_at_in_parts_until_told_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "LOOKED_AT", 1)  # the first 100
    monkeypatch.setattr(build, "READ_VALUES", 50)  # five simulations, or one of the derivative
    bad = altered(FIDUCIAL, (119, 2), np.nan)
    np.save(tmp_path / "fiducial.npy", bad)
    on_disk = Files(str(tmp_path / "fiducial.npy"))
    for array in (bad, np.load(tmp_path / "fiducial.npy", mmap_mode="r"), on_disk):
        with pytest.raises(ValueError, match=r"`fiducial` at seed 119 must contain finite"):
            check_data(own_data(fiducial=array))
    with pytest.raises(ValueError, match=r"`derivative` at seed 109 must contain finite"):
        check_data(own_data(derivative=altered(DERIVATIVE, (109, 1, 0, 3), np.inf)))
    told = []
    check_data(own_data(), lambda share: told.append(share) is None)
    assert told == sorted(told)
    assert (len(told), told[-1]) == (24 + 110, 1)
    told.clear()
    check_data(own_data(fiducial=bad), lambda share: bool(told.append(share)))
    assert len(told) == 1


def test_a_fit_goes_on_when_other_data_are_refused_and_ends_when_they_are_not():
    session = LaboratorySession(Pool(1))
    session.network = PooledNetwork(ScriptedNetwork(), session.pool)
    fit = session.network.start(10)
    until(lambda: fit.state == "running")
    for data, state in ((own_data(fiducial=FIDUCIAL[:, :3]), "failed"), (own_data(), "finished")):
        assert fit.state == "running"
        session.build(
            lambda data=data: build_from_data(data, "linear", Sizes()),
            lambda go_on, data=data: check_data(data, go_on),
        )
        assert session.building.wait(60)
        assert session.building.state == state, session.building.message
    assert fit.state == "stopped"


def test_a_validation_set_may_have_another_size():
    own = build_from_data(own_data(**HELD_OUT), "linear", Sizes())
    assert (own.imnn.validation.n_s, own.imnn.training.n_s) == (60, 120)


def test_networks_that_one_was_chosen_from_are_in_a_table():
    """Own data have no network that is known to suit; that of a problem is shown without one."""
    problem = problems.variance(3)
    names = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
    sets = [x for seed in (1, 2) for x in problem.training_set(100, 100, seed)]
    arrays = dict(zip(names, sets, strict=True))
    own = build_from_data(OwnData(arrays, problem.θ_fid, problem.δθ), NETWORKS[0], Sizes())
    card = ProblemCard(session := LaboratorySession(Pool(1)))
    session.built = own
    card.refresh(session)
    shown = card._candidates.object
    for candidate in own.imnn.candidates:
        assert candidate.name in shown
        assert candidate.result in shown
    assert shown.count("→") == 1
    named = build_from_data(OwnData(arrays, problem.θ_fid, problem.δθ), "dense", Sizes())
    session.built = named
    card.refresh(session)
    assert card._candidates.object == ""


def test_names_of_parameters_are_separated_by_commas_outside_of_latex():
    assert uploads.names("  ") == ()
    assert uploads.names(r"Ω_m,  σ8 ,$\theta_{1,2}$") == ("Ω_m", "σ8", r"$\theta_{1,2}$")
    for text in ("a,", ",", "a\nb", "a" * 41):
        with pytest.raises(ValueError, match="`names` must be names of at most 40 letters"):
            uploads.names(text)
    with pytest.raises(ValueError, match="`names` must hold different names"):
        uploads.names("a, b, a")


@pytest.mark.parametrize("box", ["n_s", "n_d", "seed"])
@pytest.mark.parametrize(
    ("value", "received"), [(None, "an empty box"), (-1, "-1"), (2**40, "1,099,511,627,776")]
)
def test_boxes_without_a_number_that_counts_are_refused(box, value, received):
    card = ProblemCard(LaboratorySession(Pool(1)))
    widget = getattr(card, box)
    widget.start = widget.end = None  # as a browser may say
    widget.value = value
    card.build.param.trigger("clicks")
    assert f"`{box}` must be a whole number from" in card.failure
    assert f"Received {received}." in card.failure


def test_a_pool_lets_in_as_many_as_it_has_places_in_the_order_of_asking():
    pool, entered = Pool(1), []
    assert pool.enter("first", lambda: False)
    threads = []
    for name in ("second", "third"):
        thread = threading.Thread(
            target=lambda name=name: pool.enter(name, lambda: False) and entered.append(name)
        )
        thread.start()
        threads.append(thread)
        until(lambda name=name: pool.position(name) > 0)
    assert (pool.position("second"), pool.position("third"), entered) == (1, 2, [])
    for thread in threads:
        pool.leave()
        thread.join(10)
    assert entered == ["second", "third"]
    assert not pool.enter("fourth", lambda: True), "one who gives up is not let in"


def test_a_pooled_fit_says_how_far_it_is_and_when_it_ends():
    pool, network = Pool(1), ScriptedNetwork()
    state = TrainingState(PooledNetwork(network, pool))
    pump, speed = Pump(state, []), 2.0
    assert pool.enter("somebody else", lambda: False)
    state.param.update(n_iterations=40, patience=30)
    state.start()
    assert (state.word, state.run.last) == ("queued", None)
    pool.leave()
    until(lambda: state.word != "queued")
    network.train(20)
    network.run.stale = 3
    words = progress(state, pump.tick(), speed).split(" · ")
    assert words[:4] == [
        "iteration 19 of 40", "2 iterations/s", "10.5 s left",
        "no improvement for 3 of 30 iterations",
    ]  # fmt: skip
    state.stop()
    assert state.run.wait(10)
    assert state.word == "stopped"
    state.reset()
    state.run.stop()
    another = TrainingState(state.imnn)
    assert (another.n_iterations, another.patience) == (40, 30), "a page shows what was asked for"


def test_a_fit_ends_at_the_limits_of_its_server_and_the_next_has_its_turn():
    pool, seconds = Pool(1, most_iterations=30, most_seconds=0.1), threading.TIMEOUT_MAX
    networks = [ScriptedNetwork() for _ in range(3)]
    states = [TrainingState(PooledNetwork(network, pool)) for network in networks]
    for state in states:
        state.n_iterations = 10_000_000
        state.start()
    assert all(state.run.wait(30) for state in states), "the queue moves on"
    for state, network in zip(states, networks, strict=True):
        assert network.started[0]["n_iterations"] == state.run.last == 30
        assert sentence(state) == "Stopped after 0.1 s, the most for a fit on this server"

    pool.most_seconds = seconds
    state, network = states[0], networks[0]
    for n_iterations, words in ((10_000_000, ", the most for a fit on this server (30)"), (30, "")):
        network.history = History()
        state.n_iterations = n_iterations
        state.start()
        until(lambda state=state: state.word == "running")
        network.train(31)
        network.run.finish("all 30 iterations are done")
        assert state.run.wait(30)
        assert sentence(state) == "Finished: all 30 iterations are done" + words


def test_a_paused_fit_does_not_hold_the_server():
    state = TrainingState(PooledNetwork(ScriptedNetwork(), Pool(1, most_seconds=0.5)))
    state.start()
    until(lambda: state.word == "running")
    state.pause()
    assert state.word == "paused"
    assert state.run.wait(30)
    assert state.word == "stopped"


@pytest.mark.parametrize(
    ("limits", "bounded"), [((None, 5), 30), ((7, None), 7), ((None, None), None)]
)
def test_a_fit_without_a_limit_gets_that_of_its_server(limits, bounded):
    network = ScriptedNetwork()
    shared = PooledNetwork(network, Pool(1, most_iterations=30))
    n_iterations, patience = limits
    run = shared.start(n_iterations, patience=patience)
    until(lambda: network.started)
    assert network.started[0]["n_iterations"] == bounded
    until(lambda: run.state == "running")
    run.stop()
    assert run.wait(30)


def test_a_pool_that_closes_stops_what_runs_and_waits_for_it():
    pool, network = Pool(1), ScriptedNetwork()
    sessions = [LaboratorySession(pool) for _ in range(3)]
    sessions[0].network = PooledNetwork(network, pool)
    sessions[0].network.start(10)
    until(lambda: sessions[0].network.run.state == "running")
    sessions[1].build(lambda: pytest.fail("it never has its turn"))
    until(lambda: sessions[1].position == 1)
    assert pool.close(30)
    assert network.run.state == "stopped"
    assert [session.building.state for session in sessions] == ["idle", "stopped", "idle"]
    sessions[2].build(lambda: pytest.fail("nothing begins any more"))
    assert sessions[2].wait(30)
    assert sessions[2].building.message == "cancelled while queued"


def test_a_pool_that_closes_does_not_wait_for_ever():
    pool, release = Pool(1), threading.Event()
    session = LaboratorySession(pool)
    session.build(lambda: release.wait(60))
    until(lambda: session.building.is_running)
    assert not pool.close(0.1)
    release.set()
    assert session.wait(30)


def test_the_network_that_a_visitor_downloads_can_be_loaded(tmp_path):
    session = LaboratorySession(Pool(1))
    stage = ResultsStage(session)
    assert stage._download.callback().getvalue() == b""
    imnn = small_imnn()
    session.built = SimpleNamespace(imnn=imnn)
    with zipfile.ZipFile(stage._download.callback()) as file:
        file.extractall(tmp_path)
    data = gaussian_data()[0][:3]
    loaded = IMNN.load(tmp_path / stage._download.filename.removesuffix(".zip"))
    np.testing.assert_array_equal(loaded.get_estimate(data), imnn.get_estimate(data))


def test_saved_results_are_shown_without_tensorflow(tmp_path):
    imnn = small_imnn()
    imnn.fit(3)
    imnn.save(tmp_path / "imnn")
    rng = np.random.default_rng(0)
    Posterior(rng.normal(size=(500, 2)), np.ones(500), ("a", "b")).to_npz(
        tmp_path / "posterior-ABC.npz"
    )
    found = read_results(tmp_path)
    assert list(found.trainings) == ["imnn"]
    assert list(found.posteriors) == ["ABC"]
    assert len(found.trainings["imnn"].history) == 4
    np.testing.assert_allclose(found.trainings["imnn"].statistics["validation"].F, imnn.F)
    (pump,) = ResultsPage(found)._pumps
    assert "n_iterations=3, λ=10" in pump.state.python_call(), "those of the fit"
    code = (
        "import sys\nfrom imnn_lab.dashboards import ResultsDashboard\n"
        f"ResultsDashboard({str(tmp_path)!r}).__panel__()\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_without_results_are_rejected(tmp_path):
    for path, lack in ((tmp_path, "without them"), ("nothing", "which is not there")):
        words = f"`path` must hold results: .* Received .*, {lack}. Check"
        with pytest.raises(FileNotFoundError, match=words):
            read_results(path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"be a state\.npz .* Received one with x"):
        read_results(tmp_path / "other.npz")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
def test_pages_at_the_address_of_the_server_may_connect(address):
    options = cli._parser().parse_args(["serve", "--address", address, "--port", "0"])
    made = server._server(lambda: None, options)
    origins = application_of(made).websocket_origins
    own = set() if address == "0.0.0.0" else {f"{address}:{made.port}"}
    assert origins == own | {f"localhost:{made.port}"}
    made.stop()


def test_a_server_that_ends_stops_its_work_first(monkeypatch, capsys):
    closed, shared = [], server.shared_pool()
    made = SimpleNamespace(keep_all=lambda: closed.append("kept"))
    ended = SimpleNamespace(
        port=5006, prefix="", run_until_shutdown=lambda: closed.append("served")
    )
    said_before = []

    def made_server(page, options):
        said_before.extend(capsys.readouterr())
        return page() or ended

    monkeypatch.setattr(server, "_server", made_server)
    monkeypatch.setattr(server, "shared_runs", lambda: made)
    monkeypatch.setattr(page, "laboratory_page", lambda: None)
    monkeypatch.setattr(shared, "close", closed.append)  # returns None: not all has ended
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert server.serve(cli._parser().parse_args(["serve", "--keep", "7", "--max-runs", "3"])) == 0
    assert (made.keep, made.most) == (420.0, 3)
    assert closed == ["served", server.PATIENCE, "kept"]
    out, err = said_before
    assert out == "", "the first line of it is the address"
    assert err.startswith("Starting the laboratory")
    assert "Some work has not ended within 8 s." in capsys.readouterr().err


def test_who_guesses_passwords_waits_twice_as_long_each_time():
    now = [0.0]
    attempts, waits = Attempts(lambda: now[0]), []
    for _ in range(12):
        attempts.wrong("192.0.2.1")
        waits.append(attempts.wait("192.0.2.1"))
        now[0] += waits[-1]
        assert attempts.wait("192.0.2.1") == 0, "it may try again"
    assert waits == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert attempts.wait("192.0.2.2") == 0, "others do not wait"
    attempts.wrong("192.0.2.1")
    attempts.right("192.0.2.1")
    assert attempts.wait("192.0.2.1") == 0
    attempts.wrong("192.0.2.1")
    assert attempts.wait("192.0.2.1") == 0, "it is forgotten"


def test_wrong_logins_of_many_addresses_are_forgotten():
    attempts = Attempts()
    for i in range(2 * MOST_ADDRESSES):
        for _ in range(5):
            attempts.wrong(f"address {i}")
    assert attempts.wait("address 0") == 0
    assert attempts.wait(f"address {2 * MOST_ADDRESSES - 1}") > 0


def test_passwords_let_in_who_knows_them():
    one, each = PasswordLogin("a word "), PasswordLogin({"ada": "ø"})
    assert one.lets_in("anybody", "a word ")
    assert each.lets_in("ada", "ø")
    for guard, name, word in ((one, "x", "a word"), (one, "x", ""), (each, "ada", ""),
                              (each, "", ""), (each, "bob", ""), (each, "bob", "ø")):  # fmt: skip
        assert not guard.lets_in(name, word)
