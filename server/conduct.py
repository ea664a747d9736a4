"""The server's whole work on a run: rounds, then the conclusion. Any grid of clients will do."""

from typing import Any

import torch
from flwr.serverapp import Grid

from fedrec.conclusion import conclude
from fedrec.evaluation.judge import Judge
from fedrec.job import Job
from fedrec.privacy.plan import check
from fedrec.progress import Progress
from fedrec.reporting.rundir import RunDirectory
from fedrec.reporting.tensorboard import TensorBoardObserver
from server.base import Setting, Strategy
from server.foreign import adopt
from server.rounds import Stop, run_rounds
from server.strategies import STRATEGIES


def conduct(
    run: RunDirectory, grid: Grid, progress: Progress, stop: Stop | None = None, *, tensorboard: bool = False
) -> dict[str, Any]:
    """Run the rounds that are missing, score, and return the summary.

    Raises:
        FedrecError: As the rounds and the conclusion do.
    """
    torch.set_num_threads(1)
    strategy = build_strategy(run.job)
    judge = Judge(run.job)
    observers = [TensorBoardObserver(run.path)] if tensorboard else []
    last = run_rounds(run, strategy, grid, judge, progress, observers, stop)
    return conclude(run, judge, last, progress)


def build_strategy(job: Job) -> Strategy:
    """Return the configured strategy.

    Raises:
        ConfigError: If it is unknown or does not take its options.
        PrivacyError: If it cannot keep the privacy claim.
    """
    experiment = job.experiment
    kind = STRATEGIES.get(experiment.strategy.name)
    check(experiment, linear_strategy=getattr(kind, "linear", False))
    setting = Setting(
        seed=experiment.seed,
        cohort=job.cohort,
        expected_cohort=job.expected_cohort,
        min_replies=experiment.federation.min_replies,
        max_update_norm=experiment.federation.max_update_norm,
        plan=job.plan,
    )
    return adopt(kind, setting, dict(experiment.strategy.options))
