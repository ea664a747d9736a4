"""The base that adapters start from: drawn at random, or pretrained on consenting users."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.seeding import rng_for
from fedrec.data.interactions import IntArray, Interactions
from fedrec.data.platform import Platforms
from fedrec.data.split import Split
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import ModelInputs, build_model
from fedrec.tasks import open_task
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.held_out_loss import mean_loss

PUBLIC_JUDGES = 5
"""Where validation users are private, one public user of so many picks the epoch, and trains nothing."""


def new_base(
    inputs: ModelInputs, experiment: Experiment, split: Split, platforms: Platforms, progress: Progress
) -> dict[str, Tensor]:
    """Return the weights as drawn: no data has touched them."""
    del split, platforms, progress
    return build_model(experiment, inputs).state_dict()


def pretrained_base(
    inputs: ModelInputs, experiment: Experiment, split: Split, platforms: Platforms, progress: Progress
) -> dict[str, Tensor]:
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
    task, (learning, judging, rows) = open_task(experiment), _groups(experiment, split)
    judged, judged_of = task.judged(rows, judging), platforms.stretches(judging, rows.lengths_of(judging) >= 2)
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
        lambda: mean_loss(model, task, judged, judged_of),
        progress,
        platforms.stretches(learning, task.count(split.train.lengths_of(learning))),
    )
    drawn = new_base(inputs, experiment, split, platforms, progress)
    return {name: drawn[name] if model.stays(name) else value for name, value in model.state_dict().items()}


def _groups(experiment: Experiment, split: Split) -> tuple[IntArray, IntArray, Interactions]:
    """Return who pretraining learns from, who picks its epoch, both ascending, and the latter's rows."""
    if not experiment.evaluation.private.on:
        return split.public, split.validation, split.held_out
    drawn = rng_for(experiment.seed, "pretraining judges").permutation(split.public)
    judging, learning = np.split(drawn, [len(split.public) // PUBLIC_JUDGES])
    return np.sort(learning), np.sort(judging), split.train
