"""What an evaluation is: a recommender asked of held-out users, and a value a user for each metric."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray
from fedrec.data.split import Queries
from fedrec.metrics.accuracy import mean_over_users
from fedrec.metrics.beyond_accuracy import Counts, Kinds, Vectors

Scores = NDArray[np.float32]
Scorer = Callable[[Queries], Scores]
"""A recommender as seen from here: a batch of users in, scores `[users, num_items]` out."""

MACRO = "macro_"
"""What stands before a per-user metric whose mean is one over platforms: each counts alike, however many its users."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What users are judged on, and what is known of it.

    Attributes:
        num_items: Number of items.
        cutoffs: Cut-offs of ranking metrics, at least one, each at least 1.
        counts: How popular each item is, `[num_items]`, for novelty and popularity of lists; left out without.
        item_vectors: `[num_items, width]` for diversity of lists; left out without.
        query_vectors: Of the texts that the items are searched with, equally many each, in the order of the items,
            `[num_items * each, width]`; None where nobody searches.
        kinds: How much each item is of each kind, `[num_items, kinds]`, for calibration of lists and the exposure of
            kinds; left out without.
    """

    num_items: int
    cutoffs: tuple[int, ...]
    counts: Counts | None = None
    item_vectors: Vectors | None = None
    query_vectors: NDArray[np.float32] | None = None
    kinds: Kinds | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How one recommender did on one set of cases.

    Attributes:
        name: Name of the cases ("last", "last20").
        users: User index of each case, `[n]`.
        per_user: Metric, with its cut-off if it has one -> value of each user, `[n]`, in the order of `users`.
        ranks: 1-based rank of each of a user's targets, in their order, a user an entry; empty where nothing is ranked.
        recommended: Each user's list up to the largest cut-off, `[n, depth]`, best first; -1 where fewer
            items were left to recommend. `[n, 0]` where nothing is ranked.
        lists: Metric -> value of all users together: of their lists, `metric@k` (see `fedrec.metrics.beyond_accuracy`),
            or of all their predictions; empty where there is none.
    """

    name: str
    users: IntArray
    per_user: dict[str, NDArray[np.float64]]
    ranks: tuple[IntArray, ...]
    recommended: IntArray
    lists: dict[str, float]

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean over users of each per-user metric."""
        return {name: mean_over_users(values) for name, values in self.per_user.items()}

    def to_json(self) -> dict[str, float]:
        """Return all means, list metrics and the number of `users`; undefined (nan) values are left out."""
        values = {"users": float(len(self.users)), **self.means, **self.lists}
        return {name: value for name, value in values.items() if not np.isnan(value)}
