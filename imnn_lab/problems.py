"""Problems whose Fisher information and likelihood are known exactly.

Each simulator draws its noise from the seed alone and then applies the parameters, so that the same
seed gives the same random numbers at any parameters, as central differences need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from typing import Any

import numpy as np
from scipy import integrate, linalg, optimize, stats

from imnn_lab import checks

Simulator = Callable[[np.ndarray, int], np.ndarray]
LogLikelihood = Callable[[np.ndarray, np.ndarray], float]
Mean = Callable[[np.ndarray], np.ndarray]  # of parameters (n, n_params)
Covariance = Callable[[np.ndarray], np.ndarray]

CHUNK = 500  # covariance matrices at a time


@dataclass(frozen=True)
class Problem:
    """A model of data with a known Fisher information.

    Attributes
    ----------
    name : str
        Name of the problem.
    labels : tuple of str
        Names of the parameters, with their units if any.
    θ_fid, δθ : ndarray, shape (n_params,)
        Fiducial parameters and full width of the central difference.
    input_shape : tuple of int
        Shape of one simulation.
    simulator : callable
        ``simulator(parameters, seed)``: parameters (n, n_params) to simulations (n,) + input_shape.
        It can be pickled, and so sent to other processes.
    F : ndarray, shape (n_params, n_params)
        Exact Fisher information at θ_fid.
    log_likelihood : callable
        ``log_likelihood(data, θ)``: exact ln p(d | θ) of one simulation, θ of shape (n_params,).
    network : str
        Name of the network in `imnn_lab.networks` that suits the data.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import problems
    >>> problem = problems.gaussian()
    >>> problem.labels, problem.F.tolist(), round(problem.det_F, 6)
    (('μ', 'Σ'), [[10.0, 0.0], [0.0, 5.0]], 50.0)
    >>> problem.simulator(np.array([[0.0, 1.0], [2.0, 0.5]]), 1).shape
    (2, 10)
    """

    name: str
    labels: tuple[str, ...]
    θ_fid: np.ndarray
    δθ: np.ndarray
    input_shape: tuple[int, ...]
    simulator: Simulator = field(repr=False)
    F: np.ndarray
    log_likelihood: LogLikelihood = field(repr=False)
    network: str = "dense"

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.θ_fid)

    @property
    def det_F(self) -> float:
        """Determinant of the exact Fisher information."""
        return float(np.linalg.det(self.F))

    def simulations(self, n: int, seed: int) -> np.ndarray:
        """Return simulations at the fiducial parameters, shape (n,) + input_shape.

        Parameters
        ----------
        n : int
            Number of simulations.
        seed : int
            Seed of the random numbers.
        """
        n, seed = checks.integer("n", n, 0, maximum=checks.MOST), _seed(seed)
        return self.simulator(np.tile(self.θ_fid, (n, 1)), seed)

    def training_set(self, n_s: int, n_d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a training set for an `IMNN`.

        Parameters
        ----------
        n_s, n_d : int
            Numbers of fiducial simulations and of rows of derivative simulations.
        seed : int
            Seed of the random numbers; a validation set needs another.

        Returns
        -------
        fiducial : ndarray, shape (n_s,) + input_shape
            Simulations at θ_fid.
        derivative : ndarray, shape (n_d, 2, n_params) + input_shape
            At θ_fid ∓ δθ/2; all simulations of a row share their random numbers.
        """
        n_s = checks.integer("n_s", n_s, 0, maximum=checks.MOST)
        n_d = checks.integer("n_d", n_d, 0, maximum=checks.MOST)
        seed = _seed(seed)
        first, second = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))

        def at(θ: np.ndarray) -> np.ndarray:
            return self.simulator(np.tile(θ, (n_d, 1)), second)

        steps = 0.5 * np.diag(self.δθ)
        derivative = [[at(self.θ_fid + sign * step) for step in steps] for sign in (-1, 1)]
        return self.simulations(n_s, first), np.moveaxis(np.array(derivative), 2, 0)


def gaussian(n: int = 10) -> Problem:
    """Return the problem of mean μ and variance Σ of Gaussian values; F = diag(n/Σ, n/2Σ²).

    Parameters
    ----------
    n : int
        Number of values in a simulation.
    """
    n = _size(n)
    return _problem("gaussian", ("μ", "Σ"), (0, 1), (0.1, 0.1), (n,),
                    partial(_gaussian, n=n), np.diag([n, n / 2]),
                    partial(_gaussian_likelihood, n=n), "deep_set")  # fmt: skip


def _gaussian(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), n))
    return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise


def _gaussian_likelihood(data: np.ndarray, θ: np.ndarray, *, n: int) -> float:
    return _gaussian_log_likelihood(data - θ[0], np.eye(n) * θ[1])


def variance(n: int = 10) -> Problem:
    """Return the problem of the variance of Gaussian values of mean zero; F = n/2Σ².

    Parameters
    ----------
    n : int
        Number of values in a simulation.
    """
    n = _size(n)
    return _problem("variance", ("Σ",), (1,), (0.1,), (n,), partial(_variance, n=n),
                    np.array([[n / 2]]), partial(_variance_likelihood, n=n),
                    "deep_set")  # fmt: skip


def _variance(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), n))
    return np.sqrt(parameters) * noise


def _variance_likelihood(data: np.ndarray, θ: np.ndarray, *, n: int) -> float:
    return _gaussian_log_likelihood(data, np.eye(n) * θ[0])


def slope(n: int = 100) -> Problem:
    """Return the problem of a slope through the origin in unit Gaussian noise; F = Σ x².

    Parameters
    ----------
    n : int
        Number of points, from x = 0 to 10.
    """
    x = np.linspace(0, 10, _size(n, 2))
    return _problem("slope", ("m",), (4,), (0.1,), (n,), partial(_slope, x=x),
                    np.array([[x @ x]]), partial(_slope_likelihood, x=x))  # fmt: skip


def _slope(parameters: np.ndarray, seed: int, *, x: np.ndarray) -> np.ndarray:
    return parameters * x + np.random.default_rng(seed).normal(size=(len(parameters), len(x)))


def _slope_likelihood(data: np.ndarray, θ: np.ndarray, *, x: np.ndarray) -> float:
    return _gaussian_log_likelihood(data - θ[0] * x, np.eye(len(x)))


def nuisance_slope(n: int = 100, nuisance_variance: float = 0.1) -> Problem:
    """Return the problem of a slope plus a random slope; F = 1/(variance + 1/Σ x²).

    Parameters
    ----------
    n : int
        Number of points, from x = 0 to 10.
    nuisance_variance : float
        Variance of the random slope, Gaussian of mean zero.

    Raises
    ------
    ValueError
        If `n` is below 2, or the variance below 0.
    """
    x = np.linspace(0, 10, _size(n, 2))
    nuisance_variance = checks.number("nuisance_variance", nuisance_variance)
    if nuisance_variance < 0:
        expected = "be a variance, at least 0"
        raise ValueError(checks.wording("`nuisance_variance`", expected, nuisance_variance))
    F = np.array([[1 / (nuisance_variance + 1 / (x @ x))]])
    known: dict[str, Any] = {"x": x, "nuisance_variance": nuisance_variance}
    return _problem("nuisance_slope", ("m",), (1,), (0.1,), (n,), partial(_nuisance_slope, **known),
                    F, partial(_nuisance_slope_likelihood, **known))  # fmt: skip


def _nuisance_slope(
    parameters: np.ndarray, seed: int, *, x: np.ndarray, nuisance_variance: float
) -> np.ndarray:
    random = np.random.default_rng(seed)
    ζ = np.sqrt(nuisance_variance) * random.normal(size=(len(parameters), 1))
    return (parameters + ζ) * x + random.normal(size=(len(parameters), len(x)))


def _nuisance_slope_likelihood(
    data: np.ndarray, θ: np.ndarray, *, x: np.ndarray, nuisance_variance: float
) -> float:
    covariance = np.eye(len(x)) + nuisance_variance * np.outer(x, x)
    return _gaussian_log_likelihood(data - θ[0] * x, covariance)


def linear_gaussian(
    A: np.ndarray, covariance: np.ndarray, θ_fid: Sequence[float], δθ: Sequence[float]
) -> Problem:
    """Return the problem of data A θ + n with Gaussian noise n; F = Aᵀ N⁻¹ A.

    Parameters
    ----------
    A : array, shape (n, n_params)
        Response of the data to the parameters.
    covariance : array, shape (n, n)
        Covariance N of the noise.
    θ_fid, δθ : sequence of float
        Fiducial parameters and full width of the central difference.

    Raises
    ------
    ValueError
        If `A` is no matrix, or `covariance` is not symmetric and positive definite.
    """
    A = checks.finite("A", checks.real_array("A", A).astype(float))
    if A.ndim != 2 or A.size == 0:
        raise ValueError(checks.wording("`A`", "have shape (n, n_params)", f"shape {A.shape}"))
    covariance, L = _covariance(covariance, len(A))
    F = A.T @ linalg.cho_solve((L, True), A)
    labels = checks.default_labels(A.shape[1])
    return _problem("linear_gaussian", labels, θ_fid, δθ, (len(A),),
                    partial(_linear_gaussian, A=A, L=L), F,
                    partial(_linear_gaussian_likelihood, A=A, covariance=covariance))  # fmt: skip


def _linear_gaussian(
    parameters: np.ndarray, seed: int, *, A: np.ndarray, L: np.ndarray
) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), len(A)))
    return parameters @ A.T + noise @ L.T


def _linear_gaussian_likelihood(
    data: np.ndarray, θ: np.ndarray, *, A: np.ndarray, covariance: np.ndarray
) -> float:
    return _gaussian_log_likelihood(data - A @ θ, covariance)


def exponential(n: int = 10) -> Problem:
    """Return the problem of the scale of exponential values; F = n/θ².

    Parameters
    ----------
    n : int
        Number of values in a simulation.
    """
    n = _size(n)
    return _problem("exponential", ("scale",), (2,), (0.2,), (n,), partial(_exponential, n=n),
                    np.array([[n / 4]]), partial(_exponential_likelihood, n=n),
                    "deep_set")  # fmt: skip


def _exponential(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    return parameters * np.random.default_rng(seed).exponential(size=(len(parameters), n))


def _exponential_likelihood(data: np.ndarray, θ: np.ndarray, *, n: int) -> float:
    return float(-n * np.log(θ[0]) - data.sum() / θ[0]) if θ[0] > 0 else -np.inf


def field_2d(n: int = 16) -> Problem:
    """Return the problem of a Gaussian field with power A k^−B, k = 2π|m|/n, and no mean.

    F = ½ Σ ∂lnP ∂lnP over all n² − 1 modes. Only the power depends on θ, not the white noise.

    Parameters
    ----------
    n : int
        Pixels along each side.
    """
    n = _size(n, 2)
    m = np.fft.fftfreq(n) * n
    k = 2 * np.pi / n * np.hypot(m[:, None], m)
    k[0, 0] = 1  # arbitrary: this mode, the mean, has no power
    gradient = np.stack([np.ones(n * n - 1), -np.log(k.ravel()[1:])])

    return _problem("field", ("A", "B"), (1, 0.5), (0.1, 0.1), (n, n, 1), partial(_field, k=k),
                    0.5 * gradient @ gradient.T, partial(_field_likelihood, k=k),
                    "convolutional")  # fmt: skip


def _field(parameters: np.ndarray, seed: int, *, k: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), *k.shape))
    A, B = parameters.T[:, :, None, None]
    amplitude = np.sqrt(A) * k ** (-B / 2)
    amplitude[:, 0, 0] = 0
    return np.fft.ifft2(np.fft.fft2(noise) * amplitude).real[..., None]


def _field_likelihood(data: np.ndarray, θ: np.ndarray, *, k: np.ndarray) -> float:
    power = (θ[0] * k ** -θ[1]).ravel()[1:]
    observed = (np.abs(np.fft.fft2(data[..., 0])) ** 2).ravel()[1:] / k.size
    return float(-0.5 * np.sum(np.log(2 * np.pi * power) + observed / power))


def autoregressive(
    θ_fid: Sequence[float] = (900, 0.5, 150), δθ: Sequence[float] = (20, 0.1, 10), n: int = 100
) -> Problem:
    """Return the problem of a stationary first-order autoregressive series.

    Its parameters are the mean, φ, and the standard deviation of the innovations.

    Parameters
    ----------
    θ_fid, δθ : sequence of float, length 3
        Fiducial parameters and full width of the central difference.
    n : int
        Length of the series.
    """
    n, labels = _size(n), ("mean", "φ", "innovation sd")
    return _problem("autoregressive", labels, θ_fid, δθ, (n, 1), partial(_autoregressive, n=n),
                    autoregressive_fisher(θ_fid, n), partial(_autoregressive_likelihood, n=n),
                    "convolutional")  # fmt: skip


def _autoregressive(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), n))
    mean, φ, σ = parameters.T
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0] / np.sqrt(1 - φ**2)
    for t in range(1, n):
        series[:, t] = φ * series[:, t - 1] + noise[:, t]
    return (mean[:, None] + σ[:, None] * series)[..., None]


def _autoregressive_likelihood(data: np.ndarray, θ: np.ndarray, *, n: int) -> float:
    mean, φ, σ = θ
    if not (abs(φ) < 1 and σ > 0):
        return -np.inf
    z = (np.ravel(data) - mean) / σ
    square = (1 - φ**2) * z[0] ** 2 + np.sum((z[1:] - φ * z[:-1]) ** 2)
    return float(-0.5 * square - n * np.log(σ * np.sqrt(2 * np.pi)) + 0.5 * np.log(1 - φ**2))


def autoregressive_fisher(θ: Sequence[float], n: int) -> np.ndarray:
    """Return the exact Fisher information (3, 3) of a stationary AR(1) series of n values.

    From the expectation of the second derivatives of the exact likelihood.

    Parameters
    ----------
    θ : sequence of float, length 3
        Mean, φ, and standard deviation of the innovations.
    n : int
        Length of the series.

    Raises
    ------
    ValueError
        If φ is not between −1 and 1, or the standard deviation not positive.
    """
    n = _size(n)
    _, φ, σ = checks.vector("θ", θ, 3)
    if not (abs(φ) < 1 and σ > 0):
        expected = "have |φ| < 1 and a positive standard deviation"
        raise ValueError(checks.wording("`θ`", expected, f"φ = {φ}, σ = {σ}"))
    mean = (1 - φ) * (n - (n - 2) * φ) / σ**2
    φφ = n / (1 - φ**2) + (3 * φ**2 - 1) / (1 - φ**2) ** 2
    φσ = 2 * φ / (σ * (1 - φ**2))
    return np.array([[mean, 0, 0], [0, φφ, φσ], [0, φσ, 2 * n / σ**2]])


def sine(n: int = 100) -> Problem:
    """Return the problem of a sine A sin(ωt + φ) in unit Gaussian noise; F = Σ ∂m ∂m.

    Parameters
    ----------
    n : int
        Number of times, from t = 0 to 10.
    """
    n = _size(n)
    return _in_noise("sine", ("A", "ω", "φ"), (1, 2, 0.5), (0.1, 0.02, 0.1), (n,),
                     partial(_sine, t=np.linspace(0, 10, n)))  # fmt: skip


def _sine(parameters: np.ndarray, *, t: np.ndarray) -> np.ndarray:
    A, ω, φ = parameters.T[:, :, None]
    return A * np.sin(ω * t + φ)


def blob(n: int = 16) -> Problem:
    """Return the problem of a Gaussian blob's amplitude, position and width in an image with noise.

    The image is A exp(−((x − x₀)² + y²)/2w²), in units of the standard deviation of its Gaussian
    noise, with centres of pixels from −(n − 1)/2 to (n − 1)/2; F = Σ ∂m ∂m.

    Parameters
    ----------
    n : int
        Pixels along each side.
    """
    n = _size(n)
    return _in_noise("blob", ("A", "x₀", "w"), (3, 0, 2), (0.1, 0.1, 0.1), (n, n, 1),
                     partial(_blob, n=n))  # fmt: skip


def _blob(parameters: np.ndarray, *, n: int, background: float = 0.0) -> np.ndarray:
    y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2] * 2, indexing="ij")
    A, x0, w = parameters.T[:, :, None, None]
    return (background + A * np.exp(-((x - x0) ** 2 + y**2) / (2 * w**2)))[..., None]


def poisson_blob(n: int = 16, background: float = 1.0) -> Problem:
    """Return the problem of a blob in an image of Poisson counts; F = Σ ∂m ∂m / m.

    The expected counts m are those of `blob` above a background. Each count is the quantile of its
    expectation at a uniform number that depends on the seed alone.

    Parameters
    ----------
    n : int
        Pixels along each side.
    background : float
        Expected counts of a pixel without the blob.
    """
    n = _size(n)
    background = checks.number("background", background, above=0)
    mean = partial(_blob, n=n, background=background)
    θ_fid = (10, 0, 2)
    gradient = _gradient(mean, θ_fid)
    F = (gradient / mean(np.array([θ_fid], float)).ravel()) @ gradient.T
    return _problem("poisson_blob", ("A", "x₀", "w"), θ_fid, (1, 0.1, 0.1), (n, n, 1),
                    partial(_poisson, mean=mean), F,
                    partial(_poisson_likelihood, mean=mean))  # fmt: skip


def _poisson(parameters: np.ndarray, seed: int, *, mean: Mean) -> np.ndarray:
    expected = mean(parameters)
    uniform = np.random.default_rng(seed).random(expected.shape)
    return stats.poisson.ppf(uniform, expected)


def _poisson_likelihood(data: np.ndarray, θ: np.ndarray, *, mean: Mean) -> float:
    expected = mean(θ[None])[0]
    return float(stats.poisson.logpmf(data, expected).sum()) if (expected > 0).all() else -np.inf


def bivariate_normal(n: int = 20) -> Problem:
    """Return the problem of means, variances and covariance of pairs of Gaussian values.

    F of the means is n Σ⁻¹, that of (v₁, v₂, c) is ½ n tr(Σ⁻¹ ∂Σ Σ⁻¹ ∂Σ).

    Parameters
    ----------
    n : int
        Number of pairs in a simulation.
    """
    n = _size(n)
    inverse = np.linalg.inv([[1, 0.5], [0.5, 2]])
    changes = [
        inverse @ E for E in np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 1], [1, 0]]])
    ]
    quadratic = [[0.5 * n * np.trace(one @ other) for one in changes] for other in changes]
    labels = ("μ₁", "μ₂", "v₁", "v₂", "c")
    return _problem("bivariate_normal", labels, (0, 0, 1, 2, 0.5), (0.1, 0.1, 0.1, 0.2, 0.1),
                    (n, 2), partial(_bivariate_normal, n=n),
                    linalg.block_diag(n * inverse, quadratic), _bivariate_normal_likelihood,
                    "deep_set")  # fmt: skip


def _bivariate_normal(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(parameters), n, 2))
    mean, (v1, v2, c) = parameters[:, None, :2], parameters.T[2:, :, None]
    first = np.sqrt(v1) * noise[..., 0]
    second = c / v1 * first + np.sqrt(v2 - c**2 / v1) * noise[..., 1]
    return mean + np.stack([first, second], axis=-1)


def _bivariate_normal_likelihood(data: np.ndarray, θ: np.ndarray) -> float:
    v1, v2, c = θ[2:]
    determinant = v1 * v2 - c**2
    if not (v1 > 0 and determinant > 0):
        return -np.inf
    first, second = (data - θ[:2]).T
    square = v2 * first @ first - 2 * c * first @ second + v1 * second @ second
    return float(-0.5 * square / determinant - len(data) * np.log(2 * np.pi * determinant**0.5))


def mixture(n: int = 60) -> Problem:
    """Return the problem of exchangeable values from two Gaussian distributions.

    A share f of them is drawn from N(m, ½²), the others from N(0, 1). F is n times that of one
    value, from its density on a fine grid.

    Parameters
    ----------
    n : int
        Number of values in a simulation.
    """
    n = _size(n)
    θ_fid = (0.4, 2)
    x = np.linspace(-12, 15, 20_001)
    density = partial(_mixture_density, x=x)
    gradient = _gradient(density, θ_fid)
    F = n * integrate.simpson(gradient[:, None] * gradient / density(np.array([θ_fid]))[0], x=x)
    return _problem("mixture", ("f", "m"), θ_fid, (0.1, 0.1), (n,), partial(_mixture, n=n), F,
                    _mixture_likelihood, "deep_set")  # fmt: skip


def _mixture(parameters: np.ndarray, seed: int, *, n: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    noise, uniform = random.normal(size=(len(parameters), n)), random.random((len(parameters), n))
    f, m = parameters.T[:, :, None]
    return np.where(uniform < f, m + 0.5 * noise, noise)


def _mixture_density(parameters: np.ndarray, *, x: np.ndarray) -> np.ndarray:
    f, m = parameters.T[:, :, None]
    return f * stats.norm.pdf(x, m, 0.5) + (1 - f) * stats.norm.pdf(x)


def _mixture_likelihood(data: np.ndarray, θ: np.ndarray) -> float:
    if not 0 <= θ[0] <= 1:
        return -np.inf
    return float(np.log(_mixture_density(θ[None], x=np.ravel(data))).sum())


def gaussian_process(n: int = 50) -> Problem:
    """Return the problem of a Gaussian process's standard deviation and length, seen with noise.

    The covariance of values at distance t is s² exp(−t²/2ℓ²), and noise of variance 0.1 is added to
    each of them; F = ½ tr(C⁻¹ ∂C C⁻¹ ∂C).

    Parameters
    ----------
    n : int
        Number of values, at distances of 1.
    """
    n = _size(n)
    covariance = partial(_process_covariance, square=_squared_distances(np.arange(n)[:, None]))
    θ_fid = (1, 4)
    changes = _covariance_changes(covariance, θ_fid)
    F = 0.5 * np.einsum("aij,bji->ab", changes, changes)
    return _problem("gaussian_process", ("s", "ℓ"), θ_fid, (0.1, 0.2), (n, 1),
                    partial(_correlated, covariance=covariance, n=n), F,
                    partial(_correlated_likelihood, covariance=covariance),
                    "convolutional")  # fmt: skip


def _process_covariance(parameters: np.ndarray, *, square: np.ndarray) -> np.ndarray:
    s, length = parameters.T[:, :, None, None]
    return s**2 * np.exp(-square / (2 * length**2)) + 0.1 * np.eye(len(square))


def _correlated(parameters: np.ndarray, seed: int, *, covariance: Covariance, n: int) -> np.ndarray:
    """Return Gaussian values with a covariance that depends on the parameters, (rows, n, 1)."""
    noise = np.random.default_rng(seed).normal(size=(len(parameters), n, 1))
    return np.concatenate([
        np.linalg.cholesky(covariance(parameters[i : i + CHUNK])) @ noise[i : i + CHUNK]
        for i in range(0, len(parameters), CHUNK)
    ])  # fmt: skip


def _correlated_likelihood(data: np.ndarray, θ: np.ndarray, *, covariance: Covariance) -> float:
    if not (θ > 0).all():
        return -np.inf
    return _gaussian_log_likelihood(np.ravel(data), covariance(θ[None])[0])


def lognormal_field(n: int = 8) -> Problem:
    """Return the problem of a lognormal field of mean 1, less 1: exp(αg − α²/2) − 1.

    The Gaussian field g has the correlation ξ(r) = exp(−r²/4β²) and open boundaries.
    F_αα = 2n²/α² + 1ᵀ ξ⁻¹ 1, F_αβ = tr(ξ⁻¹ ∂ξ)/α and F_ββ = ½ tr(ξ⁻¹ ∂ξ ξ⁻¹ ∂ξ).

    Parameters
    ----------
    n : int
        Pixels along each side.
    """
    n = _size(n)
    pixels = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)
    square = _squared_distances(pixels)
    α, β = 1.0, 0.7
    correlation = partial(_correlation, square=square)
    ξ = correlation(np.array([[α, β]]))[0]
    _, change = _covariance_changes(correlation, (α, β))
    mixed = np.trace(change) / α
    F = np.array([
        [2 * n**2 / α**2 + np.linalg.inv(ξ).sum(), mixed],
        [mixed, 0.5 * np.trace(change @ change)],
    ])  # fmt: skip
    return _problem("lognormal_field", ("α", "β"), (α, β), (0.05, 0.02), (n, n, 1),
                    partial(_lognormal, square=square), F,
                    partial(_lognormal_likelihood, square=square), "convolutional")  # fmt: skip


def _correlation(parameters: np.ndarray, *, square: np.ndarray) -> np.ndarray:
    return np.exp(-square / (4 * parameters[:, 1, None, None] ** 2))


def _lognormal(parameters: np.ndarray, seed: int, *, square: np.ndarray) -> np.ndarray:
    n, α = len(square), parameters[:, :1, None]
    g = _correlated(parameters, seed, covariance=partial(_correlation, square=square), n=n)
    side = round(n**0.5)
    return np.expm1(α * g - α**2 / 2).reshape(-1, side, side, 1)


def _lognormal_likelihood(data: np.ndarray, θ: np.ndarray, *, square: np.ndarray) -> float:
    α = θ[0]
    if not (θ > 0).all() or not (data > -1).all():
        return -np.inf
    logarithm = np.log1p(np.ravel(data))
    g = (logarithm + α**2 / 2) / α
    jacobian = len(g) * np.log(α) + logarithm.sum()
    return _gaussian_log_likelihood(g, _correlation(θ[None], square=square)[0]) - float(jacobian)


def nile_flow() -> tuple[np.ndarray, np.ndarray]:
    """Return the years and the annual flow of the Nile at Aswan in 10⁸ m³, shape (100,) each.

    Examples
    --------
    >>> from imnn_lab import problems
    >>> years, flow = problems.nile_flow()
    >>> int(years[0]), float(flow[0]), flow.shape
    (1871, 1120.0, (100,))
    """
    path = resources.files("imnn_lab") / "data" / "nile.csv"
    table = np.loadtxt(path.read_text().splitlines(), delimiter=",", skiprows=5)
    return table[:, 0].astype(int), table[:, 1]


def maximum_likelihood(problem: Problem, data: np.ndarray) -> np.ndarray:
    """Return the parameters that maximise the exact likelihood, shape (n_params,).

    Parameters
    ----------
    problem : Problem
        The problem that defines the likelihood.
    data : ndarray, shape input_shape
        One simulation, or an observation.

    Raises
    ------
    TypeError, ValueError
        If it is no problem, or `data` are not one simulation.
    """
    if not isinstance(problem, Problem):
        expected = "be a problem of imnn_lab.problems"
        raise TypeError(checks.wording("`problem`", expected, checks.describe(problem)))
    data = checks.finite("data", checks.real_array("data", data).astype(float))
    if data.size != np.prod(problem.input_shape):
        expected = f"be one simulation, of shape {problem.input_shape}"
        raise ValueError(checks.wording("`data`", expected, f"shape {data.shape}"))
    data = data.reshape(problem.input_shape)
    scale = np.sqrt(np.diag(np.linalg.inv(problem.F)))

    def minus_log_likelihood(z: np.ndarray) -> float:
        return -problem.log_likelihood(data, problem.θ_fid + scale * z)

    result = optimize.minimize(
        minus_log_likelihood, np.zeros(problem.n_params), method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 10_000, "maxfev": 10_000},
    )  # fmt: skip
    return problem.θ_fid + scale * result.x


def _problem(
    name: str,
    labels: tuple[str, ...],
    θ_fid: Sequence[float],
    δθ: Sequence[float],
    input_shape: tuple[int, ...],
    simulator: Simulator,
    F: np.ndarray,
    log_likelihood: LogLikelihood,
    network: str = "dense",
) -> Problem:
    centre = checks.vector("θ_fid", θ_fid, len(labels))
    width = checks.vector("δθ", δθ, len(labels))
    if not (width > 0).all():
        raise ValueError(checks.wording("`δθ`", "be positive", width.tolist()))
    return Problem(name, labels, centre, width, input_shape, simulator, F, log_likelihood, network)


def _in_noise(
    name: str,
    labels: tuple[str, ...],
    θ_fid: Sequence[float],
    δθ: Sequence[float],
    input_shape: tuple[int, ...],
    mean: Mean,
) -> Problem:
    """Return the problem of a mean in Gaussian noise of unit variance."""
    gradient = _gradient(mean, θ_fid)
    return _problem(name, labels, θ_fid, δθ, input_shape, partial(_noisy, mean=mean),
                    gradient @ gradient.T, partial(_noisy_likelihood, mean=mean))  # fmt: skip


def _noisy(parameters: np.ndarray, seed: int, *, mean: Mean) -> np.ndarray:
    expected = mean(parameters)
    return expected + np.random.default_rng(seed).normal(size=expected.shape)


def _noisy_likelihood(data: np.ndarray, θ: np.ndarray, *, mean: Mean) -> float:
    residual = np.ravel(data - mean(θ[None])[0])
    return float(-0.5 * (residual @ residual + len(residual) * np.log(2 * np.pi)))


def _gradient(function: Mean, θ: Sequence[float]) -> np.ndarray:
    """Return derivatives of a smooth function of θ to 1e-9 or so, shape (n_params, values)."""
    centre = np.array(θ, float)
    steps = 1e-4 * np.diag(np.maximum(np.abs(centre), 1))
    values = [function(centre + factor * steps) for factor in (-2, -1, 1, 2)]
    difference = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12
    return difference.reshape(len(centre), -1) / steps.sum(1)[:, None]


def _covariance_changes(covariance: Covariance, θ: Sequence[float]) -> np.ndarray:
    """Return C⁻¹ ∂C for each parameter, shape (n_params, n, n)."""
    C = covariance(np.array([θ], float))[0]
    return np.linalg.solve(C, _gradient(covariance, θ).reshape(-1, *C.shape))


def _squared_distances(points: np.ndarray) -> np.ndarray:
    return np.sum((points[:, None] - points) ** 2, axis=-1)


def _size(n: Any, least: int = 1) -> int:
    return checks.integer("n", n, least, maximum=checks.MOST)


def _seed(seed: Any) -> Any:
    return checks.optional_integer("seed", seed, 0, maximum=checks.LARGEST_SEED)


def _covariance(value: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a covariance and its lower Cholesky factor, shape (n, n) each."""
    array = checks.finite("covariance", checks.real_array("covariance", value).astype(float))
    try:
        if array.shape != (n, n) or not np.allclose(array, array.T):
            raise linalg.LinAlgError
        return array, linalg.cholesky(array, lower=True)
    except linalg.LinAlgError:
        expected = f"be symmetric and positive definite, shape ({n}, {n})"
        received = checks.describe(array)
        raise ValueError(checks.wording("`covariance`", expected, received)) from None


def _gaussian_log_likelihood(residual: np.ndarray, covariance: np.ndarray) -> float:
    try:
        factor = linalg.cho_factor(covariance, lower=True)
    except linalg.LinAlgError:
        return -np.inf
    log_det = 2 * np.sum(np.log(np.diag(factor[0])))
    square = residual @ linalg.cho_solve(factor, residual)
    return float(-0.5 * (square + log_det + len(residual) * np.log(2 * np.pi)))
