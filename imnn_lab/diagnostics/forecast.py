"""The Fisher information as a forecast: errors, priors, and other parameters.

marginal      Σ = F⁻¹, the rows and columns that are kept; their F is its inverse
conditional   the rows and columns of F that are not fixed
prior         F + diag(1/σ²)
θ′(θ)         F′ = J⁻ᵀ F J⁻¹ with J = ∂θ′/∂θ
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.fisher import checked_labels
from imnn_lab.diagnostics.verdict import Light, Verdict
from imnn_lab.parameters import in_latex, shown, spelt_as
from imnn_lab.results import inverse, log_determinant, pseudo_inverse

DEGENERATE, SINGULAR = 1e-2, 1e-10  # least eigenvalue of F in units of conditional errors


@dataclass(frozen=True, eq=False)
class Forecast:
    """Fisher information with the names and values of its parameters.

    Attributes
    ----------
    F : ndarray, shape (n_params, n_params)
        Fisher information, symmetric, with a positive diagonal.
    θ_fid : ndarray, shape (n_params,)
        Fiducial parameters.
    labels : tuple of str
        Names of the parameters; θ₁, θ₂, … by default.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or sign.

    Examples
    --------
    >>> from imnn_lab.diagnostics import Forecast
    >>> forecast = Forecast([[4, 3], [3, 4]], [0.3, 0.8], ["Ω", "σ"])
    >>> forecast.errors.round(3), forecast.marginal(["Ω"]).F.round(3)
    (array([0.756, 0.756]), array([[1.75]]))
    >>> forecast.with_prior({"σ": 0.1}).errors.round(3)
    array([0.505, 0.099])
    >>> print(forecast.verdict)
    Ω: 0.3 ± 0.756, σ: 0.8 ± 0.756. The largest correlation is -0.75, of Ω and σ.
    """

    F: np.ndarray
    θ_fid: np.ndarray
    labels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        F = checks.finite("F", checks.real_array("F", self.F)).astype(float)
        if F.ndim != 2 or F.shape[0] != F.shape[1] or not len(F):
            expected = "have shape (n_params, n_params)"
            raise ValueError(checks.wording("`F`", expected, checks.describe(F)))
        if not np.allclose(F, F.T, rtol=1e-6) or not (np.diag(F) > 0).all():
            remedy = "A parameter without information: leave it out, or add a prior of others."
            raise ValueError(
                checks.wording("`F`", "be symmetric, with a positive diagonal", F.tolist(), remedy)
            )
        object.__setattr__(self, "F", (F + F.T) / 2)
        object.__setattr__(self, "θ_fid", checks.vector("θ_fid", self.θ_fid, len(F)))
        object.__setattr__(self, "labels", checked_labels(self.labels, len(F)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self.labels or ()

    @property
    def covariance(self) -> np.ndarray:
        """The inverse of F, shape (n_params, n_params); NaN if F is singular."""
        return inverse(self.F)

    @property
    def errors(self) -> np.ndarray:
        """Marginal errors, shape (n_params,), in the units of the parameters."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def conditional_errors(self) -> np.ndarray:
        """Errors of each parameter if all others are known, shape (n_params,)."""
        return 1 / np.sqrt(np.diag(self.F))

    @property
    def correlation(self) -> np.ndarray:
        """Correlations of the estimates, shape (n_params, n_params)."""
        return self.covariance / np.outer(self.errors, self.errors)

    @property
    def log_det_F(self) -> float:
        """Ln det F, NaN if it is singular."""
        return log_determinant(self.F)

    def marginal(self, keep: Sequence[str]) -> Forecast:
        """Return the forecast of some parameters whatever the others are.

        Parameters
        ----------
        keep : sequence of str
            Names of those parameters.

        Raises
        ------
        TypeError, ValueError
            If they are not names of parameters.
        """
        kept = self._places("keep", keep)
        others = [i for i in range(len(self.F)) if i not in kept]
        F = self.F[np.ix_(kept, kept)]
        if others:
            cross = self.F[np.ix_(kept, others)]
            F = F - cross @ pseudo_inverse(self.F[np.ix_(others, others)]) @ cross.T
        return self._part(kept, F)

    def conditional(self, fix: Sequence[str]) -> Forecast:
        """Return the forecast of the other parameters if some are known.

        Parameters
        ----------
        fix : sequence of str
            Names of those that are known.

        Raises
        ------
        TypeError, ValueError
            If they are not names of parameters, or are all of them.
        """
        fixed = self._places("fix", fix)
        left = [i for i in range(len(self.F)) if i not in fixed]
        if not left:
            raise ValueError(checks.wording("`fix`", "leave a parameter", "all of them"))
        return self._part(left, self.F[np.ix_(left, left)])

    def with_prior(self, prior: Mapping[str, float]) -> Forecast:
        """Return the forecast with independent Gaussian priors, of the same fiducial values.

        Parameters
        ----------
        prior : mapping from str to float
            Standard deviations by name of the parameter.

        Raises
        ------
        TypeError, ValueError
            If a name is not that of a parameter, or a standard deviation is not positive.
        """
        if not isinstance(prior, Mapping):
            expected = "be a mapping from names to standard deviations"
            raise TypeError(checks.wording("`prior`", expected, checks.describe(prior)))
        places = self._places("prior", list(prior))
        σ = [checks.number(f"prior[{name!r}]", prior[name], above=0) for name in prior]
        F = self.F.copy()
        F[places, places] += 1 / np.array(σ) ** 2
        return Forecast(F, self.θ_fid, self.labels)

    def __add__(self, other: Forecast | Mapping[str, float]) -> Forecast:
        """Return the forecast of independent data together, or with a prior."""
        if not isinstance(other, Forecast):
            return self.with_prior(other)
        if other.labels != self.labels:
            expected = f"have the parameters {', '.join(self.names)}"
            raise ValueError(checks.wording("The other forecast", expected, other.names))
        return Forecast(self.F + other.F, self.θ_fid, self.labels)

    def reparametrised(
        self, J: Any, labels: Sequence[str] | None = None, θ_fid: Any = None
    ) -> Forecast:
        """Return the forecast of other parameters θ′(θ).

        Parameters
        ----------
        J : array-like, shape (n_params, n_params)
            ∂θ′/∂θ at the fiducial parameters, a row for each of θ′.
        labels : sequence of str, optional
            Names of θ′.
        θ_fid : array-like, shape (n_params,), optional
            Their fiducial values; J θ_fid by default.

        Raises
        ------
        TypeError, ValueError
            If J has another shape or is singular, or another argument is not valid.
        """
        matrix = checks.finite("J", checks.real_array("J", J)).astype(float)
        if matrix.shape != self.F.shape or np.linalg.cond(_in_units(matrix)) > 1e12:
            expected = f"be an invertible matrix of shape {self.F.shape}"
            raise ValueError(checks.wording("`J`", expected, checks.describe(matrix)))
        back = np.linalg.inv(matrix)
        centre = matrix @ self.θ_fid if θ_fid is None else θ_fid
        return Forecast(back.T @ self.F @ back, centre, labels)  # type: ignore[arg-type]

    @property
    def degeneracy(self) -> tuple[float, np.ndarray]:
        """The information of the worst combination of parameters, and that combination (n_params,).

        The first is the least eigenvalue of F in units of the conditional errors, 1 if there is no
        correlation. The second, shape (n_params,), is the change of the parameters, in units of
        their conditional errors, of length 1.
        """
        unit = self.conditional_errors
        values, vectors = np.linalg.eigh(self.F * np.outer(unit, unit))
        worst = vectors[:, 0]
        return float(values[0]), worst * np.sign(worst[np.argmax(np.abs(worst))])

    @property
    def verdict(self) -> Verdict:
        """Whether the data tell the parameters apart."""
        value, direction = self.degeneracy
        found = ", ".join(
            f"{shown(name)}: {centre:.3g} ± {error:.3g}"
            for name, centre, error in zip(self.names, self.θ_fid, self.errors, strict=True)
        )
        remedy = "Add a prior of one of them, fix it, or forecast the combination that is measured."
        if value <= SINGULAR:
            words = f"F is singular: {self._change(direction)} changes nothing."
            return Verdict(Light.RED, words, remedy)
        if value < DEGENERATE:
            times = 1 / np.sqrt(value)
            words = (
                f"{found}. Nearly degenerate: {self._change(direction)} is noticed {times:.2g} "
                "times less than such changes one by one."
            )
            return Verdict(Light.AMBER, words, remedy)
        return Verdict(Light.GREEN, f"{found}.{self._largest_correlation()}")

    def latex(self) -> str:
        """Return a table in LaTeX: fiducial values, marginal and conditional errors."""
        rows = [
            f"{in_latex(name)} & {centre:.4g} & {error:.3g} & {alone:.3g} \\\\"
            for name, centre, error, alone in zip(
                self.names, self.θ_fid, self.errors, self.conditional_errors, strict=True
            )
        ]
        head = r"Parameter & Fiducial value & Marginal error & Conditional error \\"
        body = [r"\begin{tabular}{lrrr}", r"\hline", head, r"\hline", *rows, r"\hline"]
        return "\n".join([*body, r"\end{tabular}"])

    def __str__(self) -> str:
        return str(self.verdict)

    def _places(self, argument: str, names: Any) -> list[int]:
        chosen = checks.entries(argument, names, "names of parameters")
        if all(isinstance(name, str) for name in chosen):
            chosen = spelt_as(chosen, self.names)
        for name in chosen:
            checks.one_of(f"{argument}", name, self.names)
        if len(set(chosen)) != len(chosen) or not chosen:
            expected = "hold each name once, and at least one"
            raise ValueError(checks.wording(f"`{argument}`", expected, repr(chosen)))
        return [self.names.index(name) for name in chosen]

    def _part(self, places: list[int], F: np.ndarray) -> Forecast:
        return Forecast(F, self.θ_fid[places], tuple(self.names[i] for i in places))

    def _change(self, direction: np.ndarray) -> str:
        """Say what a change of parameters is, in their units, of those that matter."""
        steps = direction * self.conditional_errors
        main = np.flatnonzero(np.abs(direction) > 0.1)
        steps = steps / np.abs(steps[main[np.argmax(np.abs(direction[main]))]])
        moved = [f"{self.names[i]} by {steps[i]:+.3g}" for i in main]
        return "moving " + (" and ".join([", ".join(moved[:-1]), moved[-1]]).removeprefix(" and "))

    def _largest_correlation(self) -> str:
        if len(self.F) < 2:
            return ""
        correlation = np.tril(self.correlation, -1)
        i, j = np.unravel_index(np.argmax(np.abs(correlation)), correlation.shape)
        value = correlation[i, j]
        if abs(value) < 0.01:
            return " No correlation exceeds 0.01."
        return f" The largest correlation is {value:.2g}, of {self.names[j]} and {self.names[i]}."


def _in_units(J: np.ndarray) -> np.ndarray:
    """Return a square matrix with rows, and then columns, of length 1 where they are not zero."""
    for axis in (1, 0):
        length = np.linalg.norm(J, axis=axis, keepdims=True)
        J = J / np.where(length > 0, length, 1.0)
    return J
