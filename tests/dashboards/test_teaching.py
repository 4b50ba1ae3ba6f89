"""The lesson in a sentence, the chosen start, and earlier runs that are kept."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from makers import small_imnn
from scipy.signal import lfilter
from waiting import until

from imnn_lab import networks
from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.training.ghosts import Ghosts
from imnn_lab.dashboards.training.lesson import Progress, lesson
from imnn_lab.dashboards.training.state import NO_END, TrainingState, words_of_start
from imnn_lab.figures.style import earlier_style
from imnn_lab.history import History
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.regularisation import Regularisation

N = 200


def rows(training, validation, reg):
    """Return columns of a history with these ln det F."""
    N = len(training)
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


def slow_noise(n, seed):
    """Return noise of standard deviation 0.02 that is remembered for some ten iterations."""
    white = np.random.default_rng(seed).normal(0, 0.02 * np.sqrt(1 - 0.9**2), n)
    return lfilter([1], [1, -0.9], white)


def scratch(n):
    """Return ln det F as of a run that over-fits slowly: validation 40.8 at most, then 39.5."""
    i = np.arange(n)
    training = np.log(60) - np.exp(-i / 250) * 3 - 0.3 * np.exp(-i / 1500)
    validation = np.log(40.8) - 3 * np.exp(-i / 60) - 1.45e-8 * np.maximum(0, i - 640) ** 2
    return training, validation


@pytest.mark.parametrize("n", [1654, 2132])
def test_over_fitting_of_a_few_per_cent_is_told(n):
    training, validation = scratch(n)
    assert 0.01 < validation.max() - validation[-1] < 0.04
    assert "Over-fitting: since iteration" in said(rows(training, validation, 0.01))
    fluctuating = slow_noise(n, 1)
    noisy = rows(training + fluctuating, validation + fluctuating, 0.01)
    assert "Over-fitting" not in said(noisy), "as much is a fluctuation here"


@pytest.mark.parametrize("seed", range(20))
def test_what_has_settled_does_not_over_fit_by_chance(seed):
    """The criterion is eight standard deviations; the best of so many is about four above the mean.

    Memory of ten iterations narrows the scatter about a line over 400 of them by a few per cent.
    """
    n = 3000
    training, validation = (3 + slow_noise(n, 2 * seed + k) for k in range(2))
    assert validation.max() - validation[-200:].mean() > 0.03, "thrice what a loss must be"
    assert "Over-fitting" not in said(rows(training, validation, 0.01))
    white = np.random.default_rng(seed).normal(3, 0.02, (2, n))
    assert "settled at" in said(rows(*white, 0.01))


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
    assert words_of_start(state.start_options) == "from scratch, not whitened, seed 7"


def test_a_page_chooses_how_its_run_began():
    network = Recorded()
    shared = PooledNetwork(network, Pool(1))
    first, open_already = (TrainingState(shared) for _ in range(2))
    first.param.update(start_from="from scratch", whitened=False, start_seed=7)
    first.begin_anew()
    until(lambda: len(network.started) == 1)
    open_already.follow_run(())
    chosen = {"warm_start": False, "whiten": False, "seed": 7}
    for page in (open_already, TrainingState(shared)):
        assert page.start_options == chosen
    open_already.start_from = "closed form"
    open_already.follow_run(())
    assert open_already.start_options == {"whiten": False}, "what is chosen next stays"
    network.train(5)
    network.run.finish("all is done")
    assert shared.pooled.wait(10)
    first.follow_run(())
    later = TrainingState(shared)
    later.ghosts.begun = ""  # as after a restart
    later.start()
    until(lambda: len(network.started) == 2)
    assert later.start_options == chosen, "a fit that goes on began so"
    network.run.finish("all is done")
    assert shared.pooled.wait(10)
    open_already.begin_anew()
    until(lambda: len(network.started) == 3)
    first.follow_run(())
    assert first.start_options == {"whiten": False}
    assert first.ghosts.all[-1].settings["start"] == "from scratch, not whitened, seed 7"
    network.run.finish("all is done")


def test_a_page_in_python_chooses_how_the_last_fit_began():
    network = Recorded()
    network.run = SimpleNamespace(
        state="finished", regularisation=Regularisation(10, 0.1),
        plan=SimpleNamespace(reset=True, warm_start=False, whiten=None, seed=3),
    )  # fmt: skip
    assert TrainingState(network).start_options == {
        "warm_start": False, "whiten": True, "seed": 3
    }  # fmt: skip
    network.run.plan.reset = False
    assert TrainingState(network).start_options == {}


def test_a_fit_without_an_end_is_refused_before_it_starts():
    network = Recorded()
    state = TrainingState(network)
    state.n_iterations = None
    for act in (state.start, state.begin_anew):
        act()
        assert (state.message, state.word, network.started) == (NO_END, "ready", [])
    state.patience = 5
    state.start()
    assert (state.message, state.word) == ("", "running")


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
    colours = dict(zip(source.data["name"], source.data["colour"], strict=True))
    for shown in (view.ghosts.table.object, page.curves.earlier.object):
        places = [shown.index(word) for name in colours for word in (colours[name], name)]
        assert places == sorted(places), "each name stands behind a piece of its line"
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
    assert source.data["colour"] == [colours["run 2"]], "a colour stays with its run"
    assert "run 2" not in page.curves.earlier.object
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
    looks = {(look.colour, look.dashes) for look in (earlier_style(g.look) for g in ghosts.all)}
    assert len(looks) == 20, "no two look the same"


def test_training_that_runs_away_does_not_flatten_validation():
    # det F of training rises to 10⁴ times that of validation, which rises and falls again.
    network, i = Recorded(), np.arange(100)
    page = TrainingDashboard(network).page()
    page.state.begin_anew()
    network.train(100, det_F=10.0 + 1e3 * i, val_det_F=10.0 + 5 * np.sin(np.pi * i / 99))
    page.pump.tick()
    view = page.curves.figure.view
    assert view.data["start"][1] < 10
    assert 15 < view.data["end"][1] < 60
    page.state.fit_all = True
    page.pump.tick()
    assert view.data["end"][1] > 99e3, "the control"
