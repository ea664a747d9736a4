"""What any recommender must be put beside: random, popularity and EASE, fitted on training rows alone.

And the canary: a result that no honest experiment can give stops the run.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from fedrec.core.errors import CanaryError, ConfigError
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.platform import Platforms
from fedrec.data.split import Queries
from fedrec.evaluation.significance import FEW_USERS, SIGNIFICANT, FloatArray, paired_test
from fedrec.metrics.evaluation import Scorer, Scores

MAX_EASE_ITEMS = 20_000

BLOCK = 256
"""Rows of a square that are worked on at once."""


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


def popularity_odds_scorer(train: Interactions, platforms: Platforms) -> Scorer:
    """Return a scorer that gives every user `log((count + 1) / mean)` of each item, the mean being of its platform.

    It is the logarithm of how much likelier a click is on this item than on one drawn at random, by training counts
    alone, with one added to each so that an item that nobody touched has finite odds.
    """
    seen = np.bincount(train.item, minlength=train.num_items) + 1.0
    own = np.split(seen, platforms.items[1:-1])
    odds = np.concatenate([np.log(counts / counts.mean()) for counts in own]).astype(np.float32)

    def score(queries: Queries) -> Scores:
        return np.tile(odds, (len(queries), 1))

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
        gigabytes = 8 * train.num_items**2 / 1e9
        message = (
            f"EASE inverts a dense items x items matrix: {train.num_items} items need about {gigabytes:.0f} GB, and at "
            f"most {MAX_EASE_ITEMS} items are allowed; leave 'ease' out of evaluation.controls"
        )
        raise ConfigError(message)
    weights = _ease_weights(train, l2)

    def score(queries: Queries) -> Scores:
        histories = queries.histories
        # as a sparse matrix, because picking a history's rows would copy them
        owner = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        touched = _touched(owner, np.concatenate(histories), (len(histories), train.num_items))
        scores: NDArray[np.float64] = touched @ weights
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


def _ease_weights(train: Interactions, l2: float) -> NDArray[np.float64]:
    """Return `B` of `ease_scorer`, `[items, items]`, made in the one square that is ever held."""
    weights = _gram(train)
    weights[np.diag_indices_from(weights)] += l2
    _invert_(weights)
    weights /= -weights.diagonal().copy()
    np.fill_diagonal(weights, 0.0)
    return weights


def _gram(train: Interactions) -> NDArray[np.float64]:
    """Return how many users touched both of each two items, `[items, items]`.

    Block by block, because the product as a sparse matrix takes more memory than as a dense one.
    """
    touched = _touched(train.user, train.item, (train.num_users, train.num_items))
    by_item, gram = touched.T.tocsr(), np.empty((train.num_items, train.num_items))
    for first in range(0, train.num_items, BLOCK):
        (by_item[first : first + BLOCK] @ touched).toarray(out=gram[first : first + BLOCK])
    return gram


def _touched(user: IntArray, item: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
    """Return 1 where a user touched an item, however often, `[users, items]`."""
    matrix = sparse.csr_array((np.ones(len(user), dtype=np.float64), (user, item)), shape=shape)
    matrix.data[:] = 1.0
    return matrix


def _invert_(symmetric: NDArray[np.float64]) -> None:
    """Put the inverse of a positive definite matrix, `[n, n]`, in its place (Cholesky; LAPACK's potrf and potri).

    LAPACK reads columns where numpy has rows, so that its lower triangle is our upper one.

    Raises:
        ConfigError: If rounding leaves it not positive definite.
    """
    factor, failed = lapack.dpotrf(symmetric.T, lower=True, clean=False, overwrite_a=True)
    if not failed:
        _, failed = lapack.dpotri(factor, lower=True, overwrite_c=True)
    if failed:
        message = (
            "EASE cannot invert its matrix: the l2 penalty is lost in rounding; raise it, around 300 suits MovieLens"
        )
        raise ConfigError(message)
    for first in range(0, len(symmetric), BLOCK):
        rows, behind = slice(first, first + BLOCK), slice(first + BLOCK, None)
        symmetric[behind, rows] = symmetric[rows, behind].T
        corner = np.triu(symmetric[rows, rows])
        symmetric[rows, rows] = corner + np.triu(corner, 1).T
