"""NewRule: clients are drawn towards where they ended last time; both halves of it.

The client's half keeps its last parameters to itself, so nothing leaves the client that plain training would not send.
"""

from torch import Tensor

from fedrec.training.rules.base import Adapter, LocalWork, Rule, Stack
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg


class NewRuleClient(Rule):
    """The client's half: adds the gradient of `mu / 2 * ||w - w_kept||^2`.

    Args:
        work: What every client does in a round.
        mu: Strength of the pull; 0 is plain training.
    """

    def __init__(self, work: LocalWork, mu: float) -> None:
        super().__init__(work)
        self.mu = mu

    def kept_start(self, before: Adapter) -> dict[str, Tensor]:
        """Return the adapter that a client is sent first: nothing draws it elsewhere yet."""
        return dict(before)

    def init(self, before: Stack, extras: Adapter, kept: Stack) -> Stack:
        """Return where the clients ended last time."""
        del before, extras
        return kept

    def direction(self, gradient: Stack, parameters: Stack, state: Stack) -> Stack:
        """Return `g + mu * (w - w_kept)`."""
        return {name: value + self.mu * (parameters[name] - state[name]) for name, value in gradient.items()}

    def final(self, before: Stack, after: Stack, state: Stack) -> tuple[Stack, Stack]:
        """Send nothing beside the change, and keep where the clients ended."""
        del before, state
        return {}, after


class NewRule(FedAvg):
    """The server's half: FedAvg that names the rule and says how strong it is.

    Args:
        context: What the runner tells of the run.
        mu: Strength of the pull, at least 0.
        server_lr: Factor on the mean change, above 0.
    """

    rule = f"{__name__}:NewRuleClient"

    def __init__(self, context: StrategyContext, mu: float = 0.1, server_lr: float = 1.0) -> None:
        super().__init__(context, server_lr)
        self.mu = between("mu", mu, least=0)

    def client_config(self) -> dict[str, float]:
        """Return the options of the client's half."""
        return {"mu": self.mu}
