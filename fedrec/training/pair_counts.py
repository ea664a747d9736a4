"""How many users have both of two items: what clients send before the first round for a linear branch.

A sum over users, so that clients' sums add up to exactly what one place with all data would count.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.models.linear.item_item import pair_counts
from fedrec.training.context import TrainingContext


def client_pair_counts(context: TrainingContext, client: int) -> NDArray[np.float32]:
    """Return the upper triangle of the client's counts, row by row, `[items * (items + 1) / 2]`; exact below 2^24."""
    counts = pair_counts(context.train.of_users(context.federation.users[client]))
    return counts[np.triu_indices(len(counts))].astype(np.float32)


def triangle_size(items: int) -> int:
    """Return the length of an upper triangle, its diagonal included."""
    return items * (items + 1) // 2


def square(triangle: NDArray[np.float64], items: int) -> NDArray[np.float64]:
    """Return the symmetric matrix of an upper triangle, `[items, items]`."""
    counts = np.zeros((items, items))
    counts[np.triu_indices(items)] = triangle
    return counts + np.triu(counts, 1).T
