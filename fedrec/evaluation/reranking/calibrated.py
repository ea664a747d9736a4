"""Calibrated recommendations (Steck, 2018): a list that has the kinds of items of the user's history, in proportion."""

from collections.abc import Sequence

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray
from fedrec.evaluation.reranking.base import RERANKERS, Candidates, FloatArray, Penalty, Reranker
from fedrec.metrics.beyond_accuracy.calibration import divergence, mean_kinds, miscalibrations
from fedrec.metrics.evaluation import Judged


@RERANKERS.register("calibrated")
class Calibrated(Reranker):
    """The penalty is the divergence of the list with the candidate from the history.

    The weight is Steck's lambda. A user whose history is of no kind keeps the list that it had.
    """

    metric = "miscalibration"
    higher_is_better = False

    def __init__(self, judged: Judged) -> None:
        if judged.kinds is None:
            message = (
                "calibrated needs kinds of items, and the catalogue lacks the attribute that evaluation.kinds names; "
                "run the experiment with one that it has, or use --method mmr"
            )
            raise ConfigError(message)
        self._kinds = judged.kinds

    def penalty(self, candidates: Candidates) -> Penalty:
        """Return the divergence of each list that a candidate would make."""
        wanted, own = mean_kinds(self._kinds, candidates.history), self._kinds[candidates.items]

        def divergences(chosen: list[int]) -> FloatArray:
            if not wanted.any():
                return np.zeros(len(own))
            sums = own[chosen].sum(axis=0) + own
            of_a_kind = sums.sum(axis=1, keepdims=True)
            return divergence(wanted, sums / np.where(of_a_kind > 0, of_a_kind, 1.0))

        return divergences

    def values(self, lists: Sequence[IntArray], histories: Sequence[IntArray]) -> FloatArray:
        """Return the miscalibration of each list."""
        return miscalibrations(lists, histories, self._kinds)
