"""FedAdam: Adam on the server, over the mean change (Reddi et al. 2021)."""

from server.aggregation.update import Array
from server.base import STRATEGIES
from server.strategies.adaptive import AdaptiveStrategy


@STRATEGIES.register("fedadam")
class FedAdam(AdaptiveStrategy):
    """Second moment: `v = beta_2 * v + (1 - beta_2) * update ** 2`."""

    def moment(self, second: Array, square: Array) -> Array:
        """Return Adam's exponential mean."""
        return self.beta_2 * second + (1 - self.beta_2) * square
