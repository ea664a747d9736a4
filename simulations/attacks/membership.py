"""The membership attack on an experiment: a few runs, each user's data in half of them, and who can be told.

The adversary sees the final models alone, and has trained the others itself (see `fedrec.attacks.membership`).
"""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clients.cohort import answer_cohort
from fedrec.attacks.audit.canaries import hidden
from fedrec.attacks.audit.replay import clear, losses_of
from fedrec.attacks.ceiling import auc_ceiling, tpr_ceiling
from fedrec.attacks.membership import Members, Scores, draw_members, log_ratios, power_intervals
from fedrec.attacks.success import CEILING, OperatingPoint, exact
from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.data.columns import write_columns
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.result.selection import finished
from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import PrivacyPlan
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import ROWS, Prepared
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine.cohorts import CohortGrid, OneProcess

FPR = 0.01

ADVERSARY = (
    "The adversary sees the final models alone. It asks of each user whether it was trained on, and has trained the "
    "other models itself, each user in half of them (LiRA, Carlini et al. 2022). No attack at all can beat the "
    "ceiling, which follows from what the ledger says was spent."
)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the adversary makes of the models.

    Attributes:
        ratios: Log likelihood ratio of each user under each model, in over out, `[models, users]`.
        members: Whom each model was trained on, of the same shape.
        spent: Epsilon that bounds what a model gives away of any one user; inf where nothing does.
        delta: Chance of failure of that bound.
    """

    ratios: Scores
    members: Members
    spent: float
    delta: float


def membership(experiment: Experiment, prepared: Path, place: Path, models: int, progress: Progress) -> Evidence:
    """Train the models and weigh each user's membership of each.

    Args:
        experiment: What is attacked; each run has a seed of its own.
        prepared: Folder with its data, prepared.
        place: New folder for the runs.
        models: Number of runs, even, at least 4.
        progress: Called for the runs.
    """
    source = Prepared(prepared)
    users = source.federation.users.values
    users = users[source.train.lengths_of(users) >= 2]
    members = draw_members(models, len(users), experiment.seed)
    scores, spent, delta = np.zeros(members.shape), 0.0, 0.0
    progress("models", 0, models)
    with one_thread():
        for model in range(models):
            own = experiment.model_copy(update={"seed": experiment.seed + model})
            run = RunDirectory.create(place / f"model-{model}", own, "membership")
            shutil.copytree(prepared, run.private / "prepared")
            rows = hidden(source.train, users[~members[model]])
            write_columns(run.private / "prepared" / "train", **{name: getattr(rows, name) for name in ROWS})
            job = run.job
            grid = CohortGrid(len(job.prepared.federation), OneProcess(), answer_cohort)
            evaluator = Evaluator(job)
            last = run_rounds(
                RoundContext(run, build_strategy(job), grid, evaluator), progress, (), StopRequest(run.path)
            )
            final = finished(last, own, job.plan, evaluator).parameters
            losses = losses_of(clear(job.training_context, source.train, job.training_context.federation), users, final)
            scores[model] = losses.mean() - losses  # how good a model is as a whole says nothing of anybody
            spent, delta = max(spent, _spent_on_a_user(last, job.plan)), job.plan.delta
            progress("models", model + 1, models)
    return Evidence(log_ratios(scores, members), members, spent, delta)


def membership_point(
    experiment: Experiment, prepared: Path, place: Path, progress: Progress, models: int
) -> OperatingPoint:
    """Return the attack's success beside a guess, and beside what no attack can beat; arguments as of `membership`."""
    found = membership(experiment, prepared, place, models, progress)
    auc, tpr = power_intervals(found.ratios, found.members, experiment.seed)
    measures = {
        "auc": {"lira": auc, CEILING: exact(auc_ceiling(found.spent, found.delta)), "guess": exact(0.5)},
        "tpr_at_1_percent": {
            "lira": tpr,
            CEILING: exact(tpr_ceiling(FPR, found.spent, found.delta)),
            "guess": exact(FPR),
        },
    }
    return OperatingPoint(experiment.privacy.epsilon, found.spent, found.delta, measures)


def _spent_on_a_user(last: Checkpoint, plan: PrivacyPlan) -> float:
    """Return the most exposed user's epsilon; an example's bounds nothing that is said of a user."""
    covered = plan.unit == "user" or (plan.unit == "platform" and plan.own_client)
    return last.ledger.epsilon(plan.delta).worst.pld if covered and plan.trust != "none" else math.inf
