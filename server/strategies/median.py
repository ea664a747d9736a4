"""Coordinate-wise median of the clients' changes (Yin et al. 2018, definition 1): up to half may be arbitrary."""

from collections.abc import Sequence

import numpy as np

from server.aggregation.update import Arrays, Update
from server.base import STRATEGIES, CohortStrategy


@STRATEGIES.register("median")
class Median(CohortStrategy):
    """Needs the whole cohort in memory and ignores weights; the mean of the two middle values for even cohorts."""

    def aggregate(self, updates: Sequence[Update]) -> Arrays:
        """Return the median of each coordinate."""
        return {
            name: np.median(np.stack([update.delta[name] for update in updates]), axis=0).astype(np.float32)
            for name in updates[0].delta
        }
