"""Faults met by a run in this process: counted and reported, or a clear error after which the run can go on."""

import errno
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message

from fedrec.core.errors import ConfigError, FederationError, Interrupted, UserError
from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.reporting.summary import conclude
from fedrec.run import directory
from fedrec.run.client_store import ClientStore
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import Prepared, prepare
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.inprocess import InProcessGrid
from simulations.options import RunOptions
from simulations.runner import resume
from simulations.runner import run as run_experiment
from tests.integration.conftest import NewRun, Outcome, outcome
from tests.tiny import client_app, new_run, rounds_of, tiny

NO_ROWS = "no rows"


def moved(answer: Message, change: Any) -> Message:
    """Return the answer with each array changed."""
    arrays = answer.content.array_records["arrays"]
    answer.content["arrays"] = ArrayRecord({n: Array(change(array.numpy())) for n, array in arrays.items()})
    return answer


def misbehaving(message: Message, context: Context, answer: Message) -> Message:
    """Let clients 0, 1 and 2 fail in their own ways, by round."""
    round_number, client = message.content.config_records["config"]["server-round"], context.node_config["partition-id"]
    match round_number, client:
        case 1, 0:
            raise ValueError(NO_ROWS)
        case 1, 1:
            return moved(answer, lambda array: array * np.nan)
        case 1, 2:
            return moved(answer, lambda array: array[..., None])
        case 2, 0:
            return moved(answer, lambda array: array + 1e4)
        case 2, 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case 2, 2:
            answer.content["metrics"]["num-examples"] = float("inf")
    return answer


def test_misbehaving_clients_are_counted_by_reason_and_the_report_says_so(start: NewRun) -> None:
    run = start(tiny())
    last = rounds_of(run, client_app(misbehaving))
    _, first, second = run.rounds()
    assert first["rejected"] == {"client failed": 1, "not finite": 1, "wrong shape": 1}
    assert second["rejected"] == {"too long": 1, "client failed": 1, "bad weight": 1}
    assert [line["replies"] for line in (first, second)] == [1, 1]
    assert first["rejections"][0] == {"client": 0, "reason": "client failed", "detail": "ValueError: no rows"}
    assert all(np.isfinite(value.numpy()).all() for value in last.parameters.values())
    summary = conclude(run, Evaluator(run.job), last, silent)
    assert summary["faults"] == {
        "rejected": {"client failed": 2, "not finite": 1, "wrong shape": 1, "too long": 1, "bad weight": 1},
        "clients": {"0": 2, "1": 2, "2": 2},
    }


def test_a_lost_reply_is_paid_for(start: NewRun) -> None:
    ledger = rounds_of(start(tiny()), client_app(misbehaving)).ledger
    assert [ledger.releases(client)[0].count for client in range(4)] == [2, 2, 2, 2]


def test_too_few_replies_end_the_run_and_it_goes_on_to_the_same_bits(start: NewRun, steady: Outcome) -> None:
    run = start(tiny())

    def two_fail_in_round_2(message: Message, context: Context, answer: Message) -> Message:
        if message.content.config_records["config"]["server-round"] == 2:
            raise ValueError(NO_ROWS)
        return answer

    with pytest.raises(FederationError) as failure:
        rounds_of(run, client_app(two_fail_in_round_2))
    assert "round 2: 0 usable replies of 4, federation.min_replies=1" in str(failure.value)
    assert "client 0: client failed (ValueError: no rows)" in str(failure.value)
    assert f"fedrec resume {run.path}" in str(failure.value)
    assert failure.value.exit_code == 1
    assert outcome(run, rounds_of(run)) == steady


@pytest.mark.parametrize("file", ["metrics.jsonl", "round-000001.safetensors"])
def test_a_disk_that_fills_up_loses_only_the_round_in_hand(
    start: NewRun, steady: Outcome, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    run = start(tiny())
    real = directory.write_whole

    def full(path: Path, data: bytes | str) -> None:
        if path.name == file:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    def full_append(self: RunDirectory, line: dict[str, Any]) -> None:
        with (self.private / "metrics.jsonl").open("a") as torn:
            torn.write('{"round": ')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if file == "metrics.jsonl":
        monkeypatch.setattr(RunDirectory, "append_round", full_append)
    else:
        monkeypatch.setattr(directory, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        rounds_of(run)
    monkeypatch.undo()
    assert outcome(run, rounds_of(run)) == steady


def test_a_wish_to_stop_is_heard_after_the_round_in_hand(start: NewRun, steady: Outcome) -> None:
    run = start(tiny())
    stop = StopRequest(run.path)

    def stop_in_round_1(message: Message, context: Context, answer: Message) -> Message:
        stop.set()
        return answer

    grid = InProcessGrid(client_app(stop_in_round_1), 4)
    with pytest.raises(Interrupted, match=f"fedrec resume {run.path}"):
        run_rounds(RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job)), silent, (), stop)
    assert [line["round"] for line in run.rounds()] == [0, 1]
    assert outcome(run, rounds_of(run)) == steady


def test_a_stop_is_heard_where_other_work_tells_of_its_progress(tmp_path: Path) -> None:
    stop = StopRequest(tmp_path)
    tell = stop.wrap(silent)
    tell("encoding", 1, 2)
    stop.set()
    with pytest.raises(Interrupted):
        tell("encoding", 2, 2)


def test_the_ledger_charges_the_cohorts_and_nobody_else(start: NewRun) -> None:
    run = start(tiny(rounds=4, federation={"participation": 0.5}, training={"steps": 2}))
    ledger = rounds_of(run).ledger
    cohorts = [run.job.cohort(number) for number in range(1, 5)]
    assert [line["cohort"] for line in run.rounds()[1:]] == [2] * 4
    own = ClientStore.of(run.job)
    for client in range(4):
        asked = sum(client in cohort for cohort in cohorts)
        assert sum(release.count for release in ledger.releases(client)) == 2 * asked
        assert own.charged([client]) == [asked]


def test_a_secret_cohort_charges_everybody_and_resumes_to_the_same_noise(tmp_path: Path, cache: Path) -> None:
    experiment = tiny(
        rounds=3,
        privacy={"epsilon": 8.0, "trust": "central"},
        federation={"partition": "users", "participation": 0.02, "sampling": "poisson", "min_replies": 0},
    )
    prepare(experiment, tmp_path / "prepared", cache, silent)
    clients = len(Prepared(tmp_path / "prepared").federation)
    steady, broken = (new_run(tmp_path / name, tmp_path / "prepared", experiment) for name in ("steady", "broken"))
    last = rounds_of(steady, clients=clients)

    def killed_in_round_3(message: Message, context: Context, answer: Message) -> Message:
        if message.content.config_records["config"]["server-round"] == 3:
            raise KeyboardInterrupt
        return answer

    with pytest.raises(KeyboardInterrupt):
        rounds_of(broken, client_app(killed_in_round_3), clients)
    assert outcome(broken, rounds_of(broken, clients=clients)) == outcome(steady, last)
    assert [line["cohort"] for line in steady.rounds()[1:]] == [len(steady.job.cohort(n)) for n in (1, 2, 3)]
    assert last.ledger.releases(None) == last.ledger.releases(clients - 1)
    assert last.ledger.releases(None)[0].count == 3


def test_a_run_that_cannot_start_leaves_no_directory(tmp_path: Path, cache: Path) -> None:
    options = RunOptions(out=tmp_path / "run", cache=cache)
    with pytest.raises(ConfigError, match=r"strategy\.options\.server_lr = -1"):
        run_experiment(tiny(strategy={"options": {"server_lr": -1}}), options, silent)
    elsewhere = {"name": "table", "path": tmp_path / "nowhere.csv"}
    with pytest.raises(UserError, match="nowhere"):
        run_experiment(tiny(data=elsewhere, privacy={"epsilon": math.inf}), options, silent)
    with pytest.raises(UserError, match=r"no public list of items"):
        run_experiment(tiny(data=elsewhere), options, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_without_its_report_gets_it_again(start: NewRun, cache: Path) -> None:
    run = start(tiny(rounds=1))
    conclude(run, Evaluator(run.job), rounds_of(run), silent)
    run.report.unlink()
    found = resume(run.path, RunOptions(cache=cache), silent)
    assert found.report.is_file()


def test_a_cut_off_above_the_catalogue_is_refused_before_the_first_round(start: NewRun) -> None:
    run = start(tiny(evaluation={"cutoffs": (5, 5000)}))
    with pytest.raises(ConfigError, match=r"cutoffs = \[5, 5000\]: the catalogue has \d+ items; leave 5000 out"):
        Evaluator(run.job)
