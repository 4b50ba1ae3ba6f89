"""A made-up suite of simulations as the large ones are: other points, seeds and counts each."""

import numpy as np

NAMES = ("Ω_m", "w", "h", "M_ν")
POINTS = {"Ω_m": (-0.01, 0.01), "w": (0.05, -0.05), "h": (-0.02, 0.02), "M_ν": (0, 0.1, 0.2, 0.4)}
COUNTS = {"Ω_m": 300, "w": 300, "h": 240, "M_ν": 200}
N_S, N_VALUES = 600, 8
J = np.random.default_rng(0).normal(size=(4, N_VALUES)) * np.array([40, 4, 20, 1.5])[:, None]
EXACT = J @ J.T  # of the mean: the covariance is 1
OTHER_MEAN = 0.3  # of the simulations that only M_ν is differenced against


class Seeded:
    """Simulations of some seeds, as a directory of files has them."""

    def __init__(self, values, seeds):
        self.values, self.seeds = values, seeds
        self.shape, self.dtype = values.shape, values.dtype

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def select(self, seeds):
        places = {seed: i for i, seed in enumerate(self.seeds)}
        return Seeded(self.values[[places[seed] for seed in seeds]], list(seeds))


def simulations(name, offset, seeds, start=0):
    """Return simulations at one point: of a mean that is a cubic of M_ν, and a changing scatter."""
    z = np.stack([np.random.default_rng([start, seed]).normal(size=N_VALUES) for seed in seeds])
    if name is None:
        return z
    slope = J[NAMES.index(name)]
    if name != "M_ν":
        return slope * offset + z * (1 + offset)
    bend = slope[::-1] * (10 * offset**2 - 20 * offset**3)
    return OTHER_MEAN + slope * offset + bend + z * (1 + offset / 4)


def suite(start=0, share=0.85, n=1.0):
    """Return fiducial simulations, and {parameter: {offset: seeded simulations}}."""
    rng = np.random.default_rng(start + 1)
    fiducial = simulations(None, 0, range(N_S), start)
    derivative = {}
    for name, offsets in POINTS.items():
        derivative[name] = {}
        for offset in offsets:
            seeds = np.flatnonzero(rng.uniform(size=int(n * COUNTS[name])) < share)
            values = simulations(name, offset, seeds, start)
            derivative[name][offset] = Seeded(values, seeds.tolist())
    return fiducial, derivative


def slopes_by_hand(points, weights):
    """Return seeds and derivatives of single simulations, from the seeds that all points have."""
    common = sorted(set.intersection(*(set(data.seeds) for data in points.values())))
    chosen = [np.asarray(data.select(common)) for data in points.values()]
    return common, sum(w * x for w, x in zip(weights, chosen, strict=True))
