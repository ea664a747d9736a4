"""Progress where there is no terminal: plain lines, few of them, and no control characters."""

from collections.abc import Callable

from rich.console import Console

LONG = 30.0
"""Seconds after which work that goes on is told again, however little was done."""


class Lines:
    """A line at the first call of a label, at each further tenth of its work, and half a minute after the last.

    Args:
        console: Where to.
        clock: Seconds since whenever.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock
        self._tenths: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def start(self) -> None:
        """Say that something is being done; nothing is held open."""
        self.tell("starting")

    def stop(self) -> None:
        """Nothing is held open."""

    def tell(self, line: str) -> None:
        """Print a line of text."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, label: str, done: int, total: int, note: str) -> None:
        """Print a line if one is due."""
        tenth, last, now = 10 * done // total if total else 0, self._tenths.get(label), self._clock()
        if tenth == last and now - self._told[label] < LONG:
            return
        if last is None or tenth < last:
            self._since[label] = now
        self._tenths[label], self._told[label] = tenth, now
        told = "; ".join(note.splitlines())
        self.tell(f"{label} {count(done, total)}, {now - self._since[label]:.0f} s{f', {told}' if told else ''}")


def count(done: int, total: int) -> str:
    """Return how much is done, of how much if that is known."""
    return f"{done:,}/{total:,}" if total else f"{done:,}"
