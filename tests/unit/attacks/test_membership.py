"""The membership attack by hand arithmetic, and where there is nothing or everything to tell."""

import math

import numpy as np
import pytest

from fedrec.attacks.membership import attack_power, draw_members, log_ratios, power_intervals
from fedrec.core.errors import ConfigError


def test_each_user_is_in_half_of_the_models_by_a_named_draw():
    members = draw_members(6, 50, seed=0)
    assert (members[::2] != members[1::2]).all()
    assert len({tuple(column) for column in members.T}) > 1
    assert (members == draw_members(6, 50, seed=0)).all()


@pytest.mark.parametrize("models", [2, 5])
def test_too_few_models_are_refused(models):
    with pytest.raises(ConfigError, match="even number of models"):
        draw_members(models, 3, seed=0)


def test_the_ratio_of_one_user_by_hand():
    scores = np.array([[4.0], [0.0], [2.0], [-2.0]])
    members = np.array([[True], [False], [True], [False]])
    # In: mean of all 3, squares 1 + 1 over one degree of freedom: variance 2. Out: mean -1, variance 2, too.
    # Attacked is model 0 with score 4: the other pair says 2 when in, -2 when out: ((4 + 2)^2 - (4 - 2)^2) / (2 * 2).
    assert log_ratios(scores, members)[0, 0] == pytest.approx((36 - 4) / 4)
    # Model 3 with score -2: the other pair says 4 when in, 0 when out: ((-2 - 0)^2 - (-2 - 4)^2) / 4
    assert log_ratios(scores, members)[3, 0] == pytest.approx((4 - 36) / 4)


def test_with_the_fewest_models_nothing_is_still_told_of_nothing():
    members = draw_members(4, 2000, seed=1)
    scores = np.random.default_rng(0).normal(size=members.shape)
    # 4,000 members against as many others: a standard deviation of 0.0065
    assert 0.48 < attack_power(log_ratios(scores, members), members).auc < 0.52


def test_intervals_hold_what_was_found_and_need_two_users():
    members = draw_members(4, 100, seed=1)
    ratios = np.random.default_rng(0).normal(size=members.shape) + 2 * members
    found, (auc, tpr) = attack_power(ratios, members), power_intervals(ratios, members, seed=0)
    assert (auc.mean, tpr.mean) == (found.auc, found.tpr_at_1_percent)
    assert 0 < auc.high - auc.low < 0.1
    assert auc.low < auc.mean < auc.high
    assert power_intervals(ratios, members, seed=0) == (auc, tpr)
    alone, _ = power_intervals(ratios[:, :1], members[:, :1], seed=0)
    assert math.isnan(alone.low)


def test_power_by_hand():
    members = np.array([[True, True, False, False]])
    # Pairs (in, out): 3 > 2, 3 > 0, 1 < 2, 1 > 0: three of four; nobody may be accused wrongly, so only 3 is found.
    power = attack_power(np.array([[3.0, 1.0, 2.0, 0.0]]), members)
    assert (power.auc, power.tpr_at_1_percent, power.decisions) == (0.75, 0.5, 4)
    assert attack_power(np.zeros((1, 4)), members).auc == 0.5
    assert attack_power(np.zeros((1, 4)), members).tpr_at_1_percent == 0.0
    assert math.isnan(attack_power(np.zeros((1, 2)), np.array([[True, True]])).auc)


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.45, 0.55), (3.0, 0.95, 1.0)])
def test_noise_tells_nothing_and_a_shift_tells_members(shift, least, most):
    members = draw_members(8, 200, seed=1)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=members.shape) + shift * members + rng.normal(0, 5, 200)
    assert least < attack_power(log_ratios(scores, members), members).auc < most
