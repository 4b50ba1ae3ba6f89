"""Values that no argument expects, and how to tell our errors from those of the libraries below."""

import datetime
import dis
import functools
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

USERS = ("dashboards.inference_problem", "valid_calls", "odd_values")
NAN, INF = float("nan"), float("inf")


def takes_anything(*arguments, **keywords):
    return None


def takes_nothing():
    return None


MAKERS = (
    lambda: None, lambda: True, lambda: False, lambda: 0, lambda: 1, lambda: 2, lambda: -1,
    lambda: 2**62, lambda: 2**63, lambda: -(10**30), lambda: 10**30, lambda: 10**400,
    lambda: 0.5, lambda: -0.5, lambda: 0.0, lambda: -0.0, lambda: NAN, lambda: INF, lambda: -INF,
    lambda: 1e308, lambda: 1e-320, lambda: 1j, lambda: Fraction(1, 3), lambda: Decimal("0.3"),
    lambda: "", lambda: "x", lambda: "..", lambda: "a\0b", lambda: "x" * 300, lambda: "\ud800",
    lambda: b"x", lambda: Path("x"), lambda: Path("x.npz"), lambda: ..., lambda: NotImplemented,
    list, tuple, dict, set, object, lambda: float, lambda: np, lambda: takes_anything,
    lambda: takes_nothing, lambda: [None], lambda: [[]], lambda: ["a", "b"], lambda: [1, 2],
    lambda: [2, 1], lambda: (0.5, NAN), lambda: [[1, 2], [3]], lambda: [[0, 1], [2, 3]],
    lambda: [(0, 1), None], lambda: [[-INF, INF], [0, 1]], lambda: ["a", "a"], lambda: [10**400],
    lambda: {"a": 1}, lambda: {1, 2}, lambda: range(2), lambda: iter([1, 2]), lambda: [0] * 10**5,
    lambda: np.array(2), lambda: np.array(NAN), lambda: np.array([]), lambda: np.zeros(3),
    lambda: np.zeros((0, 2)), lambda: np.full((2, 2), NAN), lambda: np.full((1, 3), INF),
    lambda: np.eye(3), lambda: np.ones((2, 2)), lambda: -np.eye(2),
    lambda: np.array(["a", "b"]),
    lambda: np.array([None, {}], object), lambda: np.array([1j, 2]),
    lambda: np.array([True, False]),
    lambda: np.array(["2020-01-01"], "datetime64[D]"), lambda: np.zeros(2, [("a", int)]),
    lambda: np.ma.masked_array([1.0, 2.0], [True, False]), lambda: np.ma.masked,
    lambda: np.zeros((1,) * 20), lambda: np.float64(0.3), lambda: np.int8(3),
    lambda: np.bool_(True),
    lambda: np.float64, lambda: datetime.date(2020, 1, 1), lambda: np.random.default_rng(0),
    lambda: np.random.SeedSequence(0), lambda: slice(2), lambda: ValueError("x"),
)  # fmt: skip

# Accepted counts must stay small, and names must stay in the working directory.
DRAWN = st.one_of(
    st.integers(-3, 5),
    st.floats(),
    st.text(st.characters(exclude_characters="/\\~"), max_size=5),
    st.lists(st.integers(-2, 3) | st.floats() | st.none() | st.booleans(), max_size=4),
    arrays.arrays(
        arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    ),
    st.complex_numbers(),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
)
ODD = st.sampled_from(MAKERS).map(lambda make: make()) | DRAWN


@functools.cache
def _raising(code):
    """Return where in the bytecode of a function it raises."""
    return {i.offset for i in dis.get_instructions(code) if i.opname == "RAISE_VARARGS"}


def is_ours(error):
    """Return whether a `raise` of imnn_lab made an error, and said something.

    An operation of imnn_lab that fails is not enough. What the system says of a file that it names,
    and what the user's own functions raise, pass as they are.
    """
    if isinstance(error, OSError) and error.filename is not None:
        return True
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    if frame.tb_frame.f_globals.get("__name__", "") in USERS:
        return True
    is_here = frame.tb_frame.f_globals.get("__name__", "").startswith("imnn_lab")
    return is_here and frame.tb_lasti in _raising(frame.tb_frame.f_code) and bool(str(error))
