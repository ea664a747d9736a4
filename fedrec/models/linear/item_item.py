"""Which items go together: how many users have both of two, and the ridge regression of every item on all others.

EASE (Steck 2019). The counts are sums over users, so they are the same wherever they are added up.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import Interactions
from fedrec.models.linear.histories import touched_by
from fedrec.models.linear.squares import BLOCK, invert_


def pair_counts(rows: Interactions) -> NDArray[np.float64]:
    """Return how many users touched both of each two items, `[items, items]`; the diagonal counts each item's users.

    A user counts once however often an item is repeated. Block by block, because the product as a sparse matrix takes
    more memory than as a dense one.
    """
    matrix = touched_by(rows)
    by_item, counts = matrix.T.tocsr(), np.empty((rows.num_items, rows.num_items))
    for first in range(0, rows.num_items, BLOCK):
        (by_item[first : first + BLOCK] @ matrix).toarray(out=counts[first : first + BLOCK])
    return counts


def ease_weights_(name: str, counts: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """Return the weights of every item (rows) in every other's score (columns), made in the place of `counts`.

    With `P = (counts + l2 I)^-1` they are `I - P / diag(P)`, column-wise, whose diagonal is zero (Steck 2019, eq. 8).

    Args:
        name: Of the recommender, for errors.
        counts: As of `pair_counts`; it is overwritten, since two such squares may not fit into memory.
        l2: Ridge penalty, above 0.

    Raises:
        ConfigError: If rounding leaves the matrix without an inverse.
    """
    counts[np.diag_indices_from(counts)] += l2
    invert_(name, counts)
    counts /= -counts.diagonal().copy()
    np.fill_diagonal(counts, 0.0)
    return counts
