"""What any recommender must be put beside: random, popularity and EASE, fitted on training rows alone.

And the canary: a result that no honest experiment can give stops the run.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import CanaryError, ConfigError
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import Interactions
from fedrec.data.split import Queries
from fedrec.evaluation.significance import FEW_USERS, SIGNIFICANT, FloatArray, paired_test
from fedrec.metrics.evaluation import Scorer, Scores
from fedrec.models.item_item import MAX_ITEMS, ease_weights_, pair_counts, touched


def random_scorer(seed: int, num_items: int) -> Scorer:
    """Return a scorer that draws a uniform score for every item.

    The draw is named by the content of the history, so a user's scores depend on neither the batch nor
    the order of users; two users with the same history get the same scores.
    """

    def score(queries: Queries) -> Scores:
        scores = np.empty((len(queries), num_items), dtype=np.float32)
        for row, history in zip(scores, queries.histories, strict=True):
            name = hashlib.sha256(history.astype("<i8").tobytes()).hexdigest()
            row[:] = rng_for(seed, "random control", name).random(num_items, dtype=np.float32)
        return scores

    return score


def popularity_scorer(train: Interactions) -> Scorer:
    """Return a scorer that gives every user the number of training interactions of each item."""
    counts = np.bincount(train.item, minlength=train.num_items).astype(np.float32)

    def score(queries: Queries) -> Scores:
        return np.tile(counts, (len(queries), 1))

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
        ConfigError: If `l2` is not positive, or the catalogue has more than `MAX_ITEMS` items, whose
            dense square matrix would not fit a workstation's memory.
    """
    if l2 <= 0:
        message = f"EASE needs an l2 penalty above 0, got {l2}; around 300 suits MovieLens"
        raise ConfigError(message)
    if train.num_items > MAX_ITEMS:
        gigabytes = 8 * train.num_items**2 / 1e9
        message = (
            f"EASE inverts a dense items x items matrix: {train.num_items} items need about {gigabytes:.0f} GB, and at "
            f"most {MAX_ITEMS} items are allowed; leave 'ease' out of evaluation.controls"
        )
        raise ConfigError(message)
    weights = ease_weights_(pair_counts(train), l2)

    def score(queries: Queries) -> Scores:
        histories = queries.histories
        # as a sparse matrix, because picking a history's rows would copy them
        owner = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        seen = touched(owner, np.concatenate(histories), (len(histories), train.num_items))
        scores: NDArray[np.float64] = seen @ weights
        return scores.astype(np.float32)

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
