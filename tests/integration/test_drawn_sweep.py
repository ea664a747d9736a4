"""Sweeps that draw their trials: what is published, that nothing else is, and that a killed one draws nothing anew."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedrec.experiment.file import dump_experiment
from fedrec.privacy.accounting.prices import Release
from fedrec.privacy.accounting.trial_draw import Draw
from fedrec.privacy.accounting.tuning import epsilon_of_best
from fedrec.reporting.frontier.points import TrialResult
from simulations.cli.app import app
from simulations.sweep import drawn
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.drawn import Published, publish, results_of
from simulations.sweep.grid import read_asked
from simulations.sweep.plan import Plan, plan_sweep
from tests.handmade import NEXT_ITEM
from tests.tiny import tiny

OVER = "training.lr=0.1,0.5,1.0"
DRAW = Draw(4.0, "geometric")
TOLD = {"tuning.json", "best/experiment.toml"}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["simulations.cli.app", "simulations.sweep.drawn", "fedrec.experiment.file"])


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def planned(source: Path | str) -> Plan:
    plugins = import_module("simulations.plugins")
    asked = read_asked(str(source), [], [OVER], plugins.SCENARIOS)
    return plan_sweep(replace(asked, draw=DRAW), plugins.registries_of())


def carried_out(source: Path | str, out: Path | str) -> Published:
    """Be `fedrec sweep --draw-trials` with workers that are forked off this process."""
    conduct = import_module("simulations.sweep.run")
    options = conduct.SweepOptions(out=Path(out), workers=2, context=multiprocessing.get_context("fork"))
    return drawn.sweep_drawn(planned(source), DRAW, options, lambda *_: None)


def forked(source: str, out: str) -> None:
    os.setpgrp()
    carried_out(source, out)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The tiny experiment as a file, with users who judge and noise of each run's own."""
    os.environ["FEDREC_CACHE"] = str(cache)
    file = tmp_path_factory.mktemp("experiment") / "tiny.toml"
    changes: dict[str, Any] = {"privacy": {"noise_key": None}, "evaluation": {"controls": ("base",), "groups": ()}}
    file.write_text(dump_experiment(tiny(rounds=4, **changes)))
    return file


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A sweep that nobody disturbs, from the command line, and what it printed."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    asked = ("--over", OVER, "--draw-trials", "4", "--law", "geometric")
    result = call(source, *asked, "--out", out, "--workers", "2", "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    return out, json.loads(result.stdout)


def test_the_best_is_published_with_the_price_of_the_draw(whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    claim = json.loads((out / "public" / "tuning.json").read_text())
    assert told["privacy"] == {key: value for key, value in claim.items() if key != "best"}
    assert (told["failures"], told["public"]) == ({}, str(out / "public"))
    table = pl.read_parquet(out / "private" / "trials.parquet")
    best = table.sort("validation.last20.ndcg@10", descending=True, nulls_last=True).row(0, named=True)
    assert claim["best"]["validation"] == best["validation.last20.ndcg@10"]
    summary = json.loads((out / "public" / "best" / "summary.json").read_text())
    assert summary["fingerprint"] == claim["best"]["fingerprint"] == told["best"]["fingerprint"]
    # every setting has full batches: four releases of one noise
    noise, delta = summary["privacy"]["noise_multiplier"], summary["privacy"]["delta"]
    assert claim["epsilon"] == epsilon_of_best([(Release(noise, 1.0, 4),)], 4.0, "geometric", delta)
    assert summary["privacy"]["epsilon"] < claim["epsilon"]
    assert (claim["law"], claim["trials_mean"], claim["settings"]) == ("geometric", 4.0, 3)


def test_the_best_is_the_validation_users_and_never_the_test_users(tmp_path: Path) -> None:
    directory = SweepDirectory(tmp_path, drawn=True)
    results = []
    for name, validation, test in (("tuned", 0.3, 0.1), ("lucky", 0.2, 0.9), ("silent", None, 0.95)):
        scores = {"validation": {} if validation is None else {"last20": {"ndcg@10": validation}}}
        told = {"task": NEXT_ITEM, "metrics": {**scores, "test": {"last20": {"ndcg@10": test}}}}
        file = tmp_path / "private" / "trials" / name / "public" / "summary.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(told))
        results.append(TrialResult(name, {}, 0, name, f"private/trials/{name}", told))
    best = drawn.best_of(directory, results)
    assert best is not None
    assert best.label == "tuned"
    assert drawn.best_of(directory, []) is None


def test_the_public_part_is_the_best_runs_own_and_tells_nothing_of_the_others(
    source: Path, whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    shutil.copytree(whole[0], out)
    before = files(out / "public")
    directory, plan = SweepDirectory(out, drawn=True), planned(source)
    best_fingerprint = json.loads(before["tuning.json"])["best"]["fingerprint"]
    results = results_of(directory, drawn.drawn_trials(directory, plan, DRAW))
    best = max(
        (result for result in results if result.fingerprint == best_fingerprint),
        key=lambda result: result.summary["metrics"]["validation"]["last20"]["ndcg@10"],
    )
    own = files(out / best.folder / "public")
    assert {name: before[f"best/{name}"] for name in own} == own
    assert before.keys() == {f"best/{name}" for name in own} | TOLD
    # The same trial, had it been the only one: with the others, their key and their tables gone, to the same bytes.
    shutil.rmtree(out / "public")
    (directory.work / "draw.key").unlink()
    for trial in (directory.work / "trials").iterdir():
        if trial != out / best.folder:
            shutil.rmtree(trial)
    alone = replace(best, folder=(Path(best.folder).parent / "pick-00001").as_posix())
    (out / best.folder).rename(out / alone.folder)
    publish(directory, drawn.tuning_claim(DRAW, drawn._plans(directory, plan)), alone)
    assert files(out / "public") == before
    assert not any(b"pick-0" in data for data in before.values())


def test_the_same_command_again_changes_nothing(source: Path, whole: tuple[Path, dict[str, Any]]) -> None:
    out, told = whole
    before = files(out)
    again = call(out / "sweep.toml", "--out", out, "--json", "--quiet")
    assert json.loads(again.stdout) == told
    after = files(out)
    assert {name for name in before if before[name] != after[name]} == set()
    shown = " ".join(call(out / "sweep.toml", "--out", out, "--quiet").stdout.split())
    assert "the best of a number of trials that was drawn in secret by the geometric law with mean 4" in shown


def test_killed_it_goes_on_with_the_same_trials_and_publishes_when_all_have_ended(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sweep"
    work = out / "private"

    def lines() -> int:
        return sum(file.read_bytes().count(b"\n") for file in work.glob("trials/*/private/metrics.jsonl"))

    def killed(when: Callable[[], bool]) -> None:
        process = context.Process(target=forked, args=(str(source), str(out)))
        process.start()
        deadline = time.monotonic() + 60
        while not (when() and os.getpgid(process.pid) == process.pid) and process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert process.is_alive(), "it ended before its moment came"
        os.killpg(process.pid, signal.SIGKILL)
        process.join(60)

    killed(lambda: lines() >= 1)
    key = (work / "draw.key").read_bytes()
    begun = {path.parent.name: path.read_bytes() for path in work.glob("trials/*/checksums.json")}
    assert begun
    assert not (out / "public").exists()
    finished = carried_out(source, out)
    finished.require_whole()
    assert (work / "draw.key").read_bytes() == key
    assert {name: (work / "trials" / name / "checksums.json").read_bytes() for name in begun} == begun
    expected = {f"pick-{trial.pick:05d}" for trial in drawn.drawn_trials(finished.directory, planned(source), DRAW)}
    assert {path.name for path in (work / "trials").iterdir()} == expected
    assert (out / "public" / "tuning.json").is_file()


def test_a_trial_that_fails_keeps_all_private(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"pick-00001": {"trial": "training.lr=1", "message": "a disk is full"}}
    monkeypatch.setattr(drawn, "carry_out", lambda *_: failed)
    result = call(source, "--over", OVER, "--draw-trials", "4", "--out", tmp_path / "sweep", "--json", "--quiet")
    assert result.exit_code == 1
    assert (
        "nothing is published yet; the same command tries them again:\n- training.lr=1: a disk is full" in result.stderr
    )
    assert not (tmp_path / "sweep" / "public").exists()


def test_a_poisson_number_may_be_none_and_then_the_claim_stands_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "picks", lambda *_: [])
    asked = ("--over", OVER, "--draw-trials", "1", "--law", "poisson")
    result = call(source, *asked, "--out", tmp_path / "sweep", "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["best"] is None
    assert files(tmp_path / "sweep" / "public").keys() == {"tuning.json"}
    assert json.loads((tmp_path / "sweep" / "public" / "tuning.json").read_text())["best"] is None
