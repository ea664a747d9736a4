"""CoLR: of a table's change what lies in a low-rank space that all clients share (Nguyen et al. 2024).

In each round an orthonormal basis `B`, `[rank, columns]`, is drawn by name from the public seed, so it never travels. A
client sends `A = change B^T`, `[rows, rank]`, for each table, and the server reads `A B`. All clients' `A` have one
`B`, so their mean is the change that their mean `A` stands for. Under the strategy `colr` clients train `A` alone, and
`A B` is their change up to rounding; under any other it is the projection of one.

Only what is sent to the server is smaller: the adapter is sent to clients whole, since some were not asked last time.
"""

import numpy as np
from numpy.typing import NDArray

from fedrec.core.seeding import rng_for
from fedrec.transforms.base import TRANSFORMS, Arrays, Sender, Transform

LOW, DRAW, WHOLE = "low/", "draw/", "whole/"
"""Before the name of an array: `A`; the draw of `B` (seed, round, columns); and what is no table."""


@TRANSFORMS.register("colr")
class CoLR(Transform):
    """Sends a table's change in a basis of the round, `columns / rank` times smaller.

    A table is an array of two axes with more rows than columns and more columns than `rank`; what else there is
    travels whole. The authors' rank is 4, of width 64.

    Args:
        rank: Rows of the basis, at least 1; as many as the strategy `colr` trains, or more.

    Raises:
        ValueError: If the rank is no such number.
    """

    def __init__(self, rank: int = 4) -> None:
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            message = f"rank = {rank!r}: should be a whole number from 1"
            raise ValueError(message)
        self.rank = rank

    def encode(self, change: Arrays, sender: Sender) -> Arrays:
        """Return each table's change in the round's basis, and the rest as it is."""
        sent = {}
        for name, value in change.items():
            if not is_table(value.shape, self.rank):
                sent[f"{WHOLE}{name}"] = value
                continue
            drawn = basis(sender.seed, sender.round, value.shape[1], self.rank)
            sent[f"{LOW}{name}"] = value @ drawn.T.astype(value.dtype)
            sent[f"{DRAW}{name}"] = np.array([sender.seed, sender.round, value.shape[1]])
        return sent

    def decode(self, received: Arrays) -> Arrays:
        """Return `A B` for each table.

        Raises:
            ValueError: If an array is said to be larger than one that would have been sent in this way.
        """
        found = {name.removeprefix(WHOLE): value for name, value in received.items() if name.startswith(WHOLE)}
        for name in (name.removeprefix(LOW) for name in received if name.startswith(LOW)):
            low = received[f"{LOW}{name}"]
            seed, number, columns = received[f"{DRAW}{name}"].tolist()
            if low.shape[1] != self.rank or not is_table((len(low), columns), self.rank):
                message = f"{name} is {list(low.shape)} for {columns} columns, which is no table of rank {self.rank}"
                raise ValueError(message)
            found[name] = low @ basis(seed, number, columns, self.rank).astype(low.dtype)
        return found


def is_table(shape: tuple[int, ...], rank: int) -> bool:
    """Return whether an array of this shape is one whose change is of low rank."""
    return len(shape) == 2 and shape[0] > shape[1] > rank


def basis(seed: int, round: int, columns: int, rank: int) -> NDArray[np.float64]:
    """Return the round's orthonormal rows, `[rank, columns]`; the first ones of a higher rank are those of a lower."""
    drawn = rng_for(seed, "colr", round).standard_normal((rank, columns))
    rows: NDArray[np.float64] = np.linalg.qr(drawn.T).Q.T
    return rows
