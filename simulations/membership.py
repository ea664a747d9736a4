"""The membership attack on an experiment: a few runs, each user's data in half of them, and who can be told.

The adversary sees the final models alone, and has trained the others itself (see `fedrec.attacks.membership`).
"""

import shutil
from pathlib import Path

import numpy as np

from clients.cohort import answer_cohort
from fedrec.attacks.membership import Membership, attack_power, draw_members, log_ratios
from fedrec.config import Experiment
from fedrec.data.columns import write_columns
from fedrec.evaluation.judge import Judge
from fedrec.prepared import ROWS, Prepared
from fedrec.privacy.audit.canaries import hidden
from fedrec.privacy.audit.replay import clear, losses_of
from fedrec.progress import Progress
from fedrec.reporting.rundir import RunDirectory
from fedrec.result import finished
from fedrec.threads import one_thread
from server.adoption import build_strategy
from server.rounds import Course, run_rounds
from server.stop import Stop
from simulations.engine.cohorts import Alone, CohortGrid


def membership(experiment: Experiment, prepared: Path, place: Path, models: int, progress: Progress) -> Membership:
    """Return how well a final model gives its users away.

    Args:
        experiment: What is attacked; each run has a seed of its own.
        prepared: Folder with its data, prepared.
        place: New folder for the runs.
        models: Number of runs, even, at least 4.
        progress: Told of the runs.
    """
    source = Prepared(prepared)
    users = source.federation.users.values
    users = users[source.train.lengths_of(users) >= 2]
    members = draw_members(models, len(users), experiment.seed)
    scores = np.zeros(members.shape)
    with one_thread():
        for model in range(models):
            own = experiment.model_copy(update={"seed": experiment.seed + model})
            run = RunDirectory.create(place / f"model-{model}", own, "membership")
            shutil.copytree(prepared, run.path / "prepared")
            rows = hidden(source.train, users[~members[model]])
            write_columns(run.path / "prepared" / "train", **{name: getattr(rows, name) for name in ROWS})
            job = run.job
            grid = CohortGrid(len(job.prepared.federation), Alone(), answer_cohort)
            judge = Judge(job)
            last = run_rounds(Course(run, build_strategy(job), grid, judge), progress, (), Stop(run.path))
            final = finished(last, own, job.plan, judge).parameters
            losses = losses_of(clear(job.workbench, source.train), users, final)
            scores[model] = losses.mean() - losses  # how good a model is as a whole says nothing of anybody
            progress("models", model + 1, models)
    return attack_power(log_ratios(scores, members), members)
