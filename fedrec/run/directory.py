"""A run is a directory: append-only, atomic, resumable.

```
experiment.toml  fingerprint  environment.json  run.json     what was asked, and with what
public/                                                      what a deployment could publish:
  adapter.safetensors  ledger.json                             the result, and what was paid for it
  validation_ledger.json                                       what validation users paid, who are no volunteers
  metrics.jsonl  summary.json  report.html                     what may be told of it (see `fedrec.privacy.disclosure`)
private/                                                     what only a simulation sees:
  noise.key                                                    the key of the secret draws
  prepared/                                                    data, split, item vectors, base
  clients/                                                     what each client keeps: columns, a row a client
  checkpoints/round-000012.safetensors                         adapter, best adapter, strategy's state, ledger, sum
  controls/ease.safetensors                                    each finished control, so that none is made twice
  test.safetensors                                             what each test user got from the result
  asked/rerank-mmr.json                                        what test users were asked once, after the run
  metrics.jsonl  summary.json  report.html                     all of it: a line a round, the result, the page
```
A line of `metrics.jsonl` is written before its round's checkpoint; lines beyond the newest checkpoint are dropped on
resume, so a round counts when its checkpoint is whole.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.core.checksums import damage, is_sealed, seal
from fedrec.core.errors import RunError
from fedrec.core.files import write_whole
from fedrec.core.places import PRIVATE, PUBLIC
from fedrec.core.progress import Progress, silent
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.experiment.file import code_folders, dump_experiment
from fedrec.privacy.disclosure import published, round_fields
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.noise_key import FILE as NOISE_KEY
from fedrec.privacy.noise_key import write_noise_key
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.environment import environment
from fedrec.run.job import Job

KEPT_CHECKPOINTS = 2

LEDGER = "ledger.json"
VALIDATION_LEDGER = "validation_ledger.json"
ADAPTER = "adapter.safetensors"
METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
REPORT = "report.html"
"""The last three are in both parts of a run."""

TEST = "test.safetensors"
"""What each test user got from the result (see `fedrec.evaluation.statistics.stored`): in the private part alone."""

BIRTH = {"experiment.toml", "fingerprint", "environment.json", "run.json", PRIVATE, f"{PRIVATE}/{NOISE_KEY}"}
"""Written before the checksums, which make a directory a run."""


class RunDirectory:
    """An existing run directory (see the module's docstring).

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if not is_sealed(self.path) or not (self.path / "experiment.toml").is_file():
            message = f"{path} is no run directory: it has no sealed experiment.toml; `fedrec run --out DIR` makes one"
            raise RunError(message)
        if found := damage(self.path):
            message = f"{found}; the run is not the one that was begun: restore the file, or start a new run"
            raise RunError(message)

    @classmethod
    def create(cls, path: Path, experiment: Experiment, name: str) -> "RunDirectory":
        """Make a new run directory; what a creation left that was killed is no obstacle.

        Args:
            path: Of the directory.
            experiment: What is computed.
            name: Of the scenario or file that the run is made from.

        Raises:
            RunError: If the path holds something already, or cannot be written.
        """
        folders = [str(folder) for folder in code_folders(experiment)]
        files = {
            "fingerprint": experiment.fingerprint + "\n",
            "environment.json": json.dumps(environment(), indent=1),
            "run.json": json.dumps({"name": name} | ({"code_folders": folders} if folders else {})),
            "experiment.toml": dump_experiment(experiment),
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = {found.relative_to(path).as_posix() for found in path.rglob("*") if not _is_torn(found)}
            if not held <= BIRTH:
                message = f"{path} exists and is not empty; choose another --out, or `fedrec resume {path}`"
                raise RunError(message)
            write_noise_key(path / PRIVATE)
            for file, text in files.items():
                write_whole(path / file, text)
            seal(path, files)
        except FileExistsError as error:
            message = f"{path} is a file; choose another --out"
            raise RunError(message) from error
        except OSError as error:
            message = f"{path} cannot be written ({os.strerror(error.errno or 0)}); choose another --out"
            raise RunError(message) from error
        return cls(path)

    def require_there(self) -> None:
        """Look whether the directory is still where it was opened, before anything is written where nothing is.

        Raises:
            RunError: If somebody removed or moved it.
        """
        if not is_sealed(self.path):
            message = (
                f"{self.path} was removed or moved while it was worked on, and nothing more can be saved in it; "
                "`fedrec resume` it where it is now, or start a new run"
            )
            raise RunError(message)

    def discard(self) -> None:
        """Remove the run, and its directory unless something else needs that; nothing is done where there is none."""
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @cached_property
    def job(self) -> Job:
        """The run as its workers see it."""
        return Job(self.path)

    @property
    def experiment(self) -> Experiment:
        """What is computed."""
        return self.job.experiment

    @property
    def name(self) -> str:
        """Name of the scenario or file that the run was made from."""
        return str(self.job.told["name"])

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working on this run; sweep away files that a killed one left half-written.

        Raises:
            RunError: If one does.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = f"another process is working on {self.path}; wait for it, or end it"
                raise RunError(message) from error
            for torn in filter(_is_torn, self.path.rglob(".*")):
                torn.unlink(missing_ok=True)
            yield

    def rounds(self) -> list[dict[str, Any]]:
        """Return the whole lines of `private/metrics.jsonl`; a torn last line is left out.

        Raises:
            RunError: If a whole line is no JSON.
        """
        metrics = self.private / METRICS
        try:
            lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except ValueError as error:
            message = f"{metrics} was edited or damaged ({error}); restore it, or start a new run"
            raise RunError(message) from error

    def public_round(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return what of a round's line may be published.

        Raises:
            PrivacyError: If one of its fields has no class.
        """
        return published(line, round_fields(self.job.plan))

    def append_round(self, line: dict[str, Any]) -> None:
        """Append a round's line, on disk before the round's checkpoint is; its public part stands in `public/`, too.

        Raises:
            PrivacyError: If one of its fields has no class; nothing is written then.
            RunError: If the directory is gone.
        """
        self.require_there()
        for place, told in ((self.public, self.public_round(line)), (self.private, line)):
            place.mkdir(exist_ok=True)
            with (place / METRICS).open("a", encoding="utf-8") as file:
                file.write(canonical_json(told) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def rewind(self, here: Checkpoint | None) -> None:
        """Drop the lines of the rounds after a checkpoint, which will be run again; all of them without one.

        Raises:
            RunError: If the lines that stay are not those that the checkpoint was saved with, or the directory is gone.
        """
        self.require_there()
        kept = [] if here is None else self._lines_until(here.round)
        if here is not None and _hash_of(kept) != here.lines:
            message = (
                f"{self.private / METRICS} was edited or damaged: its lines up to round {here.round} are not those "
                "that were written; restore it, or start a new run"
            )
            raise RunError(message)
        for place, told in ((self.public, [self.public_round(line) for line in kept]), (self.private, kept)):
            write_whole(place / METRICS, "".join(canonical_json(line) + "\n" for line in told))

    def conclude(
        self,
        summary: dict[str, Any],
        public: dict[str, Any],
        adapter: dict[str, Tensor],
        ledger: Ledger,
        validation_ledger: Ledger | None = None,
    ) -> None:
        """Write a run's result: the released adapter and its ledger, and the summaries, which make the run finished.

        Args:
            summary: All that a simulation knows.
            public: What of it may be published.
            adapter: The finished adapter.
            ledger: What was paid.
            validation_ledger: What private validation users paid; None for volunteers.

        Raises:
            RunError: If the directory is gone.
        """
        self.require_there()
        contiguous = {name: value.contiguous() for name, value in adapter.items()}
        write_whole(self.public / ADAPTER, tensors_to_bytes(contiguous))
        ledgers = {LEDGER: ledger} | ({} if validation_ledger is None else {VALIDATION_LEDGER: validation_ledger})
        for file, paid in ledgers.items():
            write_whole(self.public / file, paid.to_json())
        for place, told in ((self.public, public), (self.private, summary)):
            write_whole(place / SUMMARY, json.dumps(json.loads(canonical_json(told)), indent=1) + "\n")
        seal(self.public, [ADAPTER, *ledgers, METRICS, SUMMARY])
        seal(self.private, [METRICS, SUMMARY, *([TEST] if (self.private / TEST).is_file() else [])])

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, with a hash of the rounds' lines up to it, and drop those before its predecessor.

        Raises:
            RunError: If the directory is gone.
        """
        self.require_there()
        lines = _hash_of(self._lines_until(checkpoint.round))
        write_whole(self._checkpoints / f"round-{checkpoint.round:06}.safetensors", checkpoint.to_bytes(lines))
        for old in self._checkpoint_files()[:-KEPT_CHECKPOINTS]:
            old.unlink()

    def latest_checkpoint(self, progress: Progress = silent) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; None before the first.

        Args:
            progress: Called for each that is not.

        Raises:
            RunError: If there are checkpoints and none is whole.
        """
        for path in reversed(self._checkpoint_files()):
            try:
                return Checkpoint.read(path)
            except (SafetensorError, ValueError, KeyError, RunError) as error:
                progress("note", 0, 0, f"checkpoint {path.name} is damaged ({error}); going back to the one before")
        if self._checkpoint_files():
            message = f"no checkpoint in {self._checkpoints} can be read; the disk damaged them, start a new run"
            raise RunError(message)
        return None

    def summary(self) -> dict[str, Any]:
        """Return `private/summary.json`.

        Raises:
            RunError: If the run is not finished, or its result is not what was written.
        """
        if not self.is_finished:
            message = f"{self.path} is not finished; `fedrec resume {self.path}` goes on with it"
            raise RunError(message)
        if found := damage(self.private) or damage(self.public):
            message = f"{found}; restore it, or `fedrec run` the experiment anew"
            raise RunError(message)
        summary: dict[str, Any] = json.loads((self.private / SUMMARY).read_text(encoding="utf-8"))
        return summary

    @property
    def is_finished(self) -> bool:
        """Whether the run has its result."""
        return is_sealed(self.private)

    @property
    def report(self) -> Path:
        """Where the page with everything lies."""
        return self.private / REPORT

    @property
    def public(self) -> Path:
        """What a deployment could publish."""
        return self.path / PUBLIC

    @property
    def private(self) -> Path:
        """What only a simulation sees."""
        return self.path / PRIVATE

    def _lines_until(self, last_round: int) -> list[dict[str, Any]]:
        return [line for line in self.rounds() if line["round"] <= last_round]

    @property
    def _checkpoints(self) -> Path:
        return self.private / "checkpoints"

    def _checkpoint_files(self) -> list[Path]:
        return sorted(self._checkpoints.glob("round-*.safetensors"))


def _hash_of(lines: list[dict[str, Any]]) -> str:
    """Return the hash of rounds' lines as they stand in `private/metrics.jsonl`."""
    return hashlib.sha256("".join(canonical_json(line) + "\n" for line in lines).encode()).hexdigest()


def _is_torn(path: Path) -> bool:
    """Return whether a file is what `replacing` leaves when it is killed: `.<name>.<eight letters>`."""
    return re.fullmatch(r"\..+\.[a-z0-9_]{8}", path.name) is not None and path.is_file()
