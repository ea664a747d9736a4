"""From an experiment to a finished run directory: prepare, run on an engine, conclude; or go on where it stopped."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from flwr.serverapp import Grid

from fedrec.core.errors import FedrecError, RunError, UserError
from fedrec.core.own_code import search_also
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment
from fedrec.experiment.file import differing_keys
from fedrec.models.adapters import ADAPTERS
from fedrec.reporting.run.report import render_report
from fedrec.run.directory import RunDirectory
from fedrec.run.free_folder import free_run
from fedrec.run.job import Job
from fedrec.run.preparation import is_prepared, prepare, require_intact
from fedrec.tasks import open_task
from fedrec.training.memory_estimate import Size, peaks, require_memory
from server.run import run_server
from server.strategies.build import check_strategy
from simulations.engine import ENGINES
from simulations.engine.base import check_engine
from simulations.engine.chunks import CHUNK_SIZES
from simulations.options import RunOptions
from simulations.signals import stoppable


def run(experiment: Experiment, options: RunOptions, progress: Progress) -> RunDirectory:
    """Run an experiment in a new directory and return it.

    Raises:
        UserError: If the experiment, its privacy claim, its data or the directory cannot work, or the directory is
            removed meanwhile; no directory is left.
        Interrupted: If a stop was requested; the run can be resumed.
        FedrecError: If the data cannot be had, a round fails, or the leak check fails; the run can be resumed.
    """
    open_task(experiment)
    check_strategy(experiment)
    ADAPTERS.get(experiment.adapter.name)
    check_engine(experiment, options.engine)
    out = options.out or free_run(options.name, experiment)
    directory = RunDirectory.create(out, experiment, options.name)
    try:
        return _work(directory, options, progress)
    except UserError:
        if directory.latest_checkpoint() is None:
            directory.discard()
        raise


def resume(path: Path, options: RunOptions, progress: Progress, experiment: Experiment | None = None) -> RunDirectory:
    """Go on with a run that was interrupted; a finished one is returned as it is.

    Args:
        path: The run directory.
        options: How to go on; the engine may be another one.
        progress: Called for all work.
        experiment: What the caller believes the run computes, if it says so.

    Raises:
        RunError: If `experiment` is another one than the run's: the keys that differ are named.
        PrivacyError: If the engine would show the server what the run hides from it.
    """
    found = RunDirectory(path)
    for folder in found.job.code_folders:
        search_also(folder)
    if experiment is not None and experiment.fingerprint != found.experiment.fingerprint:
        keys = "\n".join(f"- {key}" for key in differing_keys(found.experiment, experiment))
        message = f"{path} was made by another experiment; start a new run, or leave these keys as they are:\n{keys}"
        raise RunError(message)
    if not found.is_finished:
        check_engine(found.experiment, options.engine)
        return _work(found, options, progress)
    found.summary()  # whole, or an error
    if not found.report.is_file():
        render_report(found.path)
    return found


def _work(directory: RunDirectory, options: RunOptions, progress: Progress) -> RunDirectory:
    with _there(directory), directory.locked(), stoppable(directory.path, progress) as stop:
        prepared = directory.private / "prepared"
        if is_prepared(prepared):
            require_intact(prepared)
        else:
            prepare(directory.experiment, prepared, options.cache, stop.wrap(progress))
        _require_room(directory.job, options, progress)

        def work(grid: Grid) -> None:
            run_server(directory, grid, progress, stop, tensorboard=options.tensorboard)

        with _quiet():
            ENGINES.get(options.engine)(work, len(directory.job.prepared.federation), options)
    return directory


def _require_room(job: Job, options: RunOptions, progress: Progress) -> None:
    """Refuse a run that cannot fit into memory, and warn of one that may not, before it is killed for it.

    Raises:
        ConfigError: If it cannot.
    """
    cohort = math.ceil(job.experiment.federation.participation * len(job.prepared.federation))
    size = Size(
        items=int(job.prepared.platforms.catalogue_sizes.max()),
        all_items=job.prepared.train.num_items,
        trained=sum(value.numel() for value in job.training_context.start.values()),
        position_cost=job.training_context.model.position_cost,
        clients=min(CHUNK_SIZES["cpu"].clients, cohort),
        workers=1 if options.engine == "inprocess" else options.workers or os.cpu_count() or 1,
    )
    memory = psutil.virtual_memory()
    require_memory(
        peaks(job.experiment, size), memory.available, memory.total, lambda line: progress("note", 0, 0, line)
    )


@contextmanager
def _there(directory: RunDirectory) -> Iterator[None]:
    """Say of whatever failed that the directory is gone, if it is: what then fails first is chance."""
    try:
        yield
    except (OSError, FedrecError):
        directory.require_there()
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Flower's log: what goes wrong is told by the server's own checks."""
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)
