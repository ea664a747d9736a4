"""Tasks whose examples are windows of users' sequences: what they share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fedrec.data.interactions import IntArray, Interactions
from fedrec.tasks.base import Task
from fedrec.tasks.windows import Window, Windows, cover, pad, windows, windows_of

DRAWS = 2**32
"""Numbers that an example's dropout may follow from."""


class SequenceTask(Task):
    """A user's whole sequence is an example, all windows of it, their later halves, or each (prefix, next item) pair.

    As `training.example` and `training.windows` say.
    """

    @property
    def whole(self) -> bool:
        """Whether an example is a whole sequence: a target at every position, or at those of the later half."""
        return self.experiment.training.example != "prefix"

    @property
    def halved(self) -> bool:
        """Whether an example has targets in its later half alone."""
        return self.experiment.training.example == "later_half"

    @property
    def every(self) -> bool:
        """Whether all windows of a sequence are examples."""
        return self.whole and self.experiment.training.windows == "all"

    def count(self, lengths: IntArray) -> IntArray:
        """Return the number of sequences, of their windows, or of (prefix, next item) pairs."""
        targets = np.maximum(lengths - 1, 0)
        if self.every:
            return windows_of(targets, self.experiment.model.window)
        return (targets >= 1).astype(np.int64) if self.whole else targets

    def positions(self, lengths: IntArray) -> IntArray:
        """Return the positions of their windows, a prefix counting as the longest."""
        targets, longest = np.maximum(lengths - 1, 0), self.experiment.model.window
        full = longest * self.count(lengths)
        return np.where(targets <= longest, targets, full) if self.whole else full

    def examples(self, rows: Interactions, users: IntArray) -> Windows:
        """Return the windows of these users."""
        return windows(rows, users, self.experiment.model.window, whole=self.whole, every=self.every)

    def draw(self, examples: Windows, chosen: IntArray, rng: np.random.Generator) -> list[Window]:
        """Return windows whose ends are drawn, and what each one's dropout follows from, if there is any."""
        drawn = examples.cut(chosen, rng)
        if self.halved:
            drawn = [window._replace(first=window.size // 2) for window in drawn]
        if not self.experiment.model.dropout:
            return drawn
        numbers = rng.integers(DRAWS, size=len(drawn)).tolist()
        return [window._replace(dropout=number) for window, number in zip(drawn, numbers, strict=True)]

    def judged(self, rows: Interactions, users: IntArray) -> list[Window]:
        """Return each user's last window, every position of which has a target, whatever is trained on."""
        found = windows(rows, users, self.experiment.model.window, whole=True)
        return found.cut(np.arange(len(found)), None)

    def cover(self, rows: Interactions, user: int) -> list[Window]:
        """Return the user's sequence in windows end to end."""
        return cover(rows, user, self.experiment.model.window)

    def of_windows(self, windows: Sequence[Window], rng: np.random.Generator | None) -> list[Any]:
        """Return windows as examples: as they are, unless a task adds to them, by a draw or, without, by a rule."""
        del rng
        return [*windows]

    def size(self, example: Window) -> int:
        """Return the window's positions."""
        return example.size

    def collate(self, examples: Sequence[Window]) -> dict[str, Tensor]:
        """Return "history" and "target", `[batch, longest]`, and "user", `[batch]` (see `fedrec.tasks.windows.pad`).

        Of later halves there is "first", `[batch]`, too: the first position with a target.
        """
        if not self.halved:
            return pad(examples)
        return {**pad(examples), "first": torch.tensor([window.first for window in examples], dtype=torch.int64)}
