"""The engines that train clients in chunks: `inprocess`, in this process, and `ray`, on Ray actors."""

import os
from functools import partial

from clients.cohort import answer_cohort
from simulations.engine.base import ENGINES, ServerWork, sums_in_secret
from simulations.engine.chunks import CHUNK_SIZES
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.device import usable
from simulations.engine.ray_session import ray_session
from simulations.options import RunOptions


@ENGINES.register("inprocess")
@sums_in_secret
def inprocess(work: ServerWork, clients: int, options: RunOptions) -> None:
    """Run the server's work and the clients' in this process."""
    device = usable(options.device)
    work(CohortGrid(clients, OneProcess(), partial(answer_cohort, device=device), size=CHUNK_SIZES[device]))


@ENGINES.register("ray")
@sums_in_secret
def ray(work: ServerWork, clients: int, options: RunOptions) -> None:
    """Run the server's work here and the clients' on Ray actors, of this machine or of a cluster."""
    workers, device = options.workers or os.cpu_count() or 1, usable(options.device)
    with ray_session(workers, options.ray_address):
        from simulations.engine.ray_pool import RayWorkerPool  # brings Ray

        pool = RayWorkerPool(workers, 1 / workers if device == "cuda" else 0.0)
        try:
            work(CohortGrid(clients, pool, partial(answer_cohort, device=device), size=CHUNK_SIZES[device]))
        finally:
            pool.close()
