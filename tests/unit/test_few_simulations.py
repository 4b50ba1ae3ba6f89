"""Few simulations for the number of summaries: refused, or warned of."""

import re
import warnings

import numpy as np
import pytest
from kinds_of_data import NAMES, plain, read
from makers import gaussian_data, gaussian_simulator, plain_imnn

DATA = dict(zip(NAMES, gaussian_data(), strict=True))
EXTERNAL = tuple(np.stack([x.mean(-1), x.var(-1)], -1) for x in DATA.values())


def of_training(n_s):
    return {"n_s": n_s, "fiducial": DATA["fiducial"][:n_s]}


def few(messages):
    return [str(each.message) for each in messages if "are few for" in str(each.message)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (of_training(4), "`n_s` must be above n_summaries + 2 = 4"),
        ({"validation_fiducial": DATA["validation_fiducial"][:4]}, "`validation_n_s` must be"),
        (
            {"validation_n_s": 4, "validation_fiducial": plain(DATA["validation_fiducial"])},
            "`validation_n_s` must be above n_summaries + 2 = 4",
        ),
        (
            of_training(6) | {"external": (EXTERNAL[0][:6], *EXTERNAL[1:])},
            "`n_s` must be above n_summaries + 2 = 6",
        ),
        (
            dict.fromkeys(NAMES) | {"simulator": gaussian_simulator, "validation_n_s": 4},
            "`validation_n_s` must be",
        ),
    ],
)
def test_too_few_to_invert_the_covariance_are_refused(changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        plain_imnn(**changes)


def test_too_few_are_not_evaluated():
    imnn = plain_imnn()
    with pytest.raises(ValueError, match=r"`fiducial` must be above n_summaries \+ 2 = 4"):
        imnn.evaluate(DATA["fiducial"][:4], DATA["derivative"])
    assert imnn.evaluate(DATA["fiducial"][:5], DATA["derivative"]).n_s == 5


def test_few_are_warned_of():
    words = r"`n_s` = 10 simulations are few for 2 summaries: .* factor of 1\.5 .* at least 20"
    with pytest.warns(UserWarning, match=words):
        read(**of_training_settings(10))
    with pytest.warns(UserWarning, match="`validation_n_s` = 19 simulations are few"):
        read({"validation_fiducial": DATA["validation_fiducial"][:19]})
    with pytest.warns(UserWarning, match="`n_s` = 30 simulations are few for 4 summaries"):
        plain_imnn(**of_training(30), external=(EXTERNAL[0][:30], *EXTERNAL[1:]))
    with pytest.warns(UserWarning, match="`validation_n_s` = 19 simulations are few"):
        plain_imnn(**dict.fromkeys(NAMES), simulator=gaussian_simulator, validation_n_s=19)


def of_training_settings(n_s):
    return {"n_s": n_s, "data": {"fiducial": DATA["fiducial"][:n_s]}}


def test_enough_are_not_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(**of_training_settings(20))
        read({"validation_fiducial": DATA["validation_fiducial"][:20]})
    assert not few(caught)
