"""A local step's work for many clients at once: which rows are computed together, so that little of it is padding.

A *block* is up to `MOST_ROWS` examples of one client, always a power of two, so that no block has an empty row; a
*group* is blocks of equal height and similar length that one vectorised call computes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedrec.tasks import Batch, Task

MOST_ROWS = 16
"""Examples in the highest block: enough to share a client's parameters, few enough for blocks of similar length."""

MOST_PADDING = 0.2
"""Most of a group's positions that may be padding: less costs more calls, each as dear as six sequences of 50."""


@dataclass(frozen=True, eq=False)
class Group:
    """Blocks that are computed together.

    Attributes:
        owner: Place of each block's client among the clients of the step, `[blocks]`.
        batch: The task's tensors by name, `[blocks, rows, ...]`.
        computed: Positions of all rows, padding included.
    """

    owner: Tensor
    batch: Batch
    computed: int

    def to(self, device: torch.device) -> "Group":
        """Return the group on a device."""
        batch = {name: value.to(device, non_blocking=True) for name, value in self.batch.items()}
        return Group(self.owner.to(device, non_blocking=True), batch, self.computed)


def groups_of(
    task: Task, batches: Sequence[Sequence[Any]], most_positions: int, *, most_rows: int = MOST_ROWS
) -> Iterator[Group]:
    """Yield the groups of a step; every example is in exactly one.

    Args:
        task: Whose examples they are.
        batches: Each client's drawn examples; a client may have none.
        most_positions: Most positions of a group, padding included; one block may have more.
        most_rows: Most examples of a block; 1 where each example's gradient is wanted.
    """
    blocks = [(owner, block) for owner, drawn in enumerate(batches) for block in _blocks(task, drawn, most_rows)]
    blocks.sort(key=lambda entry: (len(entry[1]), task.size(entry[1][0])), reverse=True)  # stable: equals keep order
    first = 0
    while first < len(blocks):
        rows, longest = len(blocks[first][1]), task.size(blocks[first][1][0])
        last, filled = first, 0
        while last < len(blocks) and len(blocks[last][1]) == rows:
            filled += sum(task.size(example) for example in blocks[last][1])
            computed = (last + 1 - first) * rows * longest
            if last > first and (computed > most_positions or filled < (1 - MOST_PADDING) * computed):
                break
            last += 1
        yield _group(task, blocks[first:last])
        first = last


def padding(groups: Sequence[Group], positions: int) -> float:
    """Return the share of the groups' positions that is padding, if `positions` are not; 0 for no group."""
    computed = sum(group.computed for group in groups)
    return 1 - positions / computed if computed else 0.0


def _blocks(task: Task, drawn: Sequence[Any], most_rows: int) -> Iterator[list[Any]]:
    """Yield a client's examples, longest first, in blocks of 2^k rows: 11 of one length are 8 + 2 + 1."""
    left = sorted(drawn, key=task.size, reverse=True)
    while left:
        similar = sum(task.size(example) >= (1 - MOST_PADDING) * task.size(left[0]) for example in left)
        rows = min(most_rows, 1 << (similar.bit_length() - 1))
        yield left[:rows]
        left = left[rows:]


def _group(task: Task, blocks: Sequence[tuple[int, list[Any]]]) -> Group:
    shape = (len(blocks), len(blocks[0][1]))
    examples = [example for _, block in blocks for example in block]
    batch = {name: value.view(*shape, *value.shape[1:]) for name, value in task.collate(examples).items()}
    owner = torch.from_numpy(np.array([owner for owner, _ in blocks], dtype=np.int64))
    return Group(owner, batch, len(examples) * max(task.size(example) for example in examples))
