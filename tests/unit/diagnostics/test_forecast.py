"""F as a forecast: against covariances computed in another way."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from imnn_lab.diagnostics import Forecast, Light
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.diagnostics.fisher import forecasts

A = np.random.default_rng(1).normal(size=(6, 3))
F = A.T @ A
LABELS = ("Ω_m", "σ₈", "h")
FORECAST = Forecast(F, [0.3, 0.8, 0.7], LABELS)


def test_marginal_and_conditional_errors():
    Σ = np.linalg.inv(F)
    np.testing.assert_allclose(FORECAST.errors, np.sqrt(np.diag(Σ)))
    kept = FORECAST.marginal(["h", "Ω_m"])
    np.testing.assert_allclose(kept.covariance, Σ[np.ix_([2, 0], [2, 0])])
    assert kept.names == ("h", "Ω_m")
    np.testing.assert_allclose(kept.θ_fid, [0.7, 0.3])
    left = FORECAST.conditional(["σ₈"])
    np.testing.assert_allclose(left.F, F[np.ix_([0, 2], [0, 2])])
    one = FORECAST.conditional(["σ₈", "h"])
    np.testing.assert_allclose(one.errors, FORECAST.conditional_errors[:1])
    assert (FORECAST.errors > FORECAST.conditional_errors).all()


def test_priors_and_independent_data_add_up():
    tight = FORECAST + {"h": 1e-6}
    np.testing.assert_allclose(tight.errors[:2], FORECAST.conditional(["h"]).errors, rtol=1e-6)
    np.testing.assert_allclose((FORECAST + FORECAST).errors, FORECAST.errors / np.sqrt(2))
    np.testing.assert_allclose(tight.F, FORECAST.with_prior({"h": 1e-6}).F)
    with pytest.raises(ValueError, match="have the parameters Ω_m, σ₈, h"):
        FORECAST + Forecast(F, np.zeros(3))


def test_other_parameters():
    """Estimates of θ′ = Jθ have the covariance J Σ Jᵀ."""
    J = np.array([[1.0, 1, 0], [0, 2, 0], [0.5, 0, 1]])
    other = FORECAST.reparametrised(J, ["a", "b", "c"])
    np.testing.assert_allclose(other.covariance, J @ FORECAST.covariance @ J.T)
    np.testing.assert_allclose(other.θ_fid, J @ FORECAST.θ_fid)
    np.testing.assert_allclose(other.reparametrised(np.linalg.inv(J), LABELS).F, FORECAST.F)
    with pytest.raises(ValueError, match="`J` must be an invertible matrix"):
        FORECAST.reparametrised(np.ones((3, 3)))


def test_correlations():
    samples = np.random.default_rng(2).multivariate_normal(
        FORECAST.θ_fid, FORECAST.covariance, size=200_000
    )
    np.testing.assert_allclose(FORECAST.correlation, np.corrcoef(samples.T), atol=0.01)


def test_the_largest_correlation_is_of_two_parameters():
    none = str(Forecast(np.diag([4.0, 1]), [0, 0]))
    assert none == "θ₁: 0 ± 0.5, θ₂: 0 ± 1. No correlation exceeds 0.01."
    words = str(Forecast([[4, 0, 1], [0, 1, 0], [1, 0, 1]], np.zeros(3)))
    assert words.endswith("The largest correlation is -0.5, of θ₁ and θ₃.")


def test_degenerate_combinations_are_named():
    assert FORECAST.verdict.light is Light.GREEN
    slopes = np.array([[1.0, 0], [-0.5, 0], [0, 3]]).T  # only θ₁ − θ₂/2 and θ₃ are measured
    verdict = Forecast(slopes.T @ slopes, np.zeros(3)).verdict
    assert verdict.light is Light.RED
    assert "moving θ₁ by +1 and θ₂ by +2 changes nothing" in verdict.words or (
        "moving θ₁ by +0.5 and θ₂ by +1 changes nothing" in verdict.words
    )
    nearly = Forecast(slopes.T @ slopes + 1e-3 * np.eye(3), np.zeros(3))
    assert nearly.verdict.light is Light.AMBER
    assert "Nearly degenerate: moving θ₁ by" in str(nearly)
    assert nearly.with_prior({"θ₁": 0.5}).verdict.light is Light.GREEN


def test_tables():
    lines = Forecast(np.diag([4.0, 25]), [1, 2], ["Ω_m", "δλ₁"]).latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrrr}"
    assert lines[4] == r"$\Omega_m$ & 1 & 0.5 & 0.5 \\"
    assert lines[5] == r"$\delta \lambda_{1}$ & 2 & 0.2 & 0.2 \\"
    assert r"n\_s" in Forecast([[1]], [1], ["n_s"]).latex()
    assert "$n_s$" in Forecast([[1]], [1], ["$n_s$"]).latex()


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("Ωₘ", r"$\Omega_{m}$"),
        ("κ₁₀", r"$\kappa_{10}$"),
        ("Ω_b h²", r"$\Omega_b h^{2}$"),
        ("ϵ", r"$\epsilon$"),
        ("σ₋", r"$\sigma_{-}$"),
    ],
)
def test_names_that_latex_can_set(label, written):
    assert f"{written} & 1" in Forecast([[1]], [1], [label]).latex()


def test_figures():
    described = forecasts({"data": FORECAST, "with a prior": FORECAST + {"h": 0.1}})
    assert len(described.panels) == 6
    assert draw(described, figure=Figure(layout="constrained")).subfigs
    assert Drawing(described, "forecast").figures


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Forecast([[1, 2]], [1]), "`F` must have shape"),
        (lambda: Forecast([[1, 2], [0, 1]], [1, 2]), "`F` must be symmetric"),
        (lambda: Forecast([[1.0]], [1, 2]), "`θ_fid` must have one entry"),
        (lambda: FORECAST.marginal(["x"]), "`keep` must be one of 'Ω_m', 'σ₈', 'h'"),
        (lambda: FORECAST.marginal([]), "`keep` must hold each name once"),
        (lambda: FORECAST.conditional(list(LABELS)), "`fix` must leave a parameter"),
        (lambda: FORECAST.with_prior({"h": 0}), "above 0"),
    ],
)
def test_what_is_wrong_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()
