"""Flower's own simulation runtime: Ray actors, one client a node."""

import logging
import os
import sys

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from clients.app import app as client_app
from server.grids import ClientGrid
from simulations.engine.base import ENGINES, ServerWork
from simulations.options import RunOptions


@ENGINES.register("flower")
def flower(work: ServerWork, clients: int, options: RunOptions) -> None:
    """Run the server's work on a Flower simulation with one supernode a client."""
    server_app = ServerApp()

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        del context
        work(ClientGrid(grid, clients))

    logging.getLogger("flwr").setLevel(logging.ERROR)
    # Ray's workers must find the same modules as this process.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    workers = options.workers or os.cpu_count() or 1
    run_simulation(
        server_app=server_app,
        client_app=client_app,
        num_supernodes=clients,
        backend_config={
            "init_args": {"num_cpus": workers, "include_dashboard": False, "logging_level": logging.ERROR},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
