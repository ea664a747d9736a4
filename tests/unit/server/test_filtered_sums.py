"""Sums under filters by hand arithmetic: what is added, what it costs, and what a checkpoint keeps of it."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord

from fedrec.experiment.config import Experiment
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.privacy.accounting.filters import Filter
from fedrec.privacy.plan import UnitCounts, plan
from server.aggregation.privacy import NoisyMean
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.asking import ask
from server.base import MeanStrategy, to_record
from tests.tiny import reply, strategy_context, update
from tests.unit.server.test_total import BEFORE, answers

SHAPE = {"w": np.zeros(2, dtype=np.float32)}


def filtered(rounds=1, noise=1e-30):
    """Return a context of four clients, each with a budget of so many updates of length 1."""
    privacy = PrivacyConfig(trust="central", noise_multiplier=noise, filter_rounds=rounds)
    made = plan(Experiment(privacy=privacy), UnitCounts(users=4, examples=4, clients=4), 30)
    return replace(strategy_context(), plan=made)


def test_changes_are_clipped_first_and_then_shortened_to_what_is_left():
    # (3, 4) is clipped to (.6, .8), of which a quarter of a budget leaves half: (.3, .4), and it costs all of it;
    # (0, .5) stays and costs .25; a client that is done adds nothing
    limits = Filter(np.array([0.25, 1.0, 0.0]), 1, 1.0)
    total = SumAggregator(clip_norm=1.0, filter=limits).add([update(0, 3, 4), update(1, 0, 0.5), update(2, 9, 9)])
    np.testing.assert_allclose(total.sums["w"], [0.3, 0.9], rtol=1e-6)
    assert total.costs == pytest.approx({0: 0.25, 1: 0.25, 2: 0.0})
    assert (total.weight, list(total.accepted)) == (3.0, [0, 1, 2]), "who is done answers like everybody else"


def test_a_worker_adds_under_filters_what_a_server_would():
    rows, limits = [[2, 1, 2], [0, 0, 0.1], [np.nan, 0, 0]], Filter(np.array([0.64, 0.5, 1.0]), 1, 1.0)
    here = SumAggregator(clip_norm=1.0, filter=limits).add_cohort(BEFORE, answers(rows))
    # |(2, 1, 2)| = 3 becomes 1 and then .8; .1^2 = .01; what cannot be used costs nothing
    np.testing.assert_allclose(here.sums["a"], [0.8 * 2 / 3, 0.8 / 3], rtol=1e-6)
    assert here.costs == pytest.approx({0: 0.64, 1: 0.01}, rel=1e-5)
    parts = [
        SumAggregator(clip_norm=1.0, filter=limits).add_cohort(BEFORE, answers([rows[i]], clients=[i])) for i in (0, 1)
    ]
    assert (parts[0] + parts[1] + UpdateSum({})).costs == here.costs


def test_a_budget_that_nobody_spends_changes_no_bit():
    rows = [[2, 1, 2], [0, 0.3, 0.1], [0, 0, 1]]
    plain = SumAggregator(clip_norm=1.0).add_cohort(BEFORE, answers(rows))
    limits = SumAggregator(clip_norm=1.0, filter=Filter.full(3, 20, 1.0)).add_cohort(BEFORE, answers(rows))
    for name in BEFORE:
        np.testing.assert_array_equal(plain.sums[name], limits.sums[name])
    assert plain.costs == {}


def test_the_denominator_does_not_follow_who_is_done():
    # a budget of 1: (1, 0) is added in the first round, nothing in the second, and (0, .5) twice; over 4
    mechanism = NoisyMean(filtered())
    moved = []
    for number in (1, 2):
        total = mechanism.aggregator.add([update(0, 1, 0), update(1, 0, 0.5)])
        moved.append(mechanism.change(total, SHAPE, number)["w"])
    np.testing.assert_allclose(moved, [[0.25, 0.125], [0, 0.125]], atol=1e-7)
    assert mechanism.filter.left.tolist() == [0.0, 0.5, 1.0, 1.0]


def test_a_restart_goes_on_with_what_was_left():
    there, here = NoisyMean(filtered()), NoisyMean(filtered())
    there.change(there.aggregator.add([update(0, 1, 0), update(1, 0, 0.5)]), SHAPE, 1)
    here.restore(there.state())
    assert here.filter.left.tolist() == there.filter.left.tolist() == [0.0, 0.75, 1.0, 1.0]
    before = NoisyMean(filtered())
    before.restore({})  # the checkpoint before the first round has no state
    assert before.filter.left.tolist() == [1.0] * 4
    assert "left" not in NoisyMean(strategy_context(noise=1.0, central=True)).state()


def test_a_round_tells_who_is_left_to_the_simulation_alone():
    strategy = MeanStrategy(filtered())
    ask(strategy, 1, to_record(SHAPE), ConfigRecord(), None)
    strategy.aggregate_train(1, [reply(0, 1.0, 0.0), reply(1, 0.0, 0.5)])
    assert strategy.report.filter.told() == {"active": 3, "spent_tenths": [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]}
    assert strategy.kept()["mechanism/left"].tolist() == [0.0, 0.75, 1.0, 1.0]
