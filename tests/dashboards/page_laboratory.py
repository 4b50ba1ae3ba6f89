"""The laboratory for ``panel serve``: one fit at a time, which soon ends after its visitor left."""

from imnn_lab.laboratory.page import laboratory_page
from imnn_lab.laboratory.pool import shared_pool
from imnn_lab.laboratory.runs import shared_runs

shared_pool().slots, shared_runs().keep = 1, 0.5
laboratory_page().servable()
