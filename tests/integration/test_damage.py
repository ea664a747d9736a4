"""A flipped bit or a cut byte anywhere: the same result, or an error that says so; never another result.

Each draw damages one file of an interrupted run, of a finished one, or of the cache, and goes on with it.
"""

import contextlib
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedrec.config import Experiment
from fedrec.errors import FedrecError
from fedrec.progress import silent
from fedrec.reporting.explain import explain
from fedrec.reporting.report import render_report
from fedrec.reporting.rundir import RunDirectory
from simulations.options import RunOptions
from simulations.runner import resume, run
from tests.tiny import tiny

DRAWS = 60
IN_A_TEST = 10
DERIVED = {"report.html"}
"""Made from other files, and never read."""

Result = tuple[Any, ...]


def result_of(done: RunDirectory) -> Result:
    """Return what a run says, but for how long it took."""
    summary = {key: value for key, value in done.summary().items() if key not in {"timing", "environment"}}
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in done.rounds()]
    return summary, lines, (done.public / "ledger.json").read_text(), (done.public / "adapter.safetensors").read_bytes()


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
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in DERIVED | {".lock"})


def concluded(path: Path, cache: Path) -> Result:
    """Go on with a run and look at all that it tells."""
    done = resume(path, RunOptions(out=path, cache=cache), silent)
    explain(done)
    render_report(done.path)
    return result_of(done)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return tiny(rounds=3, evaluation={"controls": ("base",)})


@pytest.fixture(scope="module")
def runs(experiment: Experiment, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run, and one that was interrupted after its second round."""
    folder = tmp_path_factory.mktemp("whole")
    finished = run(experiment, RunOptions(out=folder / "finished", cache=cache), silent)
    shutil.copytree(finished.path, folder / "interrupted")
    half = RunDirectory(folder / "interrupted")
    for part in (half.public, half.private):
        for name in ("checksums.json", "summary.json", "report.html", "adapter.safetensors", "ledger.json"):
            (part / name).unlink(missing_ok=True)
    sorted((half.private / "checkpoints").iterdir())[-1].unlink()
    return {"finished": finished.path, "interrupted": half.path}


@pytest.mark.parametrize("kind", ["finished", "interrupted"])
@pytest.mark.parametrize("group", range(DRAWS // IN_A_TEST // 2))
def test_a_damaged_run_ends_the_same_or_says_what_is_wrong(
    kind: str, group: int, runs: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    whole = result_of(RunDirectory(runs["finished"]))
    seen: list[str] = []
    for number in range(IN_A_TEST):
        draw = random.Random(f"{kind} {group} {number}")
        place = tmp_path / str(number)
        shutil.copytree(runs[kind], place)
        file = draw.choice(files_of(place))
        damage(file, draw)
        seen.append(file.relative_to(place).as_posix())
        with contextlib.suppress(FedrecError):
            assert concluded(place, cache) == whole, seen[-1]
        shutil.rmtree(place)


def test_a_damaged_cache_gives_the_same_run_or_says_what_is_wrong(
    experiment: Experiment, runs: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    whole = result_of(RunDirectory(runs["finished"]))[0]["parameters_sha256"]
    for number in range(6):
        draw, own = random.Random(f"cache {number}"), tmp_path / "cache"
        shutil.copytree(cache, own, ignore=shutil.ignore_patterns("*.partial*"))
        damage(draw.choice(files_of(own / ("data" if number % 2 else "vectors"))), draw)
        with contextlib.suppress(FedrecError):
            done = run(experiment, RunOptions(out=tmp_path / f"run-{number}", cache=own), silent)
            assert done.summary()["parameters_sha256"] == whole
        shutil.rmtree(own)
