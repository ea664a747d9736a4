"""The base that adapters start from: built by name, drawn at random or pretrained on consenting users."""

from collections.abc import Callable

from torch import Tensor

from fedrec.config import Experiment, ModelConfig
from fedrec.data.examples import examples_of
from fedrec.data.split import Split
from fedrec.errors import ConfigError
from fedrec.evaluation.scoring import mean_loss
from fedrec.models.backbone import Backbone
from fedrec.models.text_transformer import TextTransformer
from fedrec.progress import Progress
from fedrec.registry import Registry
from fedrec.seeding import torch_generator_for
from fedrec.training.central import CentralSettings, train_centrally_

MODELS: Registry[Callable[[Tensor, ModelConfig], Backbone]] = Registry("model", group="fedrec.models")
MODELS.register("text_transformer")(TextTransformer)


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
    """Return the weights after central training on the public users, who consented; validation users pick the epoch.

    Without validation users the last epoch is kept.

    Raises:
        ConfigError: If there is no public user.
    """
    if len(split.public) == 0:
        message = "model.base=public_users needs public users; set split.public, for example to 0.15"
        raise ConfigError(message)
    model.requires_grad_(requires_grad=True)
    model.item_delta.requires_grad_(requires_grad=experiment.adapter.item_delta)
    window = experiment.model.window
    held_out = examples_of(split.held_out, split.validation, experiment.training, window)
    train_centrally_(
        model,
        examples_of(split.train, split.public, experiment.training, window),
        CentralSettings(
            experiment.model.base_epochs, experiment.model.base_lr, patience=10, label="pretraining the base"
        ),
        experiment.seed,
        lambda: mean_loss(model, held_out),
        progress,
    )
    return model.state_dict()
