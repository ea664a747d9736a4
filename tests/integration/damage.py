"""A flipped bit or a cut byte anywhere, and then the same command again: what came of it, in any number of draws.

    python -m tests.integration.damage --draws 500

plays five grounds in turn: a finished run, one that was interrupted, the cache, a finished sweep, and one whose second
trial was interrupted. It prints how many draws ended with the same result and how many in an error that says so, by
ground; whatever ended otherwise is named, and then it exits with 1.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fedrec.core.errors import FedrecError
from fedrec.core.places import default_cache
from fedrec.core.progress import silent
from fedrec.reporting.explain import explain
from fedrec.reporting.run.report import render_report
from fedrec.run.directory import RunDirectory
from simulations.options import RunOptions
from simulations.runner import resume, run
from simulations.sweep.grid import Asked, Axis
from simulations.sweep.plan import Plan, plan_sweep
from simulations.sweep.run import SweepOptions, sweep
from tests.tiny import TINY, tiny

EXPERIMENT = tiny(rounds=3, evaluation={"controls": ("base",)})

DERIVED = {"report.html"}
"""Made from other files, and never read."""

SAME, REFUSED = "the same result", "an error that says so"

Result = tuple[Any, ...]


@dataclass(frozen=True)
class Played:
    """One draw: which file was damaged, and what came of it: `SAME`, `REFUSED`, or what must not be, in words."""

    file: str
    ended: str

    @property
    def held(self) -> bool:
        return self.ended in {SAME, REFUSED}


def damage(file: Path, draw: random.Random) -> None:
    """Flip one bit, or cut the last byte."""
    data = bytearray(file.read_bytes())
    file.unlink()  # it may be a link that others share
    if data and draw.random() < 0.7:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    else:
        data = data[:-1]
    file.write_bytes(bytes(data))


def files_of(folder: Path) -> list[Path]:
    """Return the files that are read back."""
    unread = DERIVED | {".lock"}
    return sorted(path for path in folder.rglob("*") if path.is_file() and not {path.name, path.suffix} & unread)


def result_of(done: RunDirectory) -> Result:
    """Return what a run says, but for how long it took."""
    summary = {key: value for key, value in done.summary().items() if key not in {"timing", "environment"}}
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in done.rounds()]
    return summary, lines, (done.public / "ledger.json").read_text(), (done.public / "adapter.safetensors").read_bytes()


def concluded(path: Path, cache: Path) -> Result:
    """Go on with a run and look at all that it tells."""
    done = resume(path, RunOptions(out=path, cache=cache), silent)
    explain(done)
    render_report(done.path)
    return result_of(done)


def interrupt_(done: RunDirectory) -> None:
    """Leave of a finished run what there was after its last round but one."""
    for part in (done.public, done.private):
        for name in ("checksums.json", "summary.json", "report.html", "adapter.safetensors", "ledger.json"):
            (part / name).unlink(missing_ok=True)
    sorted((done.private / "checkpoints").iterdir())[-1].unlink()


def plan() -> Plan:
    """Return a sweep of two trials, with and without privacy."""
    from fedrec.experiment.layers import Written, flatten

    settings = {**TINY, "evaluation": {**TINY["evaluation"], "controls": ("base",)}}
    written = Written(dict(flatten(settings)), dict.fromkeys(dict(flatten(settings)), "here"))
    return plan_sweep(Asked(written, (Axis("privacy.epsilon", (8.0, float("inf"))),), "tiny", ()), {})


def swept(path: Path, cache: Path) -> Result:
    """Give the sweep's command again and return what its trials and its table say.

    Raises:
        FedrecError: If it or a trial fails with an error of ours.
        RuntimeError: If a trial fails otherwise.
    """
    finished = sweep(plan(), SweepOptions(out=path, cache=cache, workers=1), silent)
    if faults := [one for one in finished.failures.values() if "trace" in one or one["kind"] == "WorkerDied"]:
        message = f"a trial failed in a way that nobody named: {faults[0]}"
        raise RuntimeError(message)
    finished.require_whole()
    runs = [RunDirectory(path / result.folder) for result in finished.results]
    return (*map(result_of, runs), (path / "trials.parquet").read_bytes())


class Grounds:
    """What is damaged, made when it is first asked for.

    Args:
        folder: A new folder to work in.
        cache: Cache of downloads and item vectors.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache

    @cached_property
    def finished(self) -> Path:
        return run(EXPERIMENT, RunOptions(out=self.folder / "finished", cache=self.cache), silent).path

    @cached_property
    def interrupted(self) -> Path:
        shutil.copytree(self.finished, self.folder / "interrupted")
        interrupt_(RunDirectory(self.folder / "interrupted"))
        return self.folder / "interrupted"

    @cached_property
    def whole(self) -> Result:
        return result_of(RunDirectory(self.finished))

    @cached_property
    def sweep(self) -> Path:
        swept(self.folder / "sweep", self.cache)
        return self.folder / "sweep"

    @cached_property
    def interrupted_sweep(self) -> Path:
        shutil.copytree(self.sweep, self.folder / "interrupted sweep")
        interrupt_(RunDirectory(sorted((self.folder / "interrupted sweep" / "trials").iterdir())[1]))
        return self.folder / "interrupted sweep"

    @cached_property
    def whole_sweep(self) -> Result:
        return swept(self.sweep, self.cache)

    @contextmanager
    def copy(self, source: Path) -> Iterator[Path]:
        """Yield a copy, removed afterwards, in a place of its own: processes remember runs by their folders."""
        place = Path(tempfile.mkdtemp(dir=self.folder)) / "copy"
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("*.partial*"))
        yield place
        shutil.rmtree(place.parent)


def outcome(again: Callable[[], Result], whole: Result) -> str:
    """Return what comes of doing it again."""
    try:
        return SAME if again() == whole else "ANOTHER RESULT"
    except FedrecError:
        return REFUSED
    except Exception as error:  # noqa: BLE001 - what nobody expected is what is looked for
        return f"A FAULT: {type(error).__name__}: {error}"


def play_run(grounds: Grounds, source: Path, draw: random.Random) -> Played:
    with grounds.copy(source) as place:
        damage(file := draw.choice(files_of(place)), draw)
        return Played(str(file.relative_to(place)), outcome(lambda: concluded(place, grounds.cache), grounds.whole))


def play_cache(grounds: Grounds, draw: random.Random) -> Played:
    with grounds.copy(grounds.cache) as place:
        damage(file := draw.choice(files_of(place / draw.choice(["data", "vectors"]))), draw)
        out = place.with_name("run")
        again = lambda: result_of(run(EXPERIMENT, RunOptions(out=out, cache=place), silent))  # noqa: E731
        return Played(str(file.relative_to(place)), outcome(again, grounds.whole))


def play_sweep(grounds: Grounds, source: Path, draw: random.Random, number: int | None = None) -> Played:
    """Damage the file of this number, or any."""
    whole = grounds.whole_sweep
    with grounds.copy(source) as place:
        files = files_of(place)
        file = draw.choice(files) if number is None else files[number]
        damage(file, draw)
        return Played(str(file.relative_to(place)), outcome(lambda: swept(place, grounds.cache), whole))


PLAYS: dict[str, Callable[[Grounds, random.Random], Played]] = {
    "a finished run": lambda grounds, draw: play_run(grounds, grounds.finished, draw),
    "an interrupted run": lambda grounds, draw: play_run(grounds, grounds.interrupted, draw),
    "the cache": play_cache,
    "a finished sweep": lambda grounds, draw: play_sweep(grounds, grounds.sweep, draw),
    "an interrupted sweep": lambda grounds, draw: play_sweep(grounds, grounds.interrupted_sweep, draw),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.damage")
    parser.add_argument("--draws", type=int, default=500)
    draws = parser.parse_args().draws
    ended: dict[str, Counter[str]] = {kind: Counter() for kind in PLAYS}
    wrong = []
    with tempfile.TemporaryDirectory(prefix="fedrec-damage-") as folder:
        grounds = Grounds(Path(folder), default_cache())
        for number in range(draws):
            kind = list(PLAYS)[number % len(PLAYS)]
            played = PLAYS[kind](grounds, random.Random(f"{kind} {number}"))
            ended[kind][played.ended if played.held else "WRONG"] += 1
            if not played.held:
                wrong.append(f"draw {number}, {kind}, {played.file}: {played.ended}")
                print(wrong[-1], flush=True)
    for kind, counts in ended.items():
        print(f"{kind}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
