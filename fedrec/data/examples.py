"""Training examples of a set of users, as padded tensors.

An example is a user's whole sequence (every position predicts the next item; user-level privacy) or one
(prefix, next item) pair (example-level privacy).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fedrec.data.interactions import IntArray, Interactions
from fedrec.experiment.config import TrainingConfig

IGNORED = -1
"""Target of a position that predicts nothing."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples that can be drawn: one (user, end of window) each; sequences draw their end anew.

    Attributes:
        rows: The users' items, in time order.
        owner: Row of `rows` that each example is cut from.
        end: Index of the example's last target in its row; for sequences the row's last index.
        whole: Whether every position is a target (sequences) or only the last one (prefixes).
        window: Most positions an example has.
    """

    rows: tuple[IntArray, ...]
    owner: IntArray
    end: IntArray
    whole: bool
    window: int

    def __len__(self) -> int:
        return len(self.owner)

    def sequences(self) -> "Examples":
        """Return the rows as whole sequences, one example a row."""
        ends = np.array([len(row) - 1 for row in self.rows], dtype=np.int64)
        return replace(self, owner=np.arange(len(self.rows)), end=ends, whole=True)

    def batch(self, chosen: IntArray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return histories and targets of the chosen examples, both `[chosen, longest]`, right-padded.

        A sequence longer than the window gives one window of it, its end drawn from `rng`.
        """
        return pad(self.cuts(chosen, rng), whole=self.whole)

    def cuts(self, chosen: IntArray, rng: np.random.Generator) -> list[IntArray]:
        """Return the items of the chosen examples' windows, the last target included, unpadded; draws as `batch`."""
        return [self._cut(int(example), rng) for example in chosen]

    def last_windows(self, chosen: IntArray) -> tuple[Tensor, Tensor]:
        """Return the same as `batch` with every sequence cut to its last window: no draw."""
        return pad([self._cut(int(example), None) for example in chosen], whole=self.whole)

    def _cut(self, example: int, rng: np.random.Generator | None) -> IntArray:
        row: IntArray = self.rows[self.owner[example]]
        end = int(self.end[example])
        if rng is not None and self.whole and end > self.window:
            end = int(rng.integers(self.window, end + 1))
        return row[max(0, end - self.window) : end + 1]


def pad(cuts: Sequence[IntArray], *, whole: bool) -> tuple[Tensor, Tensor]:
    """Return histories and targets `[cuts, longest]` of windows with their last target, right-padded.

    Args:
        cuts: Items of each window, at least two.
        whole: Whether every position is a target, or only the last one.
    """
    longest = max((len(cut) - 1 for cut in cuts), default=1)
    history = np.zeros((len(cuts), longest), dtype=np.int64)
    target = np.full((len(cuts), longest), IGNORED, dtype=np.int64)
    for row, cut in enumerate(cuts):
        history[row, : len(cut) - 1] = cut[:-1]
        first = 0 if whole else len(cut) - 2
        target[row, first : len(cut) - 1] = cut[first + 1 :]
    return torch.from_numpy(history), torch.from_numpy(target)


def examples_of(train: Interactions, users: IntArray, config: TrainingConfig, window: int) -> Examples:
    """Return the examples of `users`; a user with fewer than two interactions has none."""
    rows = tuple(items for user in users if len(items := train.items_of(int(user))) >= 2)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    if config.example == "sequence":
        return Examples(rows, np.arange(len(rows)), lengths - 1, whole=True, window=window)
    ends = [np.arange(1, length) for length in lengths]
    return Examples(
        rows,
        np.repeat(np.arange(len(rows)), lengths - 1),
        np.concatenate(ends) if ends else np.empty(0, dtype=np.int64),
        whole=False,
        window=window,
    )


def count_examples(train: Interactions, users: IntArray, config: TrainingConfig) -> int:
    """Return `len(examples_of(train, users, config, window))`, which no window changes; no row is read."""
    lengths = train.lengths_of(users)
    return int(np.sum(lengths >= 2) if config.example == "sequence" else np.sum(np.maximum(lengths - 1, 0)))
