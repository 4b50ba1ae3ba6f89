"""A served IMNN of the Gaussian problem for the benchmarks of the training dashboard."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from makers import small_imnn
from panel_material_ui import Page

from imnn_lab.dashboards.sessions import calm, stop_with_session

imnn = small_imnn()
stop_with_session(imnn)
calm(Page(title="Benchmark", main=[imnn.explore()], busy_indicator=None)).servable()
