"""FedAvgM: FedAvg with server momentum (Hsu, Qi and Brown 2019, section 3)."""

import numpy as np

from server.aggregation.update import Arrays, State
from server.base import STRATEGIES
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg


@STRATEGIES.register("fedavgm")
class FedAvgM(FedAvg):
    """Moves by an exponential mean of the rounds' mean changes, which averages out their noise.

    The mean starts at 0 and is not corrected for that, so that the first, steepest rounds take small steps.

    Args:
        context: What the runner tells of the run.
        server_lr: Factor on the mean over rounds, above 0.
        momentum: Decay of that mean, in [0, 1); 0 is FedAvg.
    """

    def __init__(self, context: StrategyContext, server_lr: float = 1.0, momentum: float = 0.8) -> None:
        super().__init__(context, server_lr)
        self.momentum = between("momentum", momentum, least=0, below=1)
        self.mean: Arrays = {}

    def step(self, update: Arrays) -> Arrays:
        """Return `server_lr * m` with `m = momentum * m + (1 - momentum) * update`."""
        keep = self.momentum
        before = self.mean or {name: np.zeros_like(array) for name, array in update.items()}
        self.mean = {n: (keep * before[n] + (1 - keep) * array).astype(np.float32) for n, array in update.items()}
        return super().step(self.mean)

    def state(self) -> State:
        """Return the mean over rounds."""
        return dict(self.mean)

    def restore(self, state: State) -> None:
        """Take the mean back."""
        self.mean = dict(state)
