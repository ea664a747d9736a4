"""What comes next: a ridge regression from a fading past to the next item, in the manner of SLIT (Choi et al. 2021).

Every position of every user is a row: the past as exp(-age / decay) of its items, an item's age being the number of
items after it, and the item that comes next as the only target. Unlike SLIT's, targets are not all later items, and
the weight of a row does not fall with its date. What it is fitted on are sums over users.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz

from fedrec.data.interactions import IntArray, Interactions
from fedrec.models.linear.squares import solve_

Square = NDArray[np.float64]


def next_item_sums(rows: Interactions, decay: float) -> tuple[Square, Square]:
    """Return `X'X` and `X'Y`, each `[items, items]`.

    `X` has a row for each row but its user's first: the user's earlier items, each exp(-age / decay), an item that is
    repeated being a sum; `Y` is 1 at the row's own item.

    Args:
        rows: Interactions in time order; users with fewer than two add nothing.
        decay: Above 0, in items.
    """
    gram, nexts = (np.zeros((rows.num_items, rows.num_items)) for _ in range(2))
    fade = np.exp(-1.0 / decay)
    for user in np.flatnonzero(np.diff(rows.bounds) > 1):
        _add_user_(gram, nexts, rows.items_of(int(user)), fade)
    return gram, nexts


def next_item_weights_(name: str, gram: Square, nexts: Square, l2: float) -> Square:
    """Return `B = (X'X + l2 I)^-1 X'Y`, `[items, items]`, made in the place of `nexts`; `gram` is spoilt.

    Row `i` is what a past of item `i` alone says comes next.

    Args:
        name: Of the recommender, for errors.
        gram: `X'X` of `next_item_sums`.
        nexts: `X'Y` of it.
        l2: Ridge penalty, above 0.

    Raises:
        ConfigError: If rounding leaves the matrix without an inverse.
    """
    gram[np.diag_indices_from(gram)] += l2
    solve_(name, gram, nexts)
    return nexts


def _add_user_(gram: Square, nexts: Square, items: IntArray, fade: float) -> None:
    """Add a user's part of `X'X` and of `X'Y`, without its rows: places `p <= q` meet in all rows after `q`.

    In the row of place `t`, place `p` counts `fade^(t - 1 - p)`, so the product of both is
    `fade^(q - p) fade^(2 (t - 1 - q))`, summed over `t` from `q + 1` to the last place.
    """
    powers = fade ** np.arange(len(items))
    apart = toeplitz(powers)
    rest = np.concatenate(([0.0], np.cumsum(powers[:-1] ** 2)))[::-1]
    places = (items[:, None] * len(gram) + items).ravel()
    for square, values in ((gram, apart * np.minimum.outer(rest, rest)), (nexts, np.triu(apart / fade, 1))):
        np.add.at(square.ravel(), places, values.ravel())  # a view; faster than in two dimensions, and repeats add up
