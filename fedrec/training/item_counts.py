"""How many users have each item: what clients tell before the first round, if they are asked.

A histogram of a few thousand numbers drowns in noise far later than an adapter's change does.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.training.context import TrainingContext

Counts = NDArray[np.float64]


def item_counts(context: TrainingContext, client: int) -> NDArray[np.float32]:
    """Return how many of the client's users have each item, `[num_items]`; a user counts once an item."""
    train = context.train
    counts = np.zeros(train.num_items, dtype=np.float32)
    for user in context.federation.users[client]:
        counts[np.unique(train.items_of(int(user)))] += 1
    return counts


def shortened(counts: NDArray[np.float32], clip_norm: float) -> Counts:
    """Return one client's counts with an L2 norm of at most `clip_norm`, in float64; zeros stay zeros."""
    exact = counts.astype(np.float64)
    norm = float(np.linalg.norm(exact))
    return exact * (clip_norm / norm) if norm > clip_norm else exact
