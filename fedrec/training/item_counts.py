"""How many users have each item, and what a model makes of it: the one release before the first round.

A histogram of a few thousand numbers drowns in noise far later than an adapter's change does. It becomes the item bias
that training starts from: the logarithm of the noisy counts, as popularity is close to a power law.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.training.workbench import Workbench

Counts = NDArray[np.float64]


def item_counts(bench: Workbench, client: int) -> NDArray[np.float32]:
    """Return how many of the client's users have each item, `[num_items]`; a user counts once an item."""
    train = bench.train
    counts = np.zeros(train.num_items, dtype=np.float32)
    for user in bench.federation.users[client]:
        counts[np.unique(train.items_of(int(user)))] += 1
    return counts


def shortened(counts: NDArray[np.float32], clip_norm: float) -> Counts:
    """Return one client's counts with an L2 norm of at most `clip_norm`, in float64; zeros stay zeros."""
    exact = counts.astype(np.float64)
    norm = float(np.linalg.norm(exact))
    return exact * (clip_norm / norm) if norm > clip_norm else exact


def popularity(counts: Counts, floor: float) -> Counts:
    """Return the centred logarithm of noisy counts, `[num_items]`.

    Args:
        counts: Noise included, so that some may be below 0, which counts as 0.
        floor: Added to each, above 0: what noise may pass for, so that it makes no item of none popular.
    """
    logs = np.log(np.maximum(counts, 0.0) + floor)
    return np.asarray(logs - logs.mean())
