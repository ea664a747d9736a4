"""Users' rows as examples: windows of a sequence in time order.

An example is a user's whole sequence (every position has a target; user-level privacy) or one (prefix, next item) pair
(example-level privacy), as `training.example` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedrec.data.interactions import IntArray, Interactions

IGNORED = -1
"""Target of a position that has none."""


class Window(NamedTuple):
    """One drawn example.

    Attributes:
        items: At least two: a history, and behind it the last target.
        values: Rating or weight of each of them.
        first: First position with a target; the target of position `t` is item `t + 1`.
        user: Place of its user among those that were asked for.
    """

    items: IntArray
    values: NDArray[np.float32]
    first: int
    user: int

    @property
    def size(self) -> int:
        """Its positions: the last item is a target only."""
        return len(self.items) - 1


@dataclass(frozen=True, eq=False)
class Windows:
    """Examples that can be drawn: one (user, end of window) each; sequences draw their end anew.

    Attributes:
        rows: Where the users' rows lie.
        users: Users with at least two rows.
        places: Place of each of them among those that were asked for.
        owner: Which of `users` each example is cut from.
        end: Index of the example's last target in its user's rows; for sequences the last index.
        whole: Whether every position has a target (sequences) or only the last one (prefixes).
        longest: Most positions of a window.
    """

    rows: Interactions
    users: IntArray
    places: IntArray
    owner: IntArray
    end: IntArray
    whole: bool
    longest: int

    def __len__(self) -> int:
        return len(self.owner)

    def cut(self, chosen: IntArray, rng: np.random.Generator | None) -> list[Window]:
        """Return the chosen examples.

        A sequence longer than the window gives one window of it, its end drawn from `rng`; the last one without.
        """
        return [self._cut(int(example), rng) for example in chosen]

    def _cut(self, example: int, rng: np.random.Generator | None) -> Window:
        owner, end = int(self.owner[example]), int(self.end[example])
        if rng is not None and self.whole and end > self.longest:
            end = int(rng.integers(self.longest, end + 1))
        begin = int(self.rows.bounds[self.users[owner]])
        shown = slice(begin + max(0, end - self.longest), begin + end + 1)
        items = self.rows.item[shown]
        first = 0 if self.whole else len(items) - 2
        return Window(items, self.rows.value[shown], first, int(self.places[owner]))


def cover(rows: Interactions, user: int, longest: int) -> list[Window]:
    """Return a user's rows in whole windows end to end, the last one first; none for fewer than two rows."""
    items, values = rows.items_of(user), rows.values_of(user)
    parts = [slice(max(0, end - longest), end + 1) for end in range(len(items) - 1, 0, -longest)]
    return [Window(items[part], values[part], 0, 0) for part in parts]


def windows(rows: Interactions, users: IntArray, longest: int, *, whole: bool) -> Windows:
    """Return the examples of `users`; a user with fewer than two interactions has none.

    Args:
        rows: Where their rows lie.
        users: Whose examples.
        longest: Most positions of a window.
        whole: Whether an example is a whole sequence or one (prefix, next item) pair.
    """
    places = np.flatnonzero(rows.lengths_of(users) >= 2)
    users = users[places]
    lengths = rows.lengths_of(users)
    if whole:
        return Windows(rows, users, places, np.arange(len(users)), lengths - 1, whole=True, longest=longest)
    ends = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(1, length) for length in lengths)])
    return Windows(
        rows, users, places, np.repeat(np.arange(len(users)), lengths - 1), ends, whole=False, longest=longest
    )


def pad(windows: Sequence[Window]) -> dict[str, Tensor]:
    """Return "history" and "target", `[windows, longest]`, right-padded, and "user", `[windows]`.

    Targets are `IGNORED` where a position has none.
    """
    longest = max((window.size for window in windows), default=1)
    history = np.zeros((len(windows), longest), dtype=np.int64)
    target = np.full((len(windows), longest), IGNORED, dtype=np.int64)
    for row, (items, _, first, _) in enumerate(windows):
        history[row, : len(items) - 1] = items[:-1]
        target[row, first : len(items) - 1] = items[first + 1 :]
    user = np.array([window.user for window in windows], dtype=np.int64)
    return {name: torch.from_numpy(value) for name, value in (("history", history), ("target", target), ("user", user))}
