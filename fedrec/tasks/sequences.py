"""Tasks whose examples are windows of users' sequences: what they share."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from fedrec.data.interactions import IntArray, Interactions
from fedrec.tasks.base import Task
from fedrec.tasks.windows import Window, Windows, cover, pad, windows


class SequenceTask(Task):
    """A user's whole sequence is an example, or each (prefix, next item) pair, as `training.example` says."""

    @property
    def whole(self) -> bool:
        """Whether an example is a whole sequence: a target at every position."""
        return self.experiment.training.example == "sequence"

    def count(self, lengths: IntArray) -> IntArray:
        """Return the number of sequences, or of (prefix, next item) pairs."""
        return (lengths >= 2).astype(np.int64) if self.whole else np.maximum(lengths - 1, 0)

    def positions(self, lengths: IntArray) -> IntArray:
        """Return the positions of their windows, a prefix counting as the longest."""
        targets, longest = np.maximum(lengths - 1, 0), self.experiment.model.window
        return np.minimum(targets, longest) if self.whole else longest * targets

    def examples(self, rows: Interactions, users: IntArray) -> Windows:
        """Return the windows of these users."""
        return windows(rows, users, self.experiment.model.window, whole=self.whole)

    def draw(self, examples: Windows, chosen: IntArray, rng: np.random.Generator) -> list[Window]:
        """Return windows whose ends are drawn."""
        return examples.cut(chosen, rng)

    def judged(self, rows: Interactions, users: IntArray) -> list[Window]:
        """Return each user's last window, every position of which has a target, whatever is trained on."""
        found = windows(rows, users, self.experiment.model.window, whole=True)
        return found.cut(np.arange(len(found)), None)

    def cover(self, rows: Interactions, user: int) -> list[Window]:
        """Return the user's sequence in windows end to end."""
        return cover(rows, user, self.experiment.model.window)

    def size(self, example: Window) -> int:
        """Return the window's positions."""
        return example.size

    def collate(self, examples: Sequence[Window]) -> dict[str, Tensor]:
        """Return "history" and "target", `[batch, longest]`, and "user", `[batch]` (see `fedrec.tasks.windows.pad`)."""
        return pad(examples)
