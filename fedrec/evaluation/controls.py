"""What any recommender must be put beside: random, popularity and EASE, fitted on training rows alone.

And the canary: a result that no honest experiment can give stops the run.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedrec.data.interactions import IntArray, Interactions
from fedrec.errors import CanaryError, ConfigError
from fedrec.evaluation.ranking import Scorer, Scores
from fedrec.evaluation.significance import FEW_USERS, SIGNIFICANT, FloatArray, paired_test
from fedrec.seeding import rng_for

MAX_EASE_ITEMS = 20_000


def random_scorer(seed: int, num_items: int) -> Scorer:
    """Return a scorer that draws a uniform score for every item.

    The draw is named by the content of the history, so a user's scores depend on neither the batch nor
    the order of users; two users with the same history get the same scores.
    """

    def score(histories: Sequence[IntArray]) -> Scores:
        scores = np.empty((len(histories), num_items), dtype=np.float32)
        for row, history in zip(scores, histories, strict=True):
            name = hashlib.sha256(history.astype("<i8").tobytes()).hexdigest()
            row[:] = rng_for(seed, "random control", name).random(num_items, dtype=np.float32)
        return scores

    return score


def popularity_scorer(train: Interactions) -> Scorer:
    """Return a scorer that gives every user the number of training interactions of each item."""
    counts = np.bincount(train.item, minlength=train.num_items).astype(np.float32)

    def score(histories: Sequence[IntArray]) -> Scores:
        return np.tile(counts, (len(histories), 1))

    return score


def ease_scorer(train: Interactions, l2: float = 300.0) -> Scorer:
    """Return EASE: the ridge regression of every item on all others (Steck, 2019, eq. 8).

    With the binary user-item matrix `X` and `P = (X'X + l2 I)^-1`, the weights are `B = I - P / diag(P)`
    (column-wise), whose diagonal is zero; a history scores `x B`. Order, repeats and values are ignored.

    Args:
        train: Training interactions; users without rows add nothing.
        l2: Ridge penalty, above 0.

    Returns:
        The fitted scorer; an empty history scores 0 everywhere.

    Raises:
        ConfigError: If `l2` is not positive, or the catalogue has more than `MAX_EASE_ITEMS` items, whose
            dense square matrix would not fit a workstation's memory.
    """
    if l2 <= 0:
        message = f"EASE needs an l2 penalty above 0, got {l2}; around 300 suits MovieLens"
        raise ConfigError(message)
    if train.num_items > MAX_EASE_ITEMS:
        gigabytes = 3 * 8 * train.num_items**2 / 1e9
        message = (
            f"EASE inverts a dense items x items matrix: {train.num_items} items need about {gigabytes:.0f} GB, and at "
            f"most {MAX_EASE_ITEMS} items are allowed; leave 'ease' out of evaluation.controls"
        )
        raise ConfigError(message)
    weights = _ease_weights(train, l2)

    def score(histories: Sequence[IntArray]) -> Scores:
        return np.stack([weights[np.unique(history)].sum(axis=0) for history in histories])

    return score


def check_canary(local_only: float, ease: float) -> None:
    """Stop if models that never shared anything beat a central EASE: only a leak can do that.

    Compare NDCG@10 on "last20" (a user's last 20 % of items). On "last" (the next item) the comparison
    would prove nothing: EASE ignores order, and an honest sequence model may well beat it there.

    Args:
        local_only: NDCG@10 on "last20" with federation off.
        ease: NDCG@10 on "last20" of EASE fitted on all training users.

    Raises:
        CanaryError: If local-only is above EASE, or either is nan.
    """
    if local_only <= ease:
        return
    message = (
        f"local-only training reaches NDCG@10 = {local_only:.3f} on last20, but EASE fitted on all training users "
        f"only {ease:.3f}. A client that never hears of others cannot know that much, so the answer has probably "
        "leaked into training. The usual leak: negatives drawn from items in neither train, validation nor test, "
        "which leaves the held-out items as the only ones never pushed down (it lifts HR@10 to 1.00 with "
        "federation off). Draw negatives from training interactions alone, then run again"
    )
    raise CanaryError(message)


def may_be_chance(local_only: FloatArray, ease: FloatArray) -> bool:
    """Return whether a lead says nothing: fewer than `FEW_USERS` test users, whose paired test finds no difference.

    Args:
        local_only: One value per test user.
        ease: One value per user, for the same users in the same order.
    """
    return len(ease) < FEW_USERS and paired_test(local_only, ease) >= SIGNIFICANT


def _ease_weights(train: Interactions, l2: float) -> Scores:
    ones = np.ones(len(train), dtype=np.float64)
    touched = sparse.csr_array((ones, (train.user, train.item)), shape=(train.num_users, train.num_items))
    touched.data[:] = 1.0
    gram: NDArray[np.float64] = (touched.T @ touched).toarray()
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32)
