"""The cases of the engines' benchmark: what is done, and who competes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fedrec.core.progress import Progress
from simulations.benchmarks.engines import pfl
from simulations.benchmarks.engines.competitors import Child, Competitor
from simulations.benchmarks.engines.jobs import NOBODY_HELD_OUT, Work, experiment, padding_of
from simulations.benchmarks.engines.pfl import Pfl
from simulations.benchmarks.engines.times import LIMIT

CORES = os.cpu_count() or 1
CENTRAL: Mapping[str, Mapping[str, Any]] = {
    "central-64": {"batch": 64},
    "central-32": {"batch": 32},
}
FLOWER_AT_SCALE = 2
"""Repetitions of Flower where one takes minutes."""


SMALL_RIVALS = ("inprocess", "ray-2", "central-64", "vectorised-user", "pfl-1")
"""One of each kind: starting a competitor, which imports everything, is what a small benchmark takes its minute for."""


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        repeats: Repetitions of each competitor.
        cohort: Clients of a round of real training.
        small: Sizes of seconds, to see that it works.
        flower: Whether Flower's simulation takes part.
        pfl: Interpreter of pfl's environment; None leaves pfl out.
        competitors: Names of those that take part; empty for all, or for `SMALL_RIVALS` if small.
    """

    repeats: int = 5
    cohort: int = 64
    small: bool = False
    flower: bool = True
    pfl: Path | None = None
    competitors: Sequence[str] = ()

    @property
    def rounds(self) -> int:
        """Number of the last round; the first is the warm-up."""
        return self.repeats + 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """The same work for several competitors.

    Attributes:
        title: What is done.
        clients: How many clients, or sequences, a round has.
        competitors: How each is started.
        against: Whom the others are put beside.
        most: Most repetitions of a competitor, where these are fewer.
        facts: What else is to be said.
    """

    title: str
    clients: int
    competitors: Mapping[str, AbstractContextManager[Competitor]]
    against: Sequence[str]
    most: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


Case = Callable[[Settings, Path, Progress], Iterator[Comparison]]


def training(asked: Settings, folder: Path, progress: Progress) -> Iterator[Comparison]:
    """Real training under user-level local privacy, one user a client."""
    work, stage = Work(experiment(small=asked.small), folder, progress), _Stage(asked)
    cohort = min(8, asked.cohort) if asked.small else asked.cohort
    for name, engine, workers in _ENGINES:
        stage.enter(name, act="engine", run=_run(work, name, cohort, asked), name=engine, workers=workers)
    stage.enter("one-at-a-time", act="one at a time", run=_run(work, "one-at-a-time", cohort, asked))
    job = work.job("central", cohort, asked.rounds)
    for name, batches in {**CENTRAL, "by-length-32": {"batch": 32, "by_length": True}}.items():
        stage.enter(name, act="central", run=str(job.folder), **batches)
    for name, processes in {"pfl": CORES, "pfl-1": 1}.items():
        stage.enter_pfl(name, partial(pfl.training, job), processes)
    facts = {"registered": work.clients, "padding": padding_of(job, 2)}
    against = ("flower", "one-at-a-time", "pfl", "pfl-1", LIMIT)
    yield Comparison(
        f"a cohort of {cohort} of {work.clients:,} clients", cohort, stage.competitors, against, facts=facts
    )


def limit(asked: Settings, folder: Path, progress: Progress) -> Iterator[Comparison]:
    """Vectorised training in one thread against central training of the same users' sequences."""
    work, stage = Work(experiment(small=asked.small), folder, progress), _Stage(asked)
    users = 32 if asked.small else 512
    job = work.job("run", users, asked.rounds)
    for name, batches in {**CENTRAL, "by-length-32": {"batch": 32, "by_length": True}}.items():
        stage.enter(name, act="central", run=str(job.folder), **batches)
    for flavour in ("none", "user", "example"):
        stage.enter(f"vectorised-{flavour}", act="vectorised", run=str(job.folder), flavour=flavour)
    yield Comparison(f"{users} sequences", users, stage.competitors, (LIMIT,), facts={"padding": padding_of(job, 2)})


def scale(asked: Settings, folder: Path, progress: Progress) -> Iterator[Comparison]:
    """Real training, a tenth of many registered clients in a round."""
    clients, cohort = (200, 20) if asked.small else (10_000, 1_000)
    data = {"name": "synthetic", "synthetic": {"users": clients}}
    wanted = experiment(small=asked.small, data=data, split=NOBODY_HELD_OUT)
    work, stage = Work(wanted, folder, progress), _Stage(asked)
    for name, engine, workers in _ENGINES:
        if name != "ray-1":
            stage.enter(name, act="engine", run=_run(work, name, cohort, asked), name=engine, workers=workers)
    title = f"a cohort of {cohort:,} of {work.clients:,} clients"
    yield Comparison(
        title, cohort, stage.competitors, ("flower",), {"flower": FLOWER_AT_SCALE}, {"registered": work.clients}
    )


def trivial(asked: Settings, folder: Path, progress: Progress) -> Iterator[Comparison]:
    """Clients add a constant to an adapter: the simulators' own cost, and their memory."""
    del folder, progress
    parameters = 1_000 if asked.small else 50_000
    sizes = [(200, 20)] if asked.small else TRIVIAL_SIZES
    for population, cohort in sizes:
        stage = _Stage(asked)
        facts = {"population": population, "cohort": cohort, "parameters": parameters}
        for name, engine, workers in _ENGINES:
            if name != "ray-1" and (name != "flower" or (population, cohort) == sizes[0]):
                stage.enter(name, act="trivial", name=engine, workers=workers, **facts)
        stage.enter_pfl("pfl-1", partial(pfl.trivial, population, cohort, parameters), 1)
        title = f"{cohort:,} of {population:,} clients, {parameters:,} parameters"
        yield Comparison(title, cohort, stage.competitors, ("flower", "pfl-1"), facts=facts)


def workers(asked: Settings, folder: Path, progress: Progress) -> Iterator[Comparison]:
    """Two Ray workers against one process of one thread, large cohorts."""
    work, stage = Work(experiment(small=asked.small), folder, progress), _Stage(asked)
    cohort = 32 if asked.small else 512
    for name, engine in {"inprocess": "inprocess", "ray-2": "ray"}.items():
        stage.enter(name, act="engine", run=_run(work, name, cohort, asked), name=engine, workers=2)
    yield Comparison(f"a cohort of {cohort} of {work.clients:,} clients", cohort, stage.competitors, ("inprocess",))


CASES: Mapping[str, Case] = {
    "training": training,
    "limit": limit,
    "scale": scale,
    "trivial": trivial,
    "workers": workers,
}

TRIVIAL_SIZES = [(1_000, 100), (1_000, 1_000), (100_000, 1_000), (1_000_000, 1_000), (1_000_000, 10_000)]
"""Registered clients, and those of a round; Flower takes part in the first."""

_ENGINES = (
    ("inprocess", "inprocess", 1),
    ("ray", "ray", CORES),
    ("ray-1", "ray", 1),
    ("flower", "flower", CORES),
)


class _Stage:
    """Competitors that take part."""

    def __init__(self, asked: Settings) -> None:
        self._asked = asked
        self.competitors: dict[str, AbstractContextManager[Competitor]] = {}

    def enter(self, competitor: str, /, **spec: Any) -> None:
        """Let a child process take part."""
        if self._wanted(competitor) and (self._asked.flower or competitor != "flower"):
            self.competitors[competitor] = Child(competitor, spec)

    def enter_pfl(self, competitor: str, write: Callable[[], pfl.Write], processes: int) -> None:
        """Let pfl take part."""
        if self._wanted(competitor) and self._asked.pfl is not None:
            self.competitors[competitor] = Pfl(self._asked.pfl, write(), processes)

    def _wanted(self, competitor: str) -> bool:
        named = self._asked.competitors or (SMALL_RIVALS if self._asked.small else ())
        return not named or competitor in named


def _run(work: Work, name: str, cohort: int, asked: Settings) -> str:
    """Return a run of the competitor's own: what clients keep is written there."""
    return str(work.job(name, cohort, asked.rounds).folder)


SMALL_CASES = ("training", "limit", "trivial", "workers")
"""Those of a small benchmark: `scale` is `training` with more clients."""
