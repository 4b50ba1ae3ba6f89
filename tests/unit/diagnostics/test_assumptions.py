"""Gaussian, of constant covariance, linear: each with data that are, and data that are not."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from imnn_lab.diagnostics import (
    Light,
    SummarySet,
    covariance_check,
    derivative_doctor,
    gaussianity,
    honest_fisher,
    linearity,
    transfer,
)
from imnn_lab.diagnostics.verdict import percent
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.diagnostics import fisher as figures

A = np.array([[1.3, 0.3], [0.3, 1.3]])


def summary_set(seed=1, n=500, *, curve=0.0, scale=0.0, tails=None, paired=True, δθ=0.5):
    """Two linear Gaussian summaries of two parameters, or what is asked for."""
    rng = np.random.default_rng(seed)

    def drawn():
        return rng.normal(size=(n, 2)) if tails is None else rng.standard_t(tails, size=(n, 2))

    z = drawn()
    other = z if paired else drawn()

    def x(θ, z):
        return A @ θ + curve * θ[0] ** 2 + z * np.exp(scale * θ[0])

    sides = [[x(-step, other), x(step, other)] for step in np.eye(2) * δθ / 2]
    derivative = np.transpose(sides, (2, 1, 0, 3))
    return SummarySet(x(np.zeros(2), z), derivative, np.zeros(2), np.full(2, δθ))


DIAGNOSTICS = {
    "covariance": (covariance_check, {"scale": 0.4}, "depends on θ₁: a variance changes by"),
    "gaussianity": (gaussianity, {"tails": 3}, "not Gaussian: probabilities are wrong by up to"),
    "linearity": (linearity, {"curve": 0.5}, "curved in θ₁: over an error it departs"),
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_what_is_assumed_and_what_is_not(name):
    check, changes, words = DIAGNOSTICS[name]
    assert check(summary_set()).verdict.light is Light.GREEN
    found = check(summary_set(**changes)).verdict
    assert found.light in (Light.AMBER, Light.RED)
    assert words in str(found)
    for other, (check, _, _) in DIAGNOSTICS.items():
        if other != name and changes.get("tails") is None:
            assert check(summary_set(**changes)).verdict.light is Light.GREEN, "the control"


@pytest.mark.statistical
@pytest.mark.parametrize("name", [*DIAGNOSTICS, "transfer"])
def test_false_alarms_are_rare(name):
    """At most 5 % of 200 honest problems; 1 % is expected."""
    alarms = 0
    for seed in range(200):
        own = summary_set(seed, n=300)
        if name == "transfer":
            found = transfer(own, summary_set(1000 + seed, n=300))
        else:
            found = DIAGNOSTICS[name][0](own)
        alarms += found.verdict.light is not Light.GREEN
    assert alarms <= 10


def test_the_information_of_the_covariance():
    """x ~ N(θ, e^{2sθ}): F of the mean is 1 at θ = 0, that of the covariance 2s²."""
    rng = np.random.default_rng(1)
    z, s, δθ = rng.normal(size=(20_000, 1)), 0.5, 0.02
    sides = [θ + z * np.exp(s * θ) for θ in (-δθ / 2, δθ / 2)]
    derivative = np.stack(sides, axis=1)[:, :, None]
    known = SummarySet(z, derivative, np.zeros(1), np.array([δθ]))
    found = covariance_check(known)
    np.testing.assert_allclose(found.information, 2 * s**2, rtol=0.05)
    np.testing.assert_allclose(found.changes, 2 * s, rtol=0.05)
    exact = SummarySet(z, known.slopes, np.zeros(1), None)
    np.testing.assert_allclose(covariance_check(exact).information, 2 * s**2, rtol=0.05)


def test_curvature_in_units_of_the_slope():
    """μ = A θ + c θ₁² departs by |c (1, 1)| σ² in units of C, over a slope of |A[:, 0]| σ."""
    summaries = summary_set(n=2000, curve=0.5)
    found = linearity(summaries)
    error = np.sqrt(np.linalg.inv(A.T @ A)[0, 0])
    exact = 0.5 * np.sqrt(2) * error / np.linalg.norm(A[:, 0])
    np.testing.assert_allclose(found.curvatures[0], exact, rtol=0.1)
    assert found.is_paired


def test_what_cannot_be_told_is_said():
    unpaired = linearity(summary_set(paired=False))
    assert unpaired.verdict.light is Light.GREY
    assert "Use the seeds of fiducial simulations" in unpaired.verdict.remedy
    exact = replace(summary_set(), derivative=summary_set().slopes, δθ=None)
    assert linearity(exact).verdict.light is Light.GREY
    curved = linearity(summary_set(paired=False, curve=2.0, δθ=2.0))
    assert curved.verdict.light is Light.RED, "the control: large enough to be seen"


def test_percentages_have_no_exponents():
    """Of unmatched seeds and small steps, and of data without noise."""
    assert [percent(x, 2) for x in (0.0234, 0.999, 1.1, 9.99)] == [
        "2.3 %",
        "100 %",
        "110 %",
        "1,000 %",
    ]
    unpaired = linearity(summary_set(paired=False, δθ=0.01))
    assert "chance alone gives more than 1,000 % over an error" in str(unpaired)
    wild = replace(summary_set(scale=0.4), derivative=summary_set(scale=6.0, δθ=1.0).derivative)
    assert "a variance changes by more than 1,000 % over" in str(covariance_check(wild))
    exact = summary_set()  # a straight line with the same noise on both sides
    assert "up to 0.01 % are noise of the derivative" in str(honest_fisher(exact))
    assert "is 1,000 or better from" in str(derivative_doctor(exact).verdicts["noise"])
    noise = np.random.default_rng(1).normal(size=exact.derivative.shape)
    nothing = honest_fisher(replace(exact, derivative=noise))
    assert "up to 100 % are noise of the derivative" in str(nothing)


def test_skewness_is_named():
    x = np.random.default_rng(1).exponential(size=(2000, 2))
    found = gaussianity(replace(summary_set(), fiducial=x))
    np.testing.assert_allclose(found.skewness, 2, rtol=0.25)
    assert found.verdict.light is Light.RED


# Another code ---------------------------------------------------------------------------------

OWN, OTHER = summary_set(1), summary_set(2)
OTHERS = {
    "shifted by +0.": replace(OTHER, fiducial=OTHER.fiducial + A @ [0.3, 0]),
    "scatter by 1.": replace(OTHER, fiducial=1.4 * OTHER.fiducial),
    "Where θ₂ moves by 1, the estimate of θ₂ moves by 1.": replace(
        OTHER, derivative=OTHER.derivative * np.array([1, 1.25])[:, None]
    ),
}


def test_the_same_code_transfers():
    assert transfer(OWN, OTHER).verdict.light is Light.GREEN


@pytest.mark.parametrize("words", OTHERS)
def test_another_code_is_noticed(words):
    verdict = transfer(OWN, OTHERS[words]).verdict
    assert verdict.light in (Light.AMBER, Light.RED)
    assert words in verdict.words


def test_the_shift_of_estimates():
    """Data of another parameter shift estimates by its change: A Δθ gives Δθ."""
    moved = replace(OTHER, fiducial=OWN.fiducial + A @ [0.3, -0.1])
    found = transfer(OWN, moved)
    np.testing.assert_allclose(found.bias, [0.3, -0.1], atol=0.02)
    np.testing.assert_allclose(found.scatter, found.errors)
    with pytest.raises(ValueError, match="`other` must have 2 summaries"):
        transfer(OWN, replace(OTHER, θ_fid=np.ones(2)))


@pytest.mark.parametrize(
    "described",
    [
        lambda: figures.covariance_check(covariance_check(OWN)),
        lambda: figures.gaussianity(gaussianity(OWN)),
        lambda: figures.linearity(linearity(OWN)),
        lambda: figures.transfer(transfer(OWN, OTHER)),
    ],
)
def test_figures(described):
    panels = described()
    assert draw(panels, figure=Figure(layout="constrained")).axes
    assert Drawing(panels, "diagnostic").figures
