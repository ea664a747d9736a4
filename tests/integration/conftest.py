"""Runs that several tests look at: prepared once, run once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedrec.core.progress import silent
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import parameters_sha256
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import prepare
from simulations.engine.cohorts import OneProcess
from tests.integration.many import Many
from tests.tiny import new_run, rounds_of, tiny

NewRun = Callable[[Experiment], RunDirectory]


@dataclass(frozen=True)
class Outcome:
    """What must be the same however a run went: bits, lines but for the time they took, and the ledger."""

    sha256: str
    lines: list[dict[str, Any]]
    ledger: str


def outcome(run: RunDirectory, last: Checkpoint) -> Outcome:
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in run.rounds()]
    return Outcome(parameters_sha256(last.parameters), lines, last.ledger.to_json())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The tiny run's prepared folder."""
    folder = tmp_path_factory.mktemp("tiny") / "prepared"
    prepare(tiny(), folder, cache, silent)
    return folder


@pytest.fixture
def start(prepared: Path, tmp_path: Path) -> NewRun:
    """Make new prepared runs of experiments that need nothing else prepared than the tiny one."""

    def new(experiment: Experiment) -> RunDirectory:
        return new_run(tmp_path / f"run-{len(list(tmp_path.iterdir()))}", prepared, experiment)

    return new


@pytest.fixture(scope="session")
def steady(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The tiny run as it goes when nothing goes wrong."""
    run = new_run(tmp_path_factory.mktemp("steady") / "run", prepared, tiny())
    return outcome(run, rounds_of(run))


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Many:
    """Runs with a client a user, trained in chunks of eight."""
    return Many(tmp_path_factory.mktemp("many"), cache)


@pytest.fixture(scope="session")
def many_steady(many: Many) -> Outcome:
    """Such a run in this process."""
    return outcome(*many.run(OneProcess()))
