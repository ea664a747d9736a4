"""What one validation user adds to a released sum: a vector of bounded length, 0 for a user without data.

Every value is given by how far it lies from the middle of its range, so that a user without data, whose vector is 0,
moves a sum by half the range at most, and counts as the middle. The number of users is public, and a sum is divided by
it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray

Values = NDArray[np.float64]

GAIN_BOUND = 0.25
"""L2 bound of what one user's NDCG gains over all candidates: few gain as much by a little more popularity."""


@dataclass(frozen=True, eq=False)
class Contributions:
    """Vectors of the users who have data.

    Attributes:
        vectors: `[users, numbers]`, each of L2 norm `bound` at most.
        bound: How far a user without data moves the sum, at most; a user with other data up to twice as far.
    """

    vectors: Values
    bound: float

    def noisy_sum(self, noise_multiplier: float, rng: np.random.Generator) -> Values:
        """Return the sum of the vectors with Gaussian noise of `noise_multiplier` times the bound, `[numbers]`."""
        noise = rng.normal(0.0, noise_multiplier * self.bound, self.vectors.shape[1])
        return np.asarray(self.vectors.sum(axis=0) + noise)


def loss_middle(num_items: int) -> float:
    """Return the middle of the range of losses in nats: what a model loses that knows nothing of so many items."""
    return math.log(num_items)


def loss_bound(num_items: int) -> float:
    """Return how far a loss may lie from the middle, in nats: beyond half the middle it counts as that much."""
    return loss_middle(num_items) / 2


def losses_as(losses: Values, num_items: int) -> Contributions:
    """Return losses in nats, `[users]`, as distances from their middle; nan counts as the middle."""
    bound = loss_bound(num_items)
    return Contributions(_within(losses - loss_middle(num_items), bound)[:, None], bound)


def changes_as(losses: Values, before: Values, bound: float) -> Contributions:
    """Return by how many nats losses differ from those `before`, both `[users]`; what is not finite as no change."""
    with np.errstate(invalid="ignore"):
        return Contributions(_within(losses - before, bound)[:, None], bound)


def scores_as(scores: Values) -> Contributions:
    """Return metrics in [0, 1], `[users, metrics]`, as distances from 1/2; nan counts as 1/2."""
    return Contributions(_within(scores - 0.5, 0.5), math.sqrt(scores.shape[1]) / 2)


def ranks_as(ranks: IntArray, edges: IntArray) -> Contributions:
    """Return one 1-based rank a user, `[users]`, as a one in its bin.

    Args:
        ranks: From 1 to the last edge.
        edges: Highest rank of each bin, ascending.
    """
    return Contributions(np.eye(len(edges))[np.searchsorted(edges, ranks)], 1.0)


def gains_as(scores: Values) -> Contributions:
    """Return how much better each further candidate scores than the first, each user's gains shortened to `GAIN_BOUND`.

    Args:
        scores: Of each user under each candidate, `[users, candidates]`, in [0, 1]; nan counts as no gain.
    """
    gains = np.nan_to_num(scores[:, 1:] - scores[:, :1])
    norms = np.linalg.norm(gains, axis=1, keepdims=True)
    return Contributions(gains * np.minimum(1.0, GAIN_BOUND / np.maximum(norms, GAIN_BOUND)), GAIN_BOUND)


def _within(values: Values, bound: float) -> Values:
    return np.asarray(np.clip(np.nan_to_num(values, nan=0.0, posinf=bound, neginf=-bound), -bound, bound))
