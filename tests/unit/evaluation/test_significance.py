"""Intervals and tests by hand arithmetic."""

import math

import numpy as np
import pytest

from fedrec.evaluation.statistics.significance import bootstrap_interval, compare, holm, minimal_difference, paired_test


def test_the_bootstrap_interval_is_close_to_the_normal_one_for_many_users():
    values = np.random.default_rng(0).normal(0.3, 0.2, size=400)
    found = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=half / 8)
    assert found.high == pytest.approx(values.mean() + half, abs=half / 8)


def test_the_bootstrap_is_a_named_draw():
    values = np.random.default_rng(1).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values)


def test_users_without_a_value_do_not_enter_the_bootstrap():
    values = np.array([0.1, 0.5, 0.9, 0.2])
    assert bootstrap_interval(np.append(values, np.nan)) == bootstrap_interval(values)


def test_equal_users_give_an_interval_of_no_width():
    found = bootstrap_interval(np.full(10, 0.25))
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_one_value_gives_a_mean_without_bounds_and_none_gives_nothing():
    one, none = bootstrap_interval(np.array([0.5])), bootstrap_interval(np.array([]))
    assert one.mean == 0.5
    assert all(math.isnan(bound) for bound in (one.low, one.high, none.mean, none.low, none.high))


def test_wilcoxon_of_six_users_all_better():
    first = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert paired_test(first, np.zeros(6)) == pytest.approx(2 / 2**6)  # all signs alike: two of 64 cases


def test_users_without_a_difference_or_a_value_are_dropped():
    first = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, np.nan])
    assert paired_test(first, np.zeros(8)) == pytest.approx(2 / 2**6)


def test_nobody_differs():
    assert paired_test(np.array([0.1, 0.2]), np.array([0.1, 0.2])) == 1.0
    assert paired_test(np.array([]), np.array([])) == 1.0


def test_different_users_cannot_be_paired():
    with pytest.raises(ValueError, match="got 3 and 1 values"):
        paired_test(np.zeros(3), np.zeros(1))


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # sorted: 0.01*3 = 0.03, 0.03*2 = 0.06, 0.04*1 = 0.04 but not below 0.06
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_comparisons_are_corrected_together():
    reference = np.zeros(6)
    better = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = compare(reference, {"better": better, "same": reference})
    assert found["better"].difference == pytest.approx(21 / 6)
    assert found["better"].p_value == pytest.approx(2 / 64)
    assert found["better"].p_holm == pytest.approx(2 * 2 / 64)
    assert (found["same"].difference, found["same"].p_holm) == (0.0, 1.0)


def test_a_comparison_says_what_difference_its_users_would_show():
    # differences 1 .. 6: variance 3.5, standard error sqrt(3.5 / 6); t(97.5 %, 5) = 2.5706, t(80 %, 5) = 0.9195
    found = compare(np.zeros(7), {"better": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, np.nan])})["better"]
    assert found.minimal_difference == pytest.approx((2.5706 + 0.9195) * math.sqrt(3.5 / 6), abs=1e-4)
    assert math.isnan(compare(np.zeros(1), {"one": np.ones(1)})["one"].minimal_difference)
    assert math.isnan(minimal_difference(math.nan, 5))
