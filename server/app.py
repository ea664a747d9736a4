"""The ServerApp of `flwr run`: prepares the configured scenario, then does the server's work on Flower's grid.

Its run config (`[tool.flwr.app.config]`, or `flwr run . --run-config "scenario='smoke'"`) has four keys:
"scenario", a scenario's name or a TOML file; "set", settings `path=value` as on fedrec's command line, quoted as in a
shell; "out", the run directory; "cache", the cache of downloads. Empty ones mean what they mean there. Relative
paths start at the folder where Flower's SuperLink was started, which is the checkout for a `flwr run .` that had to
start one itself. Clients read the run's folder, so they must see the same disk, and there must be as many SuperNodes as
the experiment has clients: `--federation-config num-supernodes=20`. Start it all with OPENBLAS_NUM_THREADS=1: Ray forks
while the data are prepared, and threads of OpenBLAS's own may then wait for each other for ever.
"""

import logging
import shlex
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedrec.core.places import default_cache
from fedrec.core.registry import Registry
from fedrec.experiment.file import load_experiment
from fedrec.run.directory import RunDirectory
from fedrec.run.free_folder import free_run
from fedrec.run.preparation import prepare
from fedrec.transforms import TRANSFORMS
from server.grids import ClientGrid
from server.run import run_server
from server.strategies import STRATEGIES
from server.strategies.build import check_grid, check_strategy

SCENARIOS = Path(__file__).parents[1] / "simulations" / "scenarios"

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what the run config names; the run directory must be new."""
    config = {key: str(context.run_config.get(key, "")) for key in ("scenario", "set", "out", "cache")}
    scenario = config["scenario"] or "movielens"
    registries: dict[str, Registry[Any]] = {"strategy.name": STRATEGIES, "transforms.name": TRANSFORMS}
    experiment = load_experiment(scenario, shlex.split(config["set"]), SCENARIOS, registries)
    check_strategy(experiment)
    check_grid(experiment, grid)
    name = Path(scenario).stem
    out = Path(config["out"]) if config["out"] else free_run(name, experiment)
    run = RunDirectory.create(out, experiment, name)
    log_line("note", 0, 0, f"the run directory is {run.path}")
    with run.locked():
        cache = Path(config["cache"]) if config["cache"] else default_cache()
        prepared = prepare(experiment, run.private / "prepared", cache, log_line)
        run_server(run, ClientGrid(grid, len(prepared.federation)), log_line)


def log_line(label: str, done: int, total: int, note: str = "") -> None:
    """Tell Flower's log, which `flwr run --stream` shows."""
    count = f" {done}/{total}" if total else ""
    logging.getLogger("flwr").info("%s%s %s", label, count, note)
