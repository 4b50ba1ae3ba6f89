import numpy as np
import pytest

from imnn_lab.figures.curves import mark_labels, thinned, training_curves
from imnn_lab.history import History, SteeringMark


def history(n=10):
    made, iterations = History(), np.arange(n)
    names = ("det_F", "val_det_F", "det_C", "det_Cinv", "val_det_C", "val_det_Cinv", "reg", "r")
    columns = dict.fromkeys(names, 1.0 + iterations) | {"iteration": iterations}
    columns["val_reg"] = np.full(n, np.nan)
    made.append(columns, {})
    made.mark(SteeringMark(4, "λ", 5.0, 10.0, 3))
    return made


def test_description_holds_what_the_history_holds():
    described = training_curves(history(), known_det_fisher=50)
    det_F, det_C, regulariser = described.panels
    assert names(det_F) == ["training", "validation"]
    np.testing.assert_array_equal(det_F.layers[0].y, np.arange(1, 11))
    assert det_F.references == (("known: 50", 50.0),)
    assert det_C.references == (("", 1.0),)
    assert names(regulariser) == ["Λ2, training", "r, training"]
    assert det_F.marks == ((4, "λ 10 → 5"),)
    assert len(training_curves(history(), regulariser=False).panels) == 2


def names(panel):
    return [panel.names[layer.series] for layer in panel.layers]


@pytest.mark.parametrize("n", [3, 100, 9999, 200_000])
def test_thinning_keeps_extremes_and_ends(n):
    y = np.random.default_rng(0).normal(size=n)
    x, thin = thinned(np.arange(n), y, 1000)
    assert len(x) <= 1000
    assert {y.min(), y.max(), y[0], y[-1]} <= set(thin)
    assert (np.diff(x) > 0).all()


def test_what_was_changed_together_is_named_together():
    marks = [SteeringMark(4, "λ", 5.0, 10.0, 3), SteeringMark(4, "ε", 0.2, 0.1, 3)]
    later = SteeringMark(9, "learning_rate", 1e-4, 1e-3, 8)
    labels = {4: "λ 10 → 5, ϵ 0.1 → 0.2", 9: "learning rate 0.001 → 0.0001"}
    assert mark_labels([*marks, later]) == labels
