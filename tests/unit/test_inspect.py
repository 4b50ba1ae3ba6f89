"""`imnn-lab inspect` says what files hold, and suggests a call that works."""

import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from astropy.io import fits
from makers import gaussian_data, plain_network

from imnn_lab import IMNN, Stencils, cli, problems
from imnn_lab.files import inspection

SIZE = 40
FIDUCIAL, DERIVATIVE = gaussian_data(SIZE, SIZE)[:2]


@pytest.fixture
def suite(tmp_path):
    """Directories of one file per realisation, of which some are missing."""
    sets = {"fiducial": FIDUCIAL} | {
        f"{name}_{side}": DERIVATIVE[:, k, i]
        for i, name in enumerate(("mu", "Sigma")) for k, side in enumerate("mp")
    }  # fmt: skip
    for name, array in sets.items():
        for seed, one in enumerate(array):
            if (name, seed) not in {("fiducial", 3), ("mu_m", 5)}:
                place = tmp_path / "suite" / name / str(seed)
                place.mkdir(parents=True)
                np.save(place / "df_m_64_z=0.npy", one)
    return tmp_path / "suite"


def inspected(*paths, capsys):
    status = cli.main(["inspect", *map(str, paths)])
    return status, capsys.readouterr()


def run_suggested(text):
    """Run the suggested call, with what it leaves open filled in."""
    code = text.partition("Suggested call:")[2]
    problem = problems.gaussian()
    code = code.replace("δθ=...", "δθ=δθ").replace("θ_fid=...", "θ_fid=θ_fid")
    code = code.replace("IMNN(θ", "IMNN(model=model, verbose=False, θ")
    code = re.sub(r"('\w+'): \.\.\.", r"\1: 0.05", code)
    names = {"θ_fid": problem.θ_fid, "δθ": problem.δθ, "model": plain_network()}
    exec(code, names)
    assert isinstance(names["imnn"], IMNN)
    return names["imnn"]


def test_a_suite_of_directories(suite, capsys):
    status, said = inspected(suite, capsys=capsys)
    assert status == 0
    assert re.search(r"fiducial/{seed}/df_m_64_z=0.npy\n  39 files of NumPy, .* each float64 of "
                     r"shape \(10,\)\n  seeds 0 to 39, 1 missing \(3\)", said.out)  # fmt: skip
    assert re.search(r"The same 40 seeds: .*Sigma_m/{seed}.*, .*mu_p/{seed}", said.out)
    assert re.search(r"39 seeds in both of a pair: .*mu_m.* and .*mu_p", said.out)
    imnn = run_suggested(said.out)
    assert imnn.names == ("Sigma", "mu")
    kept = np.delete(np.arange(SIZE), 5)
    points = {
        "Sigma": {-0.05: DERIVATIVE[:, 0, 1], 0.05: DERIVATIVE[:, 1, 1]},
        "mu": {-0.05: DERIVATIVE[kept, 0, 0], 0.05: DERIVATIVE[kept, 1, 0]},
    }
    expected = IMNN(
        θ_fid=problems.gaussian().θ_fid, fiducial=np.delete(FIDUCIAL, 3, 0),
        derivative=Stencils(points), model=plain_network(), verbose=False,
    )  # fmt: skip
    np.testing.assert_allclose(imnn.F, expected.F, rtol=1e-4)


def test_one_file_of_two_arrays(tmp_path, capsys):
    with h5py.File(tmp_path / "sims.h5", "w") as file:
        file["fiducial"], file["derivative"] = FIDUCIAL, DERIVATIVE
    status, said = inspected(tmp_path / "sims.h5", capsys=capsys)
    assert status == 0
    assert "dataset 'derivative'\n  HDF5, float64 of shape (40, 2, 2, 10)" in said.out
    assert run_suggested(said.out).F.shape == (2, 2)


def test_what_stands_out_in_samples_is_said(tmp_path, capsys):
    arrays = {
        "complex": np.ones(4) * 1j, "nan": np.array([1, np.nan]),
        "unseen": np.array([1, -1.6375e30]), "constant": np.zeros(4),
    }  # fmt: skip
    for name, array in arrays.items():
        for seed in range(3):
            np.save(tmp_path / f"{name}_{seed}.npy", array)
    fits.writeto(tmp_path / "image.fits", np.array([[1.0, 2.0], [np.nan, 3.0]]))
    (tmp_path / "nan_3.npy").write_bytes(b"")
    np.save(tmp_path / "constant_4.npy", np.zeros(5))
    _, said = inspected(tmp_path, capsys=capsys)
    for words in (
        "complex numbers", r"NaN or infinite values in samples \(0.5 of one\)",
        r"marks of missing data in samples \(0.5 of one\)", "one number everywhere",
        r"1 empty files \(seeds 3\)", r"seed 4 differs: float64 of shape \(5,\)",
    ):  # fmt: skip
        assert re.search(words, said.out), words


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["z=0/1.npy", "z=0/2.npy", "z=0/3.npy", "z=1/1.npy", "z=1/2.npy"],
         ["z=0/{seed}.npy", "z=1/{seed}.npy"]),
        (["1/m_1.npy", "2/m_2.npy"], ["{seed}/m_{seed}.npy"]),
        (["a0.31_001.npy", "a0.31_002.npy", "b.npy"], ["a0.31_{seed}.npy", "b.npy"]),
        (["10.npy", "9.npy"], ["{seed}.npy"]),
    ],
)  # fmt: skip
def test_the_number_that_varies_is_that_of_the_realisation(names, patterns):
    assert [pattern for pattern, _ in inspection._sets(names)] == patterns


@pytest.mark.parametrize("is_there", [True, False])
def test_nothing_to_read_is_one_line_of_error(is_there, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    status, said = inspected(tmp_path / ("notes.txt" if is_there else "absent"), capsys=capsys)
    assert status == 2
    assert said.out == ""
    assert said.err.startswith("imnn-lab inspect: error: ")
    assert said.err.count("\n") == 1


def test_a_damaged_file_is_named_beside_the_others(suite, capsys):
    (suite / "broken.h5").write_bytes(b"x" * 100)
    status, said = inspected(suite, capsys=capsys)
    assert status == 0
    assert re.search(r"Not readable: `Files`: '.*broken\.h5' must be a whole HDF5 file", said.out)


def test_it_needs_no_tensorflow(suite):
    code = (
        "import sys; from imnn_lab.cli import main\n"
        f"assert main(['inspect', {str(suite)!r}]) == 0\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
