"""How unlike each other the items of a list are."""

import numpy as np

from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Lists, PerUser, mean_of


@LIST_METRICS.register("diversity")
def diversity(lists: Lists) -> float | None:
    """Return the mean intra-list diversity (see `diversities`), in [0, 2]; nan if no list has a pair."""
    return mean_of(diversities(lists))


def diversities(lists: Lists) -> PerUser | None:
    """Return the intra-list diversity of each list, 1 - mean cosine over its pairs (Ziegler et al., 2005).

    Returns:
        A value in [0, 2] a user; nan for a list of one item, which has no pair. None without vectors.
    """
    if lists.directions is None:
        return None
    return np.array([1.0 - _mean_cosine(lists.directions[own]) for own in lists.items], dtype=np.float64)


def _mean_cosine(vectors: PerUser) -> float:
    if len(vectors) < 2:
        return float("nan")
    # The cosines of all ordered pairs are what the squared length of the sum holds beyond each item's own.
    cosines = np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()
    return float(cosines / (len(vectors) * (len(vectors) - 1)))
