"""From an experiment to a finished run directory: prepare, run on an engine, conclude; or go on where it stopped."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedrec.config import Experiment
from fedrec.experiment_file import differing_keys
from fedrec.errors import RunError
from fedrec.models.adapters import ADAPTERS
from fedrec.prepared import is_prepared, prepare
from fedrec.privacy.plan import check
from fedrec.progress import Progress
from fedrec.reporting.rundir import RunDirectory
from server.conduct import conduct
from server.rounds import Stop
from server.strategies import STRATEGIES
from simulations.engine import ENGINES
from simulations.options import RunOptions


def run(experiment: Experiment, options: RunOptions, progress: Progress) -> RunDirectory:
    """Run an experiment in a new directory and return it.

    Raises:
        UserError: If the experiment, its privacy claim or the directory cannot work; nothing is left then.
        Interrupted: If a stop was wished; the run can be resumed.
        FedrecError: If the data cannot be had, a round fails, or the canary sings.
    """
    check(experiment, linear_strategy=getattr(STRATEGIES.get(experiment.strategy.name), "linear", False))
    ADAPTERS.get(experiment.adapter.name)
    ENGINES.get(options.engine)
    out = options.out or _free_directory(options.name, experiment)
    return _work(RunDirectory.create(out, experiment, options.name), options, progress)


def resume(path: Path, options: RunOptions, progress: Progress, experiment: Experiment | None = None) -> RunDirectory:
    """Go on with a run that was interrupted; a finished one is returned as it is.

    Args:
        path: The run directory.
        options: How to go on; the engine may be another one.
        progress: Told of all work.
        experiment: What the caller believes the run computes, if it says so.

    Raises:
        RunError: If `experiment` is another one than the run's: the keys that differ are named.
    """
    found = RunDirectory(path)
    if experiment is not None and experiment.fingerprint != found.experiment.fingerprint:
        keys = "\n".join(f"- {key}" for key in differing_keys(found.experiment, experiment))
        message = f"{path} was made by another experiment; start a new run, or leave these keys as they are:\n{keys}"
        raise RunError(message)
    if (found.path / "summary.json").is_file():
        return found
    return _work(found, options, progress)


def _work(run_directory: RunDirectory, options: RunOptions, progress: Progress) -> RunDirectory:
    with run_directory.locked(), _stoppable() as stop:
        prepared = run_directory.path / "prepared"
        if not is_prepared(prepared):
            prepare(run_directory.experiment, prepared, options.cache, progress)
        ENGINES.get(options.engine)(
            lambda grid: conduct(run_directory, grid, progress, stop, tensorboard=options.tensorboard) and None,
            len(run_directory.job.prepared.federation),
            options,
        )
    return run_directory


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """Turn the first SIGINT into a wish to stop after the round in hand; the second one interrupts at once."""
    stop = Stop()

    def wish(signum: int, frame: object) -> None:
        stop(signum, frame)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _free_directory(name: str, experiment: Experiment) -> Path:
    stem = f"{name}-{experiment.fingerprint[:8]}"
    candidates = (Path("runs") / (stem if number == 1 else f"{stem}-{number}") for number in range(1, 10_000))
    return next(path for path in candidates if not path.exists())
