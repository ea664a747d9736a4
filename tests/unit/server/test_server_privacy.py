"""The server's mechanism by hand arithmetic: clip, sum, noise, divide by the expected cohort."""

import numpy as np
import pytest
from flwr.app import ConfigRecord

from fedrec.core.errors import FederationError
from server.aggregation.privacy import NoisyMean
from server.aggregation.update import Update, norm_of
from server.aggregation.update_sum import SumAggregator, UpdateSum
from server.asking import ask
from server.base import MeanStrategy, to_record
from tests.tiny import reply, strategy_context, update

SHAPE = {"w": np.zeros(2, dtype=np.float32)}


def bracketed(*updates, round_number=1, shape=SHAPE, **how):
    told = strategy_context(central=True, **how)
    total = SumAggregator(clip_norm=told.plan.clip_norm).add(updates)
    return NoisyMean(told).change(total, shape, round_number)["w"]


def without_noise(*updates, **how):
    """The smallest noise that a plan may have is lost in float32."""
    return bracketed(*updates, noise=1e-30, **how)


def test_clip_shortens_to_the_bound_over_all_arrays_together():
    # norm of (3, 4) over both arrays is 5; clipped to 1: (0.6, 0.8)
    change = {"a": np.array([3.0], dtype=np.float32), "b": np.array([[4.0]], dtype=np.float32)}
    clipped = SumAggregator(np.inf, clip_norm=1.0).add([Update(0, change, 7.0)]).sums
    np.testing.assert_allclose(clipped["a"], [0.6])
    np.testing.assert_allclose(clipped["b"], [[0.8]])


def test_clip_leaves_short_updates_and_zeros_as_they_are():
    for values in ([0.3, 0.4], [0.0, 0.0]):
        delta = {"w": np.array(values, dtype=np.float32)}
        np.testing.assert_array_equal(
            SumAggregator(np.inf, 0.5 + 1e-6).add([Update(0, delta, 7.0)]).sums["w"], delta["w"]
        )


def test_without_noise_it_is_the_clipped_sum_over_the_expected_cohort_whatever_the_weights():
    # (3, 4) clipped to 1 is (0.6, 0.8); (0, 0.5) stays; sum (0.6, 1.3); expected cohort 4: (0.15, 0.325)
    result = without_noise(update(0, 3, 4, weight=1000), update(1, 0, 0.5, weight=0))
    np.testing.assert_allclose(result, [0.6 / 4, 1.3 / 4], rtol=1e-6)


def test_the_denominator_does_not_follow_the_replies():
    np.testing.assert_allclose(without_noise(update(0, 1, 0), expected_cohort=2.5), [1 / 2.5, 0], atol=1e-7)


def test_an_empty_cohort_gives_the_noise_alone_the_same_that_others_get():
    alone = bracketed(noise=2.0)
    assert np.abs(alone).min() > 0
    np.testing.assert_allclose(bracketed(update(0, 0.5, 0), noise=2.0) - alone, [0.5 / 4, 0], atol=1e-6)


def test_noise_is_named_by_its_own_seed_and_the_round():
    assert (bracketed(noise=1.0) == bracketed(noise=1.0)).all()
    assert (bracketed(noise=1.0) != bracketed(noise=1.0, round_number=2)).all()
    assert (bracketed(noise=1.0) != bracketed(noise=1.0, secret_seed=1)).all()
    assert (bracketed(noise=1.0) == bracketed(noise=1.0, seed=1)).all(), "the published seed decides no noise"


def test_noise_does_not_depend_on_the_order_in_which_the_arrays_come():
    shape = {name: np.zeros(2, dtype=np.float32) for name in "ab"}
    there, back = (
        NoisyMean(strategy_context(noise=1.0, central=True)).change(UpdateSum({}), s, 1)
        for s in (shape, dict(reversed(shape.items())))
    )
    for name in "ab":
        np.testing.assert_array_equal(there[name], back[name])


def test_the_noise_on_the_mean_has_the_stated_deviation():
    # noise_multiplier 3 * clip_norm 0.5 / expected cohort 4 = 0.375; with n = 40,000 draws the sample deviation lies
    # within 4 / sqrt(2n) = 1.4 % of it but for 1 in 15,000 seeds, and the mean within 4 * 0.375 / sqrt(n) = 0.0075 of 0
    draws = bracketed(noise=3.0, clip_norm=0.5, shape={"w": np.zeros(40_000, dtype=np.float32)})
    assert draws.std() == pytest.approx(0.375, rel=4 / (2 * 40_000) ** 0.5)
    assert abs(draws.mean()) < 0.0075


def central_round(*replies, **how):
    """Return a strategy after a central round, and how far it moved an adapter of zeros."""
    strategy = MeanStrategy(strategy_context(central=True, **how))
    ask(strategy, 1, to_record(SHAPE), ConfigRecord(), None)
    after, _ = strategy.aggregate_train(1, replies)
    return strategy, after["w"].numpy()


def test_no_length_is_too_long_where_the_server_clips():
    # (30, 40) is clipped to 1, its norm of 50 above the longest accepted notwithstanding: (0.6, 0.8) / 4
    strategy, moved = central_round(reply(0, 30.0, 40.0), noise=1e-30, max_update_norm=1.0)
    np.testing.assert_allclose(moved, [0.15, 0.2], rtol=1e-6)
    assert "too long" not in {rejection.reason for rejection in strategy.report.rejections}


@pytest.mark.parametrize("usable", [0, 1, 3])
def test_a_round_goes_on_however_few_replies_can_be_used_since_that_depends_on_data(usable):
    replies = [reply(i, 0.5, 0.0) if i < usable else reply(i, np.nan, 0.0) for i in range(4)]
    strategy, moved = central_round(*replies, noise=1e-30, min_replies=4)
    np.testing.assert_allclose(moved, [usable * 0.5 / 4, 0], atol=1e-12)
    assert strategy.report.accepted == usable
    assert [bad.reason for bad in strategy.report.rejections] == ["not finite"] * (4 - usable)


def test_nobody_usable_leaves_the_noise_that_everybody_would_have():
    _, alone = central_round(*(reply(i, np.nan, 0.0) for i in range(4)), noise=2.0)
    _, other = central_round(reply(0, 0.5, 0.0), noise=2.0)
    assert np.abs(alone).min() > 0
    np.testing.assert_allclose(other - alone, [0.5 / 4, 0], atol=1e-6)


def test_silence_alone_ends_a_central_round_unless_it_is_allowed():
    with pytest.raises(FederationError, match=r"0 usable replies of 4.*no reply"):
        central_round(noise=1.0, min_replies=4)
    strategy, _ = central_round(noise=1.0, min_replies=0)
    assert [bad.reason for bad in strategy.report.rejections] == ["no reply"] * 4


def test_a_central_round_ignores_weights_and_survives_an_empty_cohort():
    arrays = to_record({"w": np.array([1.0, 1.0], dtype=np.float32)})
    moved = []
    for examples in (1, 50):
        strategy = MeanStrategy(strategy_context(noise=1e-30, central=True))
        ask(strategy, 1, arrays, ConfigRecord(), None)
        after, _ = strategy.aggregate_train(1, [reply(0, 1.5, 1.0, examples=examples), reply(2, 1.0, 1.0)])
        moved.append(after["w"].numpy())
    np.testing.assert_array_equal(*moved)
    np.testing.assert_allclose(moved[0], [1 + 0.5 / 4, 1], rtol=1e-6)
    empty = MeanStrategy(strategy_context(noise=1.0, central=True, cohort=lambda number: []))
    ask(empty, 1, arrays, ConfigRecord(), None)
    after, _ = empty.aggregate_train(1, [])
    assert norm_of({"w": after["w"].numpy() - 1}) > 0
