"""Simulations in a directory of the server: which are offered, and what is built from them."""

import os

import h5py
import numpy as np
import pytest

from imnn_lab import Files, cli, problems
from imnn_lab.laboratory import stored, take_along
from imnn_lab.laboratory.build import Sizes, build_from_data
from imnn_lab.laboratory.kept import Kept
from imnn_lab.laboratory.offer import Offer
from imnn_lab.laboratory.pool import Pool
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.stages import ProblemCard

PROBLEM = problems.gaussian()
ARRAYS = dict(zip(("fiducial", "derivative"), PROBLEM.training_set(30, 30, 1), strict=True))
NUMBERS = {"θ_fid": PROBLEM.θ_fid, "δθ": PROBLEM.δθ}


@pytest.fixture
def root(tmp_path):
    """A directory with sets of three kinds, and things that are none."""
    root = tmp_path / "data"
    (root / "a" / "b" / "fiducial").mkdir(parents=True)
    for i, one in enumerate(ARRAYS["fiducial"]):
        np.save(root / "a" / "b" / "fiducial" / f"{i:03}.npy", one)
    np.save(root / "a" / "b" / "derivative.npy", ARRAYS["derivative"])
    np.savez(root / "all.npz", **ARRAYS, **NUMBERS, other=np.zeros(3))
    with h5py.File(root / "all.h5", "w") as file:
        for name, array in (ARRAYS | NUMBERS).items():
            file[f"group/{name}"] = array
    (root / "words.txt").write_text("no simulations")
    np.save(tmp_path / "fiducial.npy", ARRAYS["fiducial"])
    return root


def test_sets_are_found_and_opened_without_being_read(root):
    assert stored.offered(root) == ("a/b", "all.h5", "all.npz")
    for name in stored.offered(root):
        own = stored.own_data(root, name, dict(NUMBERS))
        assert set(own.arrays) == set(ARRAYS)
        assert all(isinstance(array, Files) for array in own.arrays.values())
        for key, array in ARRAYS.items():
            np.testing.assert_array_equal(own.arrays[key][:], array)
        np.testing.assert_array_equal(own.θ_fid, PROBLEM.θ_fid)
        assert str(root) not in stored.described(root, name) + str(own.calls)
    with pytest.raises(ValueError, match="`θ_fid` is missing"):
        stored.own_data(root, "a/b", {})


@pytest.mark.parametrize("name", ["..", "../data/a/b", "a/../../fiducial.npy", "", "/", "a/b/"])
def test_nothing_but_what_is_offered_is_opened(root, name):
    for odd in (name, str(root.parent / name)):
        with pytest.raises(ValueError, match="be one of the sets that this server offers"):
            stored.arrays_in(root, odd)


def test_links_and_arrays_in_other_files_lead_nowhere(root):
    outside = root.parent / "fiducial.npy"
    (root / "linked").symlink_to(root.parent)
    (root / "linked.npz").symlink_to(root / "all.npz")
    (root / "c").mkdir()
    np.save(root / "c" / "fiducial.npy", ARRAYS["fiducial"])
    assert stored.offered(root) == ("a/b", "all.h5", "all.npz", "c")
    (root / "c" / "derivative.npy").symlink_to(outside)
    (root / "a" / "b" / "fiducial" / "100.npy").symlink_to(outside)
    for name in ("c", "a/b"):
        with pytest.raises(ValueError, match=r"must be files\. .* a link"):
            stored.own_data(root, name, dict(NUMBERS))
    raw = [(os.fspath(outside), 128, 8)]
    with h5py.File(root / "away.h5", "w") as file:
        file["derivative"] = h5py.ExternalLink("all.h5", "group/derivative")
        file.create_dataset("fiducial", (1,), "f8", external=raw)
    assert list(stored.arrays_in(root, "away.h5")) == ["fiducial"]
    with pytest.raises(ValueError, match="whose values are in other files"):
        stored.own_data(root, "away.h5", dict(NUMBERS))


def test_a_network_is_built_from_the_servers_data_and_found_again(root, tmp_path, monkeypatch):
    session = LaboratorySession(Pool(1), Offer(data=root), Kept(tmp_path / "run"))
    card = ProblemCard(session)
    assert list(card.stored.options.values()) == ["", "a/b", "all.h5", "all.npz"]
    card.network.value, card.stored.value = "linear", "a/b"
    assert card._looking.wait(60)
    card.refresh(session)
    assert "30 files of NumPy" in card._found.object
    card.θ_fid.value, card.δθ.value = (
        ", ".join(map(str, NUMBERS[name].tolist())) for name in NUMBERS
    )
    card.names.value = "μ"
    card.build_own.param.trigger("clicks")
    assert session.building.wait(120)
    assert session.building.message.startswith("`names` must be one for each of the 2 values")
    card.names.value = r"μ, $\sigma_{1,2}$"
    card.build_own.param.trigger("clicks")
    assert session.building.wait(120)
    built = session.built
    assert built is not None, card.failure + session.building.message
    assert built.title == "a/b, 30 fiducial simulations"
    assert built.labels == built.imnn.names == ("μ", r"$\sigma_{1,2}$")
    other = ProblemCard(session)  # of another page of this run
    boxes = ("network", "stored", "θ_fid", "δθ", "names")
    for name in boxes:
        assert getattr(other, name).value == getattr(card, name).value, name
    again = Kept(tmp_path / "run").rebuilt(root)
    assert again.labels == again.imnn.names == built.labels
    np.testing.assert_allclose(again.imnn.F, built.imnn.F, rtol=1e-6)
    with pytest.raises(ValueError, match="offers none now"):
        Kept(tmp_path / "run").rebuilt()
    monkeypatch.chdir(root)
    known = {}
    exec(take_along._build_code(built), known)
    np.testing.assert_allclose(known["imnn"].F, built.imnn.F, rtol=1e-4)
    assert known["imnn"].names == built.labels


def test_a_target_of_the_server_is_read(root):
    np.save(root / "a" / "b" / "target.npy", ARRAYS["fiducial"][3])
    own = stored.own_data(root, "a/b", dict(NUMBERS))
    built = build_from_data(own, "linear", Sizes())
    np.testing.assert_array_equal(built.target, ARRAYS["fiducial"][3:4])


def test_data_are_not_offered_by_a_locked_server_nor_if_they_are_not_there(root, capsys):
    assert cli.main(["serve", "--locked", "--data", str(root)]) == 2
    assert "--data must be left out with --locked" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["serve", "--data", str(root / "nowhere")])
    assert "must be a directory to read from" in capsys.readouterr().err
    assert ProblemCard(LaboratorySession(Pool(1))).stored.options == {"the files above": ""}


def test_files_of_the_same_array_are_named(root):
    np.savez(root / "more.npz", fiducial=ARRAYS["fiducial"])
    words = r"`fiducial` must be one array\. Received one in all\.npz and one in more\.npz\. Remove"
    with pytest.raises(ValueError, match=words):
        stored._arrays(root, [root / "all.npz", root / "more.npz"])
