"""Competitors that federate: on a registered engine, with the run's own strategy and clients.

Only the training work of a round is timed: sending, training, aggregation. Every repetition starts from the same
adapter, and a round's number says who trains on what, whoever does it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord
from flwr.serverapp import Grid

from fedrec.core.errors import FederationError
from fedrec.run.job import Job
from server.aggregation.update import Arrays
from server.asking import ask
from server.base import Strategy, to_record
from server.rounds import collect, to_arrays
from server.strategies.build import build_strategy
from simulations.benchmarks.engines.nodes import known_nodes
from simulations.engine import ENGINES
from simulations.options import RunOptions

Play = Callable[[int], dict[str, Any]]
"""Does a round and tells at least its `seconds`."""

Serve = Callable[[Play], None]
"""Lets rounds be played until nobody wants any more."""

TIMEOUT = 3600.0
WARM_UP = 16
"""Clients of round 1 on Flower's simulation, where a client can take a tenth of a second: enough for every actor."""


@dataclass(frozen=True, eq=False)
class Federation:
    """Rounds as `server.rounds` runs them, without ledger, evaluator and files.

    Attributes:
        strategy: Who aggregates.
        grid: Who is asked.
        start: The global adapter, the same before each round.
        run: The run's folder.
        warm_up: How many clients of round 1 are asked; None for all.
    """

    strategy: Strategy
    grid: Grid
    start: Arrays
    run: str = ""
    warm_up: int | None = None

    def run_round(self, number: int) -> dict[str, Any]:
        """Play a round.

        Raises:
            FederationError: If not everybody answers.
        """
        strategy, grid, told = self.strategy, self.grid, ConfigRecord({"run": self.run})
        began = time.perf_counter()
        messages = ask(strategy, number, to_record(self.start), told, grid)
        if number == 1:
            messages = messages[: self.warm_up]
        after = collect(strategy, grid, number, messages, TIMEOUT)
        seconds, report = time.perf_counter() - began, strategy.report
        if after is None or report.accepted < len(messages):
            message = f"{report.accepted} of {len(messages)} clients answered: {report.rejections[:3]}"
            raise FederationError(message)
        return {"seconds": seconds, "update_norm": report.update_norm}


def engine(serve: Serve, *, run: str, name: str, workers: int) -> None:
    """Play on a registered engine."""
    job = Job(Path(run))
    strategy, start = build_strategy(job), to_arrays(job.training_context.shared_start)
    warm_up = WARM_UP if name == "flower" else None

    def work(grid: Grid) -> None:
        serve(Federation(strategy, grid, start, run, warm_up).run_round)

    with known_nodes():
        ENGINES.get(name)(work, len(job.prepared.federation), RunOptions(workers=workers))
