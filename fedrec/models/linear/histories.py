"""Rows of users as matrices of users and items: what linear recommenders are fitted on and asked with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fedrec.data.interactions import IntArray, Interactions


def touched_by(train: Interactions) -> sparse.csr_array:
    """Return 1 where a user touched an item, however often, `[users, items]`."""
    return _binary(train.user, train.item, (train.num_users, train.num_items))


def binary_histories(histories: Sequence[IntArray], num_items: int) -> sparse.csr_array:
    """Return 1 where a history has an item, however often, `[histories, items]`.

    Sparse, because picking a history's rows of a matrix of items would copy them.
    """
    return _binary(_owner(histories), np.concatenate(histories), (len(histories), num_items))


def decayed_histories(histories: Sequence[IntArray], num_items: int, decay: float) -> sparse.csr_array:
    """Return exp(-age / decay) where a history has an item, `[histories, items]`.

    Args:
        histories: Items in time order. An item's age is the number of items after it, so the last one's is 0; an item
            that is repeated gets the sum.
        num_items: Size of the catalogue.
        decay: Above 0, in items.
    """
    weights = [np.exp(-np.arange(len(history) - 1, -1, -1) / decay) for history in histories]
    places = (_owner(histories), np.concatenate(histories))
    return sparse.csr_array((np.concatenate(weights), places), shape=(len(histories), num_items))


def _binary(row: IntArray, item: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
    matrix = sparse.csr_array((np.ones(len(row), dtype=np.float64), (row, item)), shape=shape)
    matrix.data[:] = 1.0
    return matrix


def _owner(histories: Sequence[IntArray]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(histories)), [len(history) for history in histories])
