"""`kill -9` and Ctrl-C at awkward moments, then `fedrec resume`: the same bits as if nothing had happened."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from fedrec.core.errors import RunError
from fedrec.core.progress import silent
from fedrec.experiment.file import dump_experiment
from simulations.options import RunOptions
from simulations.runner import resume
from tests.tiny import tiny

# A server that has imported everything, and nothing else, forks each command: half a second instead of ten.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["simulations.cli.app", "simulations.runner", "fedrec.experiment.file"])

CONTROLS = ("popularity", "ease", "local_only")


def fedrec(*arguments: str) -> None:
    """Be the command line."""
    import_module("simulations.cli.app").app(list(arguments))


def begun(*arguments: str | Path) -> ForkServerProcess:
    process = context.Process(target=fedrec, args=[str(argument) for argument in arguments])
    process.start()
    return process


def stopped(process: ForkServerProcess, when: Callable[[], bool], how: signal.Signals) -> int | None:
    """Send a signal as soon as `when` is true; return the exit code."""
    deadline = time.monotonic() + 60
    while not when() and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.is_alive(), "it ended before its moment came"
    os.kill(process.pid, how)
    process.join(60)
    return process.exitcode


def finished(process: ForkServerProcess) -> int | None:
    process.join(120)
    return process.exitcode


def lines(run: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "private" / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in found]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The tiny experiment as a file, with momenta, adapters to be averaged, and a conclusion that takes a moment."""
    os.environ["FEDREC_CACHE"] = str(cache)
    file = tmp_path_factory.mktemp("experiment") / "tiny.toml"
    found = tiny(rounds=6, strategy={"name": "fedadam"}, evaluation={"select": "average", "controls": CONTROLS})
    file.write_text(dump_experiment(found))
    return file


@pytest.fixture(scope="module")
def whole(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert finished(begun("run", experiment, "--out", run, "--quiet")) == 0
    return run


def test_killed_four_times_and_interrupted_once_it_ends_as_if_nothing_had_happened(
    experiment: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    metrics, prepared = run / "private" / "metrics.jsonl", run / "private" / "prepared"

    def rounds() -> int:
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    def in_preparation() -> bool:
        return prepared.is_dir() and not (prepared / "checksums.json").exists()

    killed = -signal.SIGKILL
    assert stopped(begun("run", experiment, "--out", run, "--quiet"), in_preparation, signal.SIGKILL) == killed
    assert stopped(begun("resume", run, "--quiet"), lambda: rounds() >= 2, signal.SIGKILL) == killed
    before = rounds()
    assert stopped(begun("resume", run, "--quiet"), lambda: rounds() > before, signal.SIGINT) == 130
    assert not (run / "private" / "summary.json").exists()
    saved = max(int(path.stem.removeprefix("round-")) for path in (run / "private" / "checkpoints").glob("round-*"))
    assert saved == lines(run)[-1]["round"], "the round in hand was saved"
    assert stopped(begun("resume", run, "--quiet"), lambda: rounds() > saved + 1, signal.SIGKILL) == killed
    concluding = (run / "public" / "adapter.safetensors").exists
    assert stopped(begun("resume", run, "--quiet"), concluding, signal.SIGKILL) == killed
    assert not (run / "private" / "summary.json").exists()
    assert finished(begun("resume", run, "--quiet")) == 0

    summaries = [json.loads((folder / "private" / "summary.json").read_text()) for folder in (run, whole)]
    assert summaries[0]["parameters_sha256"] == summaries[1]["parameters_sha256"]
    for key in ("metrics", "controls", "privacy", "faults", "communication"):
        assert summaries[0][key] == summaries[1][key], key
    assert lines(run) == lines(whole)
    for file in ("ledger.json", "adapter.safetensors", "metrics.jsonl", "summary.json", "report.html"):
        assert (run / "public" / file).read_bytes() == (whole / "public" / file).read_bytes(), file
    assert not [path for path in run.rglob(".*") if path.name != ".lock"], "nothing half-written is left"


def test_killed_among_its_controls_it_repeats_none_that_was_finished(
    experiment: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    controls = run / "private" / "controls"
    one_is_finished = (controls / "popularity.safetensors").exists
    assert stopped(begun("run", experiment, "--out", run, "--quiet"), one_is_finished, signal.SIGKILL) == -9
    assert not (run / "private" / "summary.json").exists()
    before = {path: path.stat().st_mtime_ns for path in controls.glob("*.safetensors")}
    assert finished(begun("resume", run, "--quiet")) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.stem for path in controls.glob("*.safetensors")} == set(CONTROLS)
    summaries = [json.loads((folder / "private" / "summary.json").read_text()) for folder in (run, whole)]
    for summary in summaries:
        del summary["timing"]
    assert summaries[0] == summaries[1]
    assert (run / "public" / "summary.json").read_bytes() == (whole / "public" / "summary.json").read_bytes()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_by_the_system_it_saves_the_round_in_hand(
    experiment: Path, tmp_path: Path, how: signal.Signals
) -> None:
    run = tmp_path / "run"
    metrics = run / "private" / "metrics.jsonl"
    assert stopped(begun("run", experiment, "--out", run, "--quiet"), metrics.exists, how) == 130
    saved = max(int(path.stem.removeprefix("round-")) for path in (run / "private" / "checkpoints").glob("round-*"))
    assert saved == lines(run)[-1]["round"]


def test_resuming_another_experiment_is_refused_by_name(whole: Path) -> None:
    assert finished(begun("resume", whole, "--set", "training.lr=0.1")) == 2
    averaged = {"select": "average", "controls": CONTROLS}
    other = tiny(rounds=6, strategy={"name": "fedadam"}, evaluation=averaged, training={"lr": 0.1})
    with pytest.raises(RunError, match=r"made by another experiment(.|\n)*- training\.lr: 0\.5, now 0\.1"):
        resume(whole, RunOptions(), silent, other)
    assert finished(begun("resume", whole, "--quiet")) == 0
