"""Every registered strategy keeps the contract, and ours a little more; a new one from the day it is registered."""

import numpy as np
import pytest
import torch
from flwr.app import ConfigRecord

from fedrec.core.errors import ConfigError
from fedrec.experiment.config import Experiment
from fedrec.training.rules.base import LocalWork, Rule
from fedrec.training.rules.round import build_rule
from server.asking import ask
from server.base import STRATEGIES, CohortStrategy, MeanStrategy, averages, to_record
from server.strategies import STRATEGIES as ALL
from server.strategies.build import adopt, check_strategy
from simulations.testing.strategies import StrategyContract
from tests.tiny import aggregate_of, reply, strategy_context

NAMES = ALL.names()
BEFORE = {"w": np.array([0.5, -1.0, 2.0], dtype=np.float32)}
CHANGES = [(0.1, 0.2, -0.3), (0.4, -0.1, 0.0), (-0.2, 0.3, 0.1), (0.0, 0.0, 0.5)]


@pytest.mark.parametrize("plugin", NAMES)
class TestEveryStrategy(StrategyContract):
    """The contract that a user's own strategy inherits, too."""


class TestFlowersOwn(StrategyContract):
    """A strategy of Flower's that keeps momenta and draws its cohort from Python's generator."""

    plugin = "flwr.serverapp.strategy:FedAdam"
    options = {"eta": 0.01, "fraction_train": 0.75}  # noqa: RUF012 - as a user would write it


def new(name) -> MeanStrategy | CohortStrategy:
    return adopt(STRATEGIES.get(name), strategy_context(), {})


def rule_of(strategy: MeanStrategy | CohortStrategy) -> Rule:
    return build_rule(strategy.rule, strategy.client_config(), LocalWork(steps=2, lr=0.5, optimizer="sgd"))


def after_round(strategy, changes):
    """Return the adapter after a round in which client `i` moved it by `changes[i]`."""
    ask(strategy, 1, to_record(BEFORE), ConfigRecord({"run": "here"}), None)
    replies = [reply(i, *(BEFORE["w"] + np.array(change, dtype=np.float32))) for i, change in enumerate(changes)]
    arrays, _ = strategy.aggregate_train(1, replies)
    return arrays["w"].numpy()


def test_the_promised_strategies_are_there():
    assert {"fedavg", "fedavgm", "fedprox", "fedadam", "fedyogi", "shrinkage", "trimmed_mean", "median"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_moving_moves_nothing(name):
    np.testing.assert_array_equal(after_round(new(name), [(0, 0, 0)] * 3), BEFORE["w"])


@pytest.mark.parametrize("name", NAMES)
def test_equal_changes_aggregate_to_that_change(name):
    strategy = new(name)
    ask(strategy, 1, to_record(BEFORE), ConfigRecord(), None)
    same = strategy.accept(1, [reply(i, *(BEFORE["w"] + np.float32(0.25))) for i in range(3)])
    np.testing.assert_allclose(aggregate_of(strategy, same)["w"], [0.25] * 3, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_reply_is_enough_and_moves_towards_it(name):
    moved = after_round(new(name), [(0.5, -0.5, 0.5)]) - BEFORE["w"]
    assert (np.sign(moved) == [1, -1, 1]).all()


@pytest.mark.parametrize("name", NAMES)
def test_updates_are_left_as_they_were_given(name):
    strategy = new(name)
    ask(strategy, 1, to_record(BEFORE), ConfigRecord(), None)
    updates = strategy.accept(1, [reply(i, *(BEFORE["w"] + np.array(c, np.float32))) for i, c in enumerate(CHANGES)])
    copies = [update.delta["w"].copy() for update in updates]
    strategy.step(aggregate_of(strategy, updates))
    for update, copy in zip(updates, copies, strict=True):
        np.testing.assert_array_equal(update.delta["w"], copy)


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
@pytest.mark.parametrize("name", NAMES)
def test_a_noised_sum_takes_an_average_and_nothing_else(name, trust):
    experiment = Experiment.model_validate(
        {
            "strategy": {"name": name},
            "privacy": {"epsilon": 8, "trust": trust},
            "federation": {"partition": "users"},
            "training": {"optimizer": "sgd"},
        }
    )
    rule = rule_of(new(name))
    if averages(STRATEGIES.get(name)) and not rule.payload_like({"w": torch.zeros(3)}):
        check_strategy(experiment)
    else:
        with pytest.raises(ConfigError, match=trust):
            check_strategy(experiment)
