"""Random draws that stay paired when their parameters move: x = F⁻¹(u; parameters), in NumPy.

NumPy draws Poisson, gamma, beta, t and other numbers by rejection: how many random numbers it
takes, and which, depends on the parameters, so that one seed gives unrelated draws at parameters
1 % apart. Here each draw takes exactly one uniform u, of 53 bits and strictly between 0 and 1, and
inverts the distribution function at it. Names and parameters are those of `numpy.random.Generator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from imnn_lab import checks

Random = np.random.Generator | int | None
Size = int | tuple[int, ...] | None
SMALLEST = 2.0**-54  # half a step of the uniforms, in place of 0
MOST_AXES = 32  # of NumPy 1
LARGEST_COUNT = 2.0**52  # up to here, integers and their halves are exact in float64


def uniform(rng: Random, size: Size = None) -> np.ndarray:
    """Return uniforms strictly between 0 and 1, shape `size`.

    Parameters
    ----------
    rng : numpy.random.Generator, or int
        Generator of random numbers, or its seed.
    size : int or tuple of int, optional
        Shape of the result; None gives a single one, of shape ().
    """
    return np.maximum(checks.generator("rng", rng).random(_lengths(size)), SMALLEST)


def poisson(rng: Random, lam: Any = 1.0, size: Size = None) -> np.ndarray:
    """Return Poisson numbers, int64, shape `size`.

    Parameters
    ----------
    rng : numpy.random.Generator, or int
        Generator of random numbers, or its seed.
    lam : array-like
        Mean, at least 0.
    size : int or tuple of int, optional
        Shape of the result; None takes that of the parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import matched
    >>> rate = np.array([0.5, 3, 100])
    >>> matched.poisson(1, rate), matched.poisson(1, 1.02 * rate)
    (array([  0,   6,  89]), array([  0,   6,  91]))
    """
    lam = _real("lam", lam, least=0, most=LARGEST_COUNT / 4)
    return poisson_quantile(*_uniforms(rng, size, lam=lam))


def binomial(rng: Random, n: Any, p: Any, size: Size = None) -> np.ndarray:
    """Return binomial numbers, int64, shape `size`.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    n : array-like of int
        Number of trials, at least 0.
    p : array-like
        Probability of a success, from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        If they are not integers and probabilities.
    """
    n = _real("n", n, least=0, most=LARGEST_COUNT)
    if (n != np.floor(n)).any():
        raise ValueError(checks.wording("`n`", "hold integers", checks.describe(n)))
    p = _real("p", p, least=0, most=1)
    return binomial_quantile(*_uniforms(rng, size, n=n, p=p))


def negative_binomial(rng: Random, n: Any, p: Any, size: Size = None) -> np.ndarray:
    """Return numbers of failures before `n` successes, int64, shape `size`.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    n : array-like
        Number of successes, above 0; it need not be an integer.
    p : array-like
        Probability of a success, above 0 and at most 1.

    Raises
    ------
    TypeError, ValueError
        If they are not within these limits, or the numbers would exceed 4e15.
    """
    n, p = _real("n", n, above=0, most=LARGEST_COUNT), _real("p", p, above=0, most=1)
    u, n, p = _uniforms(rng, size, n=n, p=p)
    if (np.maximum(n, 100) > LARGEST_COUNT * p).any():
        expected = f"give numbers below {LARGEST_COUNT:.1g}"
        raise ValueError(checks.wording("`n` and `p`", expected, "a mean n (1 − p)/p near it"))
    return negative_binomial_quantile(u, n, p)


def gamma(rng: Random, shape: Any, scale: Any = 1.0, size: Size = None) -> np.ndarray:
    """Return gamma numbers, of mean shape · scale; their shape is `size`.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    shape, scale : array-like
        Both above 0. Draws of a tiny shape that are below 1e-308 are 0.
    """
    parameters = {"shape": _real("shape", shape, above=0), "scale": _real("scale", scale, above=0)}
    u, shape, scale = _uniforms(rng, size, **parameters)
    return scale * special.gammaincinv(shape, u)


def beta(rng: Random, a: Any, b: Any, size: Size = None) -> np.ndarray:
    """Return beta numbers, from 0 to 1, shape `size`.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    a, b : array-like
        Both above 0.
    """
    u, a, b = _uniforms(rng, size, a=_real("a", a, above=0), b=_real("b", b, above=0))
    return special.betaincinv(a, b, u)


def standard_t(rng: Random, df: Any, size: Size = None) -> np.ndarray:
    """Return numbers of Student's t distribution, shape `size`.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    df : array-like
        Degrees of freedom, above 0.
    """
    u, df = _uniforms(rng, size, df=_real("df", df, above=0))
    return special.stdtrit(df, u)


def vonmises(rng: Random, mu: Any, kappa: Any, size: Size = None) -> np.ndarray:
    """Return angles of the von Mises distribution, from −π to π, shape `size`.

    They are paired on the circle: one near π may go to −π when `mu` moves.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    mu : array-like
        Angle of the mode.
    kappa : array-like
        Concentration, at least 0.
    """
    parameters = {"mu": _real("mu", mu), "kappa": _real("kappa", kappa, least=0)}
    u, mu, kappa = _uniforms(rng, size, **parameters)
    angle = mu + _vonmises_inverse(u, kappa)
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def draw(rng: Random, distribution: Any, size: Size = None) -> np.ndarray:
    """Return draws from any distribution of scipy.stats, shape `size`; int64 if it is discrete.

    Parameters
    ----------
    rng, size : optional
        As for `poisson`.
    distribution : frozen distribution of scipy.stats
        Of one variable, with its parameters, such as ``scipy.stats.weibull_min(1.5)``.

    Raises
    ------
    TypeError
        If it has no inverse distribution function.
    ValueError
        If its parameters are not valid.

    Examples
    --------
    >>> from scipy import stats
    >>> from imnn_lab import matched
    >>> matched.draw(1, stats.weibull_min(1.5), 3).round(2)
    array([0.8 , 2.08, 0.29])
    """
    if not callable(getattr(distribution, "ppf", None)) or not hasattr(distribution, "args"):
        expected = "be a frozen distribution of scipy.stats with one variable"
        remedy = "Give it parameters: scipy.stats.weibull_min(1.5)."
        received = checks.describe(distribution)
        raise TypeError(checks.wording("`distribution`", expected, received, remedy))
    parameters = (*distribution.args, *distribution.kwds.values())
    if size is None:
        size = np.broadcast_shapes(*(np.shape(parameter) for parameter in parameters))
    drawn = distribution.ppf(uniform(rng, size))
    if np.isnan(drawn).any():
        received = f"parameters {parameters}"
        raise ValueError(checks.wording("`distribution`", "have valid parameters", received))
    return drawn.astype(np.int64) if isinstance(distribution.dist, stats.rv_discrete) else drawn


def poisson_quantile(u: np.ndarray, lam: np.ndarray) -> np.ndarray:
    """Return the Poisson numbers of uniforms, int64; both of one shape."""
    guess = _cornish_fisher(u, lam, np.sqrt(lam), 1 / np.sqrt(np.maximum(lam, SMALLEST)))
    return _smallest_count(u, special.pdtr, (lam,), guess)


def binomial_quantile(u: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the binomial numbers of uniforms, int64; all of one shape."""
    sd = np.sqrt(n * p * (1 - p))
    guess = _cornish_fisher(u, n * p, sd, (1 - 2 * p) / np.maximum(sd, SMALLEST))
    return _smallest_count(u, _binomial_cdf, (n, p), np.minimum(guess, n))


def negative_binomial_quantile(u: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the negative binomial numbers of uniforms, int64; all of one shape."""
    spread = np.sqrt(n * (1 - p))
    skewness = (2 - p) / np.maximum(spread, SMALLEST)
    guess = _cornish_fisher(u, n * (1 - p) / p, spread / p, skewness)
    return _smallest_count(u, _negative_binomial_cdf, (n, p), guess)


def _real(
    name: str,
    value: Any,
    *,
    above: float = -np.inf,
    least: float = -np.inf,
    most: float = np.inf,
) -> np.ndarray:
    """Return finite float64 parameters within limits."""
    array = checks.finite(name, checks.real_array(name, value).astype(np.float64))
    outside = (array <= above) | (array < least) | (array > most)
    if outside.any():
        limits = {"above": above, "at least": least, "at most": most}
        words = " and ".join(f"{word} {x:g}" for word, x in limits.items() if np.isfinite(x))
        raise ValueError(checks.wording(f"`{name}`", f"be {words}", array[outside].flat[0]))
    return array


def _lengths(size: Any) -> tuple[int, ...] | None:
    """Return `size` as a tuple of lengths, or None."""
    if size is None:
        return None
    is_one = checks.as_array(size).ndim == 0 and not isinstance(size, str | bytes | set | dict)
    lengths = checks.integers("size", [size] if is_one else size, 0)
    if len(lengths) > MOST_AXES or math.prod(lengths) > checks.MOST:
        expected = f"have at most {MOST_AXES} entries and {checks.MOST:.0e} draws"
        raise ValueError(checks.wording("`size`", expected, checks.describe(lengths)))
    return lengths


def _uniforms(rng: Random, size: Size, **parameters: np.ndarray) -> list[np.ndarray]:
    """Return one uniform for each draw, and the parameters, all of one shape."""
    shapes = [array.shape for array in parameters.values()]
    wanted = _lengths(size)
    try:
        shape = np.broadcast_shapes(*shapes)
        wanted = shape if wanted is None else wanted
        if np.broadcast_shapes(shape, wanted) != wanted:
            raise ValueError
    except ValueError:
        names = " and ".join(f"`{name}`" for name in parameters)
        expected = "have shapes that go with each other and with `size`"
        received = f"{', '.join(map(str, shapes))} and {size}"
        raise ValueError(checks.wording(names, expected, received)) from None
    u = uniform(rng, wanted)
    return [u, *(np.broadcast_to(array, wanted) for array in parameters.values())]


def _cornish_fisher(
    u: np.ndarray, mean: np.ndarray, sd: np.ndarray, skewness: np.ndarray
) -> np.ndarray:
    """Return about where u is reached: a normal quantile, corrected for skewness; at least 0."""
    z = special.ndtri(u)
    return np.maximum(np.floor(mean + sd * (z + skewness * (z**2 - 1) / 6)), 0.0)


def _smallest_count(
    u: np.ndarray,
    cdf: Callable[..., np.ndarray],
    parameters: tuple[np.ndarray, ...],
    guess: np.ndarray,
) -> np.ndarray:
    """Return the smallest integer k ≥ 0 with cdf(k, *parameters) ≥ u, near a guess of it.

    Brackets (low, high] with cdf(low) < u ≤ cdf(high) grow by doubled steps, then are halved.
    """
    shape = u.shape
    u, probe = np.ravel(u), np.array(guess, float).ravel()
    flat = [np.ravel(array) for array in parameters]
    low, high = np.full(u.size, -1.0), np.full(u.size, np.inf)
    at, step, is_low_known = np.arange(u.size), 1.0, np.zeros(u.size, bool)
    while at.size:
        k = probe[at]
        reached = cdf(k, *(array[at] for array in flat)) >= u[at]
        high[at[reached]], low[at[~reached]] = k[reached], k[~reached]
        is_low_known[at[~reached]] = True
        at = at[high[at] - low[at] > 1]
        below, above = low[at], high[at]
        near = np.where(np.isinf(above), below + step, np.maximum(above - step, below + 1))
        is_bracketed = is_low_known[at] & np.isfinite(above)
        probe[at] = np.where(is_bracketed, np.floor((below + above) / 2), near)
        step *= 2
    return high.astype(np.int64).reshape(shape)


def _binomial_cdf(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.where(k >= n, 1.0, special.betainc(np.maximum(n - k, 1.0), k + 1, 1 - p))


def _negative_binomial_cdf(k: np.ndarray, n: np.ndarray, p: np.ndarray) -> np.ndarray:
    return special.betainc(n, k + 1, p)


def _vonmises_inverse(u: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Return the angle x, of mode 0, by Newton steps in the lower half, where F is convex."""
    shape, is_upper = u.shape, np.ravel(u > 0.5)
    u, kappa = np.ravel(np.minimum(u, 1 - u)), np.ravel(kappa)
    sine = -special.ndtri(u) / (2 * np.sqrt(np.maximum(kappa, SMALLEST)))
    x = np.where(kappa < 1, np.pi * (2 * u - 1), -2 * np.arcsin(np.minimum(sine, 1.0)))
    at = np.arange(u.size)
    for _ in range(100):
        k = kappa[at]
        density = np.exp(k * (np.cos(x[at]) - 1)) / (2 * np.pi * special.i0e(k))
        change = (_vonmises_cdf(x[at], k) - u[at]) / np.maximum(density, SMALLEST**4)
        moved = np.clip(x[at] - change, -np.pi, 0.0)
        is_moving = np.abs(moved - x[at]) > 1e-12
        x[at] = moved
        at = at[is_moving]
    return np.where(is_upper, -x, x).reshape(shape)


def _vonmises_cdf(x: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Return F of −π ≤ x ≤ 0.

    For κ > 50, where SciPy's is good to 1e-4 only, from y = −2√κ sin(x/2), whose density is
    that of a normal times (1 − y²/4κ)^−½, a series in y²/4κ.
    """
    result = np.empty_like(x)
    narrow = kappa > 50
    result[~narrow] = stats.vonmises.cdf(x[~narrow], kappa[~narrow])
    κ, square = kappa[narrow], 2 * kappa[narrow] * np.sin(x[narrow] / 2) ** 2
    j = np.arange(7)[:, None]
    term = special.binom(2 * j, j) * (8 * κ) ** -j * special.gamma(j + 0.5)
    tail = np.sum(term * special.gammaincc(j + 0.5, square), axis=0)
    result[narrow] = 0.5 * tail / term.sum(axis=0)
    return result
