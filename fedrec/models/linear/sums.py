"""The sums over users that a linear branch is made of, as vectors that travel: a matrix of weights follows of each.

Sums of clients' vectors are those of all data in one place: to the bit for counts, which are whole numbers, and to the
rounding of float32 for fading pasts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.interactions import Interactions
from fedrec.experiment.config import LinearConfig
from fedrec.models.linear.item_item import ease_weights_, pair_counts
from fedrec.models.linear.next_item import next_item_sums, next_item_weights_

NAME = "linear"
"""Of the branch, in errors."""
TOGETHER, NEXT = "pair_counts", "next_items"
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class UserSum:
    """A sum over users.

    Attributes:
        size: Its length, by the number of items.
        of: The sum over the users of some rows.
        weights: The matrix of weights that follows of it, `[items, items]`; a history's items are rows.
    """

    size: Callable[[int], int]
    of: Callable[[Interactions, LinearConfig], Vector]
    weights: Callable[[Vector, int, LinearConfig], NDArray[np.float64]]


def triangle_size(items: int) -> int:
    """Return the length of an upper triangle, its diagonal included."""
    return items * (items + 1) // 2


def square(triangle: Vector, items: int) -> NDArray[np.float64]:
    """Return the symmetric matrix of an upper triangle, `[items, items]`."""
    whole = np.zeros((items, items))
    whole[np.triu_indices(items)] = triangle
    return whole + np.triu(whole, 1).T


def _triangle(symmetric: NDArray[np.float64]) -> Vector:
    return symmetric[np.triu_indices(len(symmetric))]


def _pairs(rows: Interactions, config: LinearConfig) -> Vector:
    del config
    return _triangle(pair_counts(rows))


def _weights_of_pairs(total: Vector, items: int, config: LinearConfig) -> NDArray[np.float64]:
    return ease_weights_(NAME, square(total, items), config.l2)


def _nexts(rows: Interactions, config: LinearConfig) -> Vector:
    gram, nexts = next_item_sums(rows, config.decay)
    return np.concatenate((_triangle(gram), nexts.ravel()))


def _weights_of_nexts(total: Vector, items: int, config: LinearConfig) -> NDArray[np.float64]:
    pasts, nexts = np.split(total, [triangle_size(items)])
    return next_item_weights_(NAME, square(pasts, items), nexts.reshape(items, items).copy(), config.l2)


SUMS: Mapping[str, UserSum] = {
    TOGETHER: UserSum(triangle_size, _pairs, _weights_of_pairs),
    NEXT: UserSum(lambda items: triangle_size(items) + items**2, _nexts, _weights_of_nexts),
}
"""How many users have both of two items; and products of fading pasts with themselves and with what came next."""


def asked_sums(config: LinearConfig) -> tuple[str, ...]:
    """Return which sums a branch asks for."""
    return (TOGETHER, NEXT) if config.next_item else (TOGETHER,)


def pooled_weights(rows: Interactions, config: LinearConfig) -> dict[str, Tensor]:
    """Return the weights of all rows in one place, by the name of their sum.

    Raises:
        ConfigError: If no weights can be made of the sums.
    """
    return {name: weights_of(name, SUMS[name].of(rows, config), rows.num_items, config) for name in asked_sums(config)}


def weights_of(name: str, total: Vector, items: int, config: LinearConfig) -> Tensor:
    """Return the weights that follow of a sum, `[items, items]`, in float32.

    Raises:
        ConfigError: If none can be made of it.
    """
    return torch.from_numpy(SUMS[name].weights(total, items, config).astype(np.float32))
