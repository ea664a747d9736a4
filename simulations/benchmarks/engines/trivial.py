"""Clients whose work is nothing: each adds a constant to every parameter. What remains is what a simulator costs."""

from collections.abc import Sequence

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from clients.app import query
from clients.cohort import CohortRequest
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.training.task import CohortUpdate
from server.aggregation.update import Arrays
from server.base import MeanStrategy
from server.context import StrategyContext
from simulations.benchmarks.engines.federate import WARM_UP, Federation, Serve
from simulations.benchmarks.engines.nodes import known_nodes
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.flower import simulate
from simulations.engine.ray_session import ray_session
from simulations.engine.work import Parameters

STEP = 0.001
SEED = 0

app = ClientApp()
app.query()(query)


@app.train()
def add_once(message: Message, context: Context) -> Message:
    """Measurement as a node of its own."""
    del context
    arrays = message.content.array_records["arrays"]
    after = ArrayRecord({name: Array(array.numpy() + np.float32(STEP)) for name, array in arrays.items()})
    return Message(RecordDict({"arrays": after, "metrics": MetricRecord({"num-examples": 1.0})}), reply_to=message)


def add(request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
    """Measurement for a chunk of clients."""
    del extras
    clients = len(request.clients)
    after = {name: torch.from_numpy(value + np.float32(STEP)) for name, value in parameters.items()}
    stacked = {name: value.expand(clients, *value.shape).clone() for name, value in after.items()}
    return CohortUpdate(request.clients, stacked, {}, [1.0] * clients, [None] * clients)


def alike(run: str, clients: Sequence[int]) -> IntArray:
    """Return the same size for each client."""
    del run
    return np.ones(len(clients), dtype=np.int64)


def engine(  # noqa: PLR0913 - what the job is
    serve: Serve, *, name: str, workers: int, population: int, cohort: int, parameters: int
) -> None:
    """Play on an engine, with no prepared run behind it."""
    start: Arrays = {"weight": np.zeros(parameters, dtype=np.float32)}
    strategy = MeanStrategy(_setting(population, cohort))

    def work(grid: Grid) -> None:
        warm_up = WARM_UP if name == "flower" else None
        serve(Federation(strategy, grid, start, warm_up=warm_up).run_round)

    if name == "inprocess":
        work(CohortGrid(population, OneProcess(), add, alike))
    elif name == "flower":
        with known_nodes():
            simulate(work, app, population, workers)
    else:
        with ray_session(workers):
            from simulations.engine.ray_pool import RayWorkerPool  # brings Ray

            pool = RayWorkerPool(workers)
            work(CohortGrid(population, pool, add, alike))
            pool.close()


def _setting(population: int, cohort: int) -> StrategyContext:
    def draw(number: int) -> list[int]:
        drawn: list[int] = np.sort(rng_for(SEED, "cohort", number).choice(population, cohort, replace=False)).tolist()
        return drawn

    return StrategyContext(
        seed=SEED,
        secret_seed=SEED,
        cohort=draw,
        expected_cohort=float(cohort),
        min_replies=1,
        max_update_norm=float("inf"),
        plan=plan(Experiment(), UnitCounts(1, 1, 1), 1),
    )
