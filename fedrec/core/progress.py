"""How long work tells of itself: a label, how much is done, how much there is.

The library only calls; the command line draws bars, tests listen, and `silent` does nothing.
"""

from typing import Protocol


class Progress(Protocol):
    """Called before the first piece of work and after each; `total` is 0 while it is unknown."""

    def __call__(self, label: str, done: int, total: int, note: str = "") -> None:
        """Tell that `done` of `total` pieces of the work called `label` are finished."""


def silent(label: str, done: int, total: int, note: str = "") -> None:
    """Tell nobody."""
    del label, done, total, note


class DownloadBar:
    """Tells a `Progress` of a download's bytes; has the interface that pooch asks of a bar."""

    def __init__(self, label: str, progress: Progress) -> None:
        self._label, self._progress = label, progress
        self.total = 0
        self._done = 0

    def update(self, amount: int) -> None:
        """Count `amount` more bytes."""
        self._done += amount
        self._progress(self._label, self._done, self.total)

    def reset(self) -> None:
        """Start counting anew."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held open."""
