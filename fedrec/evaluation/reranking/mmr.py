"""Maximal marginal relevance (Carbonell and Goldstein, 1998): an item is worth less the more it resembles the list."""

from collections.abc import Sequence

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray
from fedrec.evaluation.reranking.base import RERANKERS, Candidates, FloatArray, Penalty, Reranker
from fedrec.metrics.beyond_accuracy import directions_of
from fedrec.metrics.beyond_accuracy.diversity import diversities
from fedrec.metrics.evaluation import Judged


@RERANKERS.register("mmr")
class MaximalMarginalRelevance(Reranker):
    """The penalty is the cosine of item vectors with the most similar item of the list, 0 for an empty list.

    The weight is `1 - lambda` of the paper.
    """

    metric = "diversity"
    higher_is_better = True

    def __init__(self, judged: Judged) -> None:
        directions = directions_of(judged.item_vectors)
        if directions is None:
            message = "mmr compares item vectors, and this run's model reads no text; use --method calibrated"
            raise ConfigError(message)
        self._directions = directions

    def penalty(self, candidates: Candidates) -> Penalty:
        """Return the similarity of each candidate to the most similar chosen one."""
        own = self._directions[candidates.items]
        cosines = own @ own.T

        def most_similar(chosen: list[int]) -> FloatArray:
            return np.asarray(cosines[:, chosen].max(axis=1)) if chosen else np.zeros(len(own))

        return most_similar

    def values(self, lists: Sequence[IntArray], histories: Sequence[IntArray]) -> FloatArray:
        """Return the intra-list diversity of each list; the history does not matter."""
        del histories
        return diversities(lists, self._directions)
