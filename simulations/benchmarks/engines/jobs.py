"""What the engines' benchmark trains: the private scenario's model and mechanism, one user a client, one local step."""

from pathlib import Path
from typing import Any

from fedrec.core.places import default_cache
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment
from fedrec.run.directory import RunDirectory
from fedrec.run.job import Job
from fedrec.run.preparation import Prepared, prepare
from fedrec.training.blocks import groups_of, padding
from fedrec.training.vectorized import MOST_POSITIONS
from simulations.benchmarks.engines.local import users_of
from simulations.engine.chunks import CHUNK_SIZES, chunks_of

PRIVATE: dict[str, Any] = {
    "federation": {"partition": "users", "timeout": 3600.0},
    "model": {"base": "random"},
    "adapter": {"name": "lora", "rank": 8, "item_projection": False, "item_bias": True, "item_delta": False},
    "training": {"optimizer": "sgd", "lr": 0.3, "steps": 1, "example": "sequence", "sampling_rate": 1.0},
    "strategy": {"name": "fedavg"},
    "privacy": {"noise_multiplier": 1.0, "clip_norm": 1.0, "unit": "user", "trust": "local", "noise_key": 0},
    "evaluation": {"controls": (), "groups": ()},
}
"""Sizes are the defaults; the noise is given, since finding it takes time, and its key fixed: all do the same."""

SMALL: dict[str, Any] = {
    "text": {"layers": 1, "dimensions": 16},
    "model": {"width": 16, "layers": 1, "window": 10, "base": "random"},
}

NOBODY_HELD_OUT = {"validation": 0.0, "test": 0.0}


def experiment(*, small: bool, **sections: Any) -> Experiment:
    """Return what is trained."""
    return Experiment.model_validate({**PRIVATE, **(SMALL if small else {}), **sections})


class Work:
    """A prepared experiment, of which competitors get run directories.

    Args:
        wanted: What is trained.
        folder: Where to; made.
        progress: Called for the preparation.
    """

    def __init__(self, wanted: Experiment, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._wanted = wanted
        self.prepared: Prepared = prepare(wanted, folder / "prepared", default_cache(), progress)

    @property
    def clients(self) -> int:
        """How many are registered."""
        return len(self.prepared.federation)

    def job(self, name: str, cohort: int, rounds: int) -> Job:
        """Return a new run of so many rounds, with cohorts of this size."""
        share = min(1.0, cohort / self.clients)
        federation = self._wanted.federation.model_copy(update={"participation": share})
        wanted = self._wanted.model_copy(update={"federation": federation, "rounds": rounds})
        run = RunDirectory.create(self._folder / name, wanted, name)
        (run.private / "prepared").symlink_to(self._folder / "prepared")
        return run.job


def padding_of(job: Job, number: int) -> dict[str, float]:
    """Return the share of a round's computed positions that is padding, vectorised and in central batches."""
    context, clients = job.training_context, job.cohort(number)
    chunks = chunks_of(clients, context.positions(clients), CHUNK_SIZES["cpu"])
    # lengths decide, not which window was drawn
    task, train, users = context.task, context.train, context.federation.users
    groups = [
        group
        for chunk in chunks
        for group in groups_of(task, [task.judged(train, users[c]) for c in chunk], MOST_POSITIONS, most_rows=1)
    ]
    shares = {"vectorised": padding(groups, int(context.positions(clients).sum()))}
    sizes = [task.size(example) for example in task.judged(train, users_of(job, number))]
    for batch in (32, 64):
        parts = [sizes[first : first + batch] for first in range(0, len(sizes), batch)]
        shares[f"central-{batch}"] = 1 - sum(sizes) / sum(len(part) * max(part) for part in parts)
    return shares
