"""FedAvg: the mean of the clients' changes, weighted by their examples (McMahan et al. 2017, algorithm 1)."""

from server.aggregation.update import Arrays
from server.base import STRATEGIES, MeanStrategy
from server.context import StrategyContext, between


@STRATEGIES.register("fedavg")
class FedAvg(MeanStrategy):
    """The mean change, with a server learning rate.

    Args:
        context: What the runner tells of the run.
        server_lr: Factor on the mean change, above 0; 1 replaces the global adapter by the mean.
    """

    def __init__(self, context: StrategyContext, server_lr: float = 1.0) -> None:
        super().__init__(context)
        self.server_lr = between("server_lr", server_lr, above=0)

    def step(self, update: Arrays) -> Arrays:
        """Return `server_lr` times the mean change."""
        return {name: array * self.server_lr for name, array in update.items()}
