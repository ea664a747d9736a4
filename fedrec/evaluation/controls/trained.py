"""Controls that train, or come from, the run's own model: the base, each client alone, all data in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.evaluation.by_platform import joined
from fedrec.evaluation.controls.base import CONTROLS, Control
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.result.linear_branch import Branch, branches, with_best_branch
from fedrec.evaluation.result.popularity import popularity, with_popularity
from fedrec.evaluation.validation.volunteers import Volunteers
from fedrec.metrics.evaluation import Evaluation, Scorer
from fedrec.models.linear.branch import with_branch
from fedrec.models.linear.sums import pooled_weights
from fedrec.models.recommender import ITEM_BIAS
from fedrec.models.scoring import model_scorer
from fedrec.privacy.disclosure import PRIVATE, PUBLIC
from fedrec.run.job import Job
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.client import train_client
from fedrec.training.task import CohortTask, only_row

LOCAL_CLIENTS = 5
"""Clients that `local_only` trains: their mean tells what federation brings, and all of them would take too long."""
CENTRAL_PATIENCE = 5


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
    """The base with its own public users' popularity and linear branch: what is to be had without asking anybody else.

    It has a branch where the run's is of public users, too.

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
    best_of, linear = Volunteers(evaluator, evaluator.task.headline).best_of, job.experiment.linear
    parameters, weight = with_popularity(start, known, scale, best_of)
    note = f"before federation, public users' counts, weight {weight:g}"
    if linear.on and linear.users == "public":
        weights = pooled_weights(split.train.of_users(split.public), linear)
        parameters, branch = with_best_branch(parameters, weights, best_of)
        note += f"; {branch.words}"
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
    scorer = model_scorer(model)
    if experiment.linear.on:
        scorer, branch = _with_linear_branch(job, evaluator, scorer)
        note += f", {branch.words} by validation"
    return Control(evaluator.test(scorer), note, PRIVATE)


def _with_linear_branch(job: Job, evaluator: Evaluator, scorer: Scorer) -> tuple[Scorer, Branch]:
    """Return a scorer with a linear branch of the same users in one place beside it, picked by validation users."""
    split, config = job.prepared.split, job.experiment.linear
    users = split.public if config.users == "public" else split.private
    tried = branches(pooled_weights(split.train.of_users(users), config))
    scorers = [with_branch(scorer, branch.parameters, config.decay) for branch in tried]
    gains = [evaluator.validation_gain(one) for one in scorers] if evaluator.can_tune else [0.0]
    best = max(range(len(gains)), key=gains.__getitem__)
    return scorers[best], tried[best]


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
