"""What was found on Trust, on disk beside the network: found again, told to be old, or damaged."""

import shutil

import numpy as np
import pytest

from imnn_lab import storage
from imnn_lab.dashboards.training.looks import OUTDATED
from imnn_lab.laboratory import kept_answers
from imnn_lab.laboratory.build import Sizes, build_problem
from imnn_lab.laboratory.kept import Kept
from imnn_lab.laboratory.packing import TREE, Packing
from imnn_lab.laboratory.pool import Pool
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import TrainingStage

SIZES = Sizes(100, 100, 1)
NAMES = ("report", "det F", "Simulations", "Layers")


def opened(session):
    """Return what a page shows on Trust."""
    stage = TrainingStage()
    assert stage.follow(session)
    stage.refresh_trust()
    return stage._page.trust


def ask(session):
    trust = opened(session)
    for view in (trust.answers, *trust.looks.values()):
        view._start()
        assert view.work.wait(60)
        assert view.work.message == "done"


def restarted(directory):
    """Return the run as a server finds it on disk."""
    session = LaboratorySession(Pool(1), kept=Kept(directory))
    session.build(session.kept.rebuilt)
    assert session.building.wait(120)
    assert session.building.state == "finished", session.building.message
    return session


def same(first, second):
    packings = [Packing(kept_answers.KINDS) for _ in range(2)]
    trees = [p.tree(x) for p, x in zip(packings, (first, second), strict=True)]
    assert trees[0] == trees[1]
    for name, array in packings[0].arrays.items():
        np.testing.assert_array_equal(packings[1].arrays[name], array)
        assert packings[1].arrays[name].dtype == array.dtype


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A run that was trained and asked all questions, and its directory."""
    directory = tmp_path_factory.mktemp("runs")
    session = LaboratorySession(Pool(1), kept=Kept(directory))
    place = session.new_place()
    session.build(lambda: build_problem("gaussian", "linear", SIZES, place))
    assert session.building.wait(120)
    session.network.start(5, λ=5.0, ε=0.1)
    assert session.network.pooled.wait(60)
    ask(session)
    return session, directory


def test_all_answers_are_found_again_after_a_restart(asked):
    session, directory = asked
    again = restarted(directory)
    for name in NAMES:
        found = again.network.questions.named(name).found
        assert len(found) == 1
        same(found[0], session.network.questions.named(name).found[-1])
    trust = opened(again)
    assert "How much information is there?" in trust.answers._answers.object
    assert trust.word == opened(session).word != "not checked"
    assert b"<h1>Can these results be trusted?</h1>" in trust.answers._file().read()
    for look in trust.looks.values():
        look.refresh(None)
        assert look.drawing.figures
        assert OUTDATED not in look._status.object


def test_a_damaged_answer_is_lost_alone_and_the_run_tells_why(asked):
    kept = asked[0].kept
    path = kept.place / "answer of Layers.npz"
    whole = path.read_bytes()
    flipped = whole.replace("FisherFlow".encode("utf-32-le"), "FisherFlaw".encode("utf-32-le"))
    assert flipped != whole
    for damaged in (b"", whole[: len(whole) // 2], flipped):
        path.write_bytes(damaged)
        found, lost = kept.answers()
        assert set(found) == set(NAMES) - {"Layers"}
        assert [str(path) in reason for reason in lost] == [True]
    other = {"kind": "Path", "fields": {}}  # of no kind that is kept
    storage.write_npz(path, {TREE: storage.pack(["", other])})
    again = restarted(kept.directory)
    assert "be a whole file" in again.building.message
    assert not again.network.questions.named("Layers").found
    assert again.network.questions.named("report").found
    trust = opened(again)
    trust.looks["Layers"]._start()
    assert trust.looks["Layers"].work.wait(60)
    assert kept.answers()[1] == [], "it is written anew"


def test_answers_are_old_after_a_reset_and_as_many_iterations(asked, tmp_path):
    session = restarted(shutil.copytree(asked[0].kept.directory, tmp_path / "run"))
    before = session.network.history
    session.network.start(len(before) - 1, λ=5.0, ε=0.1, reset=True)
    assert session.network.pooled.wait(60)
    assert len(session.network.history) == len(before)
    trust = opened(session)
    assert trust.word == "to be checked again"
    for look in trust.looks.values():
        look.refresh(None)
        assert OUTDATED in look._status.object
