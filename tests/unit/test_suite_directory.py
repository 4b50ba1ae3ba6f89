"""From the directory of a suite to F: missing realisations, either order, a mass of its own."""

import numpy as np
import pytest
from suites import EXACT, NAMES, suite

from imnn_lab import IMNN, Files, Stencils, networks

FOLDERS = {  # as such suites name them: "p" may be the smaller value
    "Ω_m": {"Om_m": -0.01, "Om_p": 0.01}, "w": {"w_m": 0.05, "w_p": -0.05},
    "h": {"h_m": -0.02, "h_p": 0.02},
    "M_ν": {"fiducial_ZA": 0, "Mnu_p": 0.1, "Mnu_pp": 0.2, "Mnu_ppp": 0.4},
}  # fmt: skip


@pytest.fixture(scope="module")
def simulations():
    return suite()


@pytest.fixture(scope="module")
def root(simulations, tmp_path_factory):
    fiducial, derivative = simulations
    root = tmp_path_factory.mktemp("suite")
    sets = {"fiducial": (range(len(fiducial)), fiducial)} | {
        folder: (derivative[name][offset].seeds, derivative[name][offset].values)
        for name, folders in FOLDERS.items() for folder, offset in folders.items()
    }  # fmt: skip
    for folder, (seeds, values) in sets.items():
        for seed, one in zip(seeds, values, strict=True):
            (root / folder / str(seed)).mkdir(parents=True)
            np.save(root / folder / str(seed) / "Pk_z=0.npy", one)
    return root


def from_directory(root, folders=FOLDERS):
    def of(folder):
        return Files(root / folder / "{seed}" / "Pk_z=0.npy")

    return IMNN(
        parameters={"Ω_m": 0.3, "w": -1, "h": 0.7, "M_ν": 0},
        fiducial=of("fiducial"),
        derivative=Stencils({
            name: {offset: of(folder) for folder, offset in points.items()}
            for name, points in folders.items()
        }),
        model=networks.linear((8,), 4, dtype="float64", seed=1),
        dtype="float64",
        verbose=False,
    )  # fmt: skip


def distance(F):
    L = np.linalg.cholesky(EXACT)
    return np.abs(np.linalg.solve(L, np.linalg.solve(L, F).T) - np.eye(4)).max()


def test_F_is_that_of_the_arrays_and_the_exact_one_within_its_error(root, simulations):
    imnn = from_directory(root)
    fiducial, derivative = simulations
    arrays = IMNN(
        parameters={"Ω_m": 0.3, "w": -1, "h": 0.7, "M_ν": 0},
        fiducial=fiducial, derivative=Stencils(derivative), dtype="float64", verbose=False,
        model=networks.linear((8,), 4, dtype="float64", seed=1),
    )  # fmt: skip
    np.testing.assert_allclose(imnn.F, arrays.F, rtol=1e-6)
    assert imnn.names == NAMES
    # Of 600 fiducial simulations F scatters by √(2/600) = 0.058 in each direction, and the noise of
    # the derivative adds as much for the worst parameter: 5 of both together, over 4 directions.
    assert distance(imnn.F) < 5 * np.sqrt(2 / 600 + 0.003)


def test_a_step_of_the_wrong_sign_is_far_off(root):
    wrong = FOLDERS | {"w": {"w_m": -0.05, "w_p": 0.05}}
    assert distance(from_directory(root, wrong).F) > 5 * np.sqrt(2 / 600 + 0.003)
