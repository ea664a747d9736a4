"""The base that adapters start from: built by name, drawn at random or pretrained on consenting users.

A backbone is a module with `window`, `item_vectors`, `per_example`, `reset_parameters_`, `forward(history,
candidates)`, `last_hidden` and `score_all`: see `fedrec.models.text_transformer`.
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from fedrec.config import Experiment, ModelConfig
from fedrec.data.examples import examples_of
from fedrec.data.split import Split
from fedrec.errors import ConfigError
from fedrec.evaluation.scoring import mean_loss
from fedrec.models.text_transformer import TextTransformer
from fedrec.progress import Progress
from fedrec.registry import Registry
from fedrec.seeding import torch_generator_for
from fedrec.training.central import CentralSettings, train_centrally_

MODELS: Registry[Callable[[Tensor, ModelConfig], nn.Module]] = Registry("model", group="fedrec.models")
MODELS.register("text_transformer")(TextTransformer)


def build_model(experiment: Experiment, item_vectors: Tensor) -> nn.Module:
    """Return the configured model with weights drawn by name from the seed."""
    model = MODELS.get(experiment.model.name)(item_vectors, experiment.model)
    model.reset_parameters_(torch_generator_for(experiment.seed, "base"))  # type: ignore[operator]
    return model


def new_base(model: nn.Module, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights as drawn: no data has touched them."""
    del experiment, split, progress
    return model.state_dict()


def pretrained_base(model: nn.Module, experiment: Experiment, split: Split, progress: Progress) -> dict[str, Tensor]:
    """Return the weights after central training on the public users, who consented; validation users pick the epoch.

    Raises:
        ConfigError: If there is no public user.
    """
    if len(split.public) == 0:
        message = "model.base=public_users needs public users; set split.public, for example to 0.15"
        raise ConfigError(message)
    model.requires_grad_(requires_grad=True)
    cast("nn.Module", model.item_delta).requires_grad_(requires_grad=experiment.adapter.item_delta)
    window = experiment.model.window
    held_out = examples_of(split.held_out, split.validation, experiment.training, window)
    train_centrally_(
        model,
        examples_of(split.train, split.public, experiment.training, window),
        CentralSettings(experiment.model.base_epochs, experiment.model.base_lr, patience=4, label="pretraining the base"),
        experiment.seed,
        lambda: mean_loss(model, held_out),
        progress,
    )
    return {name: value for name, value in model.state_dict().items() if name in dict(model.named_parameters())}
