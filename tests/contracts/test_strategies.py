"""What every registered strategy of ours keeps, a new one from the day it is registered."""

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
from tests.tiny import aggregate_of, reply, strategy_context

NAMES = ALL.names()
BEFORE = {"w": np.array([0.5, -1.0, 2.0], dtype=np.float32)}
CHANGES = [(0.1, 0.2, -0.3), (0.4, -0.1, 0.0), (-0.2, 0.3, 0.1), (0.0, 0.0, 0.5)]


def new(name, **how) -> MeanStrategy | CohortStrategy:
    return adopt(STRATEGIES.get(name), strategy_context(**how), {})


def rule_of(strategy: MeanStrategy | CohortStrategy) -> Rule:
    return build_rule(strategy.rule, strategy.client_config(), LocalWork(steps=2, lr=0.5, optimizer="sgd"))


def after_round(strategy, changes, number=1, order=None):
    """Return the adapter after a round in which client `i` moved it by `changes[i]`."""
    ask(strategy, number, to_record(BEFORE), ConfigRecord({"run": "here"}), None)
    replies = [reply(i, *(BEFORE["w"] + np.array(change, dtype=np.float32))) for i, change in enumerate(changes)]
    arrays, _ = strategy.aggregate_train(number, [replies[i] for i in order or range(len(replies))])
    return arrays["w"].numpy()


def test_the_promised_strategies_are_there():
    assert {"fedavg", "fedavgm", "fedprox", "fedadam", "fedyogi", "shrinkage", "trimmed_mean", "median"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_replies_changes_no_bit(name):
    straight = after_round(new(name), CHANGES)
    np.testing.assert_array_equal(after_round(new(name), CHANGES, order=[2, 0, 3, 1]), straight)


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_finite_and_of_the_adapters_shape_and_type(name):
    result = after_round(new(name), CHANGES)
    assert result.shape == (3,)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()


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
def test_a_restored_strategy_goes_on_as_if_it_had_never_stopped(name):
    steady, first, second = new(name), new(name), new(name)
    after_round(steady, CHANGES)
    after_round(first, CHANGES)
    second.restore({key: value.copy() for key, value in first.state().items()})
    np.testing.assert_array_equal(after_round(second, CHANGES[:2], 2), after_round(steady, CHANGES[:2], 2))


@pytest.mark.parametrize("name", NAMES)
def test_updates_are_left_as_they_were_given(name):
    strategy = new(name)
    ask(strategy, 1, to_record(BEFORE), ConfigRecord(), None)
    updates = strategy.accept(1, [reply(i, *(BEFORE["w"] + np.array(c, np.float32))) for i, c in enumerate(CHANGES)])
    copies = [update.delta["w"].copy() for update in updates]
    strategy.step(aggregate_of(strategy, updates))
    for update, copy in zip(updates, copies, strict=True):
        np.testing.assert_array_equal(update.delta["w"], copy)


@pytest.mark.parametrize("name", NAMES)
def test_an_option_that_it_does_not_have_is_refused_by_name(name):
    experiment = Experiment.model_validate({"strategy": {"name": name, "options": {"warp": 9}}})
    with pytest.raises(ConfigError, match=r"strategy.options do not fit \w+: .*'warp'"):
        check_strategy(experiment)


@pytest.mark.parametrize("trust", ["central", "secure-aggregation"])
@pytest.mark.parametrize("name", NAMES)
def test_privacy_of_sums_is_kept_or_refused(name, trust):
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


@pytest.mark.parametrize("name", NAMES)
def test_what_it_is_stands_in_its_docstring(name):
    assert (STRATEGIES.get(name).__doc__ or "").strip()
