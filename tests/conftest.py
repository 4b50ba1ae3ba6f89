import os

os.environ.setdefault("MPLBACKEND", "agg")

import pytest

from imnn_lab import quiet

quiet.import_tensorflow()


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
