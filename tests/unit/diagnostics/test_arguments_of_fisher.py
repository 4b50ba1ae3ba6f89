"""Diagnostics of F take an argument or refuse it in words of ours, whatever its value."""

import warnings

import numpy as np
import pytest
from odd_values import MAKERS, is_ours
from valid_calls import fisher_diagnostics_calls, signature

CALLS = fisher_diagnostics_calls()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_odd_values_are_taken_or_refused_in_our_words(name):
    function, needed = CALLS[name]
    wrong = []
    for argument in signature(function):
        for make in MAKERS:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                try:
                    function(**needed | {argument: make()})
                except Exception as error:
                    if not is_ours(error):
                        wrong.append(f"{argument}={make()!r:.60}: {error!r:.200}")
    assert wrong == []
