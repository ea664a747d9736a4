"""Whole sweeps: on the command line, killed at awkward moments, with trials that fail."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.experiment.file import dump_experiment
from simulations.cli.app import app
from tests.tiny import tiny

GRID = ("--over", "privacy.epsilon=8,inf", "--over", "seed=0,1")

# As in test_kill_and_resume: a server that has imported everything forks each sweep, and the sweep forks its workers.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["simulations.cli.app", "simulations.sweep.run", "fedrec.experiment.file"])


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def forked(source: str, out: str, *over: str) -> None:
    """Be `fedrec sweep` with workers that are forked off this process, in a process group of its own."""
    os.setpgrp()
    sweep, grid, plan, plugins = (
        import_module(f"simulations.{name}") for name in ("sweep.run", "sweep.grid", "sweep.plan", "plugins")
    )
    asked = grid.read_asked(source, [], over, plugins.SCENARIOS)
    options = sweep.SweepOptions(out=Path(out), workers=2, context=multiprocessing.get_context("fork"))
    sweep.sweep(plan.plan_sweep(asked, plugins.registries_of()), options, lambda *_: None)


def begun(source: Path, out: Path) -> ForkServerProcess:
    process = context.Process(target=forked, args=(str(source), str(out), *GRID[1::2]))
    process.start()
    return process


def ended(process: ForkServerProcess, when: Callable[[], bool], how: signal.Signals) -> int | None:
    deadline = time.monotonic() + 60
    assert process.pid is not None
    while not (when() and os.getpgid(process.pid) == process.pid) and process.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert process.is_alive(), "it ended before its moment came"
    os.killpg(process.pid, how)
    process.join(60)
    return process.exitcode


def identity(files: list[Path]) -> dict[Path, tuple[int, int]]:
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The tiny experiment as a file, with a group of users to look at."""
    os.environ["FEDREC_CACHE"] = str(cache)
    file = tmp_path_factory.mktemp("experiment") / "tiny.toml"
    file.write_text(dump_experiment(tiny(rounds=6, evaluation={"controls": ("base",), "groups": ("activity",)})))
    return file


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A sweep that nobody disturbs, from the command line, and what it printed."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    result = call(source, *GRID, "--out", out, "--workers", "2", "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout)


def test_a_sweep_is_a_table_a_page_and_a_run_directory_a_trial(whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    assert (told["trials"], told["finished"], told["failures"]) == (4, 4, {})
    table = pl.read_parquet(out / "trials.parquet")
    assert table.select("privacy.epsilon", "seed").rows() == [(8.0, 0), (8.0, 1), (float("inf"), 0), (float("inf"), 1)]
    assert table["state"].unique().to_list() == ["finished"]
    assert [0.99 * 8 <= claim <= 8 for claim in table["claim.epsilon"]] == [True, True, False, False]
    for run in (out / "trials").iterdir():
        summary = json.loads((run / "private" / "summary.json").read_text())
        row = table.row(by_predicate=pl.col("fingerprint") == summary["fingerprint"], named=True)
        assert row["test.last20.ndcg@10"] == summary["metrics"]["test"]["last20"]["ndcg@10"]
        assert row["parameters_sha256"] == summary["parameters_sha256"]
        assert (run / "private" / "report.html").is_file()
    counts = [(one["epsilon"] == "inf", one["splits"], one["seeds"]) for one in told["frontier"]]
    assert counts == [(False, 1, 2), (True, 1, 2)]
    for point in told["frontier"]:
        found = table.filter(pl.col("fingerprint").is_in(point["trials"]))
        assert found["point.seeds"].to_list() == [2, 2]
        mean, low, high = (found[f"point.last20.ndcg@10.{end}"][0] for end in ("mean", "low", "high"))
        assert (mean, low, high) == pytest.approx(tuple(point["last20"][end] for end in ("mean", "low", "high")))
        assert mean == pytest.approx(found["test.last20.ndcg@10"].mean())
        assert 0 <= low < mean < high
        assert found["point.last20.ndcg@10.users"].to_list() == [189, 189] == [point["last20"]["users"]] * 2
        assert found["point.last20.ndcg@10.minimal_difference"][0] > 0
    assert told["minimal_difference"].keys() == {"last", "last20"}
    best = table.group_by("privacy.epsilon").agg(pl.col("validation.last20.ndcg@10").mean()).sort(pl.last()).row(-1)
    assert told["best"]["validation"]["last20"] == pytest.approx(best[1]), "the validation users', and nobody else's"
    assert told["privacy"]["units"]["user"]["epsilon_sum"] == pytest.approx(16, rel=0.01)
    assert told["privacy"]["units"]["user"]["epsilon_composed"] < 16
    page = (out / "report.html").read_text()
    for text in (
        "4 of 4 trials finished.",
        "Trials on the same users compose",
        "Base before federation",
        "By activity",
        "A true difference that a comparison here finds four times in five",
    ):
        assert text in page, text
    assert len(list((out / "prepared").glob("*/checksums.json"))) == 2, "one preparation a seed"


def test_the_same_command_again_repeats_nothing(source: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    before = identity(list(out.glob("trials/*/private/summary.json")))
    assert len(before) == 4
    again = call(source, *GRID, "--out", out, "--json", "--quiet")
    assert json.loads(again.stdout) == told
    assert identity(list(before)) == before
    shown = call(out / "sweep.toml", "--out", out, "--quiet").stdout
    assert "7.99" in shown
    assert "Trials on the same users compose" in " ".join(shown.split())
    assert identity(list(before)) == before


def test_killed_again_and_again_it_ends_with_the_same_table(
    source: Path, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, moments = tmp_path / "sweep", random.Random(4)
    kept: dict[Path, tuple[int, int]] = {}

    def lines() -> int:
        return sum(file.read_bytes().count(b"\n") for file in out.glob("trials/*/private/metrics.jsonl"))

    def further(rounds: int) -> Callable[[], bool]:
        goal = lines() + rounds
        return lambda: lines() >= goal

    def preparing() -> bool:
        return any(out.glob("prepared/*")) and not any(out.glob("prepared/*/checksums.json"))

    def finished() -> bool:
        return any(out.glob("trials/*/private/summary.json"))

    for moment in (lambda: preparing, lambda: further(moments.randint(1, 3)), lambda: finished, lambda: further(1)):
        assert ended(begun(source, out), moment(), signal.SIGKILL) == -signal.SIGKILL
        assert identity(list(kept)) == kept, "what was finished, or begun, was not begun anew"
        kept = identity([*out.glob("trials/*/private/summary.json"), *out.glob("trials/*/checksums.json")])
    assert ended(begun(source, out), further(1), signal.SIGINT) == 1, "it raises SweepInterrupted"
    final = begun(source, out)
    final.join(120)
    assert final.exitcode == 0
    assert identity(list(kept)) == kept
    assert (out / "trials.parquet").read_bytes() == (whole[0] / "trials.parquet").read_bytes()
    assert (out / "sweep.toml").read_bytes() == (whole[0] / "sweep.toml").read_bytes()


def test_a_trial_that_fails_is_told_and_stops_no_other(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    arguments = (source, "--over", "privacy.delta=1e-4,0.005", "--set", "rounds=1", "--out", out, "--quiet")
    result = call(*arguments, "--json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["kind"] == "TrialsFailed"
    assert "1 of 2 trials failed" in error["message"]
    assert "privacy.delta=0.005: delta 0.005 is not below 1/n" in error["message"]
    (failure,) = json.loads((out / "failures.json").read_text()).values()
    assert failure["kind"] == "PrivacyError"
    assert pl.read_parquet(out / "trials.parquet")["state"].to_list() == ["finished", "missing"]
    assert "is not below 1/n" in (out / "report.html").read_text()


def test_all_mistakes_come_before_anything_is_made(source: Path, tmp_path: Path) -> None:
    result = call(source, "--over", "privacy.epsilon=8,-1", "--over", "sede=0,1", "--out", tmp_path / "sweep", "--json")
    assert result.exit_code == 2
    message = json.loads(result.stdout)["error"]["message"]
    assert "2 mistakes" in message
    assert "did you mean 'seed'?" in message
    assert not (tmp_path / "sweep").exists()
