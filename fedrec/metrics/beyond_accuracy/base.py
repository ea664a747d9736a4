"""What a metric of lists is: a function of the top-k lists of all users, and of what is known of users and items.

A further metric is such a function, decorated with `@LIST_METRICS.register("name")`, or an entry point in the group
`fedrec.list_metrics`; every evaluation that ranks then reports it as `name@k`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedrec.core.registry import Registry
from fedrec.data.interactions import IntArray

Vectors = NDArray[np.float32]
Counts = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
PerUser = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lists:
    """What all users were recommended, at least one user.

    What popularity is counted on may be shown (see `fedrec.evaluation.evaluator`): exact counts of private users would
    give each of them away.

    Attributes:
        items: Each user's list, best first, at least one item each.
        histories: What was known of each user, in time order, at least one item each.
        targets: What each user went on to choose.
        num_items: Size of the catalogue.
        counts: How popular each item is, `[num_items]`, at least 0; None if that may not be shown.
        directions: Unit vector of each item, `[num_items, width]`, 0 where it has none; None without vectors.
        kinds: How much each item is of each kind, `[num_items, kinds]` (see `kinds_of`); None if nothing tells.
    """

    items: Sequence[IntArray]
    histories: Sequence[IntArray]
    targets: Sequence[IntArray]
    num_items: int
    counts: Counts | None = None
    directions: NDArray[np.float64] | None = None
    kinds: NDArray[np.float64] | None = None

    def first(self, k: int) -> "Lists":
        """Return the same, each list cut off after `k` items, at least one; a shorter one counts as far as it goes."""
        return replace(self, items=[own[:k] for own in self.items])


class ListMetric(Protocol):
    """All users' lists in; a value out, None if what the metric reads is not known, nan if it is undefined."""

    def __call__(self, lists: Lists) -> float | None:
        """Return the metric of all users together."""
        ...


LIST_METRICS: Registry[ListMetric] = Registry("list metric", group="fedrec.list_metrics")


def list_metrics(lists: Lists, cutoffs: Sequence[int]) -> dict[str, float]:
    """Return every registered metric at every cut-off, named `metric@k`; those that lack what they read are left out.

    Args:
        lists: Each as long as the largest cut-off, or as there were items.
        cutoffs: Each at least 1.
    """
    found = {
        f"{name}@{k}": LIST_METRICS.get(name)(first)
        for k, first in ((k, lists.first(k)) for k in cutoffs)
        for name in LIST_METRICS.names()
    }
    return {name: value for name, value in found.items() if value is not None}


def directions_of(vectors: Vectors | None) -> NDArray[np.float64] | None:
    """Return vectors at length 1 in double precision, those of length 0 as they are; None for None."""
    if vectors is None:
        return None
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(lengths > 0, lengths, 1.0))
