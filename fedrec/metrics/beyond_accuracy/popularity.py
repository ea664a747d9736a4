"""What lists are worth beyond what is popular anyway: novelty, popularity bias, serendipity.

All need to know how popular items are, and are left out where that may not be shown.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Counts, Lists, PerUser


@LIST_METRICS.register("novelty")
def novelty(lists: Lists) -> float | None:
    """Return the mean self-information of a recommended item in bits (Zhou et al., 2010).

    `-log2 p(item)`, where `p = (count + 1) / (all counts + items)`: one is added to each count so that an
    item nobody has touched is very novel instead of infinitely so. Averaged within lists, then over users.
    """
    if lists.counts is None:
        return None
    share = (lists.counts + 1.0) / (lists.counts.sum() + len(lists.counts))
    return _mean_of_lists(lists, -np.log2(share))


@LIST_METRICS.register("popularity")
def average_popularity(lists: Lists) -> float | None:
    """Return the mean count of a recommended item (ARP; Yin et al., 2012)."""
    return None if lists.counts is None else _mean_of_lists(lists, lists.counts.astype(np.float64))


@LIST_METRICS.register("serendipity")
def serendipity(lists: Lists) -> float | None:
    """Return the mean share of a list that is unexpected and relevant (see `serendipities`)."""
    return None if lists.counts is None else mean_over_users(serendipities(lists, lists.counts))


def serendipities(lists: Lists, counts: Counts) -> PerUser:
    """Return the share of each list that is unexpected and relevant (Ge et al., 2010; after Murakami et al., 2008).

    Unexpected is what a primitive recommender would not have listed, here popularity: the most popular items outside
    the user's history, as many as the list has, the smaller number first among equals. Relevant is what the user went
    on to choose. This definition has no threshold and no distance to tune, and asks for no more than counts.

    Returns:
        A value in [0, 1] a user; nan for one without relevant items.
    """
    popular = np.argsort(-counts, kind="stable")
    return np.array(
        [
            len(np.setdiff1d(np.intersect1d(own, targets), _first_unseen(popular, history, len(own)))) / len(own)
            if len(targets)
            else np.nan
            for own, history, targets in zip(lists.items, lists.histories, lists.targets, strict=True)
        ],
        dtype=np.float64,
    )


def _first_unseen(order: NDArray[np.integer], history: NDArray[np.integer], count: int) -> NDArray[np.integer]:
    ahead = order[: count + len(history)]
    return ahead[~np.isin(ahead, history)][:count]


def _mean_of_lists(lists: Lists, of_item: NDArray[np.float64]) -> float:
    return float(np.mean([of_item[own].mean() for own in lists.items]))
