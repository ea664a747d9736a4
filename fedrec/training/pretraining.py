"""The base that adapters start from: built by name, drawn at random or pretrained on consenting users."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.registry import Registry
from fedrec.core.seeding import rng_for, torch_generator_for
from fedrec.data.examples import Examples, examples_of
from fedrec.data.split import Split
from fedrec.experiment.config import Experiment, ModelConfig
from fedrec.models.backbone import Backbone
from fedrec.models.text_transformer import TextTransformer
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.held_out_loss import mean_loss

MODELS: Registry[Callable[[Tensor, ModelConfig], Backbone]] = Registry("model", group="fedrec.models")
MODELS.register("text_transformer")(TextTransformer)


PUBLIC_JUDGES = 5
"""Where validation users are private, one public user of so many picks the epoch, and trains nothing."""


def build_model(experiment: Experiment, item_vectors: Tensor) -> Backbone:
    """Return the configured model with weights drawn by name from the seed.

    Raises:
        ConfigError: If there is no such model.
    """
    model = MODELS.get(experiment.model.name)(item_vectors, experiment.model)
    model.reset_parameters_(torch_generator_for(experiment.seed, "base"))
    return model


def new_base(model: Backbone, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights as drawn: no data has touched them."""
    del experiment, split, progress
    return model.state_dict()


def pretrained_base(model: Backbone, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights after central training on the public users, who consented.

    Validation users pick the epoch if they are volunteers, else public users who do not train. Where nobody picks, the
    last epoch is kept: without validation users, or with fewer than `PUBLIC_JUDGES` public users.

    Raises:
        ConfigError: If there is no public user.
    """
    if len(split.public) == 0:
        message = "model.base=public_users needs public users; set split.public, for example to 0.15"
        raise ConfigError(message)
    model.requires_grad_(requires_grad=True)
    model.item_delta.requires_grad_(requires_grad=experiment.adapter.item_delta)
    examples, held_out = _examples(experiment, split)
    train_centrally_(
        model,
        examples,
        CentralSettings(
            experiment.model.base_epochs, experiment.model.base_lr, patience=10, label="pretraining the base"
        ),
        experiment.seed,
        lambda: mean_loss(model, held_out),
        progress,
    )
    return model.state_dict()


def _examples(experiment: Experiment, split: Split) -> tuple[Examples, Examples]:
    """Return what pretraining learns from, and what picks its epoch."""
    training, window, public = experiment.training, experiment.model.window, split.public
    if not experiment.evaluation.private.on:
        held_out = examples_of(split.held_out, split.validation, training, window)
        return examples_of(split.train, public, training, window), held_out
    drawn = rng_for(experiment.seed, "pretraining judges").permutation(public)
    judging, learning = np.split(drawn, [len(public) // PUBLIC_JUDGES])
    learned, judged = (examples_of(split.train, np.sort(users), training, window) for users in (learning, judging))
    return learned, judged
