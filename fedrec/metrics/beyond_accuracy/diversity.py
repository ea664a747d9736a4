"""How unlike each other the items of a list are."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray
from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Lists, PerUser


@LIST_METRICS.register("diversity")
def diversity(lists: Lists) -> float | None:
    """Return the mean intra-list diversity (see `diversities`), in [0, 2]; nan if no list has a pair."""
    return None if lists.directions is None else mean_over_users(diversities(lists.items, lists.directions))


def diversities(lists: Sequence[IntArray], directions: NDArray[np.float64]) -> PerUser:
    """Return the intra-list diversity of each list, 1 - mean cosine over its pairs (Ziegler et al., 2005).

    Args:
        lists: Items of each user's list.
        directions: Unit vector of each item, `[items, width]`; 0 where it has none.

    Returns:
        A value in [0, 2] a list; nan for a list of one item, which has no pair.
    """
    return np.array([1.0 - _mean_cosine(directions[own]) for own in lists], dtype=np.float64)


def _mean_cosine(vectors: NDArray[np.float64]) -> float:
    if len(vectors) < 2:
        return float("nan")
    # The cosines of all ordered pairs are what the squared length of the sum holds beyond each item's own.
    cosines = np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()
    return float(cosines / (len(vectors) * (len(vectors) - 1)))
