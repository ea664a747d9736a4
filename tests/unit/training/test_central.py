"""Central training: the base's pretraining and the control; who picks the epoch, and when nobody can."""

import math

import numpy as np
import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.core.progress import silent
from fedrec.data.split import split_users
from fedrec.experiment.config import SplitConfig
from fedrec.run.trainable import require_trainable
from fedrec.training.central import CentralSettings, train_centrally_
from fedrec.training.pretraining import new_base, pretrained_base
from tests.handmade import SEQUENCES, context, experiment, inputs, interactions, one_platform

SETTINGS = CentralSettings(epochs=16, lr=0.05, patience=2, label="a test")


def train(losses: list[float] | None, **sections):
    """Train on everybody; return the epoch kept, the model and how often validation was asked."""
    made = context(clients=([0, 1, 2, 3],), **sections)
    told = iter(losses) if losses else iter(lambda: math.nan, None)
    asked: list[float] = []

    def validation() -> float:
        asked.append(next(told))
        return asked[-1]

    return train_centrally_(made.model, made.task, made.examples(0), SETTINGS, 0, validation), made, len(asked)


def own_loss(made) -> float:
    with torch.no_grad():
        everybody = made.task.judged(made.train, np.arange(len(SEQUENCES)))
        return made.task.losses(made.model, made.task.collate(everybody), None).mean().item()


def test_training_learns_what_it_sees():
    # 8 checks of 16 epochs, each better than the last
    epoch, made, _ = train([9.0, 8, 7, 6, 5, 4, 3, 2, 1])
    assert epoch == 16
    assert own_loss(made) < 0.5 * own_loss(context(clients=([0, 1, 2, 3],)))


def test_the_best_epoch_is_kept_and_patience_ends_it():
    # checks at epochs 2, 4, 6, 8: the one at 4 is best, and two checks without improvement are enough
    epoch, made, asked = train([9.0, 8, 7, 7.5, 7.5])
    assert (epoch, asked) == (4, 5)
    four = context(clients=([0, 1, 2, 3],))
    train_centrally_(
        four.model, four.task, four.examples(0), CentralSettings(4, 0.05, 2, "a test"), 0, lambda: math.nan
    )
    assert all(torch.equal(a, b) for a, b in zip(made.model.parameters(), four.model.parameters(), strict=True))


def test_training_that_never_helps_leaves_the_start():
    epoch, made, _ = train([1.0, 2, 3])
    assert epoch == 0
    assert all(torch.equal(dict(made.model.named_parameters())[name], value) for name, value in made.start.items())


def test_a_loss_that_becomes_nan_is_never_the_best():
    assert train([9.0, 8, math.nan, math.nan])[0] == 2


def test_without_validation_users_the_last_epoch_is_kept():
    epoch, made, _ = train(None)
    assert epoch == 16
    assert own_loss(made) < own_loss(context(clients=([0, 1, 2, 3],)))


def test_a_large_catalogue_trains_on_a_sample():
    sampled, whole = (train(None, model={"softmax_items": limit})[1] for limit in (5, 100))
    assert own_loss(sampled) < own_loss(context(clients=([0, 1, 2, 3],)))
    assert own_loss(sampled) != own_loss(whole)


WANTED = experiment(model={"base": "public_users", "base_epochs": 5, "base_lr": 0.01})


def people(**shares: float):
    return split_users(interactions(SEQUENCES * 5), SplitConfig(validation=0.0, test=0.2, **shares), seed=0)


def test_a_base_is_pretrained_and_leaves_a_closed_item_delta_at_zero():
    split = people(public=0.5)
    alone = one_platform(split.train)
    drawn, trained = (make(inputs(single=True), WANTED, split, alone, silent) for make in (new_base, pretrained_base))
    assert trained.keys() == drawn.keys()
    assert not torch.equal(trained["item_projection.weight"], drawn["item_projection.weight"])
    assert trained["item_delta.weight"].abs().max() == 0


def test_a_base_without_public_users_is_an_error():
    with pytest.raises(ConfigError, match=r"needs public users; set split\.public"):
        pretrained_base(inputs(single=True), WANTED, people(), one_platform(people().train), silent)


def test_what_cannot_be_trained_fails_before_anything_is_prepared():
    require_trainable(WANTED)
    with pytest.raises(ConfigError, match="unknown adapter"):
        require_trainable(experiment(adapter={"name": "none of those"}))
    counted = {"item_counts": {"share": 0.2}}
    require_trainable(experiment(privacy=counted))
    with pytest.raises(ConfigError, match=r"item_counts\.share = 0\.2: counts are added to item_bias\.weight, which"):
        require_trainable(experiment(privacy=counted, adapter={"item_bias": False}))
    with pytest.raises(ConfigError, match="would travel"):
        require_trainable(experiment(adapter={"private": ["*"]}))
