"""A run is a directory: append-only, atomic, resumable.

```
experiment.toml  fingerprint  environment.json  run.json     what was asked, and with what
public/                                                      what a deployment could publish:
  adapter.safetensors  ledger.json                             the result, and what was paid for it
  metrics.jsonl  summary.json  report.html                     what may be told of it (see `fedrec.privacy.disclosure`)
private/                                                     what only a simulation sees:
  noise.key                                                    the key of the secret draws
  prepared/                                                    data, split, item vectors, base
  clients/                                                     what each client keeps: columns, a row a client
  checkpoints/round-000012.safetensors                         adapter, best adapter, strategy's state, ledger, sum
  metrics.jsonl  summary.json  report.html                     all of it: a line a round, the result, the page
```
A line of `metrics.jsonl` is written before its round's checkpoint; lines beyond the newest checkpoint are dropped on
resume, so a round counts when its checkpoint is whole.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.config import Experiment, canonical_json
from fedrec.errors import RunError
from fedrec.experiment_file import dump_experiment
from fedrec.files import write_whole
from fedrec.job import Job
from fedrec.places import PRIVATE, PUBLIC
from fedrec.privacy.disclosure import published, round_fields
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.noise_key import FILE as NOISE_KEY
from fedrec.privacy.noise_key import write_noise_key
from fedrec.reporting.environment import environment

KEPT_CHECKPOINTS = 2

METRICS = "metrics.jsonl"
SUMMARY = "summary.json"
REPORT = "report.html"
"""In both parts of a run."""

BIRTH = {"fingerprint", "environment.json", "run.json", PRIVATE, f"{PRIVATE}/{NOISE_KEY}"}
"""Written before `experiment.toml`, which makes a directory a run."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that the next round needs.

    Attributes:
        round: The last finished round; 0 before the first.
        parameters: The global adapter.
        best: The adapter of the best validation score so far.
        best_round: Its round.
        best_score: Its score; lower is better (validation loss).
        strategy: The strategy's own state.
        ledger: What was spent.
        released: What was released before the first round: noisy "item_counts", `[num_items]` in float64, if any.
        summed: Sum in float64 of the adapters that will be averaged (see `fedrec.result`); empty where none are.
    """

    round: int
    parameters: dict[str, Tensor]
    best: dict[str, Tensor]
    best_round: int
    best_score: float
    strategy: dict[str, Tensor]
    ledger: Ledger
    released: dict[str, Tensor] = field(default_factory=dict)
    summed: dict[str, Tensor] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return one safetensors file."""
        groups = {
            "parameters": self.parameters,
            "best": self.best,
            "strategy": self.strategy,
            "released": self.released,
            "summed": self.summed,
        }
        tensors = {
            f"{group}/{n}": v.clone().contiguous() for group, values in groups.items() for n, v in values.items()
        }
        facts = {"round": self.round, "best_round": self.best_round, "best_score": repr(self.best_score)}
        return bytes(tensors_to_bytes(tensors, {"facts": json.dumps(facts), "ledger": self.ledger.to_json()}))

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a file that `to_bytes` made."""
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = file.metadata()
        facts = json.loads(metadata["facts"])

        def group(name: str) -> dict[str, Tensor]:
            return {n.removeprefix(f"{name}/"): v for n, v in tensors.items() if n.startswith(f"{name}/")}

        return cls(
            round=facts["round"],
            parameters=group("parameters"),
            best=group("best"),
            best_round=facts["best_round"],
            best_score=float(facts["best_score"]),
            strategy=group("strategy"),
            ledger=Ledger.from_json(metadata["ledger"]),
            released=group("released"),
            summed=group("summed"),
        )


class RunDirectory:
    """An existing run directory (see the module's docstring).

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if not (self.path / "experiment.toml").is_file():
            message = f"{path} is no run directory: it has no experiment.toml; `fedrec run --out DIR` makes one"
            raise RunError(message)

    @classmethod
    def create(cls, path: Path, experiment: Experiment, name: str) -> "RunDirectory":
        """Make a new run directory; what a creation left that was killed is no obstacle.

        Raises:
            RunError: If the path holds something already, or cannot be written.
        """
        files = {
            "fingerprint": experiment.fingerprint + "\n",
            "environment.json": json.dumps(environment(), indent=1),
            "run.json": json.dumps({"name": name}),
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
        except FileExistsError as error:
            message = f"{path} is a file; choose another --out"
            raise RunError(message) from error
        except OSError as error:
            message = f"{path} cannot be written ({os.strerror(error.errno or 0)}); choose another --out"
            raise RunError(message) from error
        return cls(path)

    def discard(self) -> None:
        """Remove the run, and its directory unless something else needs that."""
        for entry in self.path.iterdir():
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
        return str(json.loads((self.path / "run.json").read_text(encoding="utf-8"))["name"])

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
        """Return the whole lines of `private/metrics.jsonl`; a torn last line is left out."""
        metrics = self.private / METRICS
        lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

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
        """
        for place, told in ((self.public, self.public_round(line)), (self.private, line)):
            place.mkdir(exist_ok=True)
            with (place / METRICS).open("a", encoding="utf-8") as file:
                file.write(canonical_json(told) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def rewind(self, last_round: int) -> None:
        """Drop the lines of rounds after `last_round`: they will be run again."""
        kept = [line for line in self.rounds() if line["round"] <= last_round]
        for place, told in ((self.public, [self.public_round(line) for line in kept]), (self.private, kept)):
            write_whole(place / METRICS, "".join(canonical_json(line) + "\n" for line in told))

    def conclude(
        self, summary: dict[str, Any], public: dict[str, Any], adapter: dict[str, Tensor], ledger: Ledger
    ) -> None:
        """Write a run's result: the released adapter and its ledger, and the summaries, which make the run finished.

        Args:
            summary: All that a simulation knows.
            public: What of it may be published.
            adapter: The finished adapter.
            ledger: What was paid.
        """
        contiguous = {name: value.contiguous() for name, value in adapter.items()}
        write_whole(self.public / "adapter.safetensors", tensors_to_bytes(contiguous))
        write_whole(self.public / "ledger.json", ledger.to_json())
        for place, told in ((self.public, public), (self.private, summary)):
            write_whole(place / SUMMARY, json.dumps(json.loads(canonical_json(told)), indent=1) + "\n")

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and drop those before its predecessor."""
        write_whole(self._checkpoints / f"round-{checkpoint.round:06}.safetensors", checkpoint.to_bytes())
        for old in self._checkpoint_files()[:-KEPT_CHECKPOINTS]:
            old.unlink()

    def latest_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint that can be read; None before the first.

        Raises:
            RunError: If there are checkpoints and none can be read.
        """
        for path in reversed(self._checkpoint_files()):
            with contextlib.suppress(SafetensorError):
                return Checkpoint.read(path)
        if self._checkpoint_files():
            message = f"no checkpoint in {self._checkpoints} can be read; the disk damaged them, start a new run"
            raise RunError(message)
        return None

    def summary(self) -> dict[str, Any]:
        """Return `private/summary.json`.

        Raises:
            RunError: If the run is not finished.
        """
        if not self.is_finished:
            message = f"{self.path} is not finished; `fedrec resume {self.path}` goes on with it"
            raise RunError(message)
        summary: dict[str, Any] = json.loads((self.private / SUMMARY).read_text(encoding="utf-8"))
        return summary

    @property
    def is_finished(self) -> bool:
        """Whether the run has its result."""
        return (self.private / SUMMARY).is_file()

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

    @property
    def _checkpoints(self) -> Path:
        return self.private / "checkpoints"

    def _checkpoint_files(self) -> list[Path]:
        return sorted(self._checkpoints.glob("round-*.safetensors"))


def _is_torn(path: Path) -> bool:
    """Return whether a file is what `fedrec.files.replacing` leaves when it is killed: `.<name>.<eight letters>`."""
    return re.fullmatch(r"\..+\.[a-z0-9_]{8}", path.name) is not None and path.is_file()
