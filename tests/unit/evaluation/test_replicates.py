"""Users, user splits and seeds together: intervals, paired differences and what they can show, by hand arithmetic."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from fedrec.evaluation.statistics.replicates import NOTHING, Scored, compare_all, estimate, paired

T_OF_2 = 4.302652729911275
"""Student's t at 97.5 % with 2 degrees of freedom, as in any table."""


def scored(values: Sequence[float], users: Sequence[int] | None = None, split: str = "0", seed: int = 0) -> Scored:
    return Scored(split, seed, np.array(users or range(len(values)), dtype=np.int64), np.array(values, dtype=float))


def test_one_model_has_students_interval_over_its_users() -> None:
    # deviations -.2, -.1, .3: variance (.04 + .01 + .09) / 2 = .07
    found = estimate([scored([0.1, 0.2, 0.6])])
    assert (found.mean, found.error, found.degrees) == (pytest.approx(0.3), pytest.approx(math.sqrt(0.07 / 3)), 2)
    assert found.interval.high - 0.3 == pytest.approx(T_OF_2 * math.sqrt(0.07 / 3))
    assert (found.users, found.splits, found.seeds) == (3, 1, 1)


def test_splits_without_a_common_user_add_what_their_training_differs_by() -> None:
    found = estimate([scored([0.2, 0.4], [0, 1], "a"), scored([0.6, 0.8], [2, 3], "b")])
    # each residual is .1 / (2 sqrt(2 * 1)), its square .00125: U = W = .005, C = 0
    # the means .3 and .7 have the variance .08: B = .04, A = .04 - .005 = .035
    assert (found.mean, found.error) == (pytest.approx(0.5), pytest.approx(math.sqrt(0.005 + 0.035)))
    assert found.degrees == pytest.approx(0.04**2 / (0.005**2 / 1 + 0.04**2 / 1))
    assert (found.users, found.splits) == (4, 2)


def test_the_same_users_with_the_same_values_in_another_split_teach_nothing() -> None:
    once, twice = (estimate([scored([0.2, 0.4], split=name) for name in names]) for names in ("a", "ab"))
    # each user's two residuals add up: U = 2 * (2 * .0354)^2 = .01, W = .005 = C, B = 0, A = max(0, 0 - .005 + .005)
    assert (once.mean, once.error, once.degrees) == pytest.approx((0.3, 0.1, 1))
    assert (twice.mean, twice.error, twice.degrees) == pytest.approx((0.3, 0.1, 1))
    assert (twice.users, twice.splits) == (2, 2)


def test_each_user_has_its_mean_over_the_seeds_of_its_split() -> None:
    seeds = [scored([0.0, 0.2], [0, 1], "a", 0), scored([0.4, 0.6], [0, 1], "a", 1), scored([0.6, 0.8], [2, 3], "b")]
    means = [scored([0.2, 0.4], [0, 1], "a"), scored([0.6, 0.8], [2, 3], "b")]
    found, expected = estimate(seeds), estimate(means)
    assert (found.mean, found.error, found.degrees) == pytest.approx((expected.mean, expected.error, expected.degrees))
    assert found.seeds == 2


def test_seeds_take_the_place_of_splits_where_there_is_one_split() -> None:
    found = estimate([scored([0.2, 0.4], seed=0), scored([0.6, 0.8], seed=1)])
    # U = .01, W = .005 = C; B = .04; A = .04 - .005 + .005
    assert (found.mean, found.error) == (pytest.approx(0.5), pytest.approx(math.sqrt(0.01 + 0.04)))
    assert (found.splits, found.seeds, found.users) == (1, 2, 2)


def test_no_bound_is_a_value_that_the_metric_cannot_have() -> None:
    few = [scored([0.1, 0.9])]  # .5, and 12.7 * .4 to each side
    free, kept = estimate(few).interval, estimate(few, (0.0, 1.0)).interval
    assert (free.low < 0, free.high > 1) == (True, True)
    assert (kept.low, kept.high) == (0.0, 1.0)


def test_users_without_a_value_are_left_out() -> None:
    assert estimate([scored([0.1, math.nan, 0.5])]) == estimate([scored([0.1, 0.5], [0, 2])])
    assert estimate([scored([math.nan])]) is estimate([]) is NOTHING
    assert math.isnan(NOTHING.p_value + NOTHING.minimal_difference + NOTHING.interval.low)


def test_one_user_of_a_split_gives_a_mean_without_bounds() -> None:
    found = estimate([scored([0.5]), scored([0.1, 0.2], split="b")])
    assert found.mean == pytest.approx((0.5 + 0.15) / 2)
    assert math.isnan(found.error + found.interval.low)


def test_other_users_in_the_same_split_are_an_error() -> None:
    with pytest.raises(ValueError, match="split 0 has 2 test users with seed 0"):
        estimate([scored([0.1, 0.2]), scored([0.1, 0.2], [0, 7], seed=1)])
    with pytest.raises(ValueError, match="in the same order"):
        paired([scored([0.1, 0.2])], [scored([0.1, 0.2], [1, 0])])


def test_a_difference_is_of_the_same_users_splits_and_seeds() -> None:
    first = [scored([0.3, 0.5], split=split, seed=seed) for split, seed in (("a", 0), ("a", 1), ("b", 0))]
    second = [scored([0.1, 0.4], split="a", seed=1), scored([0.0, 0.0], split="c")]
    (found,) = paired(first, second)
    assert (found.split, found.seed, found.values.tolist()) == ("a", 1, pytest.approx([0.2, 0.1]))


def test_comparisons_are_tested_by_students_t_and_corrected_together() -> None:
    base = [scored([0.1, 0.2, 0.3])]
    better, same = ([scored(values)] for values in ([0.2, 0.4, 0.6], [0.1, 0.2, 0.3]))
    other = [scored([0.5, 0.5], split="b")]
    found = compare_all([(better, base), (same, base), (other, base)], (0.0, 1.0))
    # .1, .2, .3: t = .2 / (.1 / sqrt(3)) with 2 degrees
    p_value = 2 * stats.t.sf(2 * math.sqrt(3), 2)
    assert (found[0].found.mean, found[0].found.p_value) == (pytest.approx(0.2), pytest.approx(p_value))
    assert found[0].p_holm == pytest.approx(2 * p_value), "of two: the third has nothing in common with the base"
    assert (found[1].found.mean, found[1].found.p_value, found[1].p_holm) == (0.0, 1.0, 1.0)
    assert found[2].found is NOTHING
    assert math.isnan(found[2].p_holm)
    assert found[0].found.within == (-1.0, 1.0)
    assert compare_all([], (0.0, 1.0)) == []


def test_the_minimal_difference_is_so_many_standard_errors() -> None:
    # t(97.5 %, 2) = 4.3027 and t(80 %, 2) = 1.0607, from any table
    assert estimate([scored([0.1, 0.2, 0.6])]).minimal_difference == pytest.approx(
        (T_OF_2 + 1.0606601717798212) * math.sqrt(0.07 / 3)
    )
