"""The ranking protocol: each held-out user's later items, ranked among everything the user has not seen.

Full ranking over the catalogue minus the history (sampled metrics mislead: Krichene and Rendle,
2020). Ties are broken by one fixed random order of the items, `rng_for(0, "ties")`: it knows nothing of
popularity, the history or the answer, so a scorer that gives all items the same score does about as well
as chance, and the same scores always give the same numbers.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError, DataError, FedrecError
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.data.split import Cases
from fedrec.metrics.accuracy import METRICS, check_cutoff
from fedrec.metrics.beyond_accuracy import Counts, Kinds, Lists, Vectors, directions_of, list_metrics
from fedrec.metrics.evaluation import Evaluation, Scorer, Scores

RANKED = 10
"""The cut-off that headlines, curves and the canary read; always among those evaluated."""

_SEEN = np.iinfo(np.int64).max
_LOW_BITS = 0xFFFFFFFF


def evaluate(  # noqa: PLR0913 - the protocol's own parameters, named at every call
    scorer: Scorer,
    cases: Cases,
    num_items: int,
    cutoffs: Sequence[int],
    *,
    counts: Counts | None,
    item_vectors: Vectors | None = None,
    kinds: Kinds | None = None,
    batch_size: int = 256,
    on_progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Rank the catalogue for every held-out user and measure the result.

    Args:
        scorer: Maps users' histories to scores `[users, num_items]`, higher is better; what it says of items in
            the history is ignored, but must be finite.
        cases: Who is ranked, from what, for what.
        num_items: Size of the catalogue.
        cutoffs: Cut-offs of the metrics, at least one, each at least 1.
        counts: How popular each item is, `[num_items]`, for novelty and popularity; left out without.
        item_vectors: `[num_items, width]` for diversity; left out without.
        kinds: How much each item is of each kind, `[num_items, kinds]`, for calibration and the exposure of kinds; left
            out without.
        batch_size: Users scored at once; costs about 40 bytes of memory per user and item.
        on_progress: Called with (users done, users in all) after each batch.

    Returns:
        The evaluation; it does not depend on the batch size or the order of the cases, if the scorer
        does not.

    Raises:
        ConfigError: If there is no case, no cut-off, or a cut-off below 1.
        DataError: If a target is repeated or stands in the history.
        FedrecError: If scores have the wrong shape or are not finite; the user is named.
    """
    _check(cases, cutoffs)
    tie_order = _tie_order(num_items)
    ranks: list[IntArray] = []
    recommended: list[IntArray] = []
    for start in range(0, len(cases.users), batch_size):
        batch = slice(start, start + batch_size)
        histories = cases.histories[batch]
        scores = finite_scores(scorer(cases.queries(batch)), cases.users[batch], num_items)
        keys = _keys(scores, histories, tie_order)
        ordered = np.sort(keys, axis=1)
        ranks += [
            np.searchsorted(row, own[targets]) + 1
            for row, own, targets in zip(ordered, keys, cases.targets[batch], strict=True)
        ]
        recommended.append(_items(ordered[:, : max(cutoffs)], tie_order))
        if on_progress is not None:
            on_progress(len(ranks), len(cases.users))
    found = np.concatenate(recommended)
    lists = Lists(
        [own[own >= 0] for own in found],
        cases.histories,
        cases.targets,
        num_items,
        counts,
        directions_of(item_vectors),
        kinds,
    )
    return Evaluation(
        name=cases.name,
        users=cases.users,
        per_user={
            f"{name}@{k}": np.array([METRICS.get(name)(row, k) for row in ranks], dtype=np.float64)
            for name in METRICS.names()
            for k in cutoffs
        },
        ranks=tuple(ranks),
        recommended=found,
        lists=list_metrics(lists, cutoffs),
    )


def ranked_items(scores: Scores, histories: Sequence[IntArray]) -> IntArray:
    """Return the items in the order in which the protocol ranks them, best first, `[users, items]`.

    Args:
        scores: Of all items, `[users, items]`, finite, in single precision.
        histories: Items of each user that are not ranked; at the end of its row stands -1 instead.
    """
    tie_order = _tie_order(scores.shape[1])
    return _items(np.sort(_keys(scores, histories, tie_order), axis=1), tie_order)


def _tie_order(num_items: int) -> IntArray:
    return rng_for(0, "ties").permutation(num_items)


def _items(keys: NDArray[np.int64], tie_order: IntArray) -> IntArray:
    """Return the items of which `_keys` made these; -1 for those of the history."""
    return np.where(keys == _SEEN, -1, tie_order[np.minimum(keys & _LOW_BITS, len(tie_order) - 1)])


def _keys(scores: Scores, histories: Sequence[IntArray], tie_order: IntArray) -> NDArray[np.int64]:
    """Return an integer for each user and item, all different in a row, the smaller the better.

    The high half is the score (the bits of IEEE floats, read as sign and magnitude, are ordered as the
    numbers are), the low half the item's place in the tie order. Sorting these is several times faster
    than a stable argsort. Items of the history get the largest integer.
    """
    bits = scores.view(np.int32).astype(np.int64)
    magnitude = bits & 0x7FFFFFFF
    keys = np.where(bits < 0, magnitude, -magnitude) << 32
    keys[:, tie_order] += np.arange(len(tie_order))
    for row, history in zip(keys, histories, strict=True):
        row[history] = _SEEN
    return np.asarray(keys, dtype=np.int64)


def _check(cases: Cases, cutoffs: Sequence[int]) -> None:
    if len(cases.users) == 0:
        message = f"there is no held-out user to rank in {cases.name!r}; raise split.validation or split.test"
        raise ConfigError(message)
    if len(cutoffs) == 0:
        message = "there is no cut-off to evaluate at; set evaluation.cutoffs, for example [5, 10, 20]"
        raise ConfigError(message)
    for k in cutoffs:
        check_cutoff(k)
    for user, history, targets in zip(cases.users, cases.histories, cases.targets, strict=True):
        if len(np.unique(targets)) < len(targets) or np.isin(targets, history).any():
            message = (
                f"user {user} has a target that is repeated or already in the history; the split must drop repeats"
            )
            raise DataError(message)


def finite_scores(scores: Scores, users: IntArray, num_items: int) -> Scores:
    """Return a scorer's answer in single precision.

    Raises:
        FedrecError: If it has another shape than `[users, num_items]`, or is not finite; names a user.
    """
    if scores.shape != (len(users), num_items):
        message = f"the scorer must return scores of shape {(len(users), num_items)}, got {scores.shape}"
        raise FedrecError(message)
    narrow = np.ascontiguousarray(scores, dtype=np.float32)
    broken = users[~np.isfinite(narrow).all(axis=1)]
    if len(broken):
        message = (
            f"the scores of user {broken[0]} ({len(broken)} of {len(users)} users in its batch) are nan or infinite; "
            "training has probably diverged: lower training.lr or the noise"
        )
        raise FedrecError(message)
    return narrow
