"""A whole sweep: run what is missing, several trials at once, then write what all of them say together."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedrec.core.errors import FedrecError
from fedrec.core.files import write_whole
from fedrec.core.places import PUBLIC, default_cache
from fedrec.core.progress import Progress
from fedrec.privacy.ledger import Ledger
from fedrec.reporting.frontier.cost import Cost, Exposure, cost_of
from fedrec.reporting.frontier.page import render_frontier
from fedrec.reporting.frontier.points import TrialResult
from fedrec.reporting.frontier.table import table_of, timings_of, write_table
from fedrec.reporting.judged import split_name
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.plan import Plan, Trial
from simulations.sweep.sharing import preparation_key
from simulations.sweep.trial import TrialWork
from simulations.sweep.workers import Outcome, WorkerPool, worker_context

INTERRUPTED = "interrupted; what every trial had is saved, and the same command goes on with it"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class TrialsFailed(FedrecError):  # noqa: N818 - the others succeeded
    """Some trials of a sweep failed; the others are finished and written."""


class SweepInterrupted(FedrecError):  # noqa: N818 - no error: the user asked for it
    """The user stopped a sweep, whose trials were saved."""

    exit_code = 130


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is carried out: nothing here changes a result.

    Attributes:
        out: The sweep's directory; `sweeps/<name>-<fingerprint>` if not given, so the same sweep finds its own again.
        cache: Cache of downloads and item vectors.
        workers: Trials at once; the number of cores if not given.
        device: Where clients train, `cpu` or `cuda`.
        context: How worker processes are started.
    """

    out: Path | None = None
    cache: Path = field(default_factory=default_cache)
    workers: int | None = None
    device: str = "cpu"
    context: Any = field(default_factory=worker_context)


@dataclass(frozen=True)
class Finished:
    """A sweep's directory, its trials in the grid's order, the failures by fingerprint, and what all cost together."""

    directory: SweepDirectory
    results: tuple[TrialResult, ...]
    failures: dict[str, dict[str, str]]
    cost: Cost

    def require_whole(self) -> None:
        """Raise TrialsFailed if any trial failed."""
        if self.failures:
            reasons = "\n".join(f"- {one['trial']}: {one['message']}" for one in self.failures.values())
            message = (
                f"{len(self.failures)} of {len(self.results)} trials failed; the others are in "
                f"{self.directory.path / 'report.html'}, and the same command tries the failed ones again:\n{reasons}"
            )
            raise TrialsFailed(message)


def sweep(plan: Plan, options: SweepOptions, progress: Progress) -> Finished:
    """Run the trials that the directory lacks, and write its tables and report.

    Raises:
        RunError: If the directory cannot be used.
        SweepInterrupted: If a stop was requested. What was finished is written all the same.
    """
    directory = SweepDirectory((options.out or place_of(plan)).absolute())
    with directory.opened(plan) as lock, one_thread_each():
        work = TrialWork(directory, plan.name, options.cache, options.device)
        pool = WorkerPool(work, options.workers or os.cpu_count() or 1, lock, options.context)
        failures = carry_out(pool, directory, plan.trials, progress)
        results = results_of(directory, plan.trials)
        finished = Finished(directory, results, failures, cost_of(results, _exposure(directory, results)))
        _write(finished, plan)
    if pool.stopping and any(result.summary is None for result in finished.results):
        raise SweepInterrupted(INTERRUPTED)
    return finished


def in_turn(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials so that those who prepare different things come first, and nobody waits without need."""
    seen: Counter[str] = Counter()
    turns = []
    for trial in trials:
        key = preparation_key(trial.experiment)
        turns.append(seen[key])
        seen[key] += 1
    return [trial for _, trial in sorted(zip(turns, trials, strict=True), key=lambda entry: entry[0])]


def place_of(plan: Plan) -> Path:
    """Return where a sweep lies that nobody gave a place."""
    drawn = "" if plan.draw is None else f"-{plan.draw.law}-{plan.draw.mean:g}"
    return Path("sweeps") / f"{plan.name}-{plan.fingerprint[:8]}{drawn}"


def carry_out(
    pool: WorkerPool[Trial], directory: SweepDirectory, trials: Sequence[Trial], progress: Progress
) -> dict[str, dict[str, str]]:
    """Run the trials that the directory lacks; return why those that failed did, by their keys."""
    missing = [trial for trial in trials if not directory.is_finished(trial)]
    done, total, failed = len(trials) - len(missing), len(trials), {}
    doing: dict[str, str] = {}

    def report(trial: Trial, message: Any) -> None:
        if isinstance(message, str):
            progress("note", 0, 0, f"{trial.label}: {message}")
        else:
            step, so_far, end = message
            doing[trial.key] = f"{trial.label}: {step}{f' {so_far}/{end}' if end else ''}"
            progress("trials", done, total, "\n".join(doing.values()))

    progress("trials", done, total)
    for trial, outcome in pool(in_turn(missing), report):
        doing.pop(trial.key, None)
        if outcome.state == "failed":
            failed[trial.key] = _failure(trial, outcome)
            progress("note", 0, 0, f"{trial.label} failed: {outcome.message}")
        if outcome.state != "interrupted":
            done += 1
        progress("trials", done, total, "\n".join(doing.values()))
    return {trial.key: failed[trial.key] for trial in trials if trial.key in failed}


def _failure(trial: Trial, outcome: Outcome) -> dict[str, str]:
    told = {key: value for key, value in asdict(outcome).items() if key != "state" and value}
    return {"trial": trial.label, **told}


def results_of(directory: SweepDirectory, trials: Sequence[Trial]) -> tuple[TrialResult, ...]:
    """Return what the trials made, those that are not finished included."""
    return tuple(
        TrialResult(
            fingerprint=trial.fingerprint,
            point=trial.point,
            seed=trial.experiment.seed,
            label=trial.label,
            folder=directory.run(trial).relative_to(directory.path).as_posix(),
            summary=directory.summary(trial),
            split=split_name(trial.experiment),
            judged=directory.judged(trial),
        )
        for trial in trials
    )


def _exposure(directory: SweepDirectory, results: Sequence[TrialResult]) -> Exposure:
    """Return the most that each private trial's ledger says a unit's data went into."""
    found = {}
    for result in results:
        file = directory.path / result.folder / PUBLIC / "ledger.json"
        if math.isfinite(result.epsilon) and result.summary is not None and file.is_file():
            found[result.fingerprint] = Ledger.from_json(file.read_text(encoding="utf-8")).bound()
    return found


def _write(finished: Finished, plan: Plan) -> None:
    path = finished.directory.path
    write_tables(finished.directory, finished.results, finished.failures)
    told = list(finished.failures.values())
    page = render_frontier(plan.name, finished.results, told, finished.cost, plan.to_toml())
    write_whole(path / "report.html", page)


def write_tables(directory: SweepDirectory, results: Sequence[TrialResult], failures: Mapping[str, Any]) -> None:
    """Write what the trials made and took as tables, and why any failed."""
    told = directory.work / "failures.json"
    if failures:
        write_whole(told, json.dumps(failures, indent=1) + "\n")
    else:
        told.unlink(missing_ok=True)
    write_table(directory.work / "trials.parquet", table_of(results))
    write_table(directory.work / "timings.parquet", timings_of(results))


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let workers that are started meanwhile use one thread each, unless the user's environment says otherwise."""
    unset = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]
