"""Links, notebooks and pages of results to pass on; runs that are kept on disk. No browser."""

import json
import re
import time
from types import SimpleNamespace

import matplotlib as mpl
import nbformat
import numpy as np
import pytest
from waiting import until

from imnn_lab import IMNN, cli, problems
from imnn_lab.dashboards.results.dashboard import ResultsPage
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.laboratory import kept, kept_inference, link, take_along
from imnn_lab.laboratory.build import NETWORKS, SCRATCH, Sizes, build_from_data, build_problem, made
from imnn_lab.laboratory.kept import Kept
from imnn_lab.laboratory.offer import Offer
from imnn_lab.laboratory.pool import Pool
from imnn_lab.laboratory.runs import NAME, Runs
from imnn_lab.laboratory.session import TRAINED_SINCE, LaboratorySession
from imnn_lab.laboratory.sharing import ShareCard
from imnn_lab.laboratory.stages import INFER_AGAIN, InferenceStage, ProblemCard, ResultsStage
from imnn_lab.laboratory.stored import sent_data

SMALL = Sizes(40, 40, 3)


@pytest.fixture(scope="module")
def trained():
    """A network that was steered once, and its session."""
    built = build_problem("gaussian", NETWORKS[0], SMALL)
    run = built.imnn.start(12, λ=8.0, ε=0.1, callback=steer_once)
    assert run.wait(120)
    session = LaboratorySession(Pool(1))
    session.built = built
    return session


def steer_once(run):
    if run.iteration >= 5 and run.regularisation.λ == 8:
        run.steer(λ=4.0)


def test_a_link_restores_the_settings_in_use(trained):
    session = LaboratorySession(Pool(1))
    chosen = {"n_iterations": 77, "patience": None, "log_lambda": np.log10(5.0)}
    chosen["against"] = "seconds"
    query = link.query_of(trained.built.recipe, state := TrainingState(trained.built.imnn))
    state.param.update(**chosen, log_epsilon=-1.3, log_learning_rate=-2.5)
    query = link.query_of(trained.built.recipe, state)
    asked = dict(part.split("=") for part in query.replace("+", " ").split("&"))
    session.wanted, refused = link.settings(asked)
    assert refused == ""
    card = ProblemCard(session)
    assert [getattr(card, name).value for name in ("problem", "network", "n_s", "n_d", "seed")] == [
        "gaussian", NETWORKS[0], 40, 40, 3
    ]  # fmt: skip
    restored = TrainingState(SimpleNamespace(run=None, history={}, θ_fid=[0.0]))
    link.follow(session, restored)
    assert (restored.λ, restored.ε, restored.n_iterations) == (5.0, state.ε, 77)
    assert (restored.learning_rate, restored.patience) == (state.learning_rate, None)
    assert restored.against == "seconds"
    assert session.training is restored


ODD = {
    "problem": ["nothing", "../../etc/passwd"],
    "network": ["__class__", "choose"],
    "n_s": ["9", "1e3", "-1", "20001", "٣٣٣", "9" * 200],
    "seed": ["0x1", "-1"],
    "iterations": ["0", "nan"],
    "objective": ["other"],
    "axis": ["loss"],
    "lambda": ["nan", "-1", "0", "inf", "1e300", "five"],
    "learning_rate": ["<script>", "1e9"],
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_settings_of_an_address_are_left_out_with_the_reason(name):
    for text in ODD[name]:
        found, reasons = link.settings({name: text, "seed" if name != "seed" else "n_s": "50"})
        assert name not in found
        assert len(found) == 1, "the others are kept"
        assert f"`{name}` must be" in reasons
    assert link.settings({"color": "red", "__init__": "1"}) == ({}, "")
    found, reasons = link.settings({"problem": "nile", "seed": "5"}, ("slope",))
    assert found == {"seed": 5}
    assert "`problem` must be" in reasons
    assert "slope" in reasons


def test_a_locked_server_takes_nothing_and_offers_its_problem():
    assert ProblemCard(LaboratorySession(Pool(1))).problem.value == "gaussian"
    free = LaboratorySession(Pool(1), Offer(problem="slope"))
    assert next(iter(ProblemCard(free).problem.options.values())) == "slope"
    locked = LaboratorySession(Pool(1), Offer("A class", "slope", is_locked=True))
    locked.wanted = {"problem": "gaussian", "n_s": 50}
    card = ProblemCard(locked)
    assert list(card.problem.options.values()) == ["slope"]
    assert (card.problem.value, card.n_s.value) == ("slope", 50), "no address chooses another"
    for session, is_there in ((free, True), (locked, False)):
        for stage in (ProblemCard(session), ResultsStage(session)):
            shown = [each for part in stage.body for each in part.select(type(card.files))]
            assert bool(shown) is is_there
    options = cli._parser().parse_args(["serve", "--locked", "--title", "A class"])
    assert (options.locked, options.title, options.problem) == (True, "A class", "")


def cells(file):
    notebook = nbformat.reads(file.getvalue().decode(), as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_repeats_the_session(trained):
    known, imnn = {}, trained.built.imnn
    with mpl.rc_context({"backend": "agg"}):
        for code in cells(take_along.notebook(trained.built, imnn.history)):
            exec(code, known)
    again = known["imnn"].history
    np.testing.assert_allclose(again["det_F"][:5], imnn.history["det_F"][:5], rtol=1e-3)
    assert (again["λ"][1], again["λ"][-1], len(again)) == (8, 4, len(imnn.history))
    np.testing.assert_array_equal(known["observed"], trained.built.target)
    assert known["imnn"].names == trained.built.imnn.names == problems.gaussian().labels
    assert trained.built.imnn.validation.names == problems.gaussian().labels


def test_a_network_that_was_kept_without_names_has_those_of_its_problem(tmp_path):
    problem, (model, _) = problems.gaussian(), made("linear", problems.gaussian().input_shape, 2, 3)
    sets = problem.training_set(40, 40, 6), problem.training_set(40, 40, 7)
    IMNN(
        40, 40, 2, 2, problem.θ_fid, problem.δθ, problem.input_shape, *sets[0], *sets[1],
        model=model, directory=tmp_path, filename="imnn", save=True, verbose=False,
    ).save()  # fmt: skip
    built = build_problem("gaussian", "linear", SMALL, tmp_path)
    assert built.imnn.names == built.imnn.validation.names == problem.labels
    assert problem.labels[1] in str(built.imnn.forecast())


def test_the_notebook_of_own_data_reads_the_files_that_were_sent(tmp_path, monkeypatch):
    problem = problems.gaussian()
    fiducial, derivative = problem.training_set(30, 30, 1)
    arrays = {"fiducial": fiducial, "derivative": derivative, "target": fiducial[0]}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    known = {"θ_fid": problem.θ_fid, "δθ": problem.δθ}
    own = build_from_data(sent_data(tmp_path, known), "linear", SMALL)
    monkeypatch.chdir(tmp_path)
    known = {}
    build, *_, infer = cells(take_along.notebook(own, own.imnn.history))
    exec(build, known)
    np.testing.assert_allclose(known["imnn"].F, own.imnn.F, rtol=1e-4)
    assert "target.npy" in infer


def test_the_notebook_repeats_start_objective_target_and_all_methods():
    built = build_problem("gaussian", SCRATCH, SMALL)
    session = LaboratorySession(Pool(1))
    session.show(built)
    assert session.network.start(0, λ=5.0, ε=0.1, reset=True, whiten=False).wait(120)
    start = {"warm_start": False, "whiten": True, "seed": 5}
    assert session.network.start(6, λ=5.0, ε=0.1, patience=None, reset=True, **start).wait(120)
    assert session.network.start(4, λ=5.0, ε=0.1, reset=False).wait(120)
    session.inference = state = kept_inference.inference_of(built)
    state.simulate_target([0.5, 1.2], 4)
    state.choices.param.update(
        draws=300, particles=30, initial_draws=100, criterion=0.5, learning_draws=300, epochs=2,
        log_distance=0.7, adjust=True,
    )  # fmt: skip
    for act in (state.draw, state.run_pmc, state.learn):
        act()
        assert all(work.wait(120) for work in state.works)
    file = ShareCard(session)._notebook()
    known = {}
    with mpl.rc_context({"backend": "agg"}):
        for code in cells(file):
            exec(code, known)
    again, before = known["imnn"].history, built.imnn.history
    assert len(again) == len(before) == 11
    for name in ("det_F", "λ", "ε"):
        np.testing.assert_allclose(again[name][:5], before[name][:5], rtol=1e-3)
    np.testing.assert_array_equal(known["observed"], state.observation.data)
    methods = known["ABC"], known["PMC"], known["NP"]
    assert [len(method.samples()[0].parameters) > 0 for method in methods] == [True] * 3
    assert known["ABC"].num_draws == known["NP"].draws.num_draws == 300
    text = file.getvalue().decode()
    assert "adjust=True" in text
    assert "What it does not repeat" in text


def test_results_are_one_page_that_asks_for_nothing(trained):
    text = take_along.results_page("<A & B>", trained.results()).getvalue().decode()
    assert "<h1>&lt;A &amp; B&gt;</h1>" in text
    assert "det F" in text
    assert text.count("data:image/png;base64,") == 1
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "http" not in re.sub(r"base64,[^\"]*|http-equiv", "", text)


def test_what_is_inferred_says_that_the_network_was_trained_since():
    session, stage = LaboratorySession(Pool(1)), InferenceStage()
    session.built = build_problem("gaussian", "linear", SMALL)
    assert not session.is_trained_since  # nothing is inferred

    def told():
        stage.refresh(session)
        page = take_along.results_page("", session.results()).getvalue().decode()
        shown = ResultsPage(session.results())
        drawn = (getattr(each, "object", None) for each in shown.body.select())
        texts = [shown.picture().numbers, *(getattr(each, "text", "") for each in drawn)]
        is_said = f"{TRAINED_SINCE} {INFER_AGAIN}" in stage._status.object
        return is_said, TRAINED_SINCE in page, sum(TRAINED_SINCE in str(text) for text in texts)

    assert told() == (False, False, 0)
    draws = stage.word(session)
    session.built.imnn.fit(0)  # the weights are the same: the control
    assert told() == (False, False, 0)
    assert stage.word(session) == draws
    session.built.imnn.fit(30, λ=5.0, ε=0.1, best=False)
    assert told() == (True, True, 2)
    assert stage.word(session) == "trained since"
    stage._ask()
    assert told() == (False, False, 0)
    assert stage.word(session) == draws


def kept_runs(directory, **options):
    runs = Runs(Pool(1), **options)
    runs.directory = directory
    return runs


def built_run(directory):
    """Return kept runs, and one of them whose network is built."""
    runs = kept_runs(directory)
    session = (run := runs.enter()).session
    place = session.new_place()
    session.build(lambda: build_problem("gaussian", "linear", SMALL, place))
    assert session.building.wait(120)
    assert session.building.state == "finished", session.building.message
    return runs, run


def test_a_run_goes_on_from_its_checkpoint_after_its_server_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PERIOD", 0.0)
    _, run = built_run(tmp_path)
    session = run.session
    session.network.start(100_000, λ=5.0, ε=0.1)
    until(lambda: len(session.network.history) > 50)
    killed = tmp_path.parent / "killed"  # what is on disk while it trains
    copied(tmp_path, killed)
    session.stop()
    assert session.network.pooled.wait(60)

    later = kept_runs(killed)
    assert later.words(run.name).endswith("· on disk")
    found = later.enter(run.name)
    assert found.session.building.wait(120)
    again = found.session.network
    assert again is not None, found.session.building.message
    until(lambda: again.run.state == "running")
    before = len(again.history)
    assert before > 1
    assert again.run.last == 100_000
    assert TrainingState(again).n_iterations == 100_000, "what was asked for, not the rest"
    assert again.run.regularisation.λ == 5
    until(lambda: len(again.history) > before + 10)
    np.testing.assert_allclose(
        again.history["det_F"][:20], session.network.history["det_F"][:20], rtol=1e-6
    )
    again.run.stop()
    assert again.pooled.wait(60)
    ended = kept_runs(killed).enter(run.name)
    assert ended.session.building.wait(120)
    assert ended.session.network.run is None, "what was stopped does not go on"
    assert len(ended.session.network.history) > before
    assert TrainingState(ended.session.network).n_iterations == 100_000


def test_a_run_goes_on_as_if_its_server_had_not_been_terminated(tmp_path):
    runs, run = built_run(tmp_path)
    session = run.session
    session.network.start(100_000, λ=5.0, ε=0.1)
    until(lambda: len(session.network.history) > 50)
    assert runs.pool.close(60)

    later = kept_runs(tmp_path)
    again = later.enter(run.name).session
    assert again.building.wait(120)
    before = len(again.network.history)
    assert before > 50
    until(lambda: len(again.network.history) > before + 20)
    assert again.network.run.last == 100_000
    assert later.pool.close(60)
    whole = build_problem("gaussian", "linear", SMALL).imnn
    whole.fit(before + 20, λ=5.0, ε=0.1)
    found, expected = (of.history["det_F"][: before + 20] for of in (again.network, whole))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_fit_that_waits_does_so_again_after_a_restart(tmp_path):
    runs, run = built_run(tmp_path)
    session = run.session
    assert runs.pool.enter("somebody else", lambda: False)
    start = {"reset": True, "warm_start": False, "whiten": True, "seed": 5}
    session.network.start(50, λ=5.0, ε=0.1, patience=40, **start)
    record = tmp_path / run.name / "run.json"
    until(lambda: "queued" in json.loads(record.read_text()))
    killed = tmp_path.parent / "queued"
    copied(tmp_path, killed)
    session.stop()
    assert session.network.pooled.wait(60)
    until(lambda: "queued" not in json.loads(record.read_text()))

    again = kept_runs(killed).enter(run.name).session
    card = ProblemCard(again)  # of a page that is opened while the network is being made again
    assert again.building.wait(120)
    card.refresh(again)
    for shown in (card, ProblemCard(again)):
        assert {name: getattr(shown, name).value for name in session.built.recipe} == {
            "problem": "gaussian", "network": "linear", "n_s": 40, "n_d": 40, "seed": 3
        }  # fmt: skip
    card.n_s.value = 50
    card.refresh(again)
    assert card.n_s.value == 50, "what is chosen next stays"
    fit = again.network.pooled
    assert fit is not None, again.building.message
    assert fit.wait(60)
    assert (fit.state, fit.last, fit.regularisation.λ) == ("finished", 50, 5)
    page = TrainingState(again.network)
    assert (page.n_iterations, page.patience) == (50, 40)
    assert json.loads((killed / run.name / "run.json").read_text()).keys() == {
        "place", "title", "recipe", "chosen", "asked"
    }  # fmt: skip
    again.network.start(5, λ=5.0, ε=0.1, objective="projected")
    assert again.network.pooled.wait(60)
    later = kept_runs(killed).enter(run.name).session
    assert later.building.wait(120)
    assert later.network.chosen == again.network.chosen == start | {"objective": "projected"}
    fit = cells(ShareCard(later)._notebook())[1]
    assert "warm_start=False, whiten=True, seed=5, objective='projected'" in fit


def trained_anew(state, session, **chosen):
    """Train from a start, and let a page see it."""
    state.param.update(n_iterations=5, **chosen)
    state.begin_anew()
    assert session.network.pooled.wait(120)
    state.follow_run([])


def test_earlier_runs_are_found_again_after_a_restart(tmp_path):
    session = (run := kept_runs(tmp_path).enter()).session
    place = session.new_place()
    session.build(lambda: build_problem("gaussian", "linear", SMALL, place))
    assert session.building.wait(120)
    state = TrainingState(session.network)
    trained_anew(state, session)
    trained_anew(state, session, start_from="from scratch", start_seed=7)
    assert state.ghosts.rename("run 1", "warm")
    session.end()
    found = kept_runs(tmp_path).enter(run.name).session
    assert found.building.wait(120)
    again = TrainingState(found.network)
    again.follow_run([])
    (before,), (after,) = state.ghosts.all, again.ghosts.all
    assert (after.name, after.settings, after.is_shown) == ("warm", before.settings, True)
    np.testing.assert_array_equal(after.det_F, before.det_F)
    trained_anew(again, found)
    assert [(ghost.name, ghost.settings["start"]) for ghost in again.ghosts.all] == [
        ("warm", "closed form"), ("run 2", "from scratch, seed 7")
    ]  # fmt: skip
    found.end()
    (file,) = tmp_path.glob(f"{run.name}/*/ghosts.npz")
    file.write_bytes(file.read_bytes()[:100])
    damaged = kept_runs(tmp_path).enter(run.name).session
    assert damaged.building.wait(120)
    assert "ghosts.npz must be a whole file" in damaged.building.message
    assert damaged.network.ghosts.all == ()


def test_an_inference_is_found_again_after_a_restart(tmp_path, monkeypatch):
    runs = kept_runs(tmp_path)
    session = (run := runs.enter()).session
    place = session.new_place()
    session.build(lambda: build_problem("gaussian", "linear", Sizes(200, 200, 3), place))
    assert session.building.wait(120)
    session.inference = state = kept_inference.inference_of(session.built)
    state.observe("observed", session.built.target)
    state.simulate_target([0.5, 1.2], 4)
    state.choices.param.update(
        draws=300, particles=30, initial_draws=100, criterion=0.5, learning_draws=200, epochs=2,
        log_distance=0.5,
    )  # fmt: skip
    state.choices.param.update(checked=30, checking_simulations=0, predicted=20)
    for act in (state.draw, state.run_pmc, state.learn, state.check_calibration, state.predict):
        act()
        assert all(work.wait(120) for work in state.works)
    session.keep_inference()
    session.end()
    found = kept_runs(tmp_path).enter(run.name).session
    assert found.building.wait(120)
    again = found.inference
    assert again is not None, found.building.message
    before, after = state.snapshot(), again.snapshot()
    n_draws = state.n_draws
    assert before.populations
    assert len(before.calibrations) == 3
    assert before.learned is not None
    assert [each.name for each in again.observations] == [e.name for e in state.observations]
    assert after.observation.name == before.observation.name
    np.testing.assert_array_equal(after.observation.truth, [0.5, 1.2])
    assert (again.choices.epochs, again.choices.ε) == (2, state.choices.ε)
    for name, posterior in before.samples.items():
        if posterior is not None and name != "exact":
            np.testing.assert_allclose(
                after.samples[name].parameters, posterior.parameters, rtol=1e-4
            )
    assert [name for name, _ in after.calibrations] == [name for name, _ in before.calibrations]
    for (_, kept_one), (_, checked) in zip(after.calibrations, before.calibrations, strict=True):
        assert str(kept_one) == str(checked)
    assert not again.has_changed_since_check
    assert again.predictive.nearest == state.predictive.nearest
    np.testing.assert_array_equal(again.predictive.data, state.predictive.data)
    again.draw()
    again.run_pmc()
    assert all(work.wait(120) for work in again.works)
    assert again.n_draws == n_draws + 300

    monkeypatch.setattr(kept_inference, "SAME", -1.0)  # as if the network gave other estimates
    other = kept_runs(tmp_path).enter(run.name).session
    assert other.building.wait(120)
    assert other.inference is None
    assert "trained since its posteriors were made" in other.building.message


def copied(source, target):
    """Copy a directory that is being written to, as a kill would leave it."""
    for file in sorted(source.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())


def test_a_new_network_replaces_that_on_disk_and_own_data_are_kept(tmp_path):
    run = kept_runs(tmp_path).enter()
    problem = problems.gaussian()
    arrays = dict(zip(("fiducial", "derivative"), problem.training_set(30, 30, 1), strict=True))
    sent = run.session.sent
    for name, array in arrays.items():
        np.save(sent.directory / f"{name}.npy", array)
    own = sent_data(sent.directory, {"θ_fid": problem.θ_fid, "δθ": problem.δθ})
    for make in (
        lambda: build_problem("gaussian", "linear", SMALL, run.session.new_place()),
        lambda: build_from_data(own, "linear", SMALL, run.session.new_place()),
    ):
        run.session.build(make)
        assert run.session.building.wait(120)
    names = sorted(path.name for path in (tmp_path / run.name).iterdir())
    assert len(names) == 2
    assert names[-1] == "run.json"
    place = sent.directory
    run.session.end()
    assert not place.exists()
    found = kept_runs(tmp_path).enter(run.name).session
    assert found.building.wait(120)
    assert found.built.title == "own data, 30 fiducial simulations"
    np.testing.assert_allclose(found.built.imnn.F, run.session.built.imnn.F, rtol=1e-6)


def test_damaged_records_are_said_and_never_lead_elsewhere(tmp_path):
    runs, name = kept_runs(tmp_path), "a" * 22
    assert NAME.fullmatch(name)
    record = tmp_path / name / "run.json"
    record.parent.mkdir()
    for text in ("", "[]", '{"title": "x"}', '{"title": "x", "place": "../../elsewhere"}'):
        record.write_text(text)
        assert runs.words(name) == ""
        session = runs._restored(name).session
        assert session.building.wait(60)
        assert "be a whole file" in session.building.message
        runs._runs.clear()
    assert runs.words("../" + "a" * 19) == ""


def test_the_oldest_runs_on_disk_make_place(tmp_path):
    runs = kept_runs(tmp_path, most=3)
    for i, letter in enumerate("abc"):
        Kept(tmp_path / (letter * 22))._write({"place": "x", "title": letter})
        time.sleep(0.02 * i)
    runs.enter()
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["b", "c"]
    assert json.loads((tmp_path / ("b" * 22) / "run.json").read_text())["title"] == "b"
