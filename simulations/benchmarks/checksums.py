"""What checksums cost: of a prepared population's columns, and of what clients keep between rounds.

`python -m simulations.benchmarks.checksums` prints a table, with `--json` the same numbers; it takes half a minute and
2 GB of disk. Times are of the processor (medians), so that other work on the machine counts little; waiting for a disk
is not in them, but the columns of a resumed run are read once for it.
"""

import json as formats
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from fedrec.core.checksums import damage, seal
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.run.client_store import ClientStore, sums_of
from simulations.cli.options import Json, Quiet
from simulations.cli.terminal.output import show_table, show_text
from simulations.cli.terminal.progress import RichProgress

COLUMNS_MB = 2_000
"""What the columns of a million synthetic users take (docs/performance.md)."""

CLIENTS = 64
"""Of a chunk, which keeps at once."""

PARAMETERS = (1_682, 20_114)
"""Private numbers of a client: an item bias, and the whole adapter of the engines' benchmark."""

REPEATS = 5
LEGEND = (
    "Milliseconds of processor time. 'checksum' is what of 'whole' goes into checksums; all of it where columns are "
    f"sealed (once, after preparing) and compared (at resume). Kept and recalled: a chunk of {CLIENTS} clients."
)


@dataclass(frozen=True)
class Row:
    """A work and what its checksums cost, in ms."""

    work: str
    megabytes: float
    whole_ms: float
    checksum_ms: float


def context(columns_mb: int, progress: Progress) -> list[Row]:
    """Return a row a work."""
    steps = 1 + len(PARAMETERS)
    with tempfile.TemporaryDirectory(prefix="fedrec-context-") as folder:
        progress("checksums", 0, steps, "columns")
        rows = _columns(Path(folder) / "columns", columns_mb)
        for done, parameters in enumerate(PARAMETERS, 1):
            progress("checksums", done, steps, f"{parameters:,} private parameters")
            rows += _kept(Path(folder) / str(parameters), parameters)
    progress("checksums", steps, steps)
    return rows


def _columns(folder: Path, megabytes: int) -> list[Row]:
    folder.mkdir()
    piece = rng_for(0, "checksums").bytes(2**20)
    with (folder / "item.npy").open("wb") as file:
        for _ in range(megabytes):
            file.write(piece)
    works: dict[str, Callable[[Path], object]] = {"columns sealed": seal, "columns compared at resume": damage}
    times = {work: _milliseconds(partial(act, folder)) for work, act in works.items()}
    return [Row(work, megabytes, spent, spent) for work, spent in times.items()]


def _kept(folder: Path, parameters: int) -> list[Row]:
    clients, start = list(range(CLIENTS)), {"private": torch.zeros(parameters)}
    store = ClientStore(folder, CLIENTS, 100, start)
    values = torch.from_numpy(rng_for(0, "checksums").random((CLIENTS, parameters), dtype="f4"))
    rounds = iter(range(1, 100))
    keep = _milliseconds(lambda: store.keep(clients, {"private": values}, next(rounds)))
    recall = _milliseconds(lambda: store.recall(clients, 100))
    packed = values.view(torch.uint8).numpy()
    one, size = _milliseconds(lambda: sums_of(packed, 1)), packed.nbytes / 2**20
    # both slots of a client are compared when one is recalled
    return [
        Row(f"{parameters:,} numbers a client kept", size, keep, one),
        Row(f"{parameters:,} numbers a client recalled", 2 * size, recall, 2 * one),
    ]


def _milliseconds(act: Callable[[], object]) -> float:
    """Return the median processor time of `act`, after a first time that does not count."""
    act()
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        act()
        spent.append(1000 * (time.process_time() - began))
    return median(spent)


def main(
    *,
    columns_mb: Annotated[int, typer.Option(min=1, help="Size of the columns.")] = COLUMNS_MB,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure what checksums cost."""
    with RichProgress(quiet=quiet) as progress:
        rows = context(columns_mb, progress)
    if json:
        print(formats.dumps({"benchmark": "checksums", "clients": CLIENTS, "rows": [vars(row) for row in rows]}))
        return
    cells = [[r.work, f"{r.megabytes:,.1f}", f"{r.whole_ms:,.2f}", f"{r.checksum_ms:,.2f}"] for r in rows]
    show_table("What checksums cost", ("work", "MB", "whole", "checksum"), cells)
    show_text(LEGEND)


if __name__ == "__main__":
    typer.run(main)
