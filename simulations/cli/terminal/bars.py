"""Progress on a terminal: a bar for each piece of work with its count and clock, and under the bars what it says."""

from collections.abc import Callable, Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from simulations.cli.terminal.lines import count

STARTING = "starting"
"""What the clock is of until some work is named."""


class Bars:
    """One bar for each label, made at its first call; work that starts over starts its bar and its clock over.

    Args:
        console: Where to.
        clock: Seconds since whenever.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._bars = _Bars(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=12)),
            TextColumn("{task.fields[count]}", justify="right", table_column=Column(no_wrap=True)),
            _Clock(table_column=Column(no_wrap=True, min_width=14)),
            console=console,
            get_time=clock,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        """Show a clock at once, before there is any work to show."""
        self._bars.start()
        self.show(STARTING, 0, 0, "")

    def stop(self) -> None:
        """Leave the bars as they are."""
        self._end_of_start()
        self._bars.stop()

    def tell(self, line: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(line, markup=False, highlight=False)

    def show(self, label: str, done: int, total: int, note: str) -> None:
        """Move a bar, and let `note` stand under the bars."""
        if label != STARTING:
            self._end_of_start()
        whole, counted = total or None, count(done, total) if done or total else ""
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(
                label, total=whole, completed=done, count=counted, first=done, told=0.0
            )
        task = next(task for task in self._bars.tasks if task.id == self._tasks[label])
        if done < task.completed:
            self._bars.reset(task.id, total=whole, completed=done, count=counted, first=done, told=0.0)
        self._bars.update(task.id, total=whole, completed=done, count=counted, told=task.elapsed or 0.0)
        self._bars.note = note

    def _end_of_start(self) -> None:
        if STARTING in self._tasks:
            self._bars.remove_task(self._tasks.pop(STARTING))


class _Bars(Progress):
    """Bars, and under them the lines of what was said last."""

    note = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for line in self.note.splitlines():
            yield Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis")


class _Clock(ProgressColumn):
    """The time that a piece of work has taken, and what it will still take if the rest goes like what is done.

    Both run on between two words about the work. What was done before the first word, as in a run that is resumed, has
    taken no time.
    """

    def render(self, task: Task) -> Text:
        spent = (task.finished_time if task.finished else task.elapsed) or 0.0
        done = task.completed - task.fields["first"]
        if task.finished or task.total is None or done <= 0:
            return Text(_clock_text(spent))
        each, since = task.fields["told"] / done, spent - task.fields["told"]
        left = max(0.0, each * (task.total - task.completed) - since)
        return Text(f"{_clock_text(spent)}, {_clock_text(left)} left")


def _clock_text(seconds: float) -> str:
    """Return seconds as on a clock: 0:07, 12:34, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
