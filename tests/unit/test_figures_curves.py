import numpy as np
import pytest

from imnn_lab import Parameter, problems
from imnn_lab.figures import draw, marginal_errors
from imnn_lab.figures.curves import apart, mark_labels, positions, thinned, training_curves
from imnn_lab.history import History, SteeringMark
from imnn_lab.parameters import label_of


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


def test_ticks_of_iterations_are_whole_numbers():
    axes = draw(training_curves(history(3))).axes[-1]
    assert axes.get_xlabel() == "iteration"
    assert set(axes.get_xticks()) >= {0, 1, 2}
    assert (axes.get_xticks() % 1 == 0).all()


def names(panel):
    return [panel.names[layer.series] for layer in panel.layers]


@pytest.mark.parametrize("n", [3, 100, 9999, 200_000])
def test_thinning_keeps_extremes_and_ends(n):
    y = np.random.default_rng(0).normal(size=n)
    x, thin = thinned(np.arange(n), y, 1000)
    assert len(x) <= 1000
    assert {y.min(), y.max(), y[0], y[-1]} <= set(thin)
    assert (np.diff(x) > 0).all()


def test_of_labels_that_are_near_each_other_the_newest_are_written():
    assert apart([0, 1, 2, 10, 11.5, 12], 2) == [5, 3, 2, 0]
    assert apart([], 2) == []
    made = history()
    for at in (5, 6, 9):
        made.mark(SteeringMark(at, "λ", 1.0 + at, 5.0, at - 1))
    axes = draw(training_curves(made), figsize=(1.5, 3)).axes[0]
    written = [text.get_text() for text in axes.texts]
    assert written[-1].endswith("→ 10")
    assert 1 <= len(written) < 4 == sum(line.get_linestyle() == ":" for line in axes.lines)


def test_what_was_changed_together_is_named_together():
    marks = [SteeringMark(4, "λ", 5.0, 10.0, 3), SteeringMark(4, "ε", 0.2, 0.1, 3)]
    later = SteeringMark(9, "learning_rate", 1e-4, 1e-3, 8)
    labels = {4: "λ 10 → 5, ϵ 0.1 → 0.2", 9: "learning rate 0.001 → 0.0001"}
    assert mark_labels([*marks, later]) == labels


def test_curves_against_seconds_lie_where_their_iterations_were_done():
    made, seconds = history(), np.arange(10) ** 2 / 10
    made.append({"iteration": np.arange(10, 13), "det_F": np.ones(3)}, {})  # without times
    timed = history()
    columns, _ = timed.read()
    timed = History(marks=timed.marks)
    timed.append(columns | {"seconds": seconds}, {})
    det_F = training_curves(timed, against="seconds").panels[0]
    assert det_F.x_label == "time of training [s]"
    np.testing.assert_array_equal(det_F.layers[0].x, seconds)
    assert det_F.marks == ((1.6, "λ 10 → 5"),)
    assert np.isnan(positions(made.read()[0], [4], "seconds")).all(), "no times were recorded"
    with pytest.raises(ValueError, match="against"):
        training_curves(timed, against="days")


def recorded(problem, n=5, every=1):
    """Return a history whose C grows: F of iteration i is that of the problem over 1 + i."""
    made, i = History(most_snapshots=n * every), np.arange(n)
    dμ_dθ = np.linalg.cholesky(problem.F).T
    matrices = {
        "C": (1.0 + i)[:, None, None] * np.eye(2), "dμ_dθ": np.repeat(dμ_dθ.T[None], n, axis=0)
    }  # fmt: skip
    matrices |= {f"val_{name}": values for name, values in matrices.items()}
    made.append({"iteration": i, "seconds": i / 4.0}, matrices)
    return made


def test_marginal_errors_are_those_of_a_linear_problem_at_every_iteration():
    problem = problems.linear_gaussian([[1.0, 0.5], [0.0, 2.0]], np.eye(2), [0, 0], [0.1, 0.1])
    made = recorded(problem)
    exact = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    iterations, errors = made.marginal_errors(validation=True)
    np.testing.assert_array_equal(iterations, np.arange(5))
    np.testing.assert_allclose(errors, exact * np.sqrt(1 + iterations)[:, None])
    assert made.marginal_errors(most=3)[0].tolist() == [0, 2, 4]
    label = label_of("M", Parameter(0.0, 0.1, unit="eV"))
    first, _ = marginal_errors(made, [label, "b"], problem.F, "seconds").panels
    assert (first.x_label, first.y_label) == ("time of training [s]", "error of M")
    assert first.y_label.unit == "eV"
    assert first.y_truth == pytest.approx(exact[:1])
    np.testing.assert_array_equal(first.layers[1].x, iterations / 4.0)
    np.testing.assert_array_equal(first.layers[1].y, errors[:, 0])


def test_errors_of_a_singular_matrix_are_unknown_and_those_of_no_history_none():
    made, C = History(), np.stack([np.eye(2), np.ones((2, 2)), np.full((2, 2), np.nan), np.eye(2)])
    dμ_dθ = np.stack([np.eye(2), np.eye(2), np.eye(2), np.ones((2, 2))])
    made.append({"iteration": np.arange(4)}, {"C": C, "dμ_dθ": dμ_dθ})
    _, errors = made.marginal_errors()
    assert np.isnan(errors).tolist() == [[False] * 2, [True] * 2, [True] * 2, [True] * 2]
    assert not len(made.marginal_errors(validation=True)[0])
    empty = marginal_errors(History(), ["a", "b"])
    assert [len(layer.x) for panel in empty.panels for layer in panel.layers] == [0] * 4
