import os

os.environ.setdefault("MPLBACKEND", "agg")
# Each worker of pytest-xdist has a core. Threads of OpenBLAS wait for each other, a hundred times
# longer than they work where the cores are busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

from imnn_lab import tensorflow_import

tensorflow_import.import_tensorflow()


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def dask_client(tmp_path):
    """A client of a real cluster of two worker processes."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
