"""Ticks of logarithmic axes, and which labels there is room for, computed by a browser."""

import numpy as np
from bokeh.models import CustomJSTicker

from imnn_lab.figures.bokeh import new_figure
from imnn_lab.figures.live_curves import THIN
from imnn_lab.figures.log_ticks import PLACES, WORDS

LABELS = """([low, high, places, words]) => {
  const found = new Function("cb_data", places)({start: low, end: high})
  return found.map(tick => [tick, new Function("tick", words)(tick)])
}"""
KNOWN = {
    (0.002, 0.15): ["0.003", "0.01", "0.03", "0.1"],
    (0.97, 1.04): ["0.98", "1", "1.02", "1.04"],
    (6.1, 18.3): ["10", "15"],
    (0.4, 2.5): ["0.5", "1", "2"],
    (2e-7, 9e-7): ["2·10⁻⁷", "4·10⁻⁷", "6·10⁻⁷", "8·10⁻⁷"],
    (1e-8, 1e8): ["10⁻⁶", "0.001", "1", "1000", "10⁶"],
}


def test_axes_of_any_length_have_a_few_labels_of_their_own(browser):
    page, chance = browser.new_page(), np.random.default_rng(1)
    lows, decades = 10 ** chance.uniform(-9, 9, 200), 10 ** chance.uniform(-3, 1, 200)
    ranges = [*KNOWN, *zip(lows.tolist(), (lows * 10**decades).tolist(), strict=True)]
    for low, high in ranges:
        ticks, labels = zip(*page.evaluate(LABELS, [low, high, PLACES, WORDS]), strict=True)
        assert list(labels) == KNOWN.get((low, high), list(labels))
        assert 2 <= len(set(labels)) == len(labels) <= 6, (low, high)
        assert low <= min(ticks) < max(ticks) <= high
    page.close()


def test_logarithmic_axes_have_them_and_others_do_not():
    shown = new_figure("x", "y", y_axis_type="log")
    is_theirs = [isinstance(axis.ticker, CustomJSTicker) for axis in (*shown.xaxis, *shown.yaxis)]
    assert is_theirs == [False, True]


LABELLED = """([at, start, end, thin]) => new Function("xs", "figure", "marks", thin)(
  at, {inner_width: 400, x_range: {start, end}}, {data: {at}}
).filter(label => label !== null)"""


def test_labels_of_marks_do_not_lie_over_each_other_at_any_zoom(browser):
    page, at = browser.new_page(), [10, 12, 50, 51, 90]
    for (start, end), expected in {
        (0, 400): [12, 51, 90],  # a pixel is an iteration
        (0, 20): at,
        (0, 4000): [90],
    }.items():
        assert page.evaluate(LABELLED, [at, start, end, THIN]) == expected
    page.close()
