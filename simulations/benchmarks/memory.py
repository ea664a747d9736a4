"""What a run takes of memory, phase by phase, on a table of 7,390 items and 420,000 rows with the default controls.

`python -m simulations.benchmarks.memory` prints a table, with `--json` the same numbers. It takes minutes and needs
Linux, whose kernel can be told to forget a process's peak; the run is this process, imports included. Rounds and epochs
are few, since what is held at once depends on the table and the model alone.
"""

import json as formats
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment
from simulations.benchmarks.engines.child import peak_mb
from simulations.benchmarks.memory_table import Size, write_table
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress
from simulations.options import RunOptions
from simulations.runner import run

LARGE = Size(users=6_000, items=7_390, rows=420_000)
SMALL = Size(users=120, items=300, rows=3_600)
FORGET = Path("/proc/self/clear_refs")
WORK: dict[str, Any] = {
    "rounds": 2,
    "split": {"public": 0.15},
    "text": {"layers": 2},
    "model": {"base": "public_users", "base_epochs": 2},
    "training": {"optimizer": "sgd", "lr": 0.3, "steps": 1, "sampling_rate": 1.0},
    "adapter": {"rank": 1, "targets": ("output", "contract"), "item_projection": False},
    "privacy": {"epsilon": 8.0},
    "evaluation": {"central_epochs": 2},
}
"""The main job in few rounds and epochs."""

LEGEND = (
    "Most memory resident at once since the row before, MB. A row ends where the work that it names tells of itself; "
    "'before' a work is what came between."
)


class Peaks:
    """Listens to a run's progress and keeps the peak of each phase, `of`, in MB, in the order of their first ends.

    Args:
        told: Called for the same.
    """

    def __init__(self, told: Progress) -> None:
        self.of: dict[str, float] = {}
        self._told, self._control = told, ""

    def __call__(self, label: str, done: int, total: int, note: str = "") -> None:
        """Count what was held since the last call to the work that is done, or to what came before it."""
        if label == "controls":  # told when a control begins, by its name, and after the last
            self.end(f"control {self._control}" if self._control else "before controls")
            self._control = note
        elif label != "note":
            self.end(label if done else f"before {label}")
        self._told(label, done, total, note)

    def end(self, phase: str) -> None:
        """Let a phase end, and forget its peak."""
        self.of[phase] = max(self.of.get(phase, 0.0), peak_mb())
        FORGET.write_text("5", encoding="ascii")


def measure(size: Size, progress: Progress) -> dict[str, float]:
    """Return phase -> peak in MB of a whole run, made in a folder that is removed.

    Raises:
        ConfigError: Where the system cannot forget a peak.
    """
    if not FORGET.exists():
        message = f"this benchmark needs {FORGET}, which only Linux has; run it there, or in a container"
        raise ConfigError(message)
    peaks = Peaks(progress)
    with tempfile.TemporaryDirectory(prefix="fedrec-context-") as folder:
        experiment = Experiment.model_validate({**WORK, "data": write_table(Path(folder), size)})
        peaks.end("imports and the table")
        run(experiment, RunOptions(out=Path(folder) / "run"), peaks)
        peaks.end("comparison and report")
    return peaks.of


def main(
    *,
    small: Annotated[bool, typer.Option("--small", help="A tiny table: shows that it works, says nothing.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the memory of a run."""
    size = SMALL if small else LARGE
    with RichProgress(quiet=quiet) as progress:
        phases = measure(size, progress)
    if json:
        told = {"benchmark": "memory", "table": vars(size), "peak_mb": max(phases.values()), "phases_mb": phases}
        print(formats.dumps(told))
        return
    title = f"{size.items:,} items, {size.rows:,} rows, {size.users:,} users"
    rows = [[name, f"{peak:,.0f}"] for name, peak in [*phases.items(), ("the whole run", max(phases.values()))]]
    show_table(title, ("phase", "MB"), rows)
    show_text(LEGEND)


if __name__ == "__main__":
    typer.run(main)
