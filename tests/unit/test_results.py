import threading

import numpy as np
import pytest

from imnn_lab import FisherStatistics, History
from imnn_lab.history import SteeringMark


def rows(first, count):
    iterations = np.arange(first, first + count)
    columns = {"iteration": iterations, "det_F": 2.0 * iterations, "ε": np.full(count, 0.1)}
    matrices = {"F": np.tile(np.eye(2), (count, 1, 1)) * iterations[:, None, None]}
    return columns, matrices


def test_columns_grow_and_are_read_from_a_cursor():
    history = History()
    history.append(*rows(0, 3))
    first, cursor = history.read()
    history.append(*rows(3, 5000))
    then, cursor = history.read(cursor)
    assert first["det_F"].tolist() == [0, 2, 4]
    assert (len(history), cursor, len(then["det_F"])) == (5003, 5003, 5000)
    np.testing.assert_array_equal(history["det_F"], 2 * np.arange(5003))


def test_what_is_read_is_a_copy():
    history = History()
    history.append(*rows(0, 3))
    history["det_F"][:] = -1
    assert history["det_F"].tolist() == [0, 2, 4]


def test_any_spelling_of_a_greek_key_works():
    history = History()
    history.append(*rows(0, 2))
    np.testing.assert_array_equal(history["\u03f5"], history["ε"])
    assert "\u03f5" in history


def test_unknown_keys_say_what_there_is():
    history = History()
    history.append(*rows(0, 2))
    with pytest.raises(KeyError, match="iteration"):
        history["det_G"]


def test_columns_are_empty_before_the_first_iteration():
    history = History()
    for name in ("det_F", "val_det_F", "\u03f5", "seconds", "iteration", "F"):
        assert history[name].shape == (0,)
    with pytest.raises(KeyError, match="det_F"):
        history["det_G"]


def test_matrices_are_thinned_evenly():
    history = History(most_snapshots=100)
    for first in range(0, 1000, 7):
        history.append(*rows(first, 7))
    kept = history["snapshot_iteration"]
    assert 50 <= len(kept) <= 100
    assert len(set(np.diff(kept))) == 1
    np.testing.assert_array_equal(history["F"][:, 0, 0], kept)


def test_a_history_comes_back_from_its_arrays():
    history = History(most_snapshots=10)
    history.append(*rows(0, 30))
    history.mark(SteeringMark(4, "λ", 5.0, 10.0, 3))
    again = History.from_arrays(history.arrays())
    again.append(*rows(30, 20))
    history.append(*rows(30, 20))
    assert again.marks == history.marks
    for key in history:
        np.testing.assert_array_equal(again[key], history[key])


def test_statistics_of_an_iteration_know_what_they_were_computed_from():
    matrices = {
        "μ": np.zeros((1, 3)),
        "C": np.diag([100.0, 2, 3])[None],
        "dμ_dθ": np.ones((1, 1, 3)),
    }
    history = History(counts={"training": (50, 40, 1)})
    history.append({"iteration": np.arange(1)}, matrices)
    for each in (history, History.from_arrays(history.arrays())):
        statistics = each.statistics(0)
        assert (statistics.n_s, statistics.n_d) == (50, 40)
        # det C of the two summaries behind the external one, exact up to rounding
        assert statistics.det_C == pytest.approx(6, rel=1e-12)


def test_reading_while_another_thread_appends_sees_whole_rows():
    history, torn = History(), []

    def append():
        for first in range(0, 20000, 5):
            history.append(*rows(first, 5))

    writer = threading.Thread(target=append)
    writer.start()
    while writer.is_alive():
        columns, _ = history.read()
        if columns and not np.array_equal(columns["det_F"], 2 * columns["iteration"]):
            torn.append(columns)
    writer.join()
    assert not torn


def test_statistics_come_back_from_their_arrays():
    found = FisherStatistics(np.ones(2), np.eye(2), np.ones((1, 2)), n_s=5, n_d=6)
    again = FisherStatistics.from_arrays(found.arrays())
    assert (again.n_s, again.n_d) == (5, 6)
    np.testing.assert_array_equal(again.F, found.F)
    assert "5 fiducial" in str(again)


def statistics_of(n_s, n_summaries=2):
    C, dμ = np.diag(np.arange(1.0, n_summaries + 1)), np.eye(n_summaries)
    return FisherStatistics(np.zeros(n_summaries), C, dμ, n_s=n_s, n_d=10)


def test_the_factor_of_hartlap_makes_F_unbiased():
    """⟨C⁻¹⟩ = (n − 1)/(n − p − 2) times the inverse covariance, for Gaussian summaries."""
    rng = np.random.default_rng(1)
    n, p = 10, 3
    found, corrected = [], []
    for _ in range(4000):
        C = np.cov(rng.normal(size=(n, p)).T)
        statistics = FisherStatistics(np.zeros(p), C, np.eye(p), n_s=n)
        found.append(np.trace(statistics.F) / p)
        corrected.append(np.trace(statistics.F_hartlap) / p)
    # The trace scatters by about 1.1 with 10 simulations: the mean of 4,000 by less than .02.
    assert np.mean(corrected) == pytest.approx(1, abs=0.06)
    assert np.mean(found) == pytest.approx(9 / 5, abs=0.1), "which F itself is not"


def test_the_factor_of_hartlap_is_that_of_the_paper():
    assert statistics_of(20).hartlap_factor == pytest.approx(16 / 19)
    np.testing.assert_allclose(statistics_of(20).F_hartlap, 16 / 19 * statistics_of(20).F)
    assert statistics_of(10**6).hartlap_factor == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n_s", [0, 2, 4])
def test_without_a_mean_of_the_inverse_covariance_there_is_no_factor(n_s):
    assert np.isnan(statistics_of(n_s).hartlap_factor)
    assert np.isnan(statistics_of(n_s).F_hartlap).all()
