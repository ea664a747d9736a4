"""Whether items, and kinds of items, are exposed as much as they are chosen.

An item is exposed by each list that holds it, the more the higher it stands: `1 / log2(rank + 1)` (Singh and Joachims,
2018). What it deserves is how often users went on to choose it. Both are taken as shares of all items', over all users
together, and exposure is fair if they agree: what Singh and Joachims call disparate treatment for two groups, here for
any number, by the L1 distance between attention and relevance of Biega et al. (2018), halved.
"""

import math

import numpy as np
from numpy.typing import NDArray

from fedrec.metrics.beyond_accuracy.base import LIST_METRICS, Lists


@LIST_METRICS.register("exposure_gap_items")
def exposure_gap_items(lists: Lists) -> float:
    """Return the share of exposure that would have to go to other items for each to have what it deserves.

    Returns:
        A value in [0, 1]; nan if nobody chose anything.
    """
    return _gap(exposures(lists), merits(lists))


@LIST_METRICS.register("exposure_gap_kinds")
def exposure_gap_kinds(lists: Lists) -> float | None:
    """Return the same of kinds of items: makers, genres, whatever `evaluation.kinds` names.

    Returns:
        A value in [0, 1]; nan if no chosen item, or no listed one, is of any kind. None if no kinds are known.
    """
    return None if lists.kinds is None else _gap(exposures(lists) @ lists.kinds, merits(lists) @ lists.kinds)


def exposures(lists: Lists) -> NDArray[np.float64]:
    """Return how much each item is exposed by all lists together, `[num_items]`."""
    places = np.concatenate([np.arange(len(own)) for own in lists.items])
    weights = 1.0 / np.log2(places + 2.0)
    return np.asarray(np.bincount(np.concatenate(lists.items), weights, minlength=lists.num_items))


def merits(lists: Lists) -> NDArray[np.float64]:
    """Return how many users went on to choose each item, `[num_items]`."""
    chosen = np.concatenate([np.empty(0, dtype=np.int64), *lists.targets])
    return np.bincount(chosen, minlength=lists.num_items).astype(np.float64)


def _gap(exposure: NDArray[np.float64], merit: NDArray[np.float64]) -> float:
    if not exposure.sum() or not merit.sum():
        return math.nan
    return float(np.abs(exposure / exposure.sum() - merit / merit.sum()).sum() / 2)
