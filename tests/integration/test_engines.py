"""Flower's own simulation for real: one start of Ray for a clean run, every fault, and how an error comes out."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.serverapp import Grid

from fedrec.core.errors import Interrupted
from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.run.directory import RunDirectory
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.flower import simulate
from tests.integration.conftest import NewRun, Outcome, outcome
from tests.tiny import client_app, new_run, rounds_of, tiny

NO_ROWS = "no rows"

HANGING_TIMEOUT = 4.0
"""Seconds that a round with a client that hangs may take."""


def faults() -> Any:
    """Return what happens to clients, by run, round and client; a closure, so that it travels to workers by value."""

    def fault(message: Message, context: Context, answer: Message) -> Message:
        config = message.content.config_records["config"]
        case = (Path(str(config["run"])).name, config["server-round"], context.node_config["partition-id"])
        if case == ("faulty", 1, 0):
            raise ValueError(NO_ROWS)
        if case == ("faulty", 1, 1):
            answer.content["arrays"] = ArrayRecord(
                {name: Array(array.numpy() * np.nan) for name, array in answer.content.array_records["arrays"].items()}
            )
        if case == ("faulty", 1, 2):
            os._exit(7)
        if case == ("hanging", 1, 3):
            time.sleep(3600)
        return answer

    return fault


FILTERED = {"trust": "central", "unit": "platform", "delta": 1e-4, "clip_norm": 0.5, "filter_rounds": 1}


@dataclass(frozen=True)
class Simulated:
    clean: Outcome
    filtered: Outcome
    faulty: list[dict[str, Any]]
    hanging: list[dict[str, Any]]
    seconds_to_end: float


@pytest.fixture(scope="module")
def simulated(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("flower")
    clean = new_run(folder / "clean", prepared, tiny())
    filtered = new_run(folder / "filtered", prepared, tiny(privacy=FILTERED))
    faulty = new_run(folder / "faulty", prepared, tiny())
    hanging = new_run(folder / "hanging", prepared, tiny(rounds=1, federation={"timeout": HANGING_TIMEOUT}))
    outcomes: list[Outcome] = []
    ended: list[float] = []

    def rounds(run: RunDirectory, grid: Grid) -> Outcome:
        course = RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job))
        return outcome(run, run_rounds(course, silent, (), StopRequest(run.path)))

    def work(grid: Grid) -> None:
        outcomes.extend([rounds(clean, grid), rounds(filtered, grid)])
        rounds(faulty, grid)
        rounds(hanging, grid)
        ended.append(time.monotonic())
        raise Interrupted(clean.path)

    with pytest.raises(Interrupted):
        simulate(work, client_app(faults()), clients=4, workers=2)
    return Simulated(*outcomes, faulty.rounds(), hanging.rounds(), time.monotonic() - ended[0])


def rejected(line: dict[str, Any]) -> list[tuple[int, str]]:
    return [(rejection["client"], rejection["reason"]) for rejection in line["rejections"]]


def test_both_engines_give_the_same_bits_lines_and_ledger(simulated: Simulated, steady: Outcome) -> None:
    assert simulated.clean == steady


def test_filters_have_the_same_bits_on_both_engines(simulated: Simulated, start: NewRun) -> None:
    run = start(tiny(privacy=FILTERED))
    assert outcome(run, rounds_of(run)) == simulated.filtered
    assert run.rounds()[-1]["filter"]["spent_tenths"][-1] > 0, "somebody is done"


def test_clients_that_raise_answer_nan_or_die_are_counted_and_the_run_goes_on(simulated: Simulated) -> None:
    _, line, _ = simulated.faulty
    assert rejected(line) == [(0, "client failed"), (1, "not finite"), (2, "client failed")]
    raised, _, died = (rejection["detail"] for rejection in line["rejections"])
    assert raised == "ValueError: no rows"
    assert "ray.exceptions.Actor" in died
    assert (line["cohort"], line["replies"]) == (4, 1)


def test_workers_that_died_are_started_anew(simulated: Simulated) -> None:
    *_, line = simulated.faulty
    assert (rejected(line), line["replies"]) == ([], 4)


def test_a_client_that_hangs_is_waited_for_no_longer_than_the_timeout(simulated: Simulated) -> None:
    _, line = simulated.hanging
    assert rejected(line) == [(3, "no reply")]
    assert HANGING_TIMEOUT <= line["seconds"] < HANGING_TIMEOUT + 5


def test_a_client_that_hangs_does_not_hold_the_end_of_the_run(simulated: Simulated) -> None:
    assert simulated.seconds_to_end < 30
    assert not ray.is_initialized()
