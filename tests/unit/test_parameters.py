"""Named parameters: what IMNN takes, what it infers, and where names and units arrive."""

import copy
import html
import pickle

import numpy as np
import panel
import pytest
from makers import SIZE, gaussian_data, plain_imnn, plain_network
from scipy import stats

from imnn_lab import IMNN, LFI, Parameter, diagnostics, problems
from imnn_lab.archive.state import SavedTraining, state_arrays
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.dashboards.inference.views import summary_table
from imnn_lab.dashboards.results.dashboard import statistics_table
from imnn_lab.dashboards.training.dashboard import TrainingDashboard
from imnn_lab.demo.problems import CASES
from imnn_lab.figures import bokeh, draw, fisher, matplotlib
from imnn_lab.inference import Posterior, Uniform
from imnn_lab.parameters import Label, in_latex, named_parameters, shown
from imnn_lab.report.training import about_saved
from imnn_lab.sources.shapes import Shapes, shapes_of

FIDUCIAL, DERIVATIVE, *HELD_OUT = gaussian_data()
WIDTHS = problems.gaussian().δθ.tolist()
PARAMETERS = {"M_ν": Parameter(0, WIDTHS[0], "eV", r"\sum m_\nu"), "σ<8": (1, WIDTHS[1])}
PRIOR = Uniform([-1, 0.1], [1, 3])


@pytest.fixture(scope="module")
def imnn():
    return named()


def named(**changes):
    arguments = {
        "parameters": PARAMETERS, "fiducial": FIDUCIAL, "derivative": DERIVATIVE,
        "validation_fiducial": HELD_OUT[0], "validation_derivative": HELD_OUT[1],
        "model": plain_network(), "verbose": False, "seed": 5,
    }  # fmt: skip
    return IMNN(**arguments | changes)


def test_names_and_arrays_say_the_same_as_numbers(imnn):
    same = plain_imnn(θ_fid=[0, 1], δθ=WIDTHS, optimiser=None)
    assert imnn.names == ("M_ν", "σ<8")
    assert same.names is None
    assert np.array_equal(imnn.F, same.F)
    settings = imnn.settings
    assert (settings.n_s, settings.n_d, settings.n_params) == (SIZE, SIZE, 2)
    assert (settings.n_summaries, settings.input_shape) == (2, (10,))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_params": 2}, "`parameters` must be given alone. Received `n_params` as well"),
        ({"θ_fid": [0, 1], "δθ": [1, 1]}, "Received `θ_fid`, `δθ` as well"),
        ({"parameters": {}}, "`parameters` must map names to values"),
        ({"parameters": [("a", 1)]}, "`parameters` must map names to values"),
        ({"parameters": {"a": (1, 0.1), "b": 1}}, "a width for all parameters, or for none"),
        ({"parameters": {"a": (1, 0.1, 2)}}, "Received 3 numbers for 'a'"),
        ({"parameters": {"a": (1, -0.1)}}, "`width` must be a finite number above 0"),
        ({"parameters": {"a": "one"}}, r"`parameters\['a'\]`: `fiducial` must be a finite number"),
        ({"parameters": {"": (1, 0.1)}}, "`parameters` must be a non-empty string"),
        ({"parameters": {3: (1, 0.1)}}, "`parameters` must be a non-empty string"),
        ({"parameters": {" a": (1, 0.1)}}, "without spaces around it"),
        ({"parameters": {"a\nb": (1, 0.1)}}, "on one line"),
        ({"parameters": {"a" * 41: (1, 0.1)}}, "at most 40 characters"),
        (
            {"parameters": {"\N{OHM SIGN}": (0, 1), "\N{GREEK CAPITAL LETTER OMEGA}": (1, 1)}},
            "`parameters` must hold different names",
        ),
        ({"parameters": None}, r"must be given `n_params` \(number of .*`θ_fid` \(fiducial"),
        (
            {"parameters": None, "θ_fid": [0, 1]},
            r"`δθ` must be the full width .* Received None, and `derivative` of shape \(200, 2, 2",
        ),
        (
            {"fiducial": lambda seed: FIDUCIAL[seed]},
            r"must be given `n_s` \(number of fiducial simulations\), `input_shape`",
        ),
        ({"map_fn": np.log}, "must be given `input_shape`"),
    ],
)
def test_one_error_says_what_is_wrong_or_missing(changes, words):
    with pytest.raises((TypeError, ValueError), match=words):
        named(**changes)


@pytest.mark.parametrize("changes", [{"unit": "a\nb"}, {"latex": "$x$"}, {"latex": ""}])
def test_units_and_latex_are_lines(changes):
    with pytest.raises((TypeError, ValueError), match=f"`{next(iter(changes))}`"):
        Parameter(1.0, **changes)


def test_shapes_of_anything_with_a_shape():
    assert shapes_of(FIDUCIAL, DERIVATIVE) == Shapes(200, 200, (10,))
    assert shapes_of(["a.tfrecord"], lambda: 0) == Shapes(None, None, None)
    assert shapes_of(np.float64(3), None) == Shapes(None, None, None)


def test_number_of_parameters_from_fiducial_values():
    other = named(parameters=None, θ_fid=[0, 1], δθ=WIDTHS)
    assert other.settings.n_params == other.settings.n_summaries == 2


def test_names_are_saved_and_restored(imnn, tmp_path):
    imnn.save(tmp_path)
    for restored in (IMNN.load(tmp_path), pickle.loads(pickle.dumps(imnn)), copy.deepcopy(imnn)):
        assert restored.names == imnn.names
        assert [(x.unit, x.latex) for x in restored.names] == [("eV", r"\sum m_\nu"), ("", None)]
        assert restored.statistics.names == restored.estimator.names == imnn.names
    with np.load(tmp_path / "estimator.npz") as file:
        assert file["names"].tolist() == ["M_ν", "σ<8"]
        assert file["θ_fid"].tolist() == [0, 1]
    assert "M_ν [eV]" in str(about_saved(tmp_path).answers[0].details)
    table = statistics_table(SavedTraining.from_arrays(state_arrays(tmp_path)))
    assert "M_ν [eV] at 0: error" in table
    assert "σ&lt;8 at 1: error" in table


def test_a_saved_network_keeps_its_names_and_refuses_others(tmp_path):
    where = {"directory": tmp_path, "filename": "network", "model": None}
    named(**where | {"model": plain_network()}, save=True).fit(1)
    other = {"θ_fid": [0, 1], "δθ": WIDTHS, "parameters": None}
    assert named(**where, load=True, **other).names == ("M_ν", "σ<8")
    with pytest.raises(ValueError, match="`names` must be"):
        named(**where, load=True, parameters={"a": (0, WIDTHS[0]), "b": (1, WIDTHS[1])})


def test_an_unnamed_network_takes_names_when_it_is_loaded(tmp_path):
    plain_imnn(θ_fid=[0, 1], δθ=WIDTHS).save(tmp_path / "network")
    where = {"directory": tmp_path, "filename": "network", "model": None, "load": True}
    loaded = named(**where)
    assert loaded.names == loaded.estimator.names == ("M_ν", "σ<8")


def test_names_reach_results_and_diagnostics(imnn):
    assert "\nerrors: M_ν [eV] ± " in str(imnn.statistics)
    assert "errors" not in str(plain_imnn().statistics)
    assert imnn.evaluate(FIDUCIAL, DERIVATIVE).names == imnn.names
    assert "M_ν [eV]: 0 ± " in str(imnn.forecast())
    assert r"$\sum m_\nu$ [eV] & 0 &" in imnn.forecast().latex()
    assert imnn.honest_fisher().labels == imnn.names
    summaries = imnn.summary_set()
    for check in ("derivative_doctor", "covariance_check", "linearity"):
        assert getattr(diagnostics, check)(summaries).labels == imnn.names
        assert getattr(diagnostics, check)(summaries, labels=["a", "b"]).labels == ("a", "b")
    page = imnn.report().to_html()
    assert "M_ν [eV]" in page
    assert "σ<8" not in page


def test_names_reach_the_inference(imnn, tmp_path):
    uniform = stats.uniform
    by_name = {"σ<8": uniform(0.1, 2.9), "M_\N{GREEK SMALL LETTER NU}": uniform(-1, 2)}
    problem, observed = problems.gaussian(), HELD_OUT[0][0]
    given = observed, by_name, imnn.F, imnn.get_estimate
    GA = LFI.GaussianApproximation(*given)
    assert GA.labels == imnn.names
    assert GA.labels[0].unit == "eV"
    assert np.allclose(GA.prior.low, [-1, 0.1])  # in the order of the network
    assert LFI.GaussianApproximation(*given[:3], imnn.estimator).labels == imnn.names
    named_otherwise = LFI.GaussianApproximation(observed, PRIOR, *given[2:], labels=["a", "b"])
    assert named_otherwise.labels == ("a", "b")
    state = InferenceState(imnn.get_estimate, imnn.F, PRIOR, problem.simulator)
    assert state.labels == imnn.names
    samples = GA.gaussian[0].samples(500, 1)
    posterior = Posterior(samples.parameters, samples.weights, GA.labels)
    posterior.to_npz(tmp_path / "posterior.npz")
    for each in (posterior, Posterior.from_npz(tmp_path / "posterior.npz")):
        assert "M_ν [eV]" in str(each.summary())
        assert r"$\sum m_\nu$ [eV] & " in each.summary().to_latex()
    table = summary_table({"Gaussian": posterior})
    assert "M_ν [eV]: mean ± sd" in table
    assert html.escape("σ<8: median") in table


def test_names_reach_the_pages(imnn):
    page = TrainingDashboard(imnn).page()
    assert page.ellipse.pairs == {"M_ν, σ<8": (0, 1)}
    page.tick()


def test_pages_load_what_writes_latex_where_it_is_needed(imnn, monkeypatch):
    loaded = []
    monkeypatch.setattr(panel, "extension", lambda *names, **_: loaded.extend(names))
    TrainingDashboard(imnn, labels=["a", "b"])
    assert not loaded
    TrainingDashboard(imnn)
    assert loaded == ["mathjax"]


def test_axes_show_latex_and_units(imnn):
    description = fisher({"F": imnn.F}, [imnn.θ_fid], imnn.names)
    drawn = draw(description)
    labels = {axes.get_xlabel() for axes in drawn.axes}
    assert {r"$\sum m_\nu$ [eV]", "σ<8"} <= labels
    drawn.canvas.draw()
    figures = bokeh.Drawing(description, "names").figures
    assert r"$$\sum m_\nu$$ [eV]" in {
        figure.xaxis.axis_label for row in figures for figure in row if figure
    }


def test_what_matplotlib_cannot_write_is_written_plain():
    assert matplotlib.in_mathtext(Label("x", "K", r"\notacommand{x")) == "x [K]"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Ω_cdm", r"$\Omega_{cdm}$"), ("A_s", r"A\_s"), ("θ₁", r"$\theta_{1}$"), ("100%", r"100\%"),
        (Label("x_y", "%"), r"x\_y [\%]"), (Label("x", "", "x_y"), "$x_y$"), ("$x$", "$x$"),
    ],
)  # fmt: skip
def test_tables_in_latex_are_escaped(label, expected):
    assert in_latex(label) == expected


def test_a_label_is_its_name():
    label = Label("M_ν", "eV", "m")
    assert label == "M_ν"
    assert hash(label) == hash("M_ν")
    assert shown(label) == "M_ν [eV]"
    for other in (pickle.loads(pickle.dumps(label)), copy.deepcopy(label)):
        assert (other, other.unit, other.latex) == ("M_ν", "eV", "m")


def test_a_forecast_finds_names_in_any_spelling():
    forecast = diagnostics.Forecast(np.eye(2), [0, 0], ["\N{OHM SIGN}", "h"])
    assert forecast.marginal(["\N{GREEK CAPITAL LETTER OMEGA}"]).F.shape == (1, 1)


def test_retraining_keeps_names(imnn):
    observed = problems.gaussian().simulator(np.array([[0.5, 2.5]]), 8)[0]
    moved = imnn.retrain_at_estimate(observed, problems.gaussian().simulator, seed=9, max_rounds=1)
    assert moved.imnn.names == imnn.names
    assert moved.imnn.names[0].unit == "eV"


def test_a_problem_in_units_keeps_them_in_an_imnn():
    named = named_parameters(dict.fromkeys(CASES["nile"].make().labels, (1.0, 0.1)))
    assert list(named) == ["mean", "φ", "innovation sd"]
    assert [shown(label) for label in named] == [
        "mean [10⁸ m³/year]", "φ", "innovation sd [10⁸ m³/year]",
    ]  # fmt: skip
    (given,) = named_parameters({Label("m", "kg"): Parameter(1.0, unit="g")})
    assert given.unit == "g", "what is given with the value counts"
