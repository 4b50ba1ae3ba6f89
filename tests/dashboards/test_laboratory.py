"""Uploads, the pool of fits, and saved results, without a browser."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from makers import small_imnn
from waiting import until

from imnn_lab.dashboards.results.dashboard import ResultsPage
from imnn_lab.dashboards.results.files import read_results
from imnn_lab.dashboards.training.pump import Pump
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.dashboards.training.words import numbers as progress
from imnn_lab.inference import Posterior
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.laboratory.uploads import numbers, read_upload


def saved(array, **options):
    place = io.BytesIO()
    np.save(place, array, **options)
    return place.getvalue()


def test_an_upload_is_read():
    array = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(read_upload("x.npy", saved(array), 10**6)["x"], array)
    place = io.BytesIO()
    np.savez_compressed(place, a=array, b=array[0])
    assert set(read_upload("x.npz", place.getvalue(), 10**6)) == {"a", "b"}


def test_unreadable_uploads_are_rejected():
    pickled = saved(np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        read_upload("x.npy", pickled, 10**6)
    with pytest.raises(ValueError, match="at most"):
        read_upload("x.npy", saved(np.zeros(1000)), 1000)
    bomb = io.BytesIO()
    np.savez_compressed(bomb, a=np.zeros(10**6))
    with pytest.raises(ValueError, match="when unpacked"):
        read_upload("x.npz", bomb.getvalue(), 10**6)
    with pytest.raises(ValueError, match=r"whole \.npy file"):
        read_upload("x.npy", saved(np.zeros(100))[:-8], 10**6)
    with pytest.raises(ValueError, match=r"be an \.npy or \.npz file"):
        read_upload("x.pkl", b"...", 10**6)
    with pytest.raises(ValueError, match="hold an array"):
        read_upload("x.npy", b"not an array at all", 10**6)
    with pytest.raises(ValueError, match="be numbers"):
        numbers("θ_fid", "0, one")


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
    assert ResultsPage(found).body is not None
    code = (
        "import sys\nfrom imnn_lab.dashboards import ResultsDashboard\n"
        f"ResultsDashboard({str(tmp_path)!r}).__panel__()\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_without_results_are_rejected(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        read_results(tmp_path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"be a state\.npz .* Received one with x"):
        read_results(tmp_path / "other.npz")
