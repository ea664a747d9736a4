"""Progress on standard error: bars on a terminal, lines elsewhere, nothing if quiet.

Nothing of weight is imported here, so that a command says that it is there before it imports what takes seconds.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console

from simulations.cli.terminal.bars import Bars
from simulations.cli.terminal.lines import Lines

NOTE = "note"
"""Label of a line of text that is no piece of work."""


class Teller(Protocol):
    """Shows progress in one form; `start` says that something is being done, before any work is named."""

    def start(self) -> None:
        """Begin to show."""

    def stop(self) -> None:
        """Show no more."""

    def tell(self, line: str) -> None:
        """Show a line of text, as it is."""

    def show(self, label: str, done: int, total: int, note: str) -> None:
        """Show how far the work called `label` is; arguments as of `fedrec.core.progress.Progress`."""


class RichProgress:
    """A `fedrec.core.progress.Progress` for people, open while the work lasts; any thread may tell it something.

    Args:
        quiet: Tell nothing.
        console: Where to; standard error by default.
        clock: Seconds since whenever.
    """

    def __init__(
        self, *, quiet: bool = False, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = console or Console(stderr=True)
        kind = Bars if console.is_interactive else Lines
        self._teller: Teller | None = None if quiet else kind(console, clock)

    def __enter__(self) -> Self:
        if self._teller:
            self._teller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._teller:
            self._teller.stop()

    def __call__(self, label: str, done: int, total: int, note: str = "") -> None:
        """Show how far the work called `label` is; with the label `NOTE`, only the line `note`."""
        if self._teller and label == NOTE:
            self._teller.tell(note)
        elif self._teller:
            self._teller.show(label, done, total, note)

    def notify(self, line: str) -> None:
        """Show one line of text."""
        self(NOTE, 0, 0, line)
