"""Uploads, the pool of fits, and saved results, without a browser."""

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
from makers import small_imnn

from imnn_lab.dashboards.results import ResultsPage
from imnn_lab.dashboards.results_files import read_results
from imnn_lab.inference import Posterior
from imnn_lab.laboratory.pool import Pool
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


def test_uploads_that_are_refused():
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
        while pool.position(name) == 0:
            pass
    assert (pool.position("second"), pool.position("third"), entered) == (1, 2, [])
    for thread in threads:
        pool.leave()
        thread.join(10)
    assert entered == ["second", "third"]
    assert not pool.enter("fourth", lambda: True), "one who gives up is not let in"


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


def test_results_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="no results"):
        read_results(tmp_path)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"be a state\.npz .* Received one with x"):
        read_results(tmp_path / "other.npz")
