"""SCAFFOLD (Karimireddy et al. 2020, algorithm 1, option II): control variates against clients that drift apart.

Each client keeps a control, an estimate of its own gradient, and the server keeps their mean. A client's steps follow
`g - c_client + c`: what all clients' gradients have in common, and not what its own data alone wants.
"""

import numpy as np
from torch import Tensor, zeros_like

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import Adapter, LocalWork, Rule, Stack
from server.aggregation.update import Arrays, State
from server.base import STRATEGIES
from server.context import StrategyContext
from server.strategies.fedavg import FedAvg

Controls = tuple[Adapter, Stack]
"""The server's control, `[*shape]` by name, and the clients', `[clients, *shape]`."""


class ScaffoldRule(Rule):
    """The client's half: it keeps `c_client` and sends by how much that moved.

    Args:
        work: What every client does in a round.

    Raises:
        ConfigError: If its steps are not SGD's, from whose length the control is found.
    """

    def __init__(self, work: LocalWork) -> None:
        super().__init__(work)
        if work.optimizer != "sgd":
            message = f"scaffold reads gradients off SGD's steps, got training.optimizer={work.optimizer}; set sgd"
            raise ConfigError(message)

    def extras_like(self, before: Adapter) -> dict[str, Tensor]:
        """Return the server's control: of the adapter's names and shapes."""
        return dict(before)

    def payload_like(self, before: Adapter) -> dict[str, Tensor]:
        """Return the change of a client's control: the same."""
        return dict(before)

    def kept_start(self, before: Adapter) -> dict[str, Tensor]:
        """Return zeros, with which every control starts."""
        return {name: zeros_like(value) for name, value in before.items()}

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Controls:
        """Return both controls."""
        del before
        return extras, kept

    def direction(self, gradient: Stack, parameters: Stack, state: Controls) -> Stack:
        """Return `g - c_client + c`."""
        del parameters
        server, own = state
        return {name: value - own[name] + server[name] for name, value in gradient.items()}

    def final(self, before: Stack, after: Stack, state: Controls) -> tuple[Stack, Stack]:
        """Return the change of the control and the control: `c_client - c + (before - after) / (steps * lr)`."""
        server, own = state
        length = self.work.steps * self.work.lr
        new = {n: own[n] - server[n] + (start - after[n]) / length for n, start in before.items()}
        return {name: value - own[name] for name, value in new.items()}, new


@STRATEGIES.register("scaffold")
class Scaffold(FedAvg):
    """The server's half: FedAvg, and the control as the mean over all clients.

    Changes are weighted as FedAvg weights them, by examples where no privacy makes all weights 1; controls have the
    paper's weight, 1. A client whose reply is lost or rejected has moved its own control all the same.

    Args:
        context: What the runner tells of the run.
        server_lr: Factor on the mean change, above 0.
    """

    rule = f"{__name__}:ScaffoldRule"

    def __init__(self, context: StrategyContext, server_lr: float = 1.0) -> None:
        super().__init__(context, server_lr)
        self.control: Arrays = {}

    def extras(self) -> Arrays:
        """Return the control, zeros in the first round."""
        return self.control or {name: np.zeros_like(value) for name, value in self.current.items()}

    def receive(self, payload: Arrays, replies: int) -> None:
        """Move the control by `replies / clients` times the mean change of those who replied."""
        share, before = replies / self.context.plan.clients, self.extras()
        self.control = {name: (before[name] + share * change).astype(np.float32) for name, change in payload.items()}

    def state(self) -> State:
        """Return the control."""
        return dict(self.control)

    def restore(self, state: State) -> None:
        """Take the control back."""
        self.control = dict(state)
