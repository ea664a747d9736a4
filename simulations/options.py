"""How a run is carried out: nothing here changes a result, and none of it is in the fingerprint."""

from dataclasses import dataclass, field
from pathlib import Path

from fedrec.core.places import default_cache


@dataclass(frozen=True)
class RunOptions:
    """Engine, places and observers of a run.

    Attributes:
        engine: Registered engine.
        out: Run directory; `runs/<name>-<fingerprint>` with a free number if not given.
        cache: Cache of downloads and item vectors.
        workers: Parallel client workers of engines that have them; the number of cores if not given.
        ray_address: Ray cluster to join, for the engine `ray`; one of this machine's own if not given.
        device: Where clients train, `cpu` or `cuda`, for engines that train them in chunks.
        tensorboard: Write TensorBoard events into the run directory.
        name: Name of the scenario or file.
    """

    engine: str = "inprocess"
    out: Path | None = None
    cache: Path = field(default_factory=default_cache)
    workers: int | None = None
    ray_address: str | None = None
    device: str = "cpu"
    tensorboard: bool = False
    name: str = "movielens"
