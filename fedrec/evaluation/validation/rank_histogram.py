"""Ranks of one item a user, counted in public bins: from noisy counts every metric at every cut-off follows.

The counts add up to the number of users, which is public, so the noise on their total is taken out again: the counts
are shifted evenly. A user without data is then spread evenly, too.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fedrec.data.interactions import IntArray
from fedrec.evaluation.validation.contributions import Values
from fedrec.metrics.accuracy import METRICS

LOG_RANK = "log_rank"
"""Mean logarithm of the rank, in nats: every user's rank counts in it, also one below all cut-offs."""


def edges_of(cutoffs: Sequence[int], num_items: int) -> IntArray:
    """Return the highest rank of each bin, `[bins]`: every rank up to the largest cut-off, then doubling to all items.

    Args:
        cutoffs: At least one, each at least 1.
        num_items: Size of the catalogue, at least 1.
    """
    edges = [*range(1, min(max(cutoffs), num_items) + 1)]
    while edges[-1] < num_items:
        edges.append(min(2 * edges[-1], num_items))
    return np.array(edges, dtype=np.int64)


def weights_of(edges: IntArray, cutoffs: Sequence[int]) -> dict[str, Values]:
    """Return what a rank in each bin counts in each metric, and in `LOG_RANK`, name -> `[bins]`.

    A wide bin counts as its first rank in a metric, which is 0 beyond the cut-off, and as its geometric middle in
    `LOG_RANK`.
    """
    first = np.concatenate(([1], edges[:-1] + 1))
    weights: dict[str, Values] = {
        f"{name}@{k}": np.array([METRICS.get(name)(np.array([rank]), k) for rank in first])
        for name in METRICS.names()
        for k in cutoffs
    }
    return weights | {LOG_RANK: np.log(first * edges) / 2}


def metrics_of(counts: Values, users: int, weights: Mapping[str, Values]) -> dict[str, float]:
    """Return each metric's mean over all users.

    Args:
        counts: Users in each bin, noise included, `[bins]`.
        users: How many there are.
        weights: As `weights_of` returns.
    """
    shares = counts / users + (1 - counts.sum() / users) / len(counts)
    return {name: float(shares @ weight) for name, weight in weights.items()}


def deviations_of(deviation: float, users: int, weights: Mapping[str, Values]) -> dict[str, float]:
    """Return the deviation of each of the `metrics_of` counts with noise of that deviation, the shift included."""
    return {name: deviation * float(np.linalg.norm(weight - weight.mean())) / users for name, weight in weights.items()}
