"""NewRule keeps the laws of every rule and every strategy, and draws as strongly as it should."""

import torch

from fedrec.training.rules.base import LocalWork
from simulations.new.new_rule import NewRuleClient
from simulations.testing.rules import RuleContract
from simulations.testing.strategies import StrategyContract


class TestNewRuleClient(RuleContract):
    plugin = "new_rule.py:NewRuleClient"
    options = {"mu": 0.5}
    plain = {"mu": 0.0}


class TestNewRule(StrategyContract):
    plugin = "new_rule.py:NewRule"


def test_a_client_is_drawn_to_where_it_ended() -> None:
    rule = NewRuleClient(LocalWork(steps=1, lr=0.1, optimizer="sgd"), mu=0.5)
    before, kept, gradient = ({"w": torch.tensor([[value]])} for value in (1.0, 3.0, 2.0))
    state = rule.init(before, {}, kept)
    # 2 + 0.5 * (1 - 3) = 1
    assert rule.direction(gradient, before, state)["w"].item() == 1.0
    # where it ends is kept, and nothing is sent beside the change
    after = {"w": torch.tensor([[0.9]])}
    assert rule.final(before, after, state) == ({}, after)
