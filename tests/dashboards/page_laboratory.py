"""The laboratory for ``panel serve``: one fit at a time, which soon ends after its session."""

from imnn_lab.laboratory.page import laboratory_page
from imnn_lab.laboratory.pool import shared_pool

shared_pool().slots = 1
laboratory_page(grace=0.5).servable()
