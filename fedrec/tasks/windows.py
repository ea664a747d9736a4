"""Users' rows as examples: windows of a sequence in time order.

An example is a user's whole sequence (every position has a target, or every one of its later half; user-level privacy)
or one (prefix, next item) pair (example-level privacy), as `training.example` says. Of a sequence longer than a window
there is one window, or as many as cover it (`training.windows`).
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
        dropout: The number that its dropout follows from, below 2^32; None where nothing is dropped.
    """

    items: IntArray
    values: NDArray[np.float32]
    first: int
    user: int
    dropout: int | None = None

    @property
    def size(self) -> int:
        """Its positions: the last item is a target only."""
        return len(self.items) - 1


@dataclass(frozen=True, eq=False)
class Windows:
    """Examples that can be drawn: one (user, end of window) each; windows of longer sequences draw their end anew.

    Attributes:
        rows: Where the users' rows lie.
        users: Users with at least two rows.
        places: Place of each of them among those that were asked for.
        owner: Which of `users` each example is cut from.
        end: Index of the example's last target in its user's rows, the last one that may be drawn.
        lowest: The first one that may be drawn; the same where nothing is.
        whole: Whether every position has a target (sequences) or only the last one (prefixes).
        longest: Most positions of a window.
    """

    rows: Interactions
    users: IntArray
    places: IntArray
    owner: IntArray
    end: IntArray
    lowest: IntArray
    whole: bool
    longest: int

    def __len__(self) -> int:
        return len(self.owner)

    def cut(self, chosen: IntArray, rng: np.random.Generator | None) -> list[Window]:
        """Return the chosen examples, the ends of windows drawn from `rng`; the last ones without."""
        return [self._cut(int(example), rng) for example in chosen]

    def _cut(self, example: int, rng: np.random.Generator | None) -> Window:
        owner, lowest, end = int(self.owner[example]), int(self.lowest[example]), int(self.end[example])
        if rng is not None and lowest < end:
            end = int(rng.integers(lowest, end + 1))
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


def windows(rows: Interactions, users: IntArray, longest: int, *, whole: bool, every: bool = False) -> Windows:
    """Return the examples of `users`; a user with fewer than two interactions has none.

    Args:
        rows: Where their rows lie.
        users: Whose examples.
        longest: Most positions of a window.
        whole: Whether an example is a whole sequence or one (prefix, next item) pair.
        every: Of sequences longer than a window, whether all windows are examples, or one.
    """
    places = np.flatnonzero(rows.lengths_of(users) >= 2)
    users = users[places]
    last = rows.lengths_of(users) - 1
    owner, end, lowest = _sequences(last, longest, every=every) if whole else _prefixes(last)
    return Windows(rows, users, places, owner, end, lowest, whole=whole, longest=longest)


def windows_of(targets: IntArray, longest: int) -> IntArray:
    """Return how many windows of at most `longest` targets cover each of so many."""
    return -(-targets // longest)


def _sequences(last: IntArray, longest: int, *, every: bool) -> tuple[IntArray, IntArray, IntArray]:
    """Return whose each window is, and the highest and lowest index of its last target.

    One of them has an end anywhere, where it is full. Of all, one ends with the last row. Before it the row is cut into
    pieces of a window's length, from the back, and one window ends somewhere in each, no earlier than where it is full.

    Args:
        last: Index of each user's last row, at least 1.
        longest: Most positions of a window.
        every: Whether there are all windows, or one.
    """
    if not every:
        return np.arange(len(last)), last, np.minimum(last, longest)
    counts = windows_of(last, longest)
    owner = np.repeat(np.arange(len(last)), counts)
    piece = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    first, end = piece == 0, last[owner] - (piece - 1) * longest - 1
    lowest = np.maximum(end - longest + 1, longest)
    return owner, np.where(first, last[owner], end), np.where(first, last[owner], lowest)


def _prefixes(last: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return whose each (prefix, next item) pair is, and the index of its target, twice: there is nothing to draw."""
    ends = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(1, end + 1) for end in last)])
    return np.repeat(np.arange(len(last)), last), ends, ends


def pad(windows: Sequence[Window]) -> dict[str, Tensor]:
    """Return "history" and "target", `[windows, longest]`, right-padded, and "user", `[windows]`.

    Targets are `IGNORED` where a position has none. With numbers for dropout there is "dropout", `[windows]`, too.
    """
    longest = max((window.size for window in windows), default=1)
    history = np.zeros((len(windows), longest), dtype=np.int64)
    target = np.full((len(windows), longest), IGNORED, dtype=np.int64)
    for row, window in enumerate(windows):
        history[row, : window.size] = window.items[:-1]
        target[row, window.first : window.size] = window.items[window.first + 1 :]
    user = np.array([window.user for window in windows], dtype=np.int64)
    batch = {"history": history, "target": target, "user": user}
    if dropout := [window.dropout for window in windows if window.dropout is not None]:
        batch["dropout"] = np.array(dropout, dtype=np.int64)
    return {name: torch.from_numpy(value) for name, value in batch.items()}
