"""What a worker does: one trial, from whatever there is of it to its finished run directory."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from fedrec.core.checksums import is_sealed
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import is_prepared
from simulations.options import RunOptions
from simulations.runner import resume
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.plan import ENGINE, Trial
from simulations.sweep.sharing import link, prepare_once
from simulations.sweep.workers import Tell

TELL_EVERY = 0.5
"""Seconds between two words about a trial's progress."""

Step = tuple[str, int, int]
"""What a trial does, how far it is, and how far it goes."""


@dataclass(frozen=True)
class TrialWork:
    """Does trials of one sweep.

    Attributes:
        directory: Of the sweep.
        name: Of the sweep.
        cache: Of downloads and item vectors.
        device: Where clients train.
    """

    directory: SweepDirectory
    name: str
    cache: Path
    device: str

    def __call__(self, trial: Trial, tell: Tell) -> None:
        """Begin a trial, or go on with it where it was interrupted.

        Raises:
            FedrecError: As a run does; what there is of it stays, and the next attempt goes on with it.
        """
        torch.set_num_threads(1)
        folder, progress = self.directory.run(trial), _Telling(tell)
        progress("preparing", 0, 0)
        name = f"{self.name}: {trial.label}"
        if not is_sealed(folder):
            RunDirectory.create(folder, trial.experiment, name)
        prepared = RunDirectory(folder).private / "prepared"
        if not is_prepared(prepared):
            link(prepare_once(trial.experiment, self.directory.shared, self.cache, progress), prepared)
        options = RunOptions(engine=ENGINE, out=folder, cache=self.cache, device=self.device, name=name)
        resume(folder, options, progress, trial.experiment)


@dataclass(frozen=True)
class PreparationWork:
    """Prepares what the trials of a sweep have in common.

    Attributes:
        directory: Of the sweep.
        cache: Of downloads and item vectors.
    """

    directory: SweepDirectory
    cache: Path

    def __call__(self, trial: Trial, tell: Tell) -> None:
        """Prepare what a trial needs, unless it is there.

        Raises:
            FedrecError: If the data cannot be had, or nobody is left to train on.
        """
        torch.set_num_threads(1)
        prepare_once(trial.experiment, self.directory.shared, self.cache, _Telling(tell))


class _Telling:
    """A `fedrec.core.progress.Progress` that hands on lines of text and new work at once, further steps now and then.

    Any thread may tell it something: a connection would mix up what two send at a time.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._label, self._last = "", 0.0
        self._lock = threading.Lock()

    def __call__(self, label: str, done: int, total: int, note: str = "") -> None:
        with self._lock:
            if label == "note":
                self._tell(note)
            elif label != self._label or time.monotonic() - self._last >= TELL_EVERY:
                self._label, self._last = label, time.monotonic()
                self._tell((label, done, total))
