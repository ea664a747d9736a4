"""The tiny run with a client a user: cohorts of several chunks."""

from pathlib import Path
from typing import Any

from clients.cohort import answer_cohort
from fedrec.core.progress import silent
from fedrec.core.threads import one_thread
from fedrec.experiment.config import Experiment
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import prepare
from simulations.engine.chunks import ChunkSize
from simulations.engine.cohorts import CohortGrid, WorkerPool
from simulations.engine.work import Train
from tests.tiny import new_run, rounds_of, tiny

EIGHT = ChunkSize(clients=8)


def _many(**changes: Any) -> Experiment:
    """Return the tiny experiment with a client a user, some seventy of them in a round: nine chunks of eight."""
    users = {"partition": "users", "participation": 0.1, **changes.pop("federation", {})}
    return tiny(federation=users, **changes)


class Many:
    """Runs of the many clients, prepared once."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        prepare(_many(), folder / "prepared", cache, silent)

    def new(self, **changes: Any) -> RunDirectory:
        """Return a new run."""
        name = f"run-{len(list(self.folder.iterdir()))}"
        return new_run(self.folder / name, self.folder / "prepared", _many(**changes))

    def run(self, pool: WorkerPool, train: Train = answer_cohort, **changes: Any) -> tuple[RunDirectory, Checkpoint]:
        """Return a new run, and its last checkpoint."""
        run = self.new(**changes)
        return run, self.go_on(run, pool, train)

    def go_on(self, run: RunDirectory, pool: WorkerPool, train: Train = answer_cohort) -> Checkpoint:
        """Run the rounds that a run lacks."""
        with one_thread():
            return rounds_of(run, grid=CohortGrid(len(run.job.prepared.federation), pool, train, size=EIGHT))

    def rejected(self, run: RunDirectory, number: int) -> dict[int, str]:
        """Return what was wrong with whom in a round."""
        return {bad["client"]: f"{bad['reason']}: {bad['detail']}" for bad in run.rounds()[number]["rejections"]}
