"""PFedRec by hand: longer steps for what travels, which is averaged as ever and kept as it was tuned."""

import math

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.training.rules.base import LocalWork
from server.strategies.build import check_strategy
from server.strategies.pfedrec import PFedRec, TunedItems
from tests.tiny import aggregate_of, strategy_context, tiny, update

MF = {
    "model": {"name": "matrix_factorization"},
    "adapter": {"name": "full", "private": ()},
    "privacy": {"epsilon": math.inf},
}


def test_what_travels_takes_longer_steps_and_is_kept_and_served_as_it_was_tuned():
    rule = TunedItems(LocalWork(steps=1, lr=0.5, optimizer="sgd"), item_factor=8.0)
    before, gradient = {"w": torch.tensor([[1.0], [1.0]])}, {"w": torch.tensor([[0.25], [-0.5]])}
    turned = rule.direction(gradient, before, rule.init(before, {}, {}))
    # 1 - 0.5 * 8 * 0.25 = 0 and 1 + 0.5 * 8 * 0.5 = 3
    after = {"w": before["w"] - 0.5 * turned["w"]}
    assert after["w"].tolist() == [[0.0], [3.0]]
    payload, kept = rule.final(before, after, None)
    assert payload == {}
    assert rule.personal({"w": torch.full((2, 1), 9.0)}, kept)["w"].tolist() == [[0.0], [3.0]]


def test_the_server_averages_what_travels():
    # (0 - 1 and 3 - 1): the mean change is (-1 + 2) / 2
    strategy = PFedRec(strategy_context(), item_factor=8.0)
    assert strategy.step(aggregate_of(strategy, [update(0, -1.0), update(1, 2.0)]))["w"].tolist() == [0.5]
    assert strategy.client_config() == {"item_factor": 8.0}


def test_a_factor_that_the_optimiser_would_undo_is_refused():
    longer = {"strategy": {"name": "pfedrec", "options": {"item_factor": 80.0}}}
    check_strategy(tiny(**MF, **longer, training={"optimizer": "sgd"}))
    with pytest.raises(ConfigError, match=r"item_factor 80 needs training\.optimizer"):
        check_strategy(tiny(**MF, **longer, training={"optimizer": "adam"}))
    with pytest.raises(ConfigError, match=r"strategy\.options\.item_factor = 0"):
        check_strategy(tiny(**MF, strategy={"name": "pfedrec", "options": {"item_factor": 0}}))
