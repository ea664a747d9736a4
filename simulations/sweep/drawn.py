"""A sweep whose number of trials is drawn in secret, so that what is paid for is the best and not the grid.

The claim is made of all settings' plans, before the first trial runs (`fedrec.privacy.statement.tuning`); then the
trials that the secret key picks are run like any sweep's, and when all of them have ended the best by its validation
users is published, whole or not at all. Which trials there were stays in `private/`, and so does what the terminal
shows of them.
"""

import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedrec.core.files import write_whole
from fedrec.core.places import PUBLIC
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.privacy.accounting.trial_draw import Draw, picks
from fedrec.privacy.noise_key import read_key, write_key
from fedrec.privacy.plan import PrivacyPlan
from fedrec.privacy.statement.tuning import TuningClaim, tuning_claim
from fedrec.reporting.frontier.points import TrialResult
from fedrec.reporting.reading import Reading, reading
from fedrec.reporting.wording import Summary, get_path, number
from fedrec.run.cohorts import Population
from fedrec.run.directory import SUMMARY
from fedrec.run.job import plan_of
from fedrec.run.preparation import Prepared
from simulations.sweep.directory import SweepDirectory
from simulations.sweep.drawn_rules import check_drawn
from simulations.sweep.plan import Plan, Trial
from simulations.sweep.run import (
    INTERRUPTED,
    SweepInterrupted,
    SweepOptions,
    TrialsFailed,
    carry_out,
    one_thread_each,
    place_of,
    results_of,
    write_tables,
)
from simulations.sweep.sharing import preparation_key
from simulations.sweep.trial import PreparationWork, TrialWork
from simulations.sweep.workers import WorkerPool

KEY = "draw.key"
CLAIM = "tuning.json"
BEST = "best"


@dataclass(frozen=True)
class Published:
    """A drawn sweep: its directory, the claim, and which trials failed, by their keys; `public/` is there if none did.

    Attributes:
        best: The setting that was published; None if no trial was drawn, or one failed.
    """

    directory: SweepDirectory
    claim: TuningClaim
    failures: dict[str, dict[str, str]]
    best: TrialResult | None

    def require_whole(self) -> None:
        """Raise TrialsFailed if any trial failed: the best of the others is not the best of those drawn."""
        if self.failures:
            reasons = "\n".join(f"- {one['trial']}: {one['message']}" for one in self.failures.values())
            message = (
                "trials that were drawn failed, so nothing is published yet; the same command tries them again:\n"
                f"{reasons}"
            )
            raise TrialsFailed(message)


def sweep_drawn(plan: Plan, draw: Draw, options: SweepOptions, progress: Progress) -> Published:
    """Run the drawn trials that the directory lacks, and publish the best of them.

    Raises:
        PrivacyError: If the claim would be false.
        RunError: If the directory cannot be used.
        SweepInterrupted: If a stop was requested.
        TrialsFailed: If what the trials have in common cannot be prepared.
    """
    check_drawn(plan)
    directory = SweepDirectory((options.out or place_of(plan)).absolute(), drawn=True)
    workers = options.workers or os.cpu_count() or 1
    with directory.opened(plan) as lock, one_thread_each():
        _prepare(WorkerPool(PreparationWork(directory, options.cache), 1, lock, options.context), plan, progress)
        claim = tuning_claim(draw, _plans(directory, plan))
        trials = drawn_trials(directory, plan, draw)
        pool = WorkerPool(
            TrialWork(directory, plan.name, options.cache, options.device), workers, lock, options.context
        )
        failures = carry_out(pool, directory, trials, progress)
        results = results_of(directory, trials)
        write_tables(directory, results, failures)
        if pool.stopping and any(result.summary is None for result in results):
            raise SweepInterrupted(INTERRUPTED)
        best = None if failures else best_of(directory, results)
        if not failures:
            publish(directory, claim, best)
    return Published(directory, claim, failures, best)


def drawn_trials(directory: SweepDirectory, plan: Plan, draw: Draw) -> list[Trial]:
    """Return the trials that the directory's key picks; a directory without trials gets a key of its own.

    Raises:
        RunError: If there are trials and their key cannot be read.
    """
    file = directory.work / KEY
    if not file.exists() and not (directory.work / "trials").exists():
        write_key(file)
    picked = picks(draw, len(plan.trials), read_key(file, "key of the draws", "a new sweep"))
    return [replace(plan.trials[place], pick=number) for number, place in enumerate(picked, 1)]


def best_of(directory: SweepDirectory, results: Sequence[TrialResult]) -> TrialResult | None:
    """Return the trial that its validation users like best; None without any. Test users are not looked at."""
    return max(results, key=lambda result: _gain(*_score(directory, result))) if results else None


def publish(directory: SweepDirectory, claim: TuningClaim, best: TrialResult | None) -> None:
    """Write `public/`, whole or not at all; what is there already stays."""
    if (place := directory.path / PUBLIC).is_dir():
        return
    staged = directory.work / "publishing"
    shutil.rmtree(staged, ignore_errors=True)
    chosen = None
    if best is not None:
        run = directory.path / best.folder
        shutil.copytree(run / PUBLIC, staged / BEST)
        shutil.copyfile(run / "experiment.toml", staged / BEST / "experiment.toml")
        read, value = _score(directory, best)
        chosen = {
            "fingerprint": best.fingerprint,
            "setting": dict(best.point),
            "metric": read.metric,
            "validation": value,
        }
    told = json.loads(canonical_json({**claim.to_json(), "best": chosen}))
    write_whole(staged / CLAIM, json.dumps(told, indent=1) + "\n")
    staged.rename(place)


def _prepare(pool: WorkerPool[Trial], plan: Plan, progress: Progress) -> None:
    def report(trial: Trial, message: Any) -> None:
        del trial
        if not isinstance(message, str):
            progress(*message)

    for _, outcome in pool(plan.trials[:1], report):
        if outcome.state == "failed":
            raise TrialsFailed(outcome.message)
    if pool.stopping:
        raise SweepInterrupted(INTERRUPTED)


def _plans(directory: SweepDirectory, plan: Plan) -> Sequence[PrivacyPlan]:
    """Return each setting's plan; all of them share what is prepared."""
    prepared = Prepared(directory.shared / preparation_key(plan.trials[0].experiment))

    def planned(experiment: Experiment) -> PrivacyPlan:
        # Cohorts that are secret are charged to everybody, so this seed decides those alone that may be known.
        population = Population(experiment.federation, len(prepared.federation), experiment.privacy.bands)
        return plan_of(experiment, prepared, lambda number: population.cohort(experiment.seed, number))

    return [planned(trial.experiment) for trial in plan.trials]


def _gain(read: Reading, value: float) -> float:
    return -math.inf if math.isnan(value) else read.gain(value)


def _score(directory: SweepDirectory, result: TrialResult) -> tuple[Reading, float]:
    """Return by what a trial is compared, and its value: read off what it could publish and nothing else."""
    summary: Summary = json.loads((directory.path / result.folder / PUBLIC / SUMMARY).read_text(encoding="utf-8"))
    read = reading(summary)
    return read, number(get_path(summary, "metrics", "validation", read.target, read.metric))
