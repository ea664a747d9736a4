"""The ServerApp of `flwr run`: prepares the configured scenario, then does the server's work on Flower's grid."""

from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedrec.experiment_file import load_experiment
from fedrec.prepared import prepare
from fedrec.progress import log_line
from fedrec.reporting.rundir import RunDirectory
from server.conduct import conduct
from server.grids import ClientGrid

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the scenario named in the run config ("scenario", "set", "out", "cache")."""
    config = {key: str(value) for key, value in context.run_config.items()}
    scenarios = Path(__file__).parents[1] / "simulations" / "scenarios"
    experiment = load_experiment(config["scenario"], config["set"].split(), scenarios=scenarios)
    run = RunDirectory.create(Path(config["out"]), experiment, config["scenario"])
    prepared = prepare(experiment, run.path / "prepared", Path(config["cache"]), log_line)
    conduct(run, ClientGrid(grid, len(prepared.federation)), log_line)
