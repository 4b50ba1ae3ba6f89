"""Weighted samples of a posterior: moments, quantiles, tables, histograms, other formats.

Every mean, covariance, quantile and histogram uses the weights W (ΣW = 1); their effective number
is ESS = 1/ΣW² (Kish 1965).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.inference import chains, density
from imnn_lab.inference.arguments import as_labels
from imnn_lab.inference.density import Density
from imnn_lab.inference.prior_adapters import as_prior
from imnn_lab.parameters import Label, in_latex, shown


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation, median and credible interval of each parameter.

    Attributes
    ----------
    labels : tuple of str
        Names of the parameters.
    mass : float
        Probability mass of the interval.
    table : ndarray, shape (n_params, 5)
        Columns mean, sd, median, low, high.
    properties : mapping
        Numbers about the posterior as a whole: samples, effective samples, ...
    """

    labels: tuple[str, ...]
    mass: float
    table: np.ndarray
    properties: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        tails = ((1 - self.mass) / 2, (1 + self.mass) / 2)
        return ("mean", "sd", "median", *(f"{100 * tail:.3g}%" for tail in tails))

    def __str__(self) -> str:
        rows = [["", *self.columns], *([label, *cells] for label, cells in self._cells())]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        about = ", ".join(f"{name} {value:.6g}" for name, value in self.properties.items())
        return "\n".join([*lines, about] if about else lines)

    def to_latex(self) -> str:
        """Return a LaTeX tabular."""
        header = " & ".join(["", *(name.replace("%", r"\%") for name in self.columns)])
        named = zip(self.labels, self._cells(), strict=True)
        rows = [" & ".join([in_latex(label), *cells]) for label, (_, cells) in named]
        body = " \\\\\n".join([header, *rows])
        return f"\\begin{{tabular}}{{l{'r' * 5}}}\n{body} \\\\\n\\end{{tabular}}"

    def _cells(self) -> list[tuple[str, list[str]]]:
        return [
            (shown(label), [f"{number:.4g}" for number in row])
            for label, row in zip(self.labels, self.table, strict=True)
        ]


@dataclass(frozen=True)
class Posterior:
    """Weighted samples of the parameters.

    Parameters
    ----------
    parameters : ndarray, shape (n, n_params)
        The samples.
    weights : ndarray, shape (n,)
        Not negative; they are normalised to sum to one.
    labels : sequence of str
        A name for each parameter.
    bounds : ndarray, shape (2, n_params), optional
        Bounds of the prior, possibly infinite.
    properties : mapping, optional
        What produced the samples, for the summary: ε, acceptance, simulations, ...

    Raises
    ------
    ValueError
        If the weights have no positive sum.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab.inference import Posterior
    >>> samples = np.random.default_rng(1).normal([1, 2], [0.1, 0.2], (1000, 2))
    >>> posterior = Posterior(samples, np.ones(1000), ("a", "b"))
    >>> print(posterior.summary())
         mean       sd  median     16%    84%
    a  0.9981  0.09982  0.9959  0.8986  1.095
    b   1.999   0.2032   2.003    1.79  2.187
    samples 1000, effective samples 1000
    """

    parameters: np.ndarray
    weights: np.ndarray
    labels: tuple[str, ...]
    bounds: np.ndarray | None = None
    properties: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = np.sum(self.weights)
        if len(self.parameters) and not total > 0:
            raise ValueError(checks.wording("`weights`", "have a positive sum", total))
        object.__setattr__(self, "weights", self.weights / total if total > 0 else self.weights)
        object.__setattr__(self, "labels", tuple(self.labels))

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.parameters.shape[1]

    @property
    def effective_samples(self) -> float:
        """Effective sample size 1/ΣW²; zero without samples."""
        return float(1 / np.sum(self.weights**2)) if len(self) else 0.0

    @property
    def mean(self) -> np.ndarray:
        """Weighted mean, shape (n_params,); NaN without samples."""
        return self.weights @ self.parameters if len(self) else np.full(self.n_params, np.nan)

    @property
    def covariance(self) -> np.ndarray:
        """Weighted covariance, shape (n_params, n_params), unbiased: Σ W Δ⊗Δ / (1 − ΣW²)."""
        spread = 1 - np.sum(self.weights**2)
        if len(self) < 2 or spread <= 0:
            return np.full((self.n_params, self.n_params), np.nan)
        Δ = self.parameters - self.mean
        return (self.weights[:, None] * Δ).T @ Δ / spread

    @property
    def sd(self) -> np.ndarray:
        """Standard deviations, shape (n_params,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def median(self) -> np.ndarray:
        """Weighted median, shape (n_params,)."""
        return self.quantile(0.5)

    def quantile(self, q: float | Sequence[float]) -> np.ndarray:
        """Return weighted quantiles, shape np.shape(q) + (n_params,).

        Parameters
        ----------
        q : float or sequence of float
            Probabilities.
        """
        levels = density.as_probabilities("q", q)
        if not len(self):
            return np.full((*levels.shape, self.n_params), np.nan)
        columns = [weighted_quantile(c, self.weights, levels) for c in self.parameters.T]
        return np.stack(columns, axis=-1)

    def interval(self, mass: float = 0.68) -> np.ndarray:
        """Return the equal-tailed credible interval, shape (2, n_params).

        Parameters
        ----------
        mass : float
            Its probability mass, between 0 and 1.
        """
        mass = checks.number("mass", mass, above=0, below=1)
        return self.quantile([(1 - mass) / 2, (1 + mass) / 2])

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw samples by their weights, shape (n, n_params).

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed.

        Raises
        ------
        ValueError
            If there are no samples.
        """
        self._refuse_none()
        n = checks.integer("n", n, 0, maximum=checks.MOST)
        generator = checks.generator("rng", rng)
        return self.parameters[generator.choice(len(self), n, p=self.weights)]

    def _refuse_none(self) -> None:
        if not len(self):
            raise ValueError("The posterior has no samples: accept more draws, raise ε.")

    def ranges(self, ranges: Any = None) -> list[tuple[float, float]]:
        """Return a range (low, high) for each parameter.

        Parameters
        ----------
        ranges : sequence of pairs, optional
            Where it has a pair, that one; elsewhere the range is where the samples lie, widened by
            a tenth and cut at the prior's bounds.
        """
        return density.completed_ranges(ranges, [self._range(i) for i in range(self.n_params)])

    def _range(self, i: int) -> tuple[float, float]:
        column = self.parameters[:, i] if len(self) else np.zeros(1)
        low, high = float(column.min()), float(column.max())
        margin = 0.1 * (high - low) or 0.5 * max(1.0, abs(low))
        bounds = (-np.inf, np.inf) if self.bounds is None else self.bounds[:, i]
        low, high = max(low - margin, bounds[0]), min(high + margin, bounds[1])
        return (low, high) if low < high else (low - 0.5, high + 0.5)

    def marginal(
        self, i: int, j: int | None = None, *, bins: int | None = None, ranges: Any = None
    ) -> Density:
        """Return the histogram of one parameter or of two.

        Parameters
        ----------
        i, j : int
            Indices of the parameters.
        bins : int, optional
            Bins along each; by default what the effective sample size resolves.
        ranges : sequence of pairs, optional
            Range of every parameter of the posterior.

        Returns
        -------
        Density
        """
        chosen = density.as_indices(i, j, self.n_params)
        bins = checks.optional_integer("bins", bins, 2)
        bins = bins or default_bins(self.effective_samples, len(chosen))
        limits = self.ranges(ranges)
        density.refuse_large_grid([bins] * len(chosen))
        edges = density.bin_edges([bins] * len(chosen), [limits[k] for k in chosen])
        return density.histogram(self.parameters[:, chosen], self.weights, edges)

    def summary(self, mass: float = 0.68) -> Summary:
        """Return the table of mean, standard deviation, median and credible interval.

        Parameters
        ----------
        mass : float
            Probability mass of the interval, between 0 and 1.
        """
        properties = {"samples": len(self), "effective samples": self.effective_samples}
        columns = (self.mean, self.sd, self.median, *self.interval(mass))
        return Summary(
            self.labels, mass, np.stack(columns, axis=1), properties | dict(self.properties)
        )

    def to_arviz(self, n: int | None = None, rng: Any = 0) -> Any:
        """Return equally weighted samples for ArviZ, which has no weights.

        Parameters
        ----------
        n : int, optional
            How many to draw by weight. By default as many as there are effective samples, each
            about as often as its weight says, so that ArviZ's effective sample size is about ours;
            of more it counts repeated ones as independent.
        rng : numpy.random.Generator or int
            Source of random numbers, or its seed.

        Returns
        -------
        arviz.InferenceData or xarray.DataTree
            With a group `posterior` of variables named by the labels, in their order, and its
            attribute `effective_samples`: InferenceData before ArviZ 1.0, since then a DataTree,
            whose names have ∕ (U+2215) for each slash of a label.

        Raises
        ------
        ModuleNotFoundError
            If ArviZ is not installed.
        """
        arviz = checks.package("arviz", "arviz")
        drawn = self._equally_weighted(rng) if n is None else self.sample(n, rng)
        named = {label: drawn[None, :, i] for i, label in enumerate(self.labels)}
        if "posterior" in inspect.signature(arviz.from_dict).parameters:  # ArviZ before 1.0
            data = arviz.from_dict(posterior=named)
            # sorted by name where dm-tree is installed, as TensorFlow Probability needs it
            data.posterior = data.posterior[list(named)]
        else:
            # xarray's DataTree refuses slashes in names: test_posterior.py tells when it takes them
            named = {label.replace("/", chains.SLASH): column for label, column in named.items()}
            data = arviz.from_dict({"posterior": named})
        data["posterior"].attrs["effective_samples"] = self.effective_samples
        return data

    def _equally_weighted(self, rng: Any) -> np.ndarray:
        """Return as many samples as are effective, each ⌊n W⌋ or ⌈n W⌉ times, in random order."""
        self._refuse_none()
        n, generator = max(1, round(self.effective_samples)), checks.generator("rng", rng)
        at = (generator.random() + np.arange(n)) / n
        chosen = np.searchsorted(np.cumsum(self.weights), at).clip(max=len(self) - 1)
        return self.parameters[generator.permutation(chosen)]

    def to_getdist(self) -> Any:
        r"""Return getdist.MCSamples with the weights.

        The labels are GetDist's labels, without dollar signs; the names are the labels with an
        underscore for what names cannot hold: ``$\Omega_m$`` is named ``Omega_m``.

        Raises
        ------
        ModuleNotFoundError
            If GetDist is not installed.
        """
        getdist = checks.package("getdist", "getdist")
        self._refuse_none()
        sides = np.full((2, self.n_params), np.nan) if self.bounds is None else self.bounds
        limits = [[None if not np.isfinite(b) else float(b) for b in pair] for pair in sides.T]
        names = _getdist_names(self.labels)
        return getdist.MCSamples(
            samples=self.parameters,
            weights=self.weights / self.weights.max(),
            names=names,
            labels=[getattr(x, "latex", None) or x.strip("$") for x in self.labels],
            ranges=dict(zip(names, limits, strict=True)),
        )

    def to_npz(self, path: Path | str) -> None:
        """Write the samples, weights, labels, bounds and properties atomically.

        Parameters
        ----------
        path : str or Path
            The file, ending in ``.npz``.
        """
        storage.write_npz(checks.path("path", path), self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` needs to make the same posterior again."""
        arrays = {"parameters": self.parameters, "weights": self.weights}
        if self.bounds is not None:
            arrays["bounds"] = self.bounds
        about = {"labels": list(self.labels), "properties": dict(self.properties)}
        if all(isinstance(label, Label) for label in self.labels):
            for name in ("unit", "latex"):
                about[name] = [getattr(label, name) for label in self.labels]
        return arrays | {"about": storage.pack(about)}

    @staticmethod
    def from_draws(
        samples: Any, weights: Any = None, labels: Sequence[str] | None = None, prior: Any = None
    ) -> Posterior:
        """Make a posterior from the draws of another package, for the figures and tables here.

        Draws of a Markov chain count as independent here: thin them first.

        Parameters
        ----------
        samples : array, tensor, dict, or ArviZ's data
            Of one observation: an array or a tensor of PyTorch, shape (n, n_params), as sbi and
            samplers return; a dict of arrays (n,) or (n, d), as BayesFlow returns; InferenceData,
            DataTree or Dataset of ArviZ, whose chains are joined. A first axis of length 1 is left
            out.
        weights : array or tensor, shape (n,), optional
            Not negative; by default equal.
        labels : sequence of str, optional
            A name for each parameter; by default those that the draws have, of which they choose
            the order if they are the same names. Others replace them.
        prior : any, optional
            Supplies the bounds, see `as_prior`.

        Returns
        -------
        Posterior

        Raises
        ------
        TypeError
            If the draws are of no known kind.
        ValueError
            If they are those of several observations or not finite, or weights, labels or prior
            do not fit them.

        Examples
        --------
        >>> drawn = {"a": samples[None, :, :1], "b": samples[None, :, 1:]}  # as BayesFlow's
        >>> Posterior.from_draws(drawn).labels
        ('a', 'b')
        """
        matrix, names = chains.matrix_of(samples)
        matrix = checks.finite("samples", matrix.astype(np.float64))
        n, n_params = matrix.shape
        if labels is not None and names is not None:
            matrix = matrix[:, _order_of(as_labels(labels, n_params), names)]
        names = as_labels(names if labels is None else labels, n_params)
        bounds = None if prior is None else as_prior(prior, n_params, names).bounds
        return Posterior(matrix, chains.weights_of(weights, n), names, bounds)

    @staticmethod
    def from_npz(path: Path | str) -> Posterior:
        """Read what `to_npz` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is damaged, or is another one.
        """
        path = checks.path("path", path)
        if not path.is_file():
            lack = "a directory" if path.is_dir() else "which is not there"
            received, remedy = f"{str(path)!r}, {lack}", "Pass what `to_npz` was given."
            message = checks.wording("`path`", "be a file", received, remedy)
            raise FileNotFoundError(message)
        with storage.whole(path):
            return Posterior.from_arrays(storage.read_npz(path))

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> Posterior:
        """Make a posterior from the arrays of `arrays()`.

        Parameters
        ----------
        arrays : mapping from str to ndarray
            What `arrays` returned.
        """
        about = storage.unpack(arrays["about"])
        labels = about["labels"]
        if "unit" in about:
            labels = map(Label, labels, about["unit"], about["latex"])
        return Posterior(
            arrays["parameters"],
            arrays["weights"],
            tuple(labels),
            arrays.get("bounds"),
            about["properties"],
        )


def _order_of(labels: tuple[str, ...], names: Sequence[str]) -> list[int]:
    """Return which draws have each label: those of that name, or in order if all are new."""
    if sorted(labels) == sorted(names):
        return [names.index(label) for label in labels]
    if known := set(labels) & set(names):
        expected = f"be the names of the draws, {list(names)}, in any order, or all new ones"
        received = f"{list(labels)}, of which they have {sorted(known)}"
        raise ValueError(checks.wording("`labels`", expected, received))
    return list(range(len(names)))


def _getdist_names(labels: Sequence[str]) -> list[str]:
    """Return different names of letters, digits and underscores: GetDist cuts others short."""
    names: list[str] = []
    for i, label in enumerate(labels):
        name = re.sub(r"_*\W[\W_]*", "_", label).strip("_") or f"p{i}"
        names.append(name if name not in names else f"{name}_{i}")
    return names


def default_bins(effective: float, n: int) -> int:
    """Return how many bins for n parameters the effective samples resolve (from 5 to 60)."""
    return int(np.clip(2 * max(effective, 1.0) ** (1 / (n + 2)), 5, 60))


def weighted_quantile(values: np.ndarray, weights: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return quantiles of weighted values, interpolating the cumulative weight at its midpoints."""
    order = np.argsort(values, kind="stable")
    sorted_weights = weights[order]
    return np.interp(q, np.cumsum(sorted_weights) - sorted_weights / 2, values[order])
