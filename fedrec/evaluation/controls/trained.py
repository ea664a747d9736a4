"""Controls that train, or come from, the run's own model: the base, each client alone, all data in one place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.registry import Registry
from fedrec.core.seeding import rng_for
from fedrec.evaluation.by_platform import joined
from fedrec.evaluation.controls.fitted import ease_scorer, popularity_odds_scorer, popularity_scorer, random_scorer
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.popularity import popularity, with_popularity
from fedrec.evaluation.validation.volunteers import Volunteers
from fedrec.metrics.evaluation import Evaluation
from fedrec.models.recommender import ITEM_BIAS
from fedrec.models.scoring import model_scorer
from fedrec.privacy.disclosure import PRIVATE, PUBLIC, Disclosure
from fedrec.run.job import Job
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.client import train_client
from fedrec.training.task import CohortTask, only_row

LOCAL_CLIENTS = 5
"""Clients that `local_only` trains: their mean tells what federation brings, and all of them would take too long."""
CENTRAL_PATIENCE = 5


@dataclass(frozen=True, eq=False)
class Control:
    """How a control did on the test users.

    Attributes:
        test: Target -> evaluation.
        note: How it was made, in words.
        disclosure: Who may see it: a control that looks at private users without privacy is for a simulation's eyes.
    """

    test: dict[str, Evaluation]
    note: str
    disclosure: Disclosure


ControlMaker = Callable[[Job, Evaluator, Progress], Control]

CONTROLS: Registry[ControlMaker] = Registry("control", group="fedrec.controls")


@CONTROLS.register("random")
def random_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Scores drawn by name."""
    del progress
    return Control(
        evaluator.test(random_scorer(job.experiment.seed, job.prepared.train.num_items)), "scores at random", PUBLIC
    )


@CONTROLS.register("popularity")
def popularity_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """How often training users touched each item."""
    del progress
    test = evaluator.test(popularity_scorer(job.prepared.train))
    return Control(test, "training counts, central, no privacy", PRIVATE)


@CONTROLS.register("popularity_odds")
def popularity_odds_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """How much likelier each item is clicked than one at random."""
    del progress
    test = evaluator.test(popularity_odds_scorer(job.prepared.train, job.prepared.platforms))
    return Control(test, "log odds of training counts, central, no privacy", PRIVATE)


@CONTROLS.register("ease")
def ease_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """EASE on the training users' interactions."""
    del progress
    test = evaluator.test(ease_scorer(job.prepared.train))
    return Control(test, "lambda 300, central, no privacy, item ids only", PRIVATE)


@CONTROLS.register("base")
def base_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """The model before the first round."""
    del progress
    note = {"random": "random weights", "public_users": "pretrained on public users"}[job.experiment.model.base]
    return Control(
        evaluator.test(evaluator.scorer(evaluator.context.shared_start)), f"before federation: {note}", PUBLIC
    )


@CONTROLS.register("base_popularity")
def base_popularity_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """The base with the popularity of its own public users: what is to be had without asking anybody else.

    Raises:
        ConfigError: Without public users, or if the item bias is not trained.
    """
    del progress
    split, start = job.prepared.split, evaluator.context.shared_start
    if not len(split.public) or ITEM_BIAS not in start:
        message = (
            "the control base_popularity needs public users and an item bias that is trained and travels; set "
            "split.public, for example to 0.15, or leave it out of evaluation.controls"
        )
        raise ConfigError(message)
    counts = np.zeros(split.train.num_items)
    for user in split.public:
        counts[np.unique(split.train.items_of(int(user)))] += 1
    known, scale = popularity(counts, 0.0), evaluator.context.model.bias_scale
    parameters, weight = with_popularity(start, known, scale, Volunteers(evaluator, evaluator.task.headline).best_of)
    note = f"before federation, public users' counts, weight {weight:g}"
    return Control(evaluator.test(evaluator.scorer(parameters)), note, PUBLIC)


@CONTROLS.register("local_only")
def local_only_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Federation and privacy off: the mean of clients that train by themselves, the same work as in the run.

    Of several platforms, each has such clients, and they are asked of its own test users alone.
    """
    chosen = _local_clients(job)
    done, total = 0, sum(len(clients) for clients in chosen)
    progress("control local_only", 0, total)
    by_platform: list[dict[str, Evaluation]] = []
    for platform, clients in enumerate(chosen):
        results = []
        for client in clients:
            results.append(evaluator.test(evaluator.scorer(_alone(job, evaluator, client)), platform))
            done += 1
            progress("control local_only", done, total)
        by_platform.append({target: _mean([result[target] for result in results]) for target in results[0]})
    means = by_platform[0]
    if len(chosen) > 1:
        targets = [target for target in evaluator.targets if all(target in found for found in by_platform)]
        means = {target: joined([found[target] for found in by_platform]) for target in targets}
    where = "" if len(chosen) == 1 else ", each on its own platform"
    note = f"mean of {total} of {len(job.prepared.federation)} clients alone{where}, no privacy"
    return Control(means, note, PRIVATE)


@CONTROLS.register("central")
def central_control(job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """The same model, adapter and base, trained on the private users' pooled data without privacy."""
    experiment, split = job.experiment, job.prepared.split
    model = job.model(users=len(split.private))
    settings = CentralSettings(
        experiment.evaluation.central_epochs, experiment.evaluation.central_lr, CENTRAL_PATIENCE, "control central"
    )
    pooled = evaluator.task.examples(split.train, split.private)
    counts = evaluator.task.count(split.train.lengths_of(split.private))
    epoch = train_centrally_(
        model,
        evaluator.task,
        pooled,
        settings,
        experiment.seed,
        lambda: evaluator.loss_of(model),
        progress,
        job.prepared.platforms.stretches(split.private, counts),
    )
    note = f"pooled data, no privacy, Adam, epoch {epoch} by validation"
    return Control(evaluator.test(model_scorer(model)), note, PRIVATE)


def _local_clients(job: Job) -> list[list[int]]:
    """Return the clients that `local_only` trains, ascending, of each platform."""
    platforms, seed = job.prepared.platforms, job.experiment.seed
    owner = platforms.of_clients(job.prepared.federation)
    chosen = []
    for platform, name in enumerate(platforms.names):
        rng = rng_for(seed, "local only", *(() if platform == 0 else (name,)))
        chosen.append(np.sort(rng.permutation(np.flatnonzero(owner == platform))[:LOCAL_CLIENTS]).tolist())
    return chosen


def _alone(job: Job, evaluator: Evaluator, client: int) -> Mapping[str, Tensor]:
    """Return what a client has trained after all rounds alone, its own private parameters included."""
    context = replace(evaluator.context, plan=replace(job.plan, trust="none"))
    parameters: Mapping[str, Tensor] = dict(context.shared_start)
    private: Mapping[str, Tensor] = {}
    for number in range(1, job.experiment.rounds + 1):
        update = train_client(context, CohortTask([client], number, parameters, private))
        parameters, private = only_row(update.parameters), update.private
    return {**parameters, **only_row(private)}


def _mean(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return the mean over models, user by user; `recommended` stays the first model's."""
    first = evaluations[0]
    per_user = {
        name: np.mean([evaluation.per_user[name] for evaluation in evaluations], axis=0) for name in first.per_user
    }
    lists = {name: float(np.mean([evaluation.lists[name] for evaluation in evaluations])) for name in first.lists}
    return replace(first, per_user=per_user, lists=lists)
