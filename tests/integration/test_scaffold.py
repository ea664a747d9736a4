"""SCAFFOLD by hand; whole runs of it on every engine, killed and resumed; refused where its payload has no noise."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import Context, Message
from flwr.serverapp import Grid

from clients.cohort import answer_cohort
from fedrec.core.errors import ConfigError, FederationError, Interrupted, PrivacyError
from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.experiment.file import dump_experiment
from fedrec.training.rules.base import LocalWork
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy, check_strategy
from server.strategies.scaffold import Scaffold, ScaffoldRule
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.flower import simulate
from simulations.engine.ray_pool import RayWorkerPool
from simulations.engine.ray_session import ray_session
from tests.integration.conftest import NewRun, Outcome, outcome
from tests.integration.many import Many
from tests.integration.test_kill_and_resume import begun, finished, lines, stopped
from tests.tiny import client_app, rounds_of, strategy_context, tiny

NO_ROWS = "no rows"
OPEN = {"epsilon": float("inf")}
SCAFFOLD: dict[str, Any] = {"strategy": {"name": "scaffold"}, "training": {"steps": 2}, "rounds": 3}


class World:
    """Two clients whose losses are `(w - 0)^2 / 2` and `(w - 4)^2 / 2`: 2 steps of rate 1/2, SCAFFOLD's both halves.

    Args:
        clients: How many the server believes there are; the others are never asked.
    """

    def __init__(self, clients: int) -> None:
        context = strategy_context()
        self.strategy = Scaffold(replace(context, plan=replace(context.plan, clients=clients)))
        self.rule = ScaffoldRule(LocalWork(steps=2, lr=0.5, optimizer="sgd"))
        self.targets, self.w, self.kept = torch.tensor([[0.0], [4.0]]), torch.tensor([1.0]), {"w": torch.zeros(2, 1)}

    def round(self) -> tuple[list[float], list[float], list[float]]:
        """Play a round; return where the clients end, their controls, and the model and the server's control."""
        self.strategy.current = {"w": self.w.numpy()}
        before = {"w": self.w.expand(2, 1)}
        extras = {name: torch.from_numpy(value) for name, value in self.strategy.extras().items()}
        state, local = self.rule.init(before, extras, self.kept), before["w"].clone()
        for _ in range(2):
            local = local - 0.5 * self.rule.direction({"w": local - self.targets}, {"w": local}, state)["w"]
        payload, self.kept = self.rule.final(before, {"w": local}, state)
        self.strategy.receive({"w": payload["w"].mean(dim=0).numpy()}, replies=2)
        self.w = self.w + torch.from_numpy(self.strategy.step({"w": (local - before["w"]).mean(dim=0).numpy()})["w"])
        return (
            local.flatten().tolist(),
            self.kept["w"].flatten().tolist(),
            [self.w.item(), self.strategy.control["w"].item()],
        )


def test_two_rounds_of_option_ii_by_hand() -> None:
    world = World(clients=2)
    # All controls are 0. Client 0: 1 - (1 - 0)/2 = 0.5, then 0.25; c = 0 - 0 + (1 - 0.25) / (2 * 0.5) = 0.75.
    # Client 1: 1 - (1 - 4)/2 = 2.5, then 3.25; c = (1 - 3.25) / 1 = -2.25. Mean: w = 1.75, c = -0.75.
    assert world.round() == ([0.25, 3.25], [0.75, -2.25], [1.75, -0.75])
    # Client 0 follows g - 0.75 - 0.75: 1.75 - 0.25/2 = 1.625, then 1.5625; c = 0.75 + 0.75 + 0.1875 = 1.6875.
    # Client 1 follows g + 2.25 - 0.75: 1.75 + 0.75/2 = 2.125, then 2.3125; c = -2.25 + 0.75 - 0.5625 = -2.0625.
    # FedAvg would end at 1.9375, too, but with clients at 0.4375 and 3.4375, four times as far apart.
    assert world.round() == ([1.5625, 2.3125], [1.6875, -2.0625], [1.9375, -0.1875])


def test_the_control_is_the_mean_over_all_clients_also_over_those_that_were_not_asked() -> None:
    # Two of four reply: c = 0 + 2/4 * (0.75 - 2.25) / 2 = -0.375, the mean of 0.75, -2.25, 0 and 0.
    assert World(clients=4).round()[2] == [1.75, -0.375]


def test_a_restored_server_has_its_control() -> None:
    world, again = World(clients=2), Scaffold(strategy_context())
    world.round()
    again.restore(world.strategy.state())
    assert again.extras()["w"].tolist() == [-0.75]


@pytest.mark.slow
def test_one_process_and_two_actors_give_the_same_bits_and_drift_is_corrected(many: Many) -> None:
    here = outcome(*many.run(OneProcess(), privacy=OPEN, **SCAFFOLD))
    with ray_session(2):
        pool = RayWorkerPool(2)
        there = outcome(*many.run(pool, privacy=OPEN, **SCAFFOLD))
        pool.close()
    assert there == here
    averaged = outcome(*many.run(OneProcess(), privacy=OPEN, **{**SCAFFOLD, "strategy": {"name": "fedavg"}}))
    sizes = ("upload_bytes", "download_bytes")
    ours, theirs = ({key: value for key, value in one.lines[1].items() if key not in sizes} for one in (here, averaged))
    assert ours == theirs, "all controls begin with 0"
    for size in sizes:  # a control is as large as an adapter, and travels both ways
        assert here.lines[1][size] / averaged.lines[1][size] == pytest.approx(2, rel=0.02)
    assert averaged.sha256 != here.sha256


@pytest.mark.slow
def test_on_flower_it_is_the_same_run(start: NewRun) -> None:
    experiment = tiny(privacy=OPEN, **SCAFFOLD)
    flower, alone, chunks = start(experiment), start(experiment), start(experiment)
    found: list[Outcome] = []

    def work(grid: Grid) -> None:
        course = RoundContext(flower, build_strategy(flower.job), grid, Evaluator(flower.job))
        found.append(outcome(flower, run_rounds(course, silent, (), StopRequest(flower.path))))
        raise Interrupted(flower.path)

    with pytest.raises(Interrupted):
        simulate(work, client_app(), clients=4, workers=2)
    last = rounds_of(alone)
    assert found == [outcome(alone, last)]
    chunked = rounds_of(chunks, grid=CohortGrid(4, OneProcess(), answer_cohort))
    for name, value in last.parameters.items():
        torch.testing.assert_close(chunked.parameters[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("privacy", [OPEN, {}], ids=["open", "local"])
def test_a_round_that_breaks_off_after_clients_kept_their_controls_is_run_again_to_the_same_bits(
    start: NewRun, privacy: dict[str, Any]
) -> None:
    steady, broken = (start(tiny(privacy=privacy, **SCAFFOLD)) for _ in range(2))
    whole = outcome(steady, rounds_of(steady))

    def failing(message: Message, context: Context, answer: Message) -> Message:
        if message.content.config_records["config"]["server-round"] == 3:
            raise ValueError(NO_ROWS)
        return answer

    with pytest.raises(FederationError, match="round 3: 0 usable replies of 4"):
        rounds_of(broken, client_app(failing))
    assert outcome(broken, rounds_of(broken)) == whole


@pytest.mark.slow
def test_killed_among_its_rounds_it_ends_as_if_nothing_had_happened(tmp_path: Path, cache: Path) -> None:
    os.environ["FEDREC_CACHE"] = str(cache)
    file, runs = tmp_path / "scaffold.toml", [tmp_path / "killed", tmp_path / "whole"]
    file.write_text(dump_experiment(tiny(**{**SCAFFOLD, "rounds": 6})))
    metrics = runs[0] / "private" / "metrics.jsonl"

    def in_its_third_round() -> bool:
        return metrics.exists() and metrics.read_bytes().count(b"\n") >= 3

    assert finished(begun("run", file, "--out", runs[1], "--quiet")) == 0
    began = begun("run", file, "--out", runs[0], "--quiet")
    assert stopped(began, in_its_third_round, signal.SIGKILL) == -signal.SIGKILL
    assert finished(begun("resume", runs[0], "--quiet")) == 0
    killed, whole = (json.loads((run / "private" / "summary.json").read_text()) for run in runs)
    assert killed["parameters_sha256"] == whole["parameters_sha256"]
    assert lines(runs[0]) == lines(runs[1])


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
def test_it_is_refused_where_only_sums_are_noised(trust: str) -> None:
    experiment = tiny(privacy={"trust": trust}, federation={"partition": "users"}, **SCAFFOLD)
    with pytest.raises(PrivacyError, match="sends more beside them, without noise"):
        check_strategy(experiment)


def test_it_needs_steps_of_sgd() -> None:
    with pytest.raises(ConfigError, match=r"training\.optimizer=adam; set sgd"):
        check_strategy(tiny(**{**SCAFFOLD, "training": {"optimizer": "adam"}}))
