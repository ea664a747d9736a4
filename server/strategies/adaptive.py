"""Adaptive server optimisers: what FedAdam and FedYogi share (Reddi et al. 2021, algorithm 2)."""

from abc import abstractmethod

import numpy as np

from server.aggregation.update import Array, Arrays, State
from server.base import MeanStrategy
from server.context import StrategyContext, between


class AdaptiveStrategy(MeanStrategy):
    """Takes the mean change for a gradient and keeps its first and second moment.

    Args:
        context: What the runner tells of the run.
        server_lr: Server learning rate, eta, above 0.
        beta_1: Decay of the first moment, in [0, 1).
        beta_2: Decay of the second moment, in [0, 1).
        tau: Adaptivity, above 0: the second moment starts at `tau ** 2`, and `tau` keeps steps finite.
    """

    def __init__(
        self,
        context: StrategyContext,
        server_lr: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        tau: float = 1e-3,
    ) -> None:
        super().__init__(context)
        self.server_lr = between("server_lr", server_lr, above=0)
        self.beta_1 = between("beta_1", beta_1, least=0, below=1)
        self.beta_2 = between("beta_2", beta_2, least=0, below=1)
        self.tau = between("tau", tau, above=0)
        self.first: Arrays = {}
        self.second: Arrays = {}

    @abstractmethod
    def moment(self, second: Array, square: Array) -> Array:
        """Return the new second moment from the old one and the squared update."""

    def step(self, update: Arrays) -> Arrays:
        """Return `eta * m / (sqrt(v) + tau)` with the moments brought up to date."""
        if not self.first:
            self.first = {name: np.zeros_like(array) for name, array in update.items()}
            self.second = {name: np.full_like(array, self.tau**2) for name, array in update.items()}
        keep = self.beta_1
        self.first = {n: (keep * self.first[n] + (1 - keep) * array).astype(np.float32) for n, array in update.items()}
        self.second = {n: self.moment(self.second[n], np.square(a)).astype(np.float32) for n, a in update.items()}
        return {
            n: (self.server_lr * self.first[n] / (np.sqrt(self.second[n]) + self.tau)).astype(np.float32)
            for n in update
        }

    def state(self) -> State:
        """Return both moments."""
        return {f"first/{n}": a for n, a in self.first.items()} | {f"second/{n}": a for n, a in self.second.items()}

    def restore(self, state: State) -> None:
        """Take both moments back."""
        self.first = {n.removeprefix("first/"): a for n, a in state.items() if n.startswith("first/")}
        self.second = {n.removeprefix("second/"): a for n, a in state.items() if n.startswith("second/")}
