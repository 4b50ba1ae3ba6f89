"""The lesson in a sentence, the chosen start, and earlier runs that are kept."""

import keras
import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from makers import small_imnn

from imnn_lab import networks
from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.training.ghosts import Ghosts
from imnn_lab.dashboards.training.lesson import Progress, lesson
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.history import History
from imnn_lab.laboratory.pool import Pool, PooledNetwork

N = 200


def rows(training, validation, reg):
    """Return columns of a history with these ln det F."""
    return {
        "iteration": np.arange(N), "log_det_F": training, "val_log_det_F": validation,
        "det_F": np.exp(training), "val_det_F": np.exp(validation), "reg": np.full(N, reg),
        "ε": np.full(N, 0.1), "λ": np.full(N, 10.0), "det_C": np.ones(N),
        "learning_rate": np.full(N, 1e-3),
    }  # fmt: skip


def said(columns, word="running", has_pair=True):
    progress = Progress()
    for part in (slice(0, 50), slice(50, None)):  # as they come
        progress.add({name: values[part] for name, values in columns.items()})
    recent = {name: values[-2 * progress.stretch :] for name, values in columns.items()}
    return lesson(progress, recent, word, has_pair)


UP, FLAT = np.linspace(0, 4, N), np.full(N, 3.0)
FALLING = 3 - np.abs(np.linspace(-1, 2, N))  # validation: best at a third, then down


@pytest.mark.parametrize(
    ("columns", "word", "words"),
    [
        (rows(UP, UP, 1.0), "running", ["det F rises", "the regulariser pulls"]),
        (rows(UP, UP, 0.01), "running", ["det F rises", "lets go"]),
        (rows(FLAT, FLAT, 0.01), "running", ["settled at 20.1", "lets go"]),
        (rows(UP, FALLING, 0.01), "running", ["Over-fitting: since iteration 66"]),
        (rows(-UP, -UP, 0.01), "paused", ["det F falls"]),
        (rows(UP, FALLING, 0.01), "finished", ["is over", "at iteration 66"]),
        (rows(UP, np.full(N, np.nan), 1.0), "running", ["det F rises (54.6 now)", "pulls"]),
        (rows(UP, np.full(N, np.nan), 1.0), "stopped", ["was 1 at its start and is 54.6"]),
    ],
)
def test_the_sentence_follows_the_numbers(columns, word, words):
    sentence = said(columns, word)
    assert [each for each in words if each not in sentence] == []
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")


def test_the_sentence_before_there_is_much_to_say():
    assert "Nothing is trained yet" in lesson(Progress(), {}, "ready")
    few = {name: values[:5] for name, values in rows(UP, UP, 1.0).items()}
    progress = Progress()
    progress.add(few)
    assert "just begun" in lesson(progress, few, "running")
    assert "regulariser" not in said(rows(UP, UP, 1.0), has_pair=False)


def test_a_real_run_from_scratch_passes_through_the_lessons():
    imnn = small_imnn(model=networks.dense((10,), 2, seed=3), optimiser=keras.optimizers.Adam(1e-2))
    given = {"warm_start": False, "whiten": False, "seed": 1, "best": False}
    imnn.fit(300, reset=True, **given)
    columns, _ = imnn.history.read()
    heard = []
    for n in range(20, 301, 10):
        part = {name: values[:n] for name, values in columns.items()}
        progress = Progress()
        progress.add(part)
        recent = {name: values[-2 * progress.stretch :] for name, values in part.items()}
        heard.append(lesson(progress, recent, "running"))
    assert "det F rises" in heard[0]
    assert any("the regulariser pulls" in sentence for sentence in heard)
    assert any("the regulariser lets go" in sentence for sentence in heard)
    assert "Over-fitting" in heard[-1]


class Recorded(ScriptedNetwork):
    """Takes a start as an IMNN does, and keeps what it was asked for."""

    def start(self, n_iterations=None, *, warm_start=None, whiten=None, seed=None, **given):
        self.asked = {"warm_start": warm_start, "whiten": whiten, "seed": seed}
        return super().start(n_iterations, **given)


def test_the_chosen_start_reaches_the_network():
    network = Recorded()
    state = TrainingState(network)
    state.reset()
    assert network.asked == {"warm_start": None, "whiten": None, "seed": None}
    state.param.update(start_from="from scratch", whitened=False, start_seed=7)
    state.begin_anew()
    assert network.asked == {"warm_start": False, "whiten": False, "seed": 7}
    assert network.started[-1]["reset"]
    assert network.started[-1]["n_iterations"] == state.n_iterations
    assert state.start_words == "from scratch, not whitened, seed 7"


def test_earlier_runs_are_kept_drawn_renamed_and_deleted():
    network = Recorded()
    page = TrainingDashboard(network).page()
    page.tabs.show("Teach")
    state, view = page.state, page.teaching
    for scratch in (False, True, False):
        state.start_from = "from scratch" if scratch else "closed form"
        network.run = None
        state.begin_anew()
        network.train(30)
        page.pump.tick()
    first, second = state.ghosts.all
    assert (first.settings["start"], second.settings["start"]) == (
        "closed form", "from scratch, seed 1",
    )  # fmt: skip
    assert "from scratch, seed 1" in view.ghosts.table.object
    source = page.curves.figure.ghosts
    assert list(source.data["name"]) == ["run 1", "run 2"]
    np.testing.assert_array_equal(source.data["det_F"][0], np.arange(1, 31))
    view.ghosts.shown.value = ["run 2"]
    page.pump.tick()
    assert list(source.data["name"]) == ["run 2"]
    view.ghosts.run.value, view.ghosts.new_name.value = "run 2", "random"
    view.ghosts._rename()
    view.ghosts.run.value = "run 1"
    view.ghosts._delete()
    page.pump.tick()
    assert [ghost.name for ghost in state.ghosts.all] == ["random"]
    assert list(source.data["name"]) == ["random"]
    assert not state.ghosts.rename("random", " ")


def test_pages_of_a_served_network_share_its_earlier_runs():
    network = Recorded()
    shared = PooledNetwork(network, Pool(1))
    first, second = (TrainingState(shared) for _ in range(2))
    first.start_from, shared.start = "from scratch", network.start
    for begin in (first.begin_anew, second.begin_anew):
        begin()
        network.train(5)
        network.run.finish("all is done")
        for page in (second, first):
            page.follow_run(())
    (kept,) = second.ghosts.all
    assert kept.settings["start"] == "from scratch, seed 1", "as it was begun on another page"
    assert TrainingState(shared).ghosts.all == (kept,), "a page that is opened later has it too"


@pytest.mark.parametrize("scale", ["linear", "logarithmic"])
def test_earlier_runs_are_in_sight_where_the_present_one_is(scale):
    network = Recorded()
    page = TrainingDashboard(network).page()
    page.state.scale = scale
    page.state.begin_anew()
    network.train(100)
    page.pump.tick()
    network.run = None
    page.state.begin_anew()
    columns = ("det_F", "val_det_F", "det_C", "val_det_C", "det_Cinv", "val_det_Cinv")
    network.train(30, **{name: np.full(30, 2.0) for name in columns})
    page.pump.tick()
    _, *ends = page.curves.figure.view.data["end"]
    _, *starts = page.curves.figure.view.data["start"]
    for row in range(2):  # det F, det C
        assert starts[row] < 2 < ends[row]
        assert 29 < ends[row] < 40, "as far as the earlier one was at the present iteration"
    page.state.ghosts.show([])
    page.pump.tick()
    assert page.curves.figure.view.data["end"][1] < 3, "the control"


def test_no_more_than_twenty_runs_and_few_points_are_kept():
    ghosts = Ghosts()
    for _ in range(23):
        history = History()
        ghosts.see(history, "closed form")
        n = 2000
        columns = {name: np.linspace(1, 2, n) for name in rows(FLAT, FLAT, 1)}
        history.append(columns | {"iteration": np.arange(n)}, {})
    assert [ghost.name for ghost in ghosts.all] == [f"run {k}" for k in range(3, 23)]
    assert len(ghosts.all[0].det_C) <= 300
