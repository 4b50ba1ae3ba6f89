"""A network whose run does what a test says: no TensorFlow, no thread, no waiting."""

import threading

import numpy as np

from imnn_lab.history import History, SteeringMark
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics

NAMES = (
    "det_F", "val_det_F", "det_C", "val_det_C", "det_Cinv", "val_det_Cinv", "log_det_F",
    "val_log_det_F", "reg", "val_reg", "r", "val_r", "loss",
)  # fmt: skip


class ScriptedRun:
    def __init__(self, imnn, λ, ε, last, patience=None, objective="imnn"):
        self.state, self.reason, self.error, self.last = "running", "", None, last
        self.patience, self.stale, self._ended = patience, 0, threading.Event()
        self.regularisation = Regularisation(λ, ε)
        self.asked, self._imnn, self.objective = [], imnn, objective

    @property
    def has_ended(self):
        return self.state in ("finished", "stopped", "failed")

    def pause(self):
        self.state = "paused"

    def resume(self):
        self.state = "running"

    def stop(self, checkpoint=False):
        self.finish("stopped by the user", "stopped")

    def finish(self, reason, state="finished"):
        self.state, self.reason = state, reason
        self._ended.set()

    def wait(self, timeout=None):
        return self._ended.wait(timeout)

    def steer(self, *, λ=None, ε=None, learning_rate=None):
        self.asked.append({"λ": λ, "ε": ε, "learning_rate": learning_rate})

    def apply_all(self):
        """Apply all that was asked for, at the next iteration."""
        while self.asked:
            self.apply(self.asked.pop(0))

    def apply(self, asked=None):
        """Apply what was asked for, the last if not said, at the next iteration."""
        asked = asked or self.asked[-1]
        now, history = self.regularisation, self._imnn.history
        at = len(history)
        for name in ("λ", "ε"):
            if asked[name] is not None and asked[name] != getattr(now, name):
                history.mark(SteeringMark(at, name, asked[name], getattr(now, name), at - 3))
        if asked["λ"] is not None:
            self.regularisation = Regularisation(asked["λ"], asked["ε"])
        if asked["learning_rate"] is not None:
            history.mark(SteeringMark(at, "learning_rate", asked["learning_rate"], 1e-3, at - 3))


class ScriptedNetwork:
    """Has what `imnn_lab.dashboards.training.protocols.Trained` asks for."""

    θ_fid = np.array([0.0, 1.0])

    def __init__(self, validation=True):
        self.history, self.run, self.started = History(), None, []
        self.validation = FisherStatistics(*statistics(1.0)) if validation else None

    def start(
        self, n_iterations=None, *, λ=10.0, ε=0.1, patience=None, reset=False, objective="imnn"
    ):
        self.started.append({"n_iterations": n_iterations, "λ": λ, "ε": ε, "reset": reset})
        if reset:
            self.history = History()
        self.run = ScriptedRun(self, λ, ε, n_iterations, patience, objective)
        return self.run

    def train(self, n, learning_rate=1e-3, **given):
        """Append n iterations whose det F is the iteration + 1, but for the columns given."""
        first = len(self.history)
        i = np.arange(first, first + n)
        columns = dict.fromkeys(NAMES, 1.0 + i) | {"iteration": i, "seconds": i / 100}
        run = self.run
        pair = run.regularisation if run else Regularisation(10, 0.1)
        settings = {"λ": pair.λ, "ε": pair.ε, "α": pair.α, "learning_rate": learning_rate}
        columns |= {name: np.full(n, value) for name, value in settings.items()}
        if self.validation is None:
            columns |= {name: np.full(n, np.nan) for name in NAMES if name.startswith("val_")}
        columns |= given
        μ, C, dμ_dθ = (np.stack(x) for x in zip(*map(statistics, 1.0 + i), strict=True))
        matrices = {"μ": μ, "C": C, "dμ_dθ": dμ_dθ, "F": dμ_dθ @ dμ_dθ}
        if self.validation is not None:
            matrices |= {f"val_{name}": values for name, values in matrices.items()}
        self.history.append(columns, matrices)


def statistics(det_F):
    """Return μ, C and dμ_dθ with a given det F."""
    return np.zeros(2), np.eye(2), np.diag([np.sqrt(det_F), 1.0])
