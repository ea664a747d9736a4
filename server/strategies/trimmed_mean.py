"""Coordinate-wise trimmed mean of the clients' changes (Yin et al. 2018, definition 2)."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import trim_mean

from server.aggregation.update import Arrays, Update
from server.base import STRATEGIES, CohortStrategy
from server.context import StrategyContext, between


@STRATEGIES.register("trimmed_mean")
class TrimmedMean(CohortStrategy):
    """Leaves out the lowest and highest values of each coordinate, then averages; ignores weights.

    Args:
        context: What the runner tells of the run.
        trim: Share cut from each end, in [0, 0.5); `floor(trim * cohort)` values are cut, so none may be.
    """

    def __init__(self, context: StrategyContext, trim: float = 0.1) -> None:
        super().__init__(context)
        self.trim = between("trim", trim, least=0, below=0.5)

    def aggregate(self, updates: Sequence[Update]) -> Arrays:
        """Return the trimmed mean of each coordinate."""
        return {
            name: trim_mean(
                np.stack([update.delta[name] for update in updates]).astype(np.float64), self.trim, axis=0
            ).astype(np.float32)
            for name in updates[0].delta
        }
