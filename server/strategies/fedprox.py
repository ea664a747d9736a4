"""FedProx: FedAvg whose clients are pulled towards the global adapter (Li et al. 2020, equation 2).

The server's half is here; the client's half is `fedrec.training.rules.proximal`.
"""

from server.base import STRATEGIES
from server.context import StrategyContext, between
from server.strategies.fedavg import FedAvg


@STRATEGIES.register("fedprox")
class FedProx(FedAvg):
    """FedAvg that sends `mu`; with mu 0 it is FedAvg.

    Args:
        context: What the runner tells of the run.
        mu: Strength of the pull, at least 0.
        server_lr: Factor on the mean change.
    """

    rule = "proximal"

    def __init__(self, context: StrategyContext, mu: float = 0.01, server_lr: float = 1.0) -> None:
        super().__init__(context, server_lr)
        self.mu = between("mu", mu, least=0)

    def client_config(self) -> dict[str, float]:
        """Tell the clients how strongly they are pulled."""
        return {"mu": self.mu}
