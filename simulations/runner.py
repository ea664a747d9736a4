"""From an experiment to a finished run directory: prepare, run on an engine, conclude; or go on where it stopped."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from flwr.serverapp import Grid

from fedrec.config import Experiment
from fedrec.errors import FedrecError, RunError, UserError
from fedrec.experiment_file import differing_keys
from fedrec.models.adapters import ADAPTERS
from fedrec.own_code import folder_of, search_also
from fedrec.places import free_run
from fedrec.prepared import is_prepared, prepare, require_intact
from fedrec.progress import Progress
from fedrec.reporting.report import render_report
from fedrec.reporting.rundir import RunDirectory
from server.adoption import check_strategy
from server.conduct import conduct
from server.stop import Stop
from simulations.engine import ENGINES
from simulations.engine.base import check_engine
from simulations.options import RunOptions

AT_ONCE: dict[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""What asks a run to end, and what the second such signal does."""


def run(experiment: Experiment, options: RunOptions, progress: Progress) -> RunDirectory:
    """Run an experiment in a new directory and return it.

    Raises:
        UserError: If the experiment, its privacy claim, its data or the directory cannot work, or the directory is
            removed meanwhile; no directory is left.
        Interrupted: If a stop was wished; the run can be resumed.
        FedrecError: If the data cannot be had, a round fails, or the canary sings; the run can be resumed.
    """
    check_strategy(experiment)
    ADAPTERS.get(experiment.adapter.name)
    check_engine(experiment, options.engine)
    out = options.out or free_run(options.name, experiment)
    directory = RunDirectory.create(out, experiment, options.name, folder_of(experiment.strategy.name))
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
        progress: Told of all work.
        experiment: What the caller believes the run computes, if it says so.

    Raises:
        RunError: If `experiment` is another one than the run's: the keys that differ are named.
        PrivacyError: If the engine would show the server what the run hides from it.
    """
    found = RunDirectory(path)
    if found.code_folder is not None:
        search_also(found.code_folder)
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
    with _there(directory), directory.locked(), _stoppable(directory.path) as stop:
        prepared = directory.private / "prepared"
        if is_prepared(prepared):
            require_intact(prepared)
        else:
            prepare(directory.experiment, prepared, options.cache, stop.heeding(progress))

        def work(grid: Grid) -> None:
            conduct(directory, grid, progress, stop, tensorboard=options.tensorboard)

        with _quiet():
            ENGINES.get(options.engine)(work, len(directory.job.prepared.federation), options)
    return directory


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


@contextmanager
def _stoppable(run: Path) -> Iterator[Stop]:
    """Turn the first signal to end into a wish to stop as soon as nothing is lost; a second one ends at once.

    Outside of the main thread no signal can be caught, and none is.
    """
    stop = Stop(run)

    def wish(signum: int, frame: object) -> None:
        stop.wish(signum, frame)
        for number, handler in AT_ONCE.items():
            signal.signal(number, handler)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, wish) for number in AT_ONCE}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
