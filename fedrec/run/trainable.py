"""What cannot be trained fails before anything long is done."""

import torch

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import Experiment
from fedrec.models.adapters import attach_, shared_parameters, trained_parameters
from fedrec.models.recommender import ITEM_BIAS, MODELS, ModelInputs, Recommender, Scope, build_model, needs_of
from fedrec.tasks import Task, open_task
from fedrec.text import tokens as tokens_of
from fedrec.text.body import STAND_IN
from fedrec.text.whitening import DIMENSIONS

GIVEN_BY = {"value": "rating", "query": "search"}
"""What a recommender may read of a batch, and a task that gives it."""

MOST_ITEMS = 100
"""Items of a catalogue that a pass a pair can score in a time that anybody would wait."""


def require_trainable(experiment: Experiment) -> None:
    """Attach the configured adapter to a model of two items: what cannot work fails before anything long is done.

    Raises:
        ConfigError: If task, model or adapter is unknown, the rank is above a layer's width, nothing that is trained
            would travel, the model reads what the task does not give, or not what it must, what belongs to a platform
            has no client to stay with, or item counts were to be added to an item bias that the model does not train
            and share.
    """
    task = open_task(experiment)
    needs = needs_of(experiment)
    vectors = torch.zeros(2, experiment.text.dimensions or DIMENSIONS) if "text" in needs else None
    queries, body = vectors if "query" in task.gives else None, STAND_IN if "body" in needs else None
    tokens = tokens_of.STAND_IN if "tokens" in needs else None
    model = build_model(experiment, ModelInputs(2, 1, vectors, queries, body, tokens, task.heads))
    _require_read(task, model)
    attach_(model, experiment.adapter, experiment.seed)
    parts = {name.split(".", 1)[0] for name in trained_parameters(model)}
    owned = sorted(part for part in parts if model.scopes.get(part) is Scope.PLATFORM)
    if owned and experiment.federation.partition != "platform":
        message = (
            f"{', '.join(owned)} of the model {experiment.model.name} stays with a platform, and no client is one; "
            'set federation.partition = "platform"'
        )
        raise ConfigError(message)
    if experiment.privacy.item_counts.share and ITEM_BIAS not in shared_parameters(model, experiment.adapter):
        message = (
            f"privacy.item_counts.share = {experiment.privacy.item_counts.share:g}: counts are added to {ITEM_BIAS}, "
            f"which the model {experiment.model.name} does not train and share; leave them out, or choose another model"
        )
        raise ConfigError(message)


def _require_read(task: Task, model: Recommender) -> None:
    """Refuse a model that reads what the task does not give, or not what it must.

    Raises:
        ConfigError: If it does.
    """
    name, experiment = task.experiment.task.name, task.experiment
    if lacking := sorted(model.reads - task.gives):
        giving = GIVEN_BY.get(lacking[0])
        message = (
            f"the model {experiment.model.name} with model.options = {experiment.model.options} reads the "
            f"{lacking[0]} of each interaction in training, which the task {name} does not give; "
            + (f"choose task.name = {giving!r}, or other options" if giving else "choose a task that does")
        )
        raise ConfigError(message)
    if unread := sorted(task.must_be_read - model.reads):
        message = (
            f"the task {name} is about the {unread[0]} of each example, which the model {experiment.model.name} does "
            "not read; choose another model, such as text_transformer"
        )
        raise ConfigError(message)


def require_pairs(experiment: Experiment, num_items: int) -> None:
    """Refuse a model that reads each pair of user and item by itself for a task that scores a whole catalogue.

    Raises:
        ConfigError: If there are more than `MOST_ITEMS` of them.
    """
    reads_pairs = getattr(MODELS.get(experiment.model.name), "reads_pairs", False)
    if reads_pairs and not open_task(experiment).scores_pairs and num_items > MOST_ITEMS:
        message = (
            f"the model {experiment.model.name} reads a user and an item together, a pass a pair, and the task "
            f"{experiment.task.name} scores all {num_items} items after each position; choose task.name = 'rating', or "
            f"'click' with task.options.negatives = 'below', or at most {MOST_ITEMS} items"
        )
        raise ConfigError(message)
