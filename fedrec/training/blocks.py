"""A local step's work for many clients at once: which rows are computed together, so that little of it is padding.

A *block* is up to `MOST_ROWS` examples of one client, always a power of two, so that no block has an empty row; a
*group* is blocks of equal height and similar length that one vectorised call computes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedrec.data.examples import pad
from fedrec.data.interactions import IntArray

MOST_ROWS = 16
"""Examples in the highest block: enough to share a client's parameters, few enough for blocks of similar length."""

MOST_PADDING = 0.2
"""Most of a group's positions that may be padding: less costs more calls, each as dear as six sequences of 50."""


@dataclass(frozen=True, eq=False)
class Group:
    """Blocks that are computed together.

    Attributes:
        owner: Place of each block's client among the clients of the step, `[blocks]`.
        history: Item indices, `[blocks, rows, length]`, right-padded.
        target: Next items, of the same shape, `IGNORED` where a position predicts nothing.
    """

    owner: Tensor
    history: Tensor
    target: Tensor

    def to(self, device: torch.device) -> "Group":
        """Return the group on a device."""
        owner, history, target = (
            part.to(device, non_blocking=True) for part in (self.owner, self.history, self.target)
        )
        return Group(owner, history, target)


def groups_of(
    batches: Sequence[Sequence[IntArray]], most_positions: int, *, whole: bool, most_rows: int = MOST_ROWS
) -> Iterator[Group]:
    """Yield the groups of a step; every example is in exactly one.

    Args:
        batches: Each client's drawn examples, as the items of one window each; a client may have none.
        most_positions: Most positions of a group, padding included; one block may have more.
        whole: Whether every position is a target (see `fedrec.data.examples.Examples`).
        most_rows: Most examples of a block; 1 where each example's gradient is wanted.
    """
    blocks = [(owner, block) for owner, cuts in enumerate(batches) for block in _blocks(cuts, most_rows)]
    blocks.sort(key=lambda entry: (len(entry[1]), len(entry[1][0])), reverse=True)  # stable: equals stay in order
    first = 0
    while first < len(blocks):
        rows, longest = len(blocks[first][1]), _length(blocks[first][1][0])
        last, filled = first, 0
        while last < len(blocks) and len(blocks[last][1]) == rows:
            filled += sum(_length(cut) for cut in blocks[last][1])
            computed = (last + 1 - first) * rows * longest
            if last > first and (computed > most_positions or filled < (1 - MOST_PADDING) * computed):
                break
            last += 1
        yield _group(blocks[first:last], whole=whole)
        first = last


def padding(groups: Sequence[Group], positions: int) -> float:
    """Return the share of the groups' positions that is padding, if `positions` are not; 0 for no group."""
    computed = sum(group.history.numel() for group in groups)
    return 1 - positions / computed if computed else 0.0


def _blocks(cuts: Sequence[IntArray], most_rows: int) -> Iterator[list[IntArray]]:
    """Yield a client's examples, longest first, in blocks of 2^k rows: 11 of one length are 8 + 2 + 1."""
    left = sorted(cuts, key=len, reverse=True)
    while left:
        similar = sum(_length(cut) >= (1 - MOST_PADDING) * _length(left[0]) for cut in left)
        rows = min(most_rows, 1 << (similar.bit_length() - 1))
        yield left[:rows]
        left = left[rows:]


def _length(cut: IntArray) -> int:
    """Return the positions of a window: its last item is a target only."""
    return len(cut) - 1


def _group(blocks: Sequence[tuple[int, list[IntArray]]], *, whole: bool) -> Group:
    history, target = pad([cut for _, block in blocks for cut in block], whole=whole)
    shape = (len(blocks), len(blocks[0][1]), history.shape[1])
    owner = torch.from_numpy(np.array([owner for owner, _ in blocks], dtype=np.int64))
    return Group(owner, history.view(shape), target.view(shape))
