"""The base that adapters start from: drawn at random, or pretrained on consenting users."""

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray
from fedrec.data.split import Split
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.tasks import open_task
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.held_out_loss import mean_loss

PUBLIC_JUDGES = 5
"""Where validation users are private, one public user of so many picks the epoch, and trains nothing."""


def new_base(inputs: ModelInputs, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights as drawn: no data has touched them."""
    del split, progress
    return build_model(experiment, inputs).state_dict()


def pretrained_base(inputs: ModelInputs, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights after central training on the public users, who consented.

    Validation users pick the epoch if they are volunteers, else public users who do not train. Where nobody picks, the
    last epoch is kept: without validation users, or with fewer than `PUBLIC_JUDGES` public users. Parts that never
    travel stay as they were drawn: what public users have of their own is no client's.

    Raises:
        ConfigError: If there is no public user.
    """
    if len(split.public) == 0:
        message = "model.base=public_users needs public users; set split.public, for example to 0.15"
        raise ConfigError(message)
    task, learning, judged = open_task(experiment), *_groups(experiment, split)
    model = build_model(experiment, replace(inputs, num_users=len(learning)))
    model.requires_grad_(requires_grad=True)
    if "item_delta" in model.parts:
        model.get_submodule("item_delta").requires_grad_(requires_grad=experiment.adapter.item_delta)
    train_centrally_(
        model,
        task,
        task.examples(split.train, learning),
        CentralSettings(
            experiment.model.base_epochs, experiment.model.base_lr, patience=10, label="pretraining the base"
        ),
        experiment.seed,
        lambda: mean_loss(model, task, judged),
        progress,
    )
    drawn = new_base(inputs, experiment, split, progress)
    return {name: drawn[name] if model.stays(name) else value for name, value in model.state_dict().items()}


def _groups(experiment: Experiment, split: Split) -> tuple[IntArray, list[Any]]:
    """Return the users that pretraining learns from, and the examples that pick its epoch."""
    task = open_task(experiment)
    if not experiment.evaluation.private.on:
        return split.public, task.judged(split.held_out, split.validation)
    drawn = rng_for(experiment.seed, "pretraining judges").permutation(split.public)
    judging, learning = np.split(drawn, [len(split.public) // PUBLIC_JUDGES])
    return np.sort(learning), task.judged(split.train, np.sort(judging))
