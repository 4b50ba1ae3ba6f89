"""A problem whose posterior is known: data Aθ + n, Gaussian n, and its exact estimator."""

import numpy as np

from imnn_lab import LFI
from imnn_lab.inference import Uniform


class LinearGaussian:
    """Data d = Aθ + n with n ~ N(0, N): F = A'N⁻¹A, θ̂ = F⁻¹A'N⁻¹d ~ N(θ, F⁻¹).

    The prior is U(−6, 6), or reaches so many standard deviations to either side of the estimate.
    """

    def __init__(self, n_params, seed=0, values=8, reach=None):
        rng = np.random.default_rng(seed)
        self.A = rng.normal(size=(values, n_params)) + np.eye(values, n_params)
        root = rng.normal(size=(values, values)) / 3 + np.eye(values)
        self.root, self.precision = root, np.linalg.inv(root @ root.T)
        self.F = self.A.T @ self.precision @ self.A
        θ = np.linspace(-0.3, 0.4, n_params)
        self.target = self.simulate(θ[None], 123)
        self.estimate_of_target = self.estimate(self.target)[0]
        half, middle = np.full(n_params, 6.0), np.zeros(n_params)
        if reach is not None:
            half = reach * np.sqrt(np.diag(np.linalg.inv(self.F)))
            middle = self.estimate_of_target
        self.prior = Uniform(middle - half, middle + half)

    def simulate(self, parameters, seed):
        noise = np.random.default_rng(seed).standard_normal((len(parameters), len(self.A)))
        return parameters @ self.A.T + noise @ self.root.T

    def estimate(self, data):
        return np.linalg.solve(self.F, self.A.T @ self.precision @ data.T).T

    def inference(self, kind, **options):
        arguments = (self.target, self.prior, self.F, self.estimate)
        if kind is LFI.GaussianApproximation:
            return kind(*arguments, **options)
        return kind(*arguments, self.simulate, verbose=False, **options)

    def whitened_variance(self, covariance, ε):
        """Tr(F Σ)/n_params in units of 1 + ε²/(n_params + 2): one for a right posterior."""
        p = len(self.F)
        return np.trace(self.F @ covariance) / p / (1 + ε**2 / (p + 2))
