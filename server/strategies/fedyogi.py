"""FedYogi: FedAdam whose second moment grows and shrinks additively (Reddi et al. 2021; Zaheer et al. 2018)."""

import numpy as np

from server.aggregation.update import Array
from server.base import STRATEGIES
from server.strategies.adaptive import AdaptiveStrategy


@STRATEGIES.register("fedyogi")
class FedYogi(AdaptiveStrategy):
    """Second moment: `v = v - (1 - beta_2) * update ** 2 * sign(v - update ** 2)`."""

    def moment(self, second: Array, square: Array) -> Array:
        """Return Yogi's controlled change."""
        change: Array = (1 - self.beta_2) * square * np.sign(second - square)
        return second - change
