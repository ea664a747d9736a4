"""Progress on standard error: bars on a terminal, a line every tenth elsewhere, nothing if quiet."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

NOTE = "note"
"""Label of a line of text that is no piece of work."""


class RichProgress:
    """A `fedrec.progress.Progress` for people, open while the work lasts.

    Args:
        quiet: Tell nothing.
        console: Where to; standard error by default.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._teller = None if quiet else _Bars(console) if console.is_interactive else _Lines(console)

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


class _Bars:
    """One bar for each label, made at its first call; work that starts over starts its bar over."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}", justify="right"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._bars.stop()

    def tell(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False)

    def show(self, label: str, done: int, total: int, note: str) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(label, total=total or None, count="", note="")
        task = self._tasks[label]
        if done < self._bars.tasks[self._bars.task_ids.index(task)].completed:
            self._bars.reset(task)
        self._bars.update(task, completed=done, total=total or None, count=_count(done, total), note=note)


class _Lines:
    """A line at the first call of a label and at each further tenth of its work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenths: dict[str, int] = {}
        self._since: dict[str, float] = {}

    def start(self) -> None:
        """Nothing is held open."""

    def stop(self) -> None:
        """Nothing is held open."""

    def tell(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, label: str, done: int, total: int, note: str) -> None:
        tenth, last = 10 * done // total if total else 0, self._tenths.get(label)
        if tenth == last:
            return
        if last is None or tenth < last:
            self._since[label] = time.monotonic()
        self._tenths[label] = tenth
        seconds = time.monotonic() - self._since[label]
        self.tell(f"{label} {_count(done, total)}, {seconds:.0f} s{f', {note}' if note else ''}")


def _count(done: int, total: int) -> str:
    return f"{done:,}/{total:,}" if total else f"{done:,}"
