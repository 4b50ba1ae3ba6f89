"""Distributions of PyTorch made of families; imported only where PyTorch is.

Two that PyTorch lacks are added: the density of a log-uniform distribution is 1/(θ ln(high/low)),
that of a truncated normal one the normal density divided by its mass Z between the bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import distributions
from torch.distributions import constraints

from imnn_lab.handover.families import Family


class LogUniform(distributions.TransformedDistribution):
    """A distribution whose logarithm is uniform.

    Parameters
    ----------
    low, high : tensor, shape (1,)
        Bounds, both positive.
    """

    arg_constraints = {"low": constraints.positive, "high": constraints.positive}  # noqa: RUF012

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = low, high
        logarithm = distributions.Uniform(low.log(), high.log(), validate_args)
        super().__init__(logarithm, [distributions.ExpTransform()], validate_args)

    @property
    def support(self) -> Any:
        """The interval between the bounds."""
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        """Its mean."""
        return (self.high - self.low) / (self.high / self.low).log()

    @property
    def variance(self) -> Any:
        """Its variance."""
        return (self.high**2 - self.low**2) / (2 * (self.high / self.low).log()) - self.mean**2


class TruncatedNormal(distributions.Distribution):
    """A normal distribution, cut off at bounds.

    Parameters
    ----------
    loc, scale : tensor, shape (1,)
        Mean and standard deviation before the cut.
    low, high : tensor, shape (1,)
        Bounds, one of which may be infinite.
    """

    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real,
        "scale": constraints.positive,
        "low": constraints.real,
        "high": constraints.real,
    }

    def __init__(
        self, loc: Any, scale: Any, low: Any, high: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.low, self.high = loc, scale, low, high
        μ, σ, *ends = (each.double().cpu().numpy() for each in (loc, scale, low, high))
        a, b = ((end - μ) / σ for end in ends)
        self._exact = stats.truncnorm(a, b, μ, σ)
        within = np.clip(0.0, a, b)
        self._log_Z = self._tensor(stats.norm.logpdf(within) - stats.truncnorm.logpdf(within, a, b))
        super().__init__(loc.shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The interval between the bounds."""
        if torch.isinf(self.high).all():
            return constraints.greater_than_eq(self.low)
        if torch.isinf(self.low).all():
            return constraints.less_than(self.high)
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Any:
        """Its mean."""
        return self._tensor(self._exact.mean())

    @property
    def variance(self) -> Any:
        """Its variance."""
        return self._tensor(self._exact.var())

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draw by the inverse of the distribution function."""
        uniform = torch.rand(self._extended_shape(torch.Size(sample_shape)), dtype=torch.float64)
        drawn = self._tensor(self._exact.ppf(uniform.numpy()))
        return drawn.clamp(self.low, self.high)  # what float32 rounds beyond them

    def log_prob(self, value: Any) -> Any:
        """Return the log density, −∞ outside the bounds."""
        u = (value - self.loc) / self.scale
        density = -(u**2) / 2 - self.scale.log() - np.log(2 * np.pi) / 2 - self._log_Z
        return torch.where((value >= self.low) & (value <= self.high), density, -torch.inf)

    def _tensor(self, values: Any) -> Any:
        return torch.as_tensor(values).to(self.loc)


def torch_distribution(family: Family) -> Any:
    """Return the distribution of PyTorch that a family names, its tensors of shape (1,).

    Parameters
    ----------
    family : Family
    """
    own = {"LogUniform": LogUniform, "TruncatedNormal": TruncatedNormal}
    make = own.get(family.name) or getattr(distributions, family.name)
    tensors = {
        key: torch.as_tensor(np.atleast_1d(value), dtype=torch.float32)
        for key, value in family.parameters.items()
    }
    return make(**tensors, validate_args=False)
