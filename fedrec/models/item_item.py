"""Which items go together: how many users have both of two, and the ridge regression of every item on all others.

EASE (Steck 2019). The counts are sums over users, so they are the same wherever they are added up.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from fedrec.core.errors import ConfigError
from fedrec.data.interactions import IntArray, Interactions

MAX_ITEMS = 20_000
"""Most items whose dense square matrix is made."""

BLOCK = 256
"""Rows of a square that are worked on at once."""


def pair_counts(rows: Interactions) -> NDArray[np.float64]:
    """Return how many users touched both of each two items, `[items, items]`; the diagonal counts each item's users.

    A user counts once however often an item is repeated. Block by block, because the product as a sparse matrix takes
    more memory than as a dense one.
    """
    matrix = touched(rows.user, rows.item, (rows.num_users, rows.num_items))
    by_item, counts = matrix.T.tocsr(), np.empty((rows.num_items, rows.num_items))
    for first in range(0, rows.num_items, BLOCK):
        (by_item[first : first + BLOCK] @ matrix).toarray(out=counts[first : first + BLOCK])
    return counts


def ease_weights_(counts: NDArray[np.float64], l2: float) -> NDArray[np.float64]:
    """Return the weights of every item (rows) in every other's score (columns), made in the place of `counts`.

    With `P = (counts + l2 I)^-1` they are `I - P / diag(P)`, column-wise, whose diagonal is zero (Steck 2019, eq. 8).

    Args:
        counts: As of `pair_counts`; it is overwritten, since two such squares may not fit into memory.
        l2: Ridge penalty, above 0.

    Raises:
        ConfigError: If rounding leaves the matrix without an inverse.
    """
    counts[np.diag_indices_from(counts)] += l2
    _invert_(counts)
    counts /= -counts.diagonal().copy()
    np.fill_diagonal(counts, 0.0)
    return counts


def touched(user: IntArray, item: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
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
