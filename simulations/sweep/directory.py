"""A sweep is a directory.

```
sweep.toml                        what was asked: an experiment, what is varied, and each trial's fingerprint and point
trials/<fingerprint>/             a run directory each, named by the first 16 digits of its experiment's fingerprint
trials.parquet                    a row a trial; its bytes depend on the experiments and on nothing else
timings.parquet  failures.json    what each trial took; why trials failed, if any did
report.html                       the frontier: utility against epsilon
prepared/                         what trials have in common, linked into their run directories; may be deleted
```

Where the number of trials is drawn, all but `sweep.toml` tells of it and lies in `private/`, with one file more; what
may be published lies beside it.

```
sweep.toml                        what was asked: the settings that might be picked
private/                          trials/<pick>/, tables, prepared/ and draw.key, from which the picks follow
public/                           whole or not there, written when every trial has ended:
  tuning.json                       the claim, and which setting was the best
  best/                             the public part of the best trial's run, and its experiment
```
"""

import contextlib
import fcntl
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedrec.core.checksums import FILE as CHECKSUMS
from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.places import PRIVATE
from fedrec.reporting.frontier.differences import BASE
from fedrec.reporting.judged import Judged, read_judged
from fedrec.run.directory import REPORT, RunDirectory
from simulations.sweep.grid import label
from simulations.sweep.plan import Plan, Trial

PATIENCE = 15.0
"""Seconds that the workers of a sweep that was killed may take to notice."""

SHOWN_TRIALS = 5


@dataclass(frozen=True)
class SweepDirectory:
    """Where things lie in a sweep's directory.

    Attributes:
        path: The directory.
        drawn: Whether the number of its trials is drawn, so that nobody may know it.
    """

    path: Path
    drawn: bool = False

    @property
    def work(self) -> Path:
        """Where trials and what tells of them lie."""
        return self.path / PRIVATE if self.drawn else self.path

    @property
    def shared(self) -> Path:
        """Prepared folders by preparation key."""
        return self.work / "prepared"

    @property
    def asked(self) -> Path:
        """What the sweep is."""
        return self.path / "sweep.toml"

    def run(self, trial: Trial) -> Path:
        """Return the run directory of a trial."""
        return self.work / "trials" / trial.key[:16]

    def is_finished(self, trial: Trial) -> bool:
        """Return whether a trial needs no more work."""
        return all((self.run(trial) / PRIVATE / file).is_file() for file in (CHECKSUMS, REPORT))

    def summary(self, trial: Trial) -> dict[str, Any] | None:
        """Return a trial's `summary.json`; None if it is not finished."""
        return RunDirectory(self.run(trial)).summary() if self.is_finished(trial) else None

    def judged(self, trial: Trial) -> Judged | None:
        """Return what each of a trial's test users got from its result and its base; None if nobody can say."""
        return read_judged(RunDirectory(self.run(trial)), [BASE]) if self.is_finished(trial) else None

    @contextlib.contextmanager
    def opened(self, plan: Plan) -> Iterator[int]:
        """Make or reopen the directory for a plan, alone; yield the lock's descriptor.

        Raises:
            RunError: If it holds something else, or trials that the plan lacks, or another process works on it.
        """
        self._refuse_what_is_no_sweep()
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            self._lock(file.fileno())
            self._refuse_to_forget(plan)
            for name in ("sweep.toml", "trials.parquet", "timings.parquet", "failures.json", "report.html"):
                for torn in (*self.path.glob(f".{name}.*"), *self.work.glob(f".{name}.*")):
                    torn.unlink(missing_ok=True)
            write_whole(self.asked, plan.to_toml())
            yield file.fileno()

    def _refuse_what_is_no_sweep(self) -> None:
        if self.path.is_file():
            message = f"{self.path} is a file; choose another --out"
            raise RunError(message)
        if self.path.is_dir() and not self.asked.is_file():
            others = [
                entry.name for entry in self.path.iterdir() if not entry.name.startswith((".lock", ".sweep.toml."))
            ]
            if others:
                message = f"{self.path} exists and is no sweep: it holds {sorted(others)[0]}; choose another --out"
                raise RunError(message)

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    message = f"another process is working on {self.path}; wait for it, or end it"
                    raise RunError(message) from error
                time.sleep(0.1)
            else:
                return

    def _refuse_to_forget(self, plan: Plan) -> None:
        """A trial that ran was a release: a sweep may grow, but what it has is never left out of its accounts."""
        if not self.asked.is_file():
            return
        asked = {trial.fingerprint for trial in plan.trials}
        try:
            tree: Mapping[str, Any] = tomllib.loads(self.asked.read_text(encoding="utf-8"))
            self._refuse_another_draw(plan, tree["sweep"])
            held: Mapping[str, Mapping[str, Any]] = tree["sweep"]["trials"]
            lost = [label(dict(point)) for fingerprint, point in held.items() if fingerprint not in asked]
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            message = (
                f"{self.asked} was edited or damaged ({type(error).__name__}: {error}), so nobody can say which trials "
                "the sweep has; restore it, or choose another --out"
            )
            raise RunError(message) from error
        if lost:
            shown = "\n".join(f"- {one}" for one in lost[:SHOWN_TRIALS])
            message = (
                f"{self.path} holds another sweep: {len(lost)} of its {len(held)} trials are not among those asked "
                f"for, such as\n{shown}\nChoose another --out. More values in --over are fine; as it is, it goes on "
                f"with: fedrec sweep {self.asked} --out {self.path}"
            )
            raise RunError(message)

    def _refuse_another_draw(self, plan: Plan, held: Mapping[str, Any]) -> None:
        """A draw is made once: among other settings, or of another number, the same trials would have another price."""
        draw = None if plan.draw is None else asdict(plan.draw)
        asked = {trial.fingerprint for trial in plan.trials}
        if held.get("draw") != draw or (draw is not None and held["trials"].keys() != asked):
            theirs = "all of a grid" if held.get("draw") is None else "drawn from other settings, or in another number"
            message = (
                f"{self.path} holds another sweep, whose trials are {theirs}; "
                f"choose another --out, or go on with it: fedrec sweep {self.asked} --out {self.path}"
            )
            raise RunError(message)
