"""What the recommended lists are like, accuracy aside: coverage, novelty, popularity bias, diversity.

All are functions of the top-k lists of all users. Novelty and popularity need to know how popular items are, by counts
that may be shown (see `fedrec.evaluation.evaluator`): exact counts of private users would give each of them away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrec.data.interactions import IntArray

Vectors = NDArray[np.float32]
Counts = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]


def list_metrics(
    recommended: IntArray,
    cutoffs: tuple[int, ...],
    num_items: int,
    counts: Counts | None,
    item_vectors: Vectors | None,
) -> dict[str, float]:
    """Return every list metric at every cut-off, named `metric@k`.

    Args:
        recommended: Items of each user's list, best first, `[users, depth]`, -1 after the end of a list;
            each list holds at least one item.
        cutoffs: Cut-offs, each at least 1; a list shorter than a cut-off counts as far as it goes.
        num_items: Size of the catalogue.
        counts: How popular each item is, `[num_items]`, at least 0; without them novelty and popularity are left out.
        item_vectors: Vector of each item, `[num_items, width]`; without them diversity is left out.

    Returns:
        `coverage`, `gini`, with counts `novelty` and `popularity`, and with vectors `diversity`, at each cut-off.
    """
    directions = None if item_vectors is None else _directions(item_vectors)
    values: dict[str, float] = {}
    for k in cutoffs:
        lists = [row[row >= 0] for row in recommended[:, :k]]
        values[f"coverage@{k}"] = coverage(lists, num_items)
        if counts is not None:
            values[f"novelty@{k}"] = novelty(lists, counts)
            values[f"popularity@{k}"] = average_popularity(lists, counts)
        values[f"gini@{k}"] = exposure_gini(lists, num_items)
        if directions is not None:
            values[f"diversity@{k}"] = diversity(lists, directions)
    return values


def coverage(lists: list[IntArray], num_items: int) -> float:
    """Return the share of the catalogue that is recommended to anyone, in (0, 1]."""
    return len(np.unique(np.concatenate(lists))) / num_items


def novelty(lists: list[IntArray], counts: Counts) -> float:
    """Return the mean self-information of a recommended item in bits (Zhou et al., 2010).

    `-log2 p(item)`, where `p = (count + 1) / (all counts + items)`: one is added to each count so that an
    item nobody has touched is very novel instead of infinitely so. Averaged within lists, then over users.
    """
    share = (counts + 1.0) / (counts.sum() + len(counts))
    return _mean_of_lists(lists, -np.log2(share))


def average_popularity(lists: list[IntArray], counts: Counts) -> float:
    """Return the mean count of a recommended item (ARP; Yin et al., 2012)."""
    return _mean_of_lists(lists, counts.astype(np.float64))


def exposure_gini(lists: list[IntArray], num_items: int) -> float:
    """Return the Gini coefficient of how often each item of the catalogue is recommended.

    0 if all items are recommended equally often, `1 - 1 / items` if only one ever is; items never
    recommended count. With exposures `x` sorted ascending: `sum (2 i - n - 1) x_i / (n sum x_i)`.
    """
    exposure = np.sort(np.bincount(np.concatenate(lists), minlength=num_items))
    weights = 2.0 * np.arange(1, num_items + 1) - num_items - 1
    return float(weights @ exposure / (num_items * exposure.sum()))


def diversity(lists: list[IntArray], directions: NDArray[np.float64]) -> float:
    """Return the mean intra-list diversity, 1 - mean cosine over a list's pairs (Ziegler et al., 2005).

    Args:
        lists: Items of each user's list; lists of one item have no pair and are not averaged.
        directions: Unit vector of each item, `[num_items, width]`; zero where it has none.

    Returns:
        A value in [0, 2]; nan if no list has a pair.
    """
    pairs = [directions[items] for items in lists if len(items) > 1]
    # The cosines of all ordered pairs are what the squared length of the sum holds beyond each item's own.
    cosines = [
        (np.square(vectors.sum(axis=0)).sum() - np.square(vectors).sum()) / (len(vectors) * (len(vectors) - 1))
        for vectors in pairs
    ]
    return 1.0 - float(np.mean(cosines)) if cosines else float("nan")


def _mean_of_lists(lists: list[IntArray], of_item: NDArray[np.float64]) -> float:
    return float(np.mean([of_item[items].mean() for items in lists]))


def _directions(vectors: Vectors) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(lengths > 0, lengths, 1.0)
