"""The recovery attack on an experiment: the first rounds as they are, and what they tell of some users' items.

Who sees what follows from the trust model: an adversary that can see updates reads each victim's own, and one that
sees the results of rounds alone has one ranking for everybody. What is released before the first round
(`privacy.item_counts`) is not attacked, and training starts as if it were not.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from flwr.app import ConfigRecord
from numpy.typing import NDArray
from torch import Tensor

from clients.cohort import CohortRequest, answer_cohort
from fedrec.attacks.recovery import auc_of, item_scores, neutral_histories, precision_at, with_popularity
from fedrec.attacks.success import OperatingPoint
from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.core.threads import one_thread
from fedrec.data.interactions import IntArray
from fedrec.evaluation.statistics.significance import Interval, bootstrap_interval
from fedrec.experiment.config import Experiment
from fedrec.privacy.ledger import Ledger
from fedrec.run.directory import RunDirectory
from fedrec.run.preparation import Prepared
from fedrec.training.context import TrainingContext
from fedrec.training.task import CohortUpdate, only_row
from server.asking import ask
from server.base import to_record
from server.rounds import collect, to_arrays, to_tensors
from server.strategies.build import build_strategy
from simulations.engine.cohorts import CohortGrid, OneProcess
from simulations.engine.work import Parameters

Scores = NDArray[np.float64]

Views = Mapping[str, Sequence[Scores]]
"""What is seen -> what it does to each item, by victim, `[victims][items]`."""

FIRST = 10
"""Ranks that count for precision."""

ADVERSARIES = {
    "local": "The server follows the protocol but is curious: it sees each client's own update, noised by that client.",
    "secure-aggregation": "The server sees the noised sum of a round (round result) and no client's update; without "
    "privacy (epsilon inf) nothing is summed in secret, and it sees each update, too.",
    "central": "The trusted server sees each client's update in the clear (update), before it clips and noises their "
    "sum: epsilon promises nothing about that. Everybody else sees the noised result of a round alone (round result).",
}
"""By `privacy.trust`."""

KNOWLEDGE = (
    "It ranks all items by what it sees does to them, alone and with popularity, whose weight it learns from other "
    "users. Popularity alone, of all other training users, is what it must beat. A user's items are all its training "
    "items; a round shows at most those that its windows reach."
)


@dataclass(frozen=True)
class Recovery:
    """How to attack.

    Attributes:
        victims: Users that are attacked, at most; fewer if fewer are asked in these rounds.
        rounds: First rounds that the adversary observes.
    """

    victims: int = 50
    rounds: int = 1


@dataclass(eq=False)
class RecoveryObserver:
    """Where clients' work is called for: writes down what each victim's update does to the items.

    Attributes:
        victims: Clients.
        context: A context whose model may be overwritten.
        histories: Neutral histories.
        scores: What was observed over the rounds so far, `[victims, items]`.
    """

    victims: Sequence[int]
    context: TrainingContext
    histories: Tensor
    scores: Scores = field(init=False)

    def __post_init__(self) -> None:
        self.scores = np.zeros((len(self.victims), self.context.train.num_items))

    def __call__(self, request: CohortRequest, parameters: Parameters, extras: Parameters) -> CohortUpdate:
        """Return the clients' answers as they are; listen."""
        update = answer_cohort(request, parameters, extras)
        before = {name: torch.from_numpy(value.copy()) for name, value in parameters.items()}
        rows = {client: row for row, client in enumerate(self.victims)}
        for client, answer in update.each():
            if client in rows:
                self.scores[rows[client]] += self.read(before, only_row(answer.parameters))
        return update

    def read(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Scores:
        """Return what a change of the shared adapter does to each item, `[items]`."""
        change = {name: after[name] - value for name, value in before.items()}
        return item_scores(self.context.model, {**self.context.start, **before}, change, self.histories)


def recovery_point(
    experiment: Experiment, prepared: Path, place: Path, progress: Progress, asked: Recovery
) -> OperatingPoint:
    """Return how much of the victims' items shows: mean AUC and precision with bootstrap intervals over victims (95 %).

    Args:
        experiment: What is attacked: every client is one user.
        prepared: Folder with its data, prepared.
        place: New run directory.
        progress: Called for the rounds.
        asked: How to attack.

    Raises:
        ConfigError: As `require_single_users` does, or if nobody who has an example is asked in these rounds.
        FederationError: If a round has too few usable replies.
    """
    require_single_users(experiment, asked)
    run = RunDirectory.create(place, _unmasked(experiment), "recovery")
    shutil.copytree(prepared, run.private / "prepared")
    plan, source = run.job.plan, run.job.prepared
    victims = _victims(run, asked)
    with one_thread():
        views, ledger = _observed(run, victims, asked.rounds, progress)
    offered = [slice(items.start, items.stop) for items in _offered(source, victims)]
    views = {name: [own[of] for own, of in zip(scores, offered, strict=True)] for name, scores in views.items()}
    items, popularity = _truth(source, victims)
    lines: dict[str, Sequence[Scores]] = {}
    for name, scores in views.items():
        lines |= {name: scores, f"{name}_and_popularity": with_popularity(scores, popularity, items)}
    lines |= {"popularity": popularity, "random": [np.zeros(len(counts)) for counts in popularity]}
    measures = {
        "auc": {
            name: _mean([auc_of(*one) for one in zip(scores, items, strict=True)], experiment.seed)
            for name, scores in lines.items()
        },
        f"precision_at_{FIRST}": {
            name: _mean([precision_at(*one, FIRST) for one in zip(scores, items, strict=True)], experiment.seed)
            for name, scores in lines.items()
        },
    }
    spent = ledger.epsilon(plan.delta).worst.pld if experiment.privacy.on else float("inf")
    return OperatingPoint(experiment.privacy.epsilon, spent, plan.delta, measures)


def require_single_users(experiment: Experiment, asked: Recovery) -> None:
    """Do nothing if each client is one user, its update is seen as its own and the rounds exist.

    Raises:
        ConfigError: Otherwise.
    """
    partition = experiment.federation.partition
    if partition != "users":
        message = (
            f"the recovery attack reads one user's update, but federation.partition={partition} lets many users share "
            "a client; add --set federation.partition=users"
        )
        raise ConfigError(message)
    if experiment.privacy.shuffled:
        message = (
            "the recovery attack reads one user's update, and privacy.shuffled hides whose it is; add --set "
            "privacy.shuffled=false to see what that hides"
        )
        raise ConfigError(message)
    if asked.rounds > experiment.rounds:
        message = f"--rounds = {asked.rounds}: should be at most the experiment's {experiment.rounds} (rounds)"
        raise ConfigError(message)


def _unmasked(experiment: Experiment) -> Experiment:
    """Leave out the masks of a secure sum: they take minutes, and the sum is the same to the bit."""
    secret = experiment.privacy.secure_aggregation.model_copy(update={"masked_rounds": 0})
    privacy = experiment.privacy.model_copy(update={"secure_aggregation": secret})
    return experiment.model_copy(update={"privacy": privacy})


def _victims(run: RunDirectory, asked: Recovery) -> list[int]:
    """Return whom to attack, ascending: a named draw among those who are asked and have an example."""
    source = run.job.prepared
    cohort = sorted({client for number in range(1, asked.rounds + 1) for client in run.job.cohort(number)})
    may = [client for client in cohort if len(source.train.items_of(_user(source, client))) >= 2]
    if not may:
        message = (
            f"nobody with two interactions is asked in the first {asked.rounds} rounds; ask for more rounds "
            "(--rounds), or set a larger federation.participation"
        )
        raise ConfigError(message)
    rng = rng_for(run.experiment.seed, "victims")
    drawn: list[int] = np.sort(rng.choice(may, size=min(asked.victims, len(may)), replace=False)).tolist()
    return drawn


def _observed(run: RunDirectory, victims: Sequence[int], rounds: int, progress: Progress) -> tuple[Views, Ledger]:
    """Play the first rounds; return what each kind of adversary saw, and what the rounds cost."""
    job, plan = run.job, run.job.plan
    context = job.training_context
    tap = RecoveryObserver(victims, context, neutral_histories(context.train.num_items, job.experiment.seed))
    strategy, grid = build_strategy(job), CohortGrid(len(job.prepared.federation), OneProcess(), tap)
    told = ConfigRecord({"run": str(run.path)})
    parameters, result, ledger = context.shared_start, np.zeros(context.train.num_items), Ledger()
    progress("rounds observed", 0, rounds)
    for number in range(1, rounds + 1):
        messages = ask(strategy, number, to_record(to_arrays(parameters)), told, grid)
        ledger = plan.charge(ledger, number, strategy.asked)
        after = collect(strategy, grid, number, messages, job.experiment.federation.timeout)
        if after is not None:
            result += tap.read(parameters, to_tensors(after))
            parameters = to_tensors(after)
        progress("rounds observed", number, rounds)
    views: dict[str, Sequence[Scores]] = {}
    if plan.trust != "secure-aggregation":
        views["update"] = list(tap.scores)
    if job.experiment.privacy.trust != "local":
        views["round_result"] = [result] * len(victims)
    return views, ledger


def _truth(source: Prepared, victims: Sequence[int]) -> tuple[list[IntArray], list[Scores]]:
    """Return each victim's items, numbered from 0 in its platform, and how many interactions others have with each."""
    items, popularity = [], []
    for victim, offered in zip(victims, _offered(source, victims), strict=True):
        rows = source.train.items_of(_user(source, victim)) - offered.start
        items.append(np.unique(rows))
        own = np.bincount(rows, minlength=len(offered))
        popularity.append((source.train_counts[offered.start : offered.stop] - own).astype(np.float64))
    return items, popularity


def _offered(source: Prepared, victims: Sequence[int]) -> list[range]:
    """Return the items of each victim's platform: whoever attacks knows which platform a client is of."""
    users = np.array([_user(source, victim) for victim in victims], dtype=np.int64)
    return [source.platforms.items_of(int(platform)) for platform in source.platforms.of_users(users)]


def _user(source: Prepared, client: int) -> int:
    return int(source.federation.users[client][0])


def _mean(values: Sequence[float], seed: int) -> Interval:
    return bootstrap_interval(np.array(values), seed=seed)
