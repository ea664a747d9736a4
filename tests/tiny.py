"""The smallest run on real data: MovieLens-100K, one encoder layer, four clients, two rounds, seconds of work."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from clients.app import query, train
from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.experiment.config import Experiment
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from server.aggregation.update import Arrays, Update
from server.base import CohortStrategy, MeanStrategy
from server.context import StrategyContext
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.inprocess import InProcessGrid

TINY: dict[str, Any] = {
    "rounds": 2,
    "split": {"public": 0.0},
    "federation": {"partition": "shards", "clients": 4, "participation": 1.0, "min_replies": 1},
    "text": {"layers": 1, "dimensions": 16},
    "model": {"width": 16, "layers": 1, "window": 10, "base": "random"},
    "adapter": {"name": "lora", "rank": 1, "item_projection": True, "item_bias": True, "private": ("item_bias*",)},
    "training": {"optimizer": "sgd", "lr": 0.5, "steps": 1, "example": "sequence", "sampling_rate": 1.0},
    "strategy": {"name": "fedavg"},
    "privacy": {"epsilon": 8.0, "unit": "user", "trust": "local", "noise_key": 0},
    "evaluation": {"every": 2, "select": "best", "controls": (), "groups": ()},
}
"""All that matters is said, so that better defaults change nothing here."""


def tiny(**changes: Any) -> Experiment:
    """Return the tiny experiment with sections or keys changed; nothing that was prepared depends on the rounds'."""
    merged = {
        key: {**TINY.get(key, {}), **value} if isinstance(value, dict) else value for key, value in changes.items()
    }
    return Experiment.model_validate({**TINY, **merged})


def new_run(folder: Path, prepared: Path, experiment: Experiment) -> RunDirectory:
    """Return a new run directory that has been prepared."""
    run = RunDirectory.create(folder, experiment, "tiny")
    shutil.copytree(prepared, run.private / "prepared")
    return run


def rounds_of(
    run: RunDirectory, app: ClientApp | None = None, clients: int = 4, grid: Grid | None = None
) -> Checkpoint:
    """Run the rounds that a run lacks, in this process: these clients one at a time, or whoever the grid asks."""
    grid = grid or InProcessGrid(app or client_app(), clients)
    return run_rounds(
        RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job)), silent, (), StopRequest(run.path)
    )


def client_app(fault: Callable[[Message, Context, Message], Message] | None = None) -> ClientApp:
    """Return the real ClientApp, whose answers `fault(message, context, answer)` may replace."""
    app = ClientApp()

    @app.train()
    def faulty(message: Message, context: Context) -> Message:
        answer = train(message, context)
        return fault(message, context, answer) if fault else answer

    app.query()(query)
    return app


def strategy_context(
    noise: float = 0.0, clip_norm: float = 1.0, *, central: bool = False, **changes: Any
) -> StrategyContext:
    """Return a context of four clients, without privacy or under central trust."""
    privacy = (
        PrivacyConfig(trust="central", noise_multiplier=noise, clip_norm=clip_norm) if central else PrivacyConfig()
    )
    made = plan(Experiment(privacy=privacy), UnitCounts(users=4, examples=4, clients=4), 1)
    facts = {
        "cohort": lambda round_number: [0, 1, 2, 3],
        "seed": 0,
        "secret_seed": 0,
        "expected_cohort": 4.0,
        "min_replies": 1,
        "max_update_norm": 100.0,
    }
    return StrategyContext(plan=made, **{**facts, **changes})


def update(client: int, *values: float, weight: float = 1.0) -> Update:
    """Return an update of one array called "w"."""
    return Update(client, {"w": np.array(values, dtype=np.float32)}, weight)


def aggregate_of(strategy: MeanStrategy | CohortStrategy, updates: Sequence[Update]) -> Arrays:
    """Return what a strategy makes of updates before it takes its step."""
    if isinstance(strategy, CohortStrategy):
        return strategy.aggregate(updates)
    change = strategy.mechanism.change(strategy.aggregator.add(updates), updates[0].delta, 1)
    return change or {}


def reply(client: int, *values: float, examples: float = 1.0) -> Message:
    """Return a client's answer with one array called "w"."""
    content = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.array(values, dtype=np.float32))}),
            "metrics": MetricRecord({"num-examples": examples}),
        }
    )
    return sent_by(client, content)


def sent_by(client: int, content: Any) -> Message:
    """Return a message (content or error) that comes from a client."""
    InProcessGrid(ClientApp(), 1)  # gives messages their identity
    question = Message(RecordDict(), client, "train")
    question.metadata.__dict__["_message_id"] = "question"
    return Message(content, reply_to=question)
